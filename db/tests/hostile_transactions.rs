//! Transactions that no honest program writes. Each has no effect or a defined one, and the same on every replica, in whatever order events arrive.

use bytes::Bytes;
use serde_json::{Value, json};
use spool_db::{
    Change, Document, Operation, Path, Target, Transaction,
    limits::{MAX_DOCUMENT_BYTES, MAX_OBSERVED, MAX_TRANSACTION_BYTES, PACKED_TRANSACTION_BYTES},
    operation::Observed,
    projector::Why,
    stamp::Dot,
    testing::{NOW, Replica, Rooms, World, body},
};
use spool_proto::clock::Time;

const FILM: &str = "1";

fn film() -> Target {
    Target::new("films", FILM)
}

// ---- encoding by hand ----

fn head(major: u8, length: usize) -> Vec<u8> {
    let length = length as u64;
    match length {
        0..24 => vec![major << 5 | length as u8],
        24..256 => vec![major << 5 | 24, length as u8],
        256..65_536 => [&[major << 5 | 25][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[major << 5 | 26][..], &(length as u32).to_be_bytes()].concat(),
    }
}

fn array(parts: &[Vec<u8>]) -> Vec<u8> {
    [head(4, parts.len()), parts.concat()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [head(3, text.len()), text.as_bytes().to_vec()].concat()
}

fn number(number: usize) -> Vec<u8> {
    head(0, number)
}

fn value(value: &Value) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("encoded")
}

fn operation(kind: usize, parts: &[Vec<u8>]) -> Vec<u8> {
    let own = [number(kind), text("films"), text(FILM)];
    array(&[&own[..], parts].concat())
}

fn envelope(operations: &[Vec<u8>]) -> Bytes {
    array(&[text("spool/db"), number(1), vec![0xf6], array(operations)]).into()
}

fn path(names: &[&str]) -> Vec<u8> {
    array(&names.iter().map(|name| text(name)).collect::<Vec<_>>())
}

// ---- a replica for each order of arrival ----

/// An honest document, then what is hostile, then an honest change; folded in several orders of delivery.
fn fold(hostile: &[Bytes]) -> Document {
    let rooms = Rooms::default();
    let (honest, liar) = (World::log(1), World::log(2));
    let time = |n: usize| Time::new(NOW - 100_000 + n as u64, 0);
    let change =
        |change: Change| body(&Transaction { reverts: None, operations: vec![Operation::Change(film(), change)] });
    let create = Change::Create(json!({"text": "x", "n": 1}).as_object().cloned().expect("a map"));
    rooms.world().append(honest, time(0), Vec::new(), change(create));
    for (n, body) in hostile.iter().enumerate() {
        rooms.world().append(liar, time(n + 1), Vec::new(), body.clone());
    }
    let last = change(Change::Set(Path::new(["after"]), true.into()));
    rooms.world().append(honest, time(hostile.len() + 1), Vec::new(), last);
    let ends = [(honest, 2), (liar, hostile.len() as u64)];
    let mut replicas: Vec<Replica> = Vec::new();
    for (room, order) in (1u8..).zip([vec![0, 1], vec![1, 0], vec![0, 1, 0]]) {
        let mut replica = rooms.replica(room);
        for (turn, log) in order.iter().enumerate() {
            let (log, end) = ends[*log];
            // The first of three turns delivers the half of a log.
            let until = if order.len() > 2 && turn == 0 { end / 2 } else { end };
            replica.deliver(log, until);
            replica.settle();
        }
        replicas.push(replica);
    }
    let mut one_by_one = rooms.replica(9);
    for until in 1..=ends[1].1 {
        one_by_one.deliver(liar, until);
        one_by_one.settle();
    }
    one_by_one.deliver(honest, 2);
    one_by_one.settle();
    replicas.push(one_by_one);
    let hashes: Vec<_> = replicas.iter().map(Replica::hash).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "the order of arrival shows");
    let mut again = replicas.pop().expect("some");
    again.rebuild();
    again.settle();
    assert_eq!(again.hash(), hashes[0], "folded anew it is another one");
    again.document(&film())
}

fn assert_inert(hostile: &[Bytes]) {
    assert_eq!(json!(fold(hostile).fields), json!({"text": "x", "n": 1, "after": true}));
}

fn effect(hostile: &[Bytes]) -> Value {
    json!(fold(hostile).fields)
}

#[test]
fn encoding_by_hand_is_what_the_program_writes() {
    let set = Operation::Change(film(), Change::Set(Path::new(["a", "b"]), json!({"c": [1, "x"]})));
    let by_hand = envelope(&[operation(1, &[path(&["a", "b"]), value(&json!({"c": [1, "x"]}))])]);
    assert_eq!(body(&Transaction { reverts: None, operations: vec![set] }), by_hand);
    assert_eq!(effect(&[by_hand])["a"], json!({"b": {"c": [1, "x"]}}));
}

#[test]
fn wrong_types_have_no_effect() {
    let good = || operation(1, &[path(&["a"]), number(1)]);
    let bad = [
        operation(1, &[text("a"), number(1)]),
        operation(1, &[array(&[number(1)]), number(1)]),
        operation(1, &[path(&["a"])]),
        operation(1, &[path(&["a"]), number(1), number(2)]),
        operation(0, &[number(1)]),
        operation(0, &[array(&[])]),
        operation(4, &[path(&["n"]), text("1")]),
        operation(6, &[path(&["a"]), number(1), array(&[number(1)]), vec![0xf4]]),
        operation(6, &[path(&["a"]), number(1), array(&[]), number(0)]),
        operation(7, &[path(&["a"]), number(1), text("dots")]),
        operation(8, &[number(1)]),
        array(&[text("1"), text("films"), text(FILM), path(&["a"]), number(1)]),
        array(&[number(1), number(7), text(FILM), path(&["a"]), number(1)]),
        array(&[number(1), text("no name"), text(FILM), path(&["a"]), number(1)]),
        array(&[number(1), text("films"), text(""), path(&["a"]), number(1)]),
        array(&[number(1), text("films"), text("line\nfeed"), path(&["a"]), number(1)]),
        array(&[]),
        number(1),
        // Bytes, which are no JSON; a float that is none; a text that is none; an integer that fits nothing.
        operation(1, &[path(&["a"]), vec![0x41, 0x00]]),
        operation(1, &[path(&["a"]), [&[0xfb][..], &f64::NAN.to_be_bytes()].concat()]),
        operation(1, &[path(&["a"]), vec![0x62, 0xff, 0xff]]),
        operation(1, &[path(&["a"]), [&[0x3b][..], &u64::MAX.to_be_bytes()].concat()]),
        operation(1, &[path(&["_id"]), number(1)]),
        operation(0, &[value(&json!({"_mod": 1}))]),
        operation(1, &[path(&[]), number(1)]),
    ];
    // Alone, and with a good one before it: a transaction takes effect as a whole or not at all.
    for (n, bad) in bad.into_iter().enumerate() {
        let fields = effect(&[envelope(std::slice::from_ref(&bad)), envelope(&[good(), bad])]);
        assert_eq!(fields, json!({"text": "x", "n": 1, "after": true}), "number {n}");
    }
}

#[test]
fn bodies_that_are_cut_or_padded_have_no_effect() {
    let whole = envelope(&[operation(1, &[path(&["a"]), number(1)])]);
    let cut = (0..whole.len()).map(|length| whole.slice(..length));
    let padded = [Bytes::from([&whole[..], &[0]].concat())];
    let garbled = (10..whole.len()).map(|at| {
        let mut bytes = whole.to_vec();
        bytes[at] = 0xff;
        Bytes::from(bytes)
    });
    assert_inert(&cut.chain(padded).chain(garbled).collect::<Vec<_>>());
}

#[test]
fn what_is_not_known_is_skipped_and_nothing_else() {
    let unknown = |kind: usize| operation(kind, &[path(&["a"]), number(1)]);
    let known = operation(1, &[path(&["b"]), number(2)]);
    let huge = array(&[[&[0x1b][..], &u64::MAX.to_be_bytes()].concat()]);
    let fields = effect(&[envelope(&[unknown(10), known, unknown(200), huge])]);
    assert_eq!(fields, json!({"text": "x", "n": 1, "b": 2, "after": true}));
    // Another version, another verb of taking back.
    let set = array(&[operation(1, &[path(&["a"]), number(1)])]);
    let newer = array(&[text("spool/db"), number(2), vec![0xf6], set.clone()]);
    let verb = array(&[text("spool/db"), number(1), array(&[number(7), number(1)]), set]);
    assert_inert(&[newer.into(), verb.into()]);
}

/// None of these may take a stack with it.
#[test]
fn depth_of_ten_thousand_has_no_effect() {
    const DEPTH: usize = 10_000;
    let names = path(&vec!["a"; DEPTH]);
    let nested = |open: &[u8], inner: &[u8]| [open.repeat(DEPTH), inner.to_vec()].concat();
    let arrays = nested(&[0x81], &[0x01]);
    let maps = nested(&[0xa1, 0x61, b'a'], &[0x01]);
    let bodies = [
        operation(1, &[names.clone(), number(1)]),
        operation(3, std::slice::from_ref(&names)),
        operation(4, &[names, number(1)]),
        operation(1, &[path(&["a"]), arrays.clone()]),
        operation(2, &[path(&["a"]), maps.clone()]),
        operation(5, &[path(&["a"]), arrays.clone()]),
        operation(7, &[path(&["a"]), maps.clone(), array(&[])]),
        operation(0, &[maps]),
        // Within an operation that is not known, and in the place of the whole list.
        operation(77, std::slice::from_ref(&arrays)),
    ];
    let bodies: Vec<_> = bodies.iter().map(|operation| envelope(std::slice::from_ref(operation))).collect();
    assert_inert(&bodies);
    let list = array(&[text("spool/db"), number(1), vec![0xf6], arrays]);
    assert_inert(&[list.into()]);
}

/// One event may not make it too large, and many may not either: those that would have no effect on it, and those behind them do.
#[test]
fn a_document_beyond_its_bound_stays_as_it_was() {
    let fill = |name: &str, bytes: usize| envelope(&[operation(1, &[path(&[name]), text(&"x".repeat(bytes))])]);
    let part = PACKED_TRANSACTION_BYTES - 1_000;
    let names: Vec<String> = (0..10).map(|n| format!("part{n}")).collect();
    let mut bodies: Vec<_> = names.iter().map(|name| fill(name, part)).collect();
    bodies.push(fill("small", 10));
    bodies.push(fill("whole", MAX_TRANSACTION_BYTES + 1));
    let document = fold(&bodies);
    let here: Vec<_> = names.iter().filter(|name| document.fields.contains_key(*name)).collect();
    assert_eq!(here, ["part0", "part1", "part2", "part3"]);
    assert!(document.to_bytes().len() <= MAX_DOCUMENT_BYTES);
    assert_eq!(document.fields["small"], json!("x".repeat(10)));
    assert!(!document.fields.contains_key("whole"));
    assert_eq!(document.fields["after"], true);
}

#[test]
fn a_clock_a_year_ahead_waits_for_its_time_and_with_it_the_rest_of_its_log() {
    const YEAR: u64 = 365 * 24 * 3_600_000;
    let rooms = Rooms::default();
    let (honest, liar) = (World::log(1), World::log(2));
    let set = |name: &str| envelope(&[operation(0, &[value(&json!({name: 1}))])]);
    let ahead = Time::new(NOW + YEAR, 0);
    rooms.world().append(liar, Time::new(NOW - 10, 0), Vec::new(), set("before"));
    rooms.world().append(liar, ahead, Vec::new(), set("ahead"));
    rooms.world().append(liar, Time::new(NOW - 9, 0), Vec::new(), set("falling"));
    rooms.world().append(liar, Time::MAX, Vec::new(), set("never"));
    rooms.world().append(honest, Time::new(NOW - 5, 0), Vec::new(), set("honest"));
    let mut replicas: Vec<_> = (1..=2).map(|room| rooms.replica(room)).collect();
    for (replica, order) in replicas.iter_mut().zip([[liar, honest], [honest, liar]]) {
        for log in order {
            replica.deliver(log, if log == liar { 4 } else { 1 });
            let progress = replica.settle();
            if log == liar {
                assert_eq!(progress.held.len(), 1);
                assert_eq!((progress.held[0].counter, progress.held[0].why), (2, Why::Ahead(ahead)));
            }
        }
        assert_eq!(json!(replica.document(&film()).fields), json!({"before": 1, "honest": 1}));
    }
    assert_eq!(replicas[0].hash(), replicas[1].hash());
    // When its time has come it counts, what falls behind it does not, and the end of time is still to come.
    for replica in &mut replicas {
        let progress = replica.settle_at(NOW + YEAR);
        assert_eq!(progress.held.iter().map(|held| held.counter).collect::<Vec<_>>(), [4]);
        assert_eq!(json!(replica.document(&film()).fields), json!({"before": 1, "honest": 1, "ahead": 1}));
    }
    assert_eq!(replicas[0].hash(), replicas[1].hash());
}

#[test]
fn increments_of_what_is_no_number_and_of_too_much_do_nothing() {
    let increment = |at: &[&str], by: Vec<u8>| operation(4, &[path(at), by]);
    let float = |float: f64| [&[0xfb][..], &float.to_be_bytes()].concat();
    let bodies = [
        envelope(&[increment(&["text"], number(1))]),
        envelope(&[increment(&["text", "within"], number(1))]),
        envelope(&[increment(&["n"], float(f64::MAX))]),
        envelope(&[increment(&["n"], float(f64::MAX))]),
        envelope(&[increment(&["n"], float(f64::INFINITY))]),
    ];
    let fields = effect(&bodies);
    assert_eq!((&fields["text"], fields["n"].as_f64()), (&json!("x"), Some(f64::MAX)), "one of them fits");
}

/// A map that has a key twice, or keys in another order than the one that DAG-CBOR has, is what no program writes, and one reader might see in it what another does not.
#[test]
fn maps_with_a_key_twice_or_out_of_order_have_no_effect() {
    let map = |entries: &[(&str, usize)]| {
        let entries = entries.iter().map(|(name, value)| [text(name), number(*value)].concat());
        let entries: Vec<_> = entries.collect();
        [head(5, entries.len()), entries.concat()].concat()
    };
    assert_eq!(effect(&[envelope(&[operation(1, &[path(&["a"]), map(&[("x", 1), ("y", 2)])])])])["a"]["y"], 2);
    assert_inert(&[
        envelope(&[operation(1, &[path(&["a"]), map(&[("x", 1), ("x", 2)])])]),
        envelope(&[operation(0, &[map(&[("n", 5), ("n", 6)])])]),
        envelope(&[operation(1, &[path(&["b"]), map(&[("z", 1), ("a", 2)])])]),
        envelope(&[operation(1, &[path(&["b"]), map(&[("aa", 1), ("b", 2)])])]),
    ]);
}

#[test]
fn huge_lists_of_dots_are_refused_or_name_what_is_not_there() {
    let dots = |count: usize| -> Vec<Dot> {
        let stamp = |counter| spool_db::Stamp { time: Time::default(), log: [7; 32], counter };
        (0..count).map(|n| Dot::new(&stamp(n as u64 + 1), 0)).collect()
    };
    let by_hand = |count: usize| {
        let dot = serde_ipld_dagcbor::to_vec(&dots(1)).expect("encoded")[1..].to_vec();
        [head(4, count), dot.repeat(count)].concat()
    };
    let no = vec![0xf4];
    // More than fit, with the list of as many; and one that says that it has a billion, and has one.
    let lying = [vec![0x9a, 0x3b, 0x9a, 0xca, 0x00], by_hand(1)[1..].to_vec()].concat();
    assert_inert(&[
        envelope(&[operation(6, &[path(&["text"]), number(1), by_hand(MAX_OBSERVED + 1), no.clone()])]),
        envelope(&[operation(7, &[path(&["a"]), number(1), by_hand(MAX_OBSERVED + 1)])]),
        envelope(&[operation(7, &[path(&["a"]), number(1), lying.clone()])]),
        envelope(&[operation(6, &[path(&["a"]), number(1), lying, no])]),
    ]);
    // As many as may be, of nothing that there is: a removal removes nothing, a kept value is the only one.
    let change = |change: Change| Operation::Change(film(), change);
    let observed = Observed { dots: dots(MAX_OBSERVED), plain: false };
    let at = |name: &str| Path::new([name]);
    let bodies = [
        vec![change(Change::Add(at("set"), "x".into()))],
        vec![change(Change::Remove(at("set"), "x".into(), observed.clone()))],
        vec![change(Change::Keep(at("kept"), "y".into(), observed.dots))],
    ];
    let bodies = bodies.map(|operations| body(&Transaction { reverts: None, operations }));
    let fields = effect(&bodies);
    assert_eq!((&fields["set"], &fields["kept"]), (&json!(["x"]), &json!("y")));
}

/// Every value of one field is kept by somebody who pretends to know of none: they stand side by side until there is no more room.
#[test]
fn values_that_pile_up_stop_at_the_bound_of_a_document() {
    let keep = |n: usize| operation(7, &[path(&["kept"]), text(&format!("{n:04}{}", "x".repeat(60_000))), array(&[])]);
    let bodies: Vec<_> = (0..30).map(|n| envelope(&[keep(n)])).collect();
    let document = fold(&bodies);
    let (_, values) = document.conflicts().next().expect("side by side");
    assert!(values.len() > 10 && document.to_bytes().len() <= MAX_DOCUMENT_BYTES, "{} values", values.len());
    assert_eq!(document.fields["after"], true);
}

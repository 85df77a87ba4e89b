//! Conflicts of two writers that did not know of each other: listed until somebody decides, by an ordinary transaction.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::ops::ControlFlow;

use serde_json::{Map, Value, json};
use spool_db::{
    Path, Target,
    collection::Builder,
    conflicts::{Conflict, ConflictKind},
    limits::{INDEX_STEP, MAX_CONFLICT_OTHERS},
    testing::{NOW, Peer, Rooms},
};

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn films() -> Builder {
    Builder::new("films").unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn all(peer: &Peer, collection: Option<&str>) -> Vec<Conflict> {
    let mut found = Vec::new();
    let mut visit = |conflict| {
        found.push(conflict);
        ControlFlow::Continue(())
    };
    peer.database.conflicts(collection, &mut visit).unwrap();
    // One by one it is the same.
    let of_each: Vec<_> = found.iter().map(|conflict| conflict.target.clone()).collect();
    for target in of_each.iter().filter(|target| !target.collection.starts_with('_')) {
        let own: Vec<_> = found.iter().filter(|conflict| conflict.target == *target).cloned().collect();
        assert_eq!(peer.database.conflicts_of(target).unwrap(), own);
    }
    found
}

/// Two writers that have the same, and write apart from then on.
fn two(definition: Builder, documents: &[(&str, Value)]) -> (Rooms, Peer, Peer) {
    let rooms = Rooms::default();
    let (one, two) = (rooms.peer(1), rooms.peer(2));
    one.commit(|write| write.define(&definition.build())).unwrap();
    one.commit(|write| documents.iter().try_for_each(|(id, fields)| write.create(&film(id), map(fields.clone()))))
        .unwrap();
    two.catch_up();
    (rooms, one, two)
}

fn meet(peers: [&Peer; 2]) {
    peers.into_iter().for_each(Peer::catch_up);
    assert_eq!(all(peers[0], None), all(peers[1], None), "both see the same");
}

fn conflict(id: &str, kind: ConflictKind) -> Conflict {
    Conflict { target: film(id), kind }
}

fn duplicate(id: &str, value: Value, others: &[&str]) -> Conflict {
    let others = others.iter().map(|other| (*other).to_owned()).collect();
    conflict(id, ConflictKind::Duplicate { path: path("title"), value, others })
}

#[test]
fn values_that_were_kept_are_listed_until_one_is_chosen() {
    let (_rooms, one, two) = two(films().keep_both("title").unwrap(), &[("1", json!({"title": ""})), ("2", json!({}))]);
    one.commit(|write| write.set(&film("1"), path("title"), "one".into())).unwrap();
    two.commit(|write| write.set(&film("1"), path("title"), "two".into())).unwrap();
    assert!(all(&one, None).is_empty());
    meet([&one, &two]);
    let kept = ConflictKind::KeptBoth { path: path("title"), values: vec![json!("two"), json!("one")] };
    assert_eq!(all(&one, None), [conflict("1", kept)]);
    assert_eq!(one.fields(&film("1"))["title"], "two", "the first one shows");
    one.commit(|write| write.resolve(&film("1"), path("title"), "one".into())).unwrap();
    meet([&one, &two]);
    assert!(all(&two, None).is_empty());
    // What does not exist has nothing to decide.
    one.commit(|write| write.set(&film("1"), path("title"), "three".into())).unwrap();
    two.commit(|write| write.set(&film("1"), path("title"), "four".into())).unwrap();
    meet([&one, &two]);
    assert_eq!(all(&one, None).len(), 1);
    one.commit(|write| write.delete(&film("1"))).unwrap();
    assert!(all(&one, None).is_empty() && one.database.conflicts_of(&film("1")).unwrap().is_empty());
}

#[test]
fn documents_that_are_not_as_their_schema_says_are_listed_until_they_are() {
    let schema = json!({"type": "object", "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}}, "maxProperties": 2});
    let (_rooms, one, two) = two(films().schema(Some(schema)).unwrap(), &[("1", json!({}))]);
    one.commit(|write| write.set(&film("1"), path("from"), 1.into())).unwrap();
    two.commit(|write| write.set(&film("1"), path("to"), 2.into())).unwrap();
    assert!(all(&one, None).is_empty());
    meet([&one, &two]);
    let [Conflict { target, kind: ConflictKind::Schema { path: at, message } }] = &all(&one, Some("films"))[..] else {
        panic!("one conflict: {:?}", all(&one, None))
    };
    assert_eq!((target, at.as_str()), (&film("1"), ""));
    assert!(message.contains("properties"), "{message}");
    one.commit(|write| write.update(&film("1"), [spool_db::Change::Unset(path("to"))])).unwrap();
    meet([&one, &two]);
    assert!(all(&two, None).is_empty());
}

#[test]
fn a_schema_that_cannot_be_used_is_listed_with_its_collection() {
    let (_rooms, one, _two) = two(films(), &[("1", json!({}))]);
    let definition = Target::new("_collections", "films");
    one.commit(|write| write.set(&definition, path("schema"), json!({"type": "nonsense"}))).unwrap();
    let found = all(&one, None);
    assert!(
        matches!(&found[..], [Conflict { target, kind: ConflictKind::Schema { path, .. } }] if *target == definition && path == "schema"),
        "{found:?}"
    );
}

#[test]
fn documents_with_one_value_are_listed_until_they_differ() {
    let (_rooms, one, two) =
        two(films().index("title", true).unwrap(), &[("0", json!({"title": "Ran"})), ("9", json!({}))]);
    one.commit(|write| write.create(&film("1"), map(json!({"title": "Brazil"})))).unwrap();
    two.commit(|write| write.create(&film("2"), map(json!({"title": "Brazil"})))).unwrap();
    // Numbers as queries compare them; null as often as anybody likes; long texts that only begin alike.
    let long = "x".repeat(1_000);
    one.commit(|write| write.create(&film("3"), map(json!({"title": 1})))).unwrap();
    two.commit(|write| write.create(&film("4"), map(json!({"title": 1.0})))).unwrap();
    one.commit(|write| write.create(&film("5"), map(json!({"title": format!("{long}1")})))).unwrap();
    two.commit(|write| write.create(&film("6"), map(json!({"title": format!("{long}2")})))).unwrap();
    one.commit(|write| write.create(&film("7"), map(json!({"title": null})))).unwrap();
    two.commit(|write| write.create(&film("8"), map(json!({"title": null})))).unwrap();
    one.commit(|write| write.create(&film("a"), map(json!({"title": ["x", "x"]})))).unwrap();
    two.commit(|write| write.create(&film("b"), map(json!({"title": ["x"]})))).unwrap();
    assert!(all(&one, None).is_empty() && all(&two, None).is_empty());
    meet([&one, &two]);
    let expected = [
        duplicate("3", json!(1), &["4"]),
        duplicate("4", json!(1.0), &["3"]),
        duplicate("1", json!("Brazil"), &["2"]),
        duplicate("2", json!("Brazil"), &["1"]),
    ];
    assert_eq!(all(&one, Some("films")), expected);
    one.commit(|write| write.set(&film("1"), path("title"), "Jabberwocky".into())).unwrap();
    one.commit(|write| write.delete(&film("3"))).unwrap();
    meet([&one, &two]);
    assert!(all(&two, None).is_empty());
}

#[test]
fn duplicates_are_listed_while_their_index_is_being_built() {
    let count = 2 * INDEX_STEP as u64;
    let (_rooms, one, _two) = two(films(), &[]);
    for page in 0..count / 512 {
        let create = |id: u64| (film(&format!("{id:05}")), map(json!({"title": id % (count - 2)})));
        one.commit(|write| {
            (512 * page..512 * (page + 1)).map(create).try_for_each(|(target, fields)| write.create(&target, fields))
        })
        .unwrap();
    }
    one.database
        .write(None, |write| write.define(&films().index("title", true).unwrap().build()), Box::new(|_| {}))
        .unwrap();
    one.local.append_queued();
    let last = [format!("{:05}", count - 2), format!("{:05}", count - 1)];
    let mut while_building = 0;
    loop {
        let more = one.database.step(NOW, true).unwrap().more;
        let is_built = one.database.read(|read| read.indexes("films")).unwrap()[0].built;
        let found = all(&one, None);
        let mut ids: Vec<_> = found.iter().map(|conflict| conflict.target.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["00000", "00001", &last[0], &last[1]], "built: {is_built}");
        while_building += u32::from(!is_built);
        if !more {
            break;
        }
    }
    assert!(while_building > 1);
}

/// Many documents of one value, and many values of one key: of the former each names some others, and of the latter nothing is told.
#[test]
fn however_many_share_a_value_or_a_key_each_is_listed_once() {
    let count = 3 * MAX_CONFLICT_OTHERS as u64;
    let long = "x".repeat(300);
    let title = |id: u64| if id.is_multiple_of(2) { long.clone() } else { format!("{long}{id}") };
    let (_rooms, one, _two) = two(films(), &[]);
    one.commit(|write| {
        (0..count).try_for_each(|id| write.create(&film(&format!("{id:05}")), map(json!({"title": title(id)}))))
    })
    .unwrap();
    one.commit(|write| write.define(&films().index("title", true).unwrap().build())).unwrap();
    let found = all(&one, None);
    let ids: Vec<_> = found.iter().map(|conflict| conflict.target.id.clone()).collect();
    assert_eq!(ids, (0..count).step_by(2).map(|id| format!("{id:05}")).collect::<Vec<_>>());
    for Conflict { target, kind } in &found {
        let ConflictKind::Duplicate { others, .. } = kind else { panic!("{kind:?}") };
        assert!(others.len() == MAX_CONFLICT_OTHERS && !others.contains(&target.id), "{others:?}");
    }
    let mut seen = 0;
    let mut visit = |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    one.database.conflicts(None, &mut visit).unwrap();
    assert_eq!(seen, 3);
}

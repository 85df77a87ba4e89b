//! Validators and filters: what writers and readers are told, and that peers agree.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use spool_db::{
    Change, Limits, Operation, Path, Target, Transaction,
    collection::{Builder, COLLECTIONS, Definition, Rule},
    database::Receipt,
    history::Scope,
    limits::PAST_PATIENCE_MILLIS,
    projector::{Denial, Why},
    testing::{NOW, Peer, Rooms, World, body, drafts::path, nowhere},
    transaction::{Error, Kind},
};
use spool_proto::{IdentityKey, clock::Time, event::CitedHead};

const SCRATCH: u8 = 200;

fn note(id: &str) -> Target {
    Target::new("notes", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn notes(validator: &str) -> Definition {
    Builder::new("notes").unwrap().validator(Some(validator)).unwrap().build()
}

/// The key of whoever writes in a room.
fn key(room: u8) -> String {
    IdentityKey::from_bytes(World::log(room).public_key()).unwrap().to_string()
}

fn define(peer: &Peer, validator: &str) {
    peer.commit(|write| write.define(&notes(validator))).unwrap();
}

/// Two writers that have the same, with a validator.
fn two(validator: &str) -> (Rooms, Peer, Peer) {
    let rooms = Rooms::default();
    let (one, two) = (rooms.peer(1), rooms.peer(2));
    define(&one, validator);
    two.catch_up();
    (rooms, one, two)
}

/// What somebody is told who waits for a transaction.
type Told = Result<Option<Receipt>, Error>;

/// Somebody who waits for transactions.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Vec<Told>>>);

impl Waiting {
    fn done(&self) -> spool_db::database::Committed {
        let told = self.0.clone();
        Box::new(move |result| told.lock().unwrap().push(result))
    }

    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn verify(rooms: &Rooms, peer: &Peer) {
    let verification = peer.database.verify(&rooms.view(SCRATCH), &mut |_, _| {}).unwrap();
    assert_eq!((verification.found, &verification.faults), (0, &Vec::new()));
    assert_eq!(verification.hash, peer.database.hash().unwrap());
}

/// The node that its owner has broken into: it asks no rule.
fn force(peer: &Peer, operations: Vec<Operation>) {
    let transaction = body(&Transaction { reverts: None, operations });
    peer.local.append_by_force(&transaction);
    peer.settle();
}

fn operation(id: &str, change: Change) -> Operation {
    Operation::Change(note(id), change)
}

#[test]
fn a_denied_write_is_refused_before_it_becomes_an_event() {
    let (_rooms, one, two) = two("owner");
    one.commit(|write| write.create(&note("1"), map(json!({"owner": key(1)})))).unwrap();
    two.catch_up();
    let error = two.commit(|write| write.set(&note("1"), path("a"), 1.into())).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, "denied"));
    let Error::Denied(denial) = &error else { panic!("{error:?}") };
    assert_eq!((denial.target.clone(), denial.to_string()), (note("1"), "app denied net record body".to_owned()));
    assert!(error.to_string().contains("app denied net record body"), "{error}");
    assert_eq!(two.local.append_queued(), 0);
    assert_eq!(two.fields(&note("1")), json!({"owner": key(1)}));
    // Its owner may.
    one.commit(|write| write.set(&note("1"), path("a"), 1.into())).unwrap();
    one.commit(|write| write.delete(&note("1"))).unwrap();
    // Only one of two is somebody else's.
    let error = two.commit(|write| {
        write.create(&note("2"), map(json!({"owner": key(2)})))?;
        write.create(&note("3"), map(json!({"owner": key(1)})))
    });
    assert!(matches!(error, Err(Error::Denied(Denial { target, .. })) if target == note("3")));
}

#[test]
fn a_rehearsal_tells_what_would_be_refused_and_does_nothing() {
    let (_rooms, one, _) = two("owner");
    let rehearse =
        |owner: String| one.database.rehearse(None, |write| write.create(&note("1"), map(json!({"owner": owner}))));
    rehearse(key(1)).unwrap();
    assert!(matches!(rehearse(key(2)), Err(Error::Denied(_))));
    let client: IdentityKey = key(2).parse().unwrap();
    let create = |write: &mut spool_db::transaction::Write<'_>| write.create(&note("1"), map(json!({"owner": key(2)})));
    one.database.rehearse(Some(client), create).unwrap();
    assert_eq!(one.local.append_queued(), 0);
    assert_eq!(one.get(&note("1")), None);
}

#[test]
fn a_denied_event_is_inert_on_every_peer_in_the_same_way() {
    let (rooms, one, two) = two("owner");
    one.commit(|write| write.create(&note("1"), map(json!({"owner": key(1), "a": 1})))).unwrap();
    two.catch_up();
    // All or nothing: what another rule would accept, or has no rule, is inert with it.
    let other = Operation::Change(Target::new("others", "1"), Change::Create(map(json!({"a": 1}))));
    force(&two, vec![operation("1", Change::Set(path("a"), 2.into())), other]);
    // What does not exist is nobody's to write to: it would show as soon as somebody makes it.
    force(&two, vec![operation("2", Change::Set(path("a"), 2.into()))]);
    force(&two, vec![operation("3", Change::Create(map(json!({"owner": key(2)}))))]);
    one.catch_up();
    let three = rooms.peer(3);
    three.catch_up();
    for peer in [&one, &two, &three] {
        assert_eq!(peer.fields(&note("1")), json!({"owner": key(1), "a": 1}));
        assert_eq!(peer.get(&Target::new("others", "1")), None);
        assert_eq!(peer.fields(&note("3")), json!({"owner": key(2)}));
        assert_eq!(peer.database.hash().unwrap(), one.database.hash().unwrap());
        let denied = peer.database.denied(None, 10).unwrap();
        let named: Vec<_> =
            denied.iter().map(|denied| (denied.log, denied.counter, denied.denial.target.id.as_str())).collect();
        assert_eq!(named, [(World::log(2), 1, "1"), (World::log(2), 2, "2")]);
        assert_eq!(denied[1].denial.to_string(), "app denied net record body: there is no such document");
        let page = peer.database.denied(Some((World::log(2), 1)), 1).unwrap();
        assert_eq!(page, denied[1..]);
        assert!(peer.database.held().is_empty());
        verify(&rooms, peer);
        peer.database.rebuild().unwrap();
        peer.settle();
        assert_eq!(peer.database.denied(None, 10).unwrap(), denied);
        assert_eq!(peer.database.hash().unwrap(), one.database.hash().unwrap());
    }
    // What never had an effect cannot be undone.
    let undone = two.database.undo(&Scope::Database, Box::new(|_| {})).unwrap();
    assert_eq!(undone.counter, 3);
}

/// What a writer had folded and what its event cites are two things: what counts is what it cites.
#[test]
fn whoever_is_denied_when_the_event_is_folded_is_told_so() {
    let (_rooms, one, two) = two("yes");
    one.commit(|write| write.create(&note("1"), Map::new())).unwrap();
    two.catch_up();
    define(&one, "no");
    // It has arrived, and is cited, but is not folded in yet.
    two.local.delivered.deliver(World::log(1), 3);
    let waiting = Waiting::default();
    two.database.write(None, |write| write.set(&note("1"), path("a"), 1.into()), waiting.done()).unwrap();
    two.push();
    let told = waiting.told();
    assert!(matches!(&told[..], [Err(Error::Denied(denial))] if denial.target == note("1")), "{told:?}");
    assert_eq!(two.fields(&note("1")), json!({}));
    // Whoever did not know of it has written before it.
    let (rooms, one, two) = self::two("yes");
    define(&one, "no");
    two.commit(|write| write.create(&note("1"), Map::new())).unwrap();
    one.catch_up();
    assert_eq!(one.fields(&note("1")), json!({}));
    two.catch_up();
    assert!(matches!(two.commit(|write| write.create(&note("2"), Map::new())), Err(Error::Denied(_))));
    verify(&rooms, &two);
}

#[test]
fn a_commit_waits_until_its_event_is_judged() {
    let (_rooms, _one, two) = two("yes");
    let waiting = Waiting::default();
    two.database.write(None, |write| write.create(&note("1"), Map::new()), waiting.done()).unwrap();
    // It cites what is not here: the first record of log 3 exists, and comes later.
    let three = World::log(3);
    two.local.world().append(three, Time::new(NOW - 2_000, 0), Vec::new(), body(&Transaction::default()));
    two.local.cite_next(three, 1);
    two.push();
    assert!(waiting.told().is_empty());
    let held = two.database.held();
    assert!(
        matches!(held[..], [ref held] if held.why == Why::Past { until_millis: NOW + PAST_PATIENCE_MILLIS }),
        "{held:?}"
    );
    // Others go on, and other collections too.
    two.commit(|write| write.define(&Builder::new("others").unwrap().build())).unwrap();
    let other = Waiting::default();
    two.database.write(None, |write| write.create(&Target::new("others", "1"), Map::new()), other.done()).unwrap();
    two.push();
    assert!(matches!(other.told()[..], [Ok(Some(_))]));
    assert!(two.get(&Target::new("others", "1")).is_some() && two.get(&note("1")).is_none());
    two.catch_up();
    assert!(matches!(waiting.told()[..], [Ok(Some(_))]));
    assert!(two.get(&note("1")).is_some() && two.database.held().is_empty());
}

/// Whoever cites what nobody has holds up the others for a while, and not for good.
#[test]
fn what_never_comes_is_waited_for_only_so_long() {
    let (rooms, one, two) = two("yes");
    let bogus = CitedHead { log: World::log(77), counter: 5, cid: nowhere(1) };
    let create = body(&Transaction { reverts: None, operations: vec![operation("1", Change::Create(Map::new()))] });
    let mut heads = vec![one.local.world().head(&World::log(1), 1), bogus];
    heads.sort_by_key(|head| head.log);
    one.local.world().append(World::log(3), Time::new(NOW - 500, 0), heads, create);
    two.catch_up();
    // An honest one has seen it.
    two.commit(|write| write.create(&note("2"), Map::new())).unwrap();
    one.catch_up();
    let at = |peer: &Peer, now| while peer.database.step(now, true).unwrap().more {};
    for peer in [&one, &two] {
        assert_eq!(peer.database.held().len(), 2);
        at(peer, NOW + PAST_PATIENCE_MILLIS - 1);
        assert!(peer.get(&note("1")).is_none() && peer.get(&note("2")).is_none());
        at(peer, NOW + PAST_PATIENCE_MILLIS);
        assert!(peer.get(&note("1")).is_some() && peer.get(&note("2")).is_some());
        assert!(peer.database.held().is_empty());
        verify(&rooms, peer);
    }
    assert_eq!(one.database.hash().unwrap(), two.database.hash().unwrap());
}

/// Whoever runs no rules neither accepts nor denies: the others may do either.
#[test]
fn without_a_judge_everything_waits_that_would_be_judged() {
    let (rooms, one, _) = two("owner");
    one.commit(|write| write.create(&note("1"), map(json!({"owner": key(1)})))).unwrap();
    let (database, local) = rooms.database_judging(3, Limits::default(), None);
    let blind = Peer { database, local };
    blind.catch_up();
    assert_eq!(blind.get(&note("1")), None);
    let held = blind.database.held();
    assert!(matches!(held[..], [ref held] if held.why == Why::Judge && held.counter == 2), "{held:?}");
    let error = blind.commit(|write| write.create(&note("2"), Map::new())).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, "no-judge"));
    blind.commit(|write| write.define(&Builder::new("others").unwrap().build())).unwrap();
    blind.commit(|write| write.create(&Target::new("others", "1"), Map::new())).unwrap();
    // With one, it all comes right.
    drop(blind);
    let again = rooms.peer(3);
    again.catch_up();
    one.catch_up();
    assert_eq!(again.database.hash().unwrap(), one.database.hash().unwrap());
    assert!(again.get(&note("1")).is_some());
}

#[test]
fn a_rule_that_is_none_lets_nothing_through_until_it_is_defined_anew() {
    let (rooms, one, two) = two("yes");
    let nonsense = Change::Replace(Path::new(["validator"]), json!({"a": 1}));
    force(&two, vec![Operation::Change(Target::new(COLLECTIONS, "notes"), nonsense)]);
    one.catch_up();
    let definition = one.database.read(|read| read.definition("notes")).unwrap().unwrap();
    assert_eq!((&definition.validator, definition.problems.len()), (&Some(Rule::Unusable), 1));
    assert!(matches!(one.commit(|write| write.create(&note("1"), Map::new())), Err(Error::Denied(_))));
    force(&one, vec![operation("1", Change::Create(Map::new()))]);
    two.catch_up();
    assert_eq!(two.database.denied(None, 9).unwrap().len(), 1);
    let mended = Builder::from(definition).validator(None).unwrap().build();
    one.commit(|write| write.define(&mended)).unwrap();
    one.commit(|write| write.create(&note("1"), Map::new())).unwrap();
    two.catch_up();
    assert!(two.get(&note("1")).is_some());
    assert_eq!(two.database.read(|read| read.definition("notes")).unwrap().unwrap().validator, None);
    verify(&rooms, &two);
}

/// What was judged with something in mind that turns out not to count is judged again, and so is what comes of that.
#[test]
fn evidence_of_a_fork_has_what_came_after_judged_again() {
    let (rooms, one, two) = two("owner");
    // Log 2 gives a note away, and its new owner writes to it.
    two.commit(|write| write.create(&note("1"), map(json!({"owner": key(2)})))).unwrap();
    two.commit(|write| write.set(&note("1"), path("owner"), key(1).into())).unwrap();
    one.catch_up();
    one.commit(|write| write.set(&note("1"), path("a"), 1.into())).unwrap();
    one.commit(|write| write.create(&note("2"), map(json!({"owner": key(1)})))).unwrap();
    two.catch_up();
    let before = two.fields(&note("1"));
    assert_eq!(before, json!({"owner": key(1), "a": 1}));
    for peer in [&one, &two] {
        peer.local.delivered.fork(World::log(2), 2);
        peer.settle();
        assert_eq!(peer.fields(&note("1")), json!({"owner": key(2)}));
        assert!(peer.get(&note("2")).is_some());
        let denied = peer.database.denied(None, 9).unwrap();
        assert_eq!(denied.iter().map(|denied| (denied.log, denied.counter)).collect::<Vec<_>>(), [(World::log(1), 2)]);
        verify(&rooms, peer);
    }
    assert_eq!(one.database.hash().unwrap(), two.database.hash().unwrap());
}

#[test]
fn a_filter_decides_what_a_reader_sees() {
    let rooms = Rooms::default();
    let peer = rooms.peer(1);
    let owners = Builder::new("notes").unwrap().filter(Some("owner")).unwrap().build();
    peer.commit(|write| write.define(&owners)).unwrap();
    peer.commit(|write| write.create(&note("1"), map(json!({"owner": "a"})))).unwrap();
    let seen = |reader: Option<&str>| {
        peer.database.read(|read| {
            let document = read.get(&note("1")).unwrap().unwrap();
            read.filtered("notes", reader, document).unwrap()
        })
    };
    assert_eq!(seen(Some("a")), peer.get(&note("1")));
    assert_eq!((seen(Some("b")), seen(None)), (None, None));
    // Whoever runs no rules shows nothing.
    let (blind, _) = rooms.database_judging(1, Limits::default(), None);
    let error = blind.read(|read| read.filter("notes").err());
    assert!(matches!(error, Some(Error::NoJudge(_))));
    let nonsense = Change::Replace(Path::new(["filter"]), json!(1));
    force(&peer, vec![Operation::Change(Target::new(COLLECTIONS, "notes"), nonsense)]);
    assert_eq!(seen(Some("a")), None);
    // Without a filter all is seen.
    let definition = peer.database.read(|read| read.definition("notes")).unwrap().unwrap();
    peer.commit(|write| write.define(&Builder::from(definition).filter(None).unwrap().build())).unwrap();
    assert_eq!(seen(None), peer.get(&note("1")));
}

/// Whoever gave the collection of definitions a rule could lock all others out for good.
#[test]
fn definitions_are_under_no_rule() {
    let (_rooms, one, two) = two("yes");
    let lock = Change::Create(map(json!({"validator": "no"})));
    force(&two, vec![Operation::Change(Target::new(COLLECTIONS, COLLECTIONS), lock)]);
    one.catch_up();
    define(&one, "owner");
    two.catch_up();
    let definition = two.database.read(|read| read.definition("notes")).unwrap().unwrap();
    assert_eq!(definition.validator, Some(Rule::Source("owner".to_owned())));
    assert!(two.database.denied(None, 9).unwrap().is_empty());
}

#[test]
fn rules_of_any_size_are_refused_where_they_are_written() {
    let large = "x".repeat(64 * 1024 + 1);
    assert!(Builder::new("notes").unwrap().validator(Some(&large)).is_err());
    assert!(Builder::new("notes").unwrap().filter(Some(&large)).is_err());
    let rules = Builder::new("notes").unwrap().validator(Some("yes")).unwrap().filter(Some("no")).unwrap().build();
    assert_eq!(Definition::from_fields("notes", &rules.to_fields()), rules);
}

/// An event that was folded in when nobody knew of a rule is judged when the rule arrives that its writer had seen.
#[test]
fn a_rule_that_comes_late_judges_what_is_there() {
    let (rooms, one, two) = two("no");
    force(&two, vec![operation("1", Change::Create(Map::new()))]);
    let three = rooms.peer(3);
    three.local.delivered.deliver(World::log(2), 1);
    three.settle();
    assert!(three.get(&note("1")).is_some(), "nothing is known of a rule");
    three.catch_up();
    one.catch_up();
    assert_eq!(three.get(&note("1")), None);
    assert_eq!(three.database.hash().unwrap(), one.database.hash().unwrap());
    assert_eq!(three.database.denied(None, 9).unwrap(), one.database.denied(None, 9).unwrap());
    verify(&rooms, &three);
}

#[cfg(feature = "javascript")]
mod javascript {
    use spool_db::judge::JavaScript;

    use super::*;

    const VALIDATOR: &str = r#"
        switch (event.patch.type) {
          case "create":
            if (event.patch.json_patch.text === "") { return "text is missing" }
            return event.patch.json_patch.owner === writer && instance === undefined
          case "save":
            return instance.owner === writer && !("owner" in event.patch.json_patch)
          default:
            return instance.owner === writer && event.patch.json_patch === null
        }"#;

    fn peer(rooms: &Rooms, room: u8) -> Peer {
        let judge = Arc::new(JavaScript::new().unwrap());
        let (database, local) = rooms.database_judging(room, Limits::default(), Some(judge));
        Peer { database, local }
    }

    #[test]
    fn a_collection_of_which_everybody_owns_some() {
        let rooms = Rooms::default();
        let (one, two) = (peer(&rooms, 1), peer(&rooms, 2));
        define(&one, VALIDATOR);
        two.catch_up();
        one.commit(|write| write.create(&note("1"), map(json!({"owner": key(1), "text": "a"})))).unwrap();
        two.catch_up();
        let missing = two.commit(|write| write.create(&note("2"), map(json!({"owner": key(2), "text": ""}))));
        let Err(Error::Denied(denial)) = missing else { panic!("{missing:?}") };
        assert_eq!(denial.to_string(), "app denied net record body: text is missing");
        force(&two, vec![operation("1", Change::Set(path("text"), "b".into()))]);
        force(&two, vec![operation("1", Change::Delete)]);
        one.commit(|write| write.set(&note("1"), path("text"), "c".into())).unwrap();
        one.catch_up();
        two.catch_up();
        for peer in [&one, &two] {
            assert_eq!(peer.fields(&note("1")), json!({"owner": key(1), "text": "c"}));
            assert_eq!(peer.database.denied(None, 9).unwrap().len(), 2);
            verify(&rooms, peer);
        }
        one.commit(|write| write.delete(&note("1"))).unwrap();
        two.catch_up();
        assert_eq!(two.get(&note("1")), None);
        assert_eq!(one.database.hash().unwrap(), two.database.hash().unwrap());
    }

    /// What a rule does not come to an end with is denied, everywhere.
    #[test]
    fn a_rule_that_fails_denies() {
        let rooms = Rooms::default();
        let (one, two) = (peer(&rooms, 1), peer(&rooms, 2));
        define(&one, "while (true) {}");
        one.commit(|write| write.create(&note("1"), Map::new())).unwrap_err();
        force(&one, vec![operation("1", Change::Create(Map::new()))]);
        define(&one, "return event.patch.json_patch.a.b");
        force(&one, vec![operation("2", Change::Create(Map::new()))]);
        two.catch_up();
        let denied = two.database.denied(None, 9).unwrap();
        assert_eq!(denied, one.database.denied(None, 9).unwrap());
        let reasons: Vec<_> = denied.iter().filter_map(|denied| denied.denial.reason.clone()).collect();
        assert!(reasons[0].contains("too many steps") && reasons[1].contains("TypeError"), "{reasons:?}");
    }

    #[test]
    fn a_filter_hides_fields() {
        let rooms = Rooms::default();
        let one = peer(&rooms, 1);
        let filter = "if (reader !== instance.owner) { delete instance.secret } return instance";
        let definition = Builder::new("notes").unwrap().filter(Some(filter)).unwrap().build();
        one.commit(|write| write.define(&definition)).unwrap();
        one.commit(|write| write.create(&note("1"), map(json!({"owner": "a", "secret": 1})))).unwrap();
        let shown = |reader: &str| {
            one.database
                .read(|read| read.filtered("notes", Some(reader), read.get(&note("1")).unwrap().unwrap()).unwrap())
        };
        assert_eq!(shown("a").unwrap()["secret"], 1);
        let other = shown("b").unwrap();
        assert!(other.get("secret").is_none() && other["_id"] == "1" && other.contains_key("_mod"));
    }
}

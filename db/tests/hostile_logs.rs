//! Logs whose writers keep to no rule but that their records are signed: whoever folds them gets through, and past them.

use serde_json::{Map, json};
use spool_db::{
    Change, Operation, Path, Target, Transaction,
    operation::Decoded,
    testing::{NOW, Rooms, World, body, drafts::path, hostile, oracle},
};
use spool_proto::clock::Time;

fn create(id: u64) -> bytes::Bytes {
    let target = Target::new("notes", id.to_string());
    body(&Transaction { reverts: None, operations: vec![Operation::Change(target, Change::Create(Map::new()))] })
}

fn time(millis: u64) -> Time {
    Time::after(Time::default(), NOW - 1_000_000 + millis)
}

/// A log is read to the time of the last event at hand, and others are folded up to there. Where times fall, the last one at hand is not the latest: everything at hand
/// was later then than what the log was read to, and nobody got any further.
#[test]
fn falling_times_hold_up_nobody() {
    const EVENTS: u64 = 1_500;
    let rooms = Rooms::default();
    let (falling, honest) = (World::log(1), World::log(2));
    for id in 0..EVENTS {
        rooms.world().append(falling, time(EVENTS - id), Vec::new(), create(id));
        rooms.world().append(honest, time(id), Vec::new(), create(EVENTS + id));
    }
    let mut replica = rooms.replica(1);
    replica.deliver(falling, EVENTS);
    replica.deliver(honest, EVENTS);
    let steps = (1..=20).find(|_| !replica.step(NOW).more);
    assert!(steps.is_some(), "still more to do after twenty steps");
    assert_eq!(replica.hash(), {
        let mut other = rooms.replica(2);
        other.deliver(honest, EVENTS);
        other.settle();
        // Of the falling ones the first counts, and it is the latest.
        other.deliver(falling, 1);
        other.settle();
        other.hash()
    });
    assert!(replica.document(&Target::new("notes", "0")).is_alive());
    assert!(!replica.document(&Target::new("notes", "1")).is_alive());
}

/// Bodies that never come were looked for first whenever blocks arrived, and only a page of them: an honest one behind them was never folded in.
#[test]
fn bodies_that_never_come_starve_no_other() {
    const MISSING: u64 = 1_200;
    let rooms = Rooms::default();
    let logs = [World::log(1), World::log(2)];
    let (silent, honest) = if logs[0] < logs[1] { (logs[0], logs[1]) } else { (logs[1], logs[0]) };
    let mut replica = rooms.replica(1);
    for id in 0..MISSING {
        let counter = rooms.world().append(silent, time(id), Vec::new(), create(id));
        replica.set_missing(silent, counter, true);
    }
    rooms.world().append(honest, time(MISSING), Vec::new(), create(MISSING));
    replica.set_missing(honest, 1, true);
    replica.deliver(silent, MISSING);
    replica.deliver(honest, 1);
    // Only now and then have blocks arrived.
    let settle = |replica: &mut spool_db::testing::Replica| {
        let mut arrived = true;
        for _ in 0..20 {
            let progress = replica.projector().step(NOW, arrived).expect("the batch is folded");
            arrived = false;
            if !progress.more {
                return;
            }
        }
        panic!("still more to do after twenty steps");
    };
    settle(&mut replica);
    assert!(!replica.document(&Target::new("notes", MISSING.to_string())).is_alive());
    replica.set_missing(honest, 1, false);
    settle(&mut replica);
    assert!(replica.document(&Target::new("notes", MISSING.to_string())).is_alive());
}

/// A transaction that changes many documents is told apart by document once, not once for each of them.
#[test]
fn a_full_transaction_is_folded_in_one_go() {
    let rooms = Rooms::default();
    let log = World::log(1);
    let operations = (0..10_000).map(|id| {
        let set = Change::Set(Path::new(["a"]), json!(id % 2));
        Operation::Change(
            Target::new("n", (id % 5_000).to_string()),
            if id < 5_000 { Change::Create(Map::new()) } else { set },
        )
    });
    let transaction = Transaction { reverts: None, operations: operations.collect() };
    rooms.world().append(log, time(1), Vec::new(), body(&transaction));
    let mut replica = rooms.replica(1);
    replica.deliver(log, 1);
    replica.settle();
    assert_eq!(replica.document(&Target::new("n", "4999")).fields["a"], json!(1));
}

/// How large a document has become was estimated from the changes since it was stored. An array that turns into a set grows by more than the element that is added
/// to it, so the estimate fell short, and by how much depended on what was folded in one batch: replicas disagreed about which event had made the document too large.
#[test]
fn a_document_is_too_large_for_all_or_for_none() {
    let target = || Target::new("notes", "1");
    let change = |change| Transaction { reverts: None, operations: vec![Operation::Change(target(), change)] };
    let numbers: Vec<u64> = (256..65_256).collect();
    let changes = [
        Change::Set(Path::new(["set"]), json!(numbers)),
        Change::Add(Path::new(["set"]), json!("x")),
        Change::Set(Path::new(["text"]), "y".repeat(150_000).into()),
    ];
    let rooms = Rooms::default();
    let log = World::log(1);
    for (at, transaction) in (1..).zip(changes.map(change)) {
        rooms.world().append(log, time(at), Vec::new(), body(&transaction));
    }
    let (mut one_by_one, mut at_once) = (rooms.replica(1), rooms.replica(2));
    for counter in 1..=3 {
        one_by_one.deliver(log, counter);
        one_by_one.settle();
    }
    at_once.deliver(log, 3);
    at_once.settle();
    let expected = oracle::documents(&oracle::events(&at_once.delivered, NOW));
    assert!(expected[&target()].fields.contains_key("set") && !expected[&target()].fields.contains_key("text"));
    assert_eq!(one_by_one.hash(), oracle::hash(&expected), "one by one");
    assert_eq!(at_once.hash(), oracle::hash(&expected), "at once");
}

/// Each body is read to its end or refused, the same on every peer, and what honest writers say beside them is there.
#[test]
fn bodies_that_mean_harm_do_none() {
    let rooms = Rooms::default();
    let (hostile, honest) = (World::log(1), World::log(2));
    let bodies = hostile::bodies("notes");
    let mut effective = Vec::new();
    for (at, (name, bytes)) in (0..).zip(&bodies) {
        rooms.world().append(hostile, time(2 * at), Vec::new(), bytes.clone());
        rooms.world().append(honest, time(2 * at + 1), Vec::new(), create(1_000 + at));
        if matches!(Transaction::decode(bytes), Ok(Decoded::Transaction(_))) {
            effective.push(*name);
        }
    }
    assert_eq!(effective, ["an operation of tomorrow", "increments of a text"]);
    let large = Target::new("notes", "large");
    let parts = hostile::too_large(&large);
    for (at, bytes) in (0..).zip(&parts) {
        rooms.world().append(hostile, time(1_000 + at), Vec::new(), bytes.clone());
    }
    let count = bodies.len() as u64;
    let (mut one_by_one, mut at_once) = (rooms.replica(1), rooms.replica(2));
    (1..=count + parts.len() as u64).for_each(|counter| {
        one_by_one.deliver(hostile, counter);
        one_by_one.settle();
    });
    at_once.deliver(hostile, count + parts.len() as u64);
    for replica in [&mut one_by_one, &mut at_once] {
        replica.deliver(honest, count);
        replica.settle();
        let expected = oracle::documents(&oracle::events(&replica.delivered, NOW));
        assert_eq!(replica.hash(), oracle::hash(&expected));
        assert!((0..count).all(|id| replica.document(&Target::new("notes", (1_000 + id).to_string())).is_alive()));
        assert_eq!(replica.document(&Target::new("notes", "1")).fields["s"], json!("text"));
        let kept = replica.document(&large).fields;
        assert_eq!(kept.len(), parts.len() - 1, "the last part was one too many");
        assert!(path("part-0").get(&kept).is_some());
    }
}

//! Logs whose writers keep to no rule but that their records are signed: whoever folds them gets through, and past them.

use serde_json::{Map, json};
use spool_db::{
    Change, Operation, Path, Target, Transaction,
    testing::{NOW, Rooms, World, body},
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

//! The same set of events gives the same bytes on every replica, whatever the order, duplication or delay.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Document, Operation, Path, Stamp, Target, Transaction,
    document::Size,
    operation::Decoded,
    source::{Body, Event},
    testing::{NOW, Replica, Rooms, World, body},
};
use spool_proto::{LogId, clock::Time};

/// What happens in a case. Numbers are taken modulo whatever there is.
#[derive(Debug, Clone)]
enum Step {
    /// A writer commits a transaction, having seen what its replica has.
    Write { writer: u8, changes: Vec<(u8, Draft)>, cite: bool, drift: i8 },
    /// A replica gets more of a log.
    Deliver { replica: u8, log: u8, count: u8 },
    /// A replica folds one batch.
    Fold { replica: u8 },
    /// A replica starts again, or folds anew from nothing.
    Restart { replica: u8, rebuild: bool },
    /// A log is found to be forked.
    Fork { log: u8, at: u8 },
    /// A body is late at a replica.
    Late { replica: u8, log: u8, counter: u8 },
}

/// A change before its writer has looked at the document.
#[derive(Debug, Clone)]
enum Draft {
    Create(Value),
    Set(&'static str, Value),
    Replace(&'static str, Value),
    Unset(&'static str),
    Increment(&'static str, i8),
    Add(&'static str, u8),
    Remove(&'static str, u8),
    Keep(&'static str, u8),
    Delete,
    Undelete,
}

const LOGS: u8 = 5;

fn paths() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a.b", "a.b.c", "n", "s", "m"])
}

fn values() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(1),
        json!("x"),
        json!([1, 2]),
        json!({"b": 2}),
        json!({"b": {"c": 3}}),
        json!(null),
    ])
}

fn drafts() -> impl Strategy<Value = Draft> {
    prop_oneof![
        3 => values().prop_map(|value| Draft::Create(json!({"a": value, "n": 0}))),
        3 => (paths(), values()).prop_map(|(path, value)| Draft::Set(path, value)),
        1 => (paths(), values()).prop_map(|(path, value)| Draft::Replace(path, value)),
        1 => paths().prop_map(Draft::Unset),
        2 => (paths(), any::<i8>()).prop_map(|(path, by)| Draft::Increment(path, by)),
        2 => (paths(), 0u8..3).prop_map(|(path, value)| Draft::Add(path, value)),
        2 => (paths(), 0u8..3).prop_map(|(path, value)| Draft::Remove(path, value)),
        1 => (paths(), any::<u8>()).prop_map(|(path, value)| Draft::Keep(path, value)),
        1 => Just(Draft::Delete),
        1 => Just(Draft::Undelete),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let changes = prop::collection::vec((0u8..4, drafts()), 1..4);
    prop_oneof![
        8 => (0..LOGS, changes, any::<bool>(), -3i8..4).prop_map(|(writer, changes, cite, drift)| Step::Write { writer, changes, cite, drift }),
        8 => (any::<u8>(), 0..LOGS, 1u8..6).prop_map(|(replica, log, count)| Step::Deliver { replica, log, count }),
        4 => any::<u8>().prop_map(|replica| Step::Fold { replica }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(replica, rebuild)| Step::Restart { replica, rebuild }),
        1 => (0..LOGS, any::<u8>()).prop_map(|(log, at)| Step::Fork { log, at }),
        1 => (any::<u8>(), 0..LOGS, any::<u8>()).prop_map(|(replica, log, counter)| Step::Late { replica, log, counter }),
    ]
}

fn change(draft: &Draft, document: &Document) -> Change {
    let path = |text: &str| Path::parse(text).unwrap();
    match draft.clone() {
        Draft::Create(value) => Change::Create(value.as_object().unwrap().clone()),
        Draft::Set(at, value) => Change::Set(path(at), value),
        Draft::Replace(at, value) => Change::Replace(path(at), value),
        Draft::Unset(at) => Change::Unset(path(at)),
        Draft::Increment(at, by) => Change::Increment(path(at), by.into()),
        Draft::Add(at, value) => Change::Add(path(at), value.into()),
        Draft::Remove(at, value) => {
            let observed = document.observed(&path(at), &value.into());
            Change::Remove(path(at), value.into(), observed)
        }
        Draft::Keep(at, value) => Change::Keep(path(at), value.into(), document.seen(&path(at))),
        Draft::Delete => Change::Delete,
        Draft::Undelete => Change::Undelete,
    }
}

struct Case {
    rooms: Rooms,
    replicas: Vec<Replica>,
    /// Greatest time of each log.
    times: BTreeMap<LogId, Time>,
    forks: BTreeMap<LogId, u64>,
    seed: u64,
}

impl Case {
    fn new(replicas: u8) -> Self {
        let rooms = Rooms::default();
        let replicas = (1..=replicas).map(|room| rooms.replica(room)).collect();
        Self { rooms, replicas, times: BTreeMap::new(), forks: BTreeMap::new(), seed: 0 }
    }

    fn replica(&mut self, number: u8) -> &mut Replica {
        let index = usize::from(number) % self.replicas.len();
        &mut self.replicas[index]
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write { writer, changes, cite, drift } => self.write(*writer, changes, *cite, *drift),
            Step::Deliver { replica, log, count } => {
                let log = World::log(*log);
                let length = self.rooms.world().logs().find(|(known, _)| *known == log).map_or(0, |(_, length)| length);
                let replica = self.replica(*replica);
                let until = (replica.delivered_of(&log) + u64::from(*count)).min(length);
                if until > 0 {
                    replica.deliver(log, until);
                }
            }
            Step::Fold { replica } => {
                self.replica(*replica).step(NOW);
            }
            Step::Restart { replica, rebuild } => {
                let replica = self.replica(*replica);
                if *rebuild { replica.rebuild() } else { replica.restart() }
            }
            Step::Fork { log, at } => {
                let log = World::log(*log);
                let at = u64::from(*at) % 8 + 1;
                let fork = self.forks.entry(log).or_insert(at);
                *fork = at.min(*fork);
                let at = *fork;
                // Some learn it at once, the others in the end.
                self.replicas.iter().step_by(2).for_each(|replica| replica.fork(log, at));
            }
            Step::Late { replica, log, counter } => {
                let (log, counter) = (World::log(*log), u64::from(*counter) % 8 + 1);
                let replica = self.replica(*replica);
                if replica.delivered_of(&log) < counter {
                    replica.set_missing(log, counter, true);
                }
            }
        }
    }

    /// An honest writer stamps above all that it has seen; one that drifts backwards does not always.
    fn write(&mut self, writer: u8, changes: &[(u8, Draft)], cite: bool, drift: i8) {
        let log = World::log(writer);
        self.seed += 1;
        let replica = self.replica(writer);
        let others: Vec<_> =
            (0..LOGS).map(World::log).filter(|other| *other != log && replica.end(other) > 0).collect();
        let heads = others.iter().map(|other| (*other, replica.end(other)));
        let heads: Vec<_> = heads.filter(|_| cite).collect();
        let operations = changes.iter().map(|(id, draft)| {
            let target = Target::new("things", id.to_string());
            let change = change(draft, &replica.document(&target));
            Operation::Change(target, change)
        });
        let transaction = Transaction { reverts: None, operations: operations.collect() };
        let last = self.times.get(&log).copied().unwrap_or_default();
        let clock = NOW - 1_000 + self.seed / 3;
        let time = Time::after(last, clock.saturating_add_signed(i64::from(drift) * 2));
        // Now and then not even above the one before.
        let time = if drift == -3 { Time::new(clock - 10, 0) } else { time };
        self.times.insert(log, last.max(time));
        let mut world = self.rooms.world();
        let mut heads: Vec<_> = heads.iter().map(|(log, counter)| world.head(log, *counter)).collect();
        heads.sort_by_key(|head| head.log);
        let counter = world.append(log, time, heads, body(&transaction));
        drop(world);
        self.replica(writer).deliver(log, counter);
    }

    /// Everything reaches everybody.
    fn finish(&mut self) {
        let logs: Vec<_> = self.rooms.world().logs().collect();
        for replica in &mut self.replicas {
            for (log, length) in &logs {
                replica.deliver(*log, *length);
                (1..=*length).for_each(|counter| replica.set_missing(*log, counter, false));
            }
            self.forks.iter().for_each(|(log, at)| replica.fork(*log, *at));
            let progress = replica.settle();
            assert!(progress.held.is_empty(), "{:?}", progress.held);
        }
    }

    /// What the rules say, read off all records at once.
    fn expected(&self) -> BTreeMap<Target, Document> {
        let world = self.rooms.world();
        let counts = |log: &LogId, counter: u64| self.forks.get(log).is_none_or(|fork| counter < *fork);
        let mut events: BTreeMap<Stamp, Bytes> = BTreeMap::new();
        for (log, length) in world.logs() {
            let mut above = Time::default();
            for counter in (1..=length).filter(|counter| counts(&log, *counter)) {
                let record = world.record(&log, counter);
                let Event::Open { time, heads, body: Body::Here(body) } = &record.event else { panic!("all are open") };
                let cited = heads.iter().filter(|head| counts(&head.log, head.counter));
                let later = |head: &spool_proto::event::CitedHead| {
                    let Event::Open { time: cited, .. } = world.record(&head.log, head.counter).event else {
                        return false;
                    };
                    cited >= *time
                };
                if *time > above && !cited.into_iter().any(later) {
                    events.insert(record.stamp(&log).unwrap(), body.clone());
                }
                above = above.max(*time);
            }
        }
        let mut documents: BTreeMap<Target, Document> = BTreeMap::new();
        for (stamp, body) in events {
            let Ok(Decoded::Transaction(transaction)) = Transaction::decode(&body) else { panic!("a transaction") };
            let mut by_target: BTreeMap<Target, Vec<(u32, Change)>> = BTreeMap::new();
            for (index, operation) in (0..).zip(transaction.operations) {
                let Operation::Change(target, change) = operation else { panic!("all are known") };
                by_target.entry(target).or_default().push((index, change));
            }
            for (target, changes) in by_target {
                let document = documents.entry(target).or_default();
                let changes = changes.iter().map(|(index, change)| (*index, change));
                document.apply(stamp, changes, &mut Size::default());
            }
        }
        documents
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn replicas_with_the_same_events_have_the_same_bytes(replicas in 2u8..6, steps in prop::collection::vec(steps(), 1..80)) {
        let mut case = Case::new(replicas);
        steps.iter().for_each(|step| case.take(step));
        case.finish();
        let expected = case.expected();
        for (number, replica) in case.replicas.iter().enumerate() {
            for (target, document) in &expected {
                prop_assert_eq!(&replica.document(target), document, "{} at replica {}", target.id, number);
            }
            prop_assert_eq!(replica.hash(), case.replicas[0].hash(), "replica {}", number);
        }
    }
}

//! Writers with one replica, and what the rules say of every earlier state, read off all records.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Document, Limits, Operation, Path, Stamp, Target, Transaction,
    document::Size,
    history::{self, At},
    operation::{Decoded, Reverts},
    source::{Body, Event},
    testing::{NOW, Replica, Rooms, World, body},
};
use spool_proto::{LogId, clock::Time};

/// A change before its writer has looked at the document.
#[derive(Debug, Clone)]
pub(crate) enum Draft {
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

impl Draft {
    pub(crate) fn change(&self, document: &Document) -> Change {
        match self.clone() {
            Draft::Create(value) => Change::Create(value.as_object().unwrap().clone()),
            Draft::Set(at, value) => Change::Set(path(at), value),
            Draft::Replace(at, value) => Change::Replace(path(at), value),
            Draft::Unset(at) => Change::Unset(path(at)),
            Draft::Increment(at, by) => Change::Increment(path(at), by.into()),
            Draft::Add(at, value) => Change::Add(path(at), value.into()),
            Draft::Remove(at, value) => remove(document, at, &value.into()),
            Draft::Keep(at, value) => Change::Keep(path(at), value.into(), document.seen(&path(at))),
            Draft::Delete => Change::Delete,
            Draft::Undelete => Change::Undelete,
        }
    }
}

pub(crate) fn values() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(1),
        json!("x"),
        json!([1, 2]),
        json!({"b": 2}),
        json!({"b": {"c": 3}, "d": 1}),
        json!(null),
    ])
}

/// Counters at `n`, sets at `s`, anything at `a`; so that what was undone leaves nothing but zeros and empty sets behind.
pub(crate) fn drafts() -> impl Strategy<Value = Draft> {
    let anywhere = || prop::sample::select(vec!["a", "a.b", "a.b.c", "a.d", "m"]);
    prop_oneof![
        3 => values().prop_map(|value| Draft::Create(json!({"a": value, "n": 3}))),
        4 => (anywhere(), values()).prop_map(|(at, value)| Draft::Set(at, value)),
        1 => Just(Draft::Set("n", json!(7))),
        1 => Just(Draft::Set("s", json!([2, 0]))),
        2 => (anywhere(), values()).prop_map(|(at, value)| Draft::Replace(at, value)),
        1 => Just(Draft::Replace("", json!({"a": {"z": 1}, "s": [1]}))),
        2 => prop::sample::select(vec!["a", "a.b", "m", "n", "s"]).prop_map(Draft::Unset),
        2 => any::<i8>().prop_map(|by| Draft::Increment("n", by)),
        2 => (0u8..3).prop_map(|value| Draft::Add("s", value)),
        2 => (0u8..3).prop_map(|value| Draft::Remove("s", value)),
        1 => (prop::sample::select(vec!["a", "m"]), any::<u8>()).prop_map(|(at, value)| Draft::Keep(at, value)),
        1 => Just(Draft::Delete),
        1 => Just(Draft::Undelete),
    ]
}

pub(crate) fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

pub(crate) fn film(number: u8) -> Target {
    Target::new("films", number.to_string())
}

pub(crate) fn remove(document: &Document, at: &str, value: &Value) -> Change {
    Change::Remove(path(at), value.clone(), document.observed(&path(at), value))
}

/// What shows of all documents.
pub(crate) type Visible = BTreeMap<Target, Value>;

pub(crate) fn visible<'a>(documents: impl IntoIterator<Item = (&'a Target, &'a Document)>) -> Visible {
    let alive = documents.into_iter().filter(|(_, document)| document.is_alive());
    alive.map(|(target, document)| (target.clone(), Value::Object(document.fields.clone()))).collect()
}

pub(crate) struct Rig {
    pub(crate) rooms: Rooms,
    pub(crate) replica: Replica,
    times: BTreeMap<LogId, Time>,
    forks: BTreeMap<LogId, u64>,
    clock: u64,
}

impl Default for Rig {
    fn default() -> Self {
        let rooms = Rooms::default();
        let replica = rooms.replica(1);
        Self { rooms, replica, times: BTreeMap::new(), forks: BTreeMap::new(), clock: NOW - 1_000_000 }
    }
}

impl Rig {
    /// Writes at a time of the writer's own, up to so many milliseconds ago; nobody has it yet.
    pub(crate) fn write_unseen(&mut self, writer: u8, ago: u64, transaction: &Transaction) -> Stamp {
        let log = World::log(writer);
        self.clock += 10;
        let last = self.times.get(&log).copied().unwrap_or_default();
        let time = Time::after(last, self.clock - ago);
        self.times.insert(log, time);
        let counter = self.rooms.world().append(log, time, Vec::new(), body(transaction));
        Stamp { time, log: *log.public_key(), counter }
    }

    pub(crate) fn deliver_all(&mut self) {
        let logs: Vec<_> = self.rooms.world().logs().collect();
        logs.iter().for_each(|(log, length)| self.replica.deliver(*log, *length));
        self.replica.settle();
    }

    pub(crate) fn write(&mut self, writer: u8, transaction: &Transaction) -> Stamp {
        let stamp = self.write_unseen(writer, 0, transaction);
        self.replica.deliver(World::log(writer), stamp.counter);
        self.replica.settle();
        stamp
    }

    /// Writes changes of one document.
    pub(crate) fn change(&mut self, writer: u8, target: &Target, changes: impl IntoIterator<Item = Change>) -> Stamp {
        let operations = changes.into_iter().map(|change| Operation::Change(target.clone(), change)).collect();
        self.write(writer, &Transaction { reverts: None, operations })
    }

    pub(crate) fn draft(&self, drafts: &[(u8, Draft)]) -> Transaction {
        let operations = drafts.iter().map(|(number, draft)| {
            let target = film(*number);
            let change = draft.change(&self.replica.document(&target));
            Operation::Change(target, change)
        });
        Transaction { reverts: None, operations: operations.collect() }
    }

    pub(crate) fn fork(&mut self, writer: u8, at: u64) {
        self.forks.insert(World::log(writer), at);
        self.replica.fork(World::log(writer), at);
        self.replica.settle();
    }

    /// Returns what was taken back.
    pub(crate) fn undo(&mut self, writer: u8, scope: &history::Scope) -> Result<Stamp, history::Error> {
        let log = World::log(writer);
        let transaction = history::undo(&self.replica.view.reader(), &self.replica.delivered, &log, scope)?;
        let Some(Reverts::Undo(counter) | Reverts::Redo(counter)) = transaction.reverts else { panic!("a mark") };
        self.write(writer, &transaction);
        Ok(self.rooms.world().record(&log, counter).stamp(&log).unwrap())
    }

    /// Returns what was taken back.
    pub(crate) fn redo(&mut self, writer: u8, scope: &history::Scope) -> Result<Stamp, history::Error> {
        let log = World::log(writer);
        let transaction = history::redo(&self.replica.view.reader(), &self.replica.delivered, &log, scope)?;
        let Some(Reverts::Undo(counter) | Reverts::Redo(counter)) = transaction.reverts else { panic!("a mark") };
        self.write(writer, &transaction);
        Ok(self.rooms.world().record(&log, counter).stamp(&log).unwrap())
    }

    pub(crate) fn restore(&mut self, writer: u8, scope: &history::Scope, time: Time) -> usize {
        let view = self.replica.view.clone();
        let source = self.replica.delivered.clone();
        let reader = view.reader();
        let mut count = 0;
        for transaction in history::restore(&reader, &source, scope, At::Time(time), Limits::default()) {
            self.write(writer, &transaction.unwrap());
            count += 1;
        }
        count
    }

    pub(crate) fn fields(&self, target: &Target) -> Value {
        let document = self.replica.document(target);
        if document.is_alive() { Value::Object(document.fields) } else { Value::Null }
    }

    pub(crate) fn targets(&self) -> BTreeSet<Target> {
        self.events().into_values().flatten().map(|(target, _, _)| target).collect()
    }

    pub(crate) fn visible(&self) -> Visible {
        let documents: Vec<_> =
            self.targets().into_iter().map(|target| (self.replica.document(&target), target)).collect();
        visible(documents.iter().map(|(document, target)| (target, document)))
    }

    /// All events that count, with their changes.
    pub(crate) fn events(&self) -> BTreeMap<Stamp, Vec<(Target, u32, Change)>> {
        let world = self.rooms.world();
        let mut events = BTreeMap::new();
        for (log, length) in world.logs() {
            let end = self.forks.get(&log).map_or(length, |fork| length.min(fork - 1));
            for counter in 1..=end {
                let record = world.record(&log, counter);
                let Event::Open { body: Body::Here(body), .. } = &record.event else { panic!("all are open") };
                let Ok(Decoded::Transaction(transaction)) = Transaction::decode(body) else { panic!("a transaction") };
                let changes = (0..).zip(transaction.operations).map(|(index, operation)| match operation {
                    Operation::Change(target, change) => (target, index, change),
                    Operation::Unknown(_) => panic!("all are known"),
                });
                events.insert(record.stamp(&log).unwrap(), changes.collect());
            }
        }
        events
    }

    /// All documents after each event.
    pub(crate) fn prefixes(&self) -> Vec<(Stamp, BTreeMap<Target, Document>)> {
        let mut documents: BTreeMap<Target, Document> = BTreeMap::new();
        let mut prefixes = Vec::new();
        for (stamp, changes) in self.events() {
            let targets: BTreeSet<_> = changes.iter().map(|(target, _, _)| target.clone()).collect();
            for target in targets {
                let own = changes.iter().filter(|(changed, _, _)| *changed == target);
                let own = own.map(|(_, index, change)| (*index, change));
                documents.entry(target.clone()).or_default().apply(stamp, own, &mut Size::default());
            }
            prefixes.push((stamp, documents.clone()));
        }
        prefixes
    }
}

/// Without what an undo leaves where there was nothing: zeros, empty sets, and the maps around them. Sets in one order.
pub(crate) fn without_traces(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), without_traces(value)));
            Value::Object(
                fields.filter(|(_, value)| *value != json!({}) && *value != json!(0) && *value != json!([])).collect(),
            )
        }
        Value::Array(items) => {
            let mut items = items.clone();
            items.sort_by_key(Value::to_string);
            items.dedup();
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// What a case of several writers does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write { writer: u8, drafts: Vec<(u8, Draft)>, ago: u8 },
    Deliver { writer: u8, count: u8 },
    Fork { writer: u8, at: u8 },
}

pub(crate) const WRITERS: u8 = 3;

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let drafts = || prop::collection::vec((0u8..3, drafts()), 1..4);
    let step = prop_oneof![
        10 => (0..WRITERS, drafts(), 0u8..100).prop_map(|(writer, drafts, ago)| Step::Write { writer, drafts, ago }),
        6 => (0..WRITERS, 1u8..4).prop_map(|(writer, count)| Step::Deliver { writer, count }),
        1 => (0..WRITERS, any::<u8>()).prop_map(|(writer, at)| Step::Fork { writer, at }),
    ];
    prop::collection::vec(step, 1..40)
}

/// A replica that got everything, late and out of order, and has heard of forks.
pub(crate) fn played(steps: &[Step]) -> Rig {
    let mut rig = Rig::default();
    for step in steps {
        match step {
            Step::Write { writer, drafts, ago } => {
                let transaction = rig.draft(drafts);
                rig.write_unseen(*writer, u64::from(*ago), &transaction);
            }
            Step::Deliver { writer, count } => {
                let log = World::log(*writer);
                let length = rig.rooms.world().logs().find(|(known, _)| *known == log).map_or(0, |(_, length)| length);
                let until = (rig.replica.delivered_of(&log) + u64::from(*count)).min(length);
                rig.replica.deliver(log, until);
                rig.replica.settle();
            }
            Step::Fork { writer, at } => {
                let at = u64::from(*at) % 12 + 1;
                let at = rig.forks.get(&World::log(*writer)).map_or(at, |known| at.min(*known));
                rig.fork(*writer, at);
            }
        }
    }
    rig.deliver_all();
    rig
}

//! Writers with one replica, and what the rules say of every earlier state, read off all records.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Document, Limits, Operation, Stamp, Target, Transaction,
    history::{self, At},
    operation::Reverts,
    testing::{
        NOW, Replica, Rooms, World, body,
        drafts::{self, Draft},
        oracle::{self, Placed},
    },
};
use spool_proto::{LogId, clock::Time};

pub(crate) fn film(number: u8) -> Target {
    Target::new("films", number.to_string())
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
        drafts::transaction(drafts, film, |target| self.replica.document(target))
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

    /// All events that count and were delivered, with their changes.
    pub(crate) fn events(&self) -> BTreeMap<Stamp, Vec<Placed>> {
        oracle::events(&self.replica.delivered, NOW)
    }

    /// All documents after each event.
    pub(crate) fn prefixes(&self) -> Vec<(Stamp, oracle::Documents)> {
        oracle::prefixes(&self.events())
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
    let drafts = || prop::collection::vec((0u8..3, drafts::apart()), 1..4);
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

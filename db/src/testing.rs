//! Replicas of one thread without a network: each sees the records that a test has delivered to it, in the order of the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use spool_proto::{
    Cid, IdentityKey, LogId, ThreadId, ThreadKeys, block,
    clock::Time,
    event::CitedHead,
    id::Variant,
    keys::Epoch,
    owner::Author,
    sync::{BatchId, Durability, ThreadState, Write},
};
use spool_store::{
    Commit, Committer, Store, View,
    commit::Options,
    kv::{Kv, Memory},
};

use crate::{
    Database, Projector, Transaction,
    documents::{self, Documents},
    judge::Judge,
    projector::{self, Denied, Progress},
    source::{self, Body, Event, Page, Record, Source},
};

pub mod drafts;
pub mod hostile;
mod local;
pub mod oracle;
mod peer;
pub mod rules;

pub use local::Local;
pub use peer::Peer;

/// A wall clock that is ahead of every event of a test, unless the test wants otherwise: milliseconds since 1970.
pub const NOW: u64 = 1_700_000_000_000;

/// All records that were ever written in a thread.
#[derive(Default)]
pub struct World {
    logs: BTreeMap<LogId, Vec<Record>>,
}

impl World {
    /// A log's id.
    pub fn log(number: u8) -> LogId {
        LogId::from(&SigningKey::from_bytes(&[number; 32]))
    }

    /// Appends an event to a log, with a time, heads of other logs, and a body. Returns its counter.
    pub fn append(&mut self, log: LogId, time: Time, heads: Vec<CitedHead>, body: Bytes) -> u64 {
        let records = self.logs.entry(log).or_default();
        let counter = records.len() as u64 + 1;
        let cid = block::cid(&[&log.public_key()[..], &counter.to_be_bytes()].concat());
        let event = Event::Open { time, heads, body: Body::Here(body) };
        records.push(Record { counter, cid, event });
        counter
    }

    /// A record.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn record(&self, log: &LogId, counter: u64) -> &Record {
        &self.logs[log][usize::try_from(counter).expect("small") - 1]
    }

    /// What an event cites that has seen a record.
    pub fn head(&self, log: &LogId, counter: u64) -> CitedHead {
        CitedHead { log: *log, counter, cid: self.record(log, counter).cid }
    }

    /// All logs with their lengths.
    pub fn logs(&self) -> impl Iterator<Item = (LogId, u64)> {
        self.logs.iter().map(|(log, records)| (*log, records.len() as u64))
    }
}

/// What one replica has of the [`World`].
#[derive(Default)]
struct Arrived {
    logs: BTreeMap<LogId, u64>,
    forks: BTreeMap<LogId, u64>,
    missing: BTreeSet<(LogId, u64)>,
}

/// The records that were delivered to a replica.
#[derive(Clone)]
pub struct Delivered {
    world: Arc<Mutex<World>>,
    arrived: Arc<Mutex<Arrived>>,
}

impl Delivered {
    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().expect("no panic while locked")
    }

    /// Delivers the records of a log up to a counter.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn deliver(&self, log: LogId, until: u64) {
        let mut arrived = self.arrived();
        let end = arrived.logs.entry(log).or_default();
        *end = until.max(*end);
    }

    /// Tells of a fork.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn fork(&self, log: LogId, at: u64) {
        let mut arrived = self.arrived();
        let fork = arrived.forks.entry(log).or_insert(at);
        *fork = at.min(*fork);
    }

    /// Lets the body of an event be missing, or arrive.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn set_missing(&self, log: LogId, counter: u64, missing: bool) {
        let mut arrived = self.arrived();
        if missing {
            arrived.missing.insert((log, counter));
        } else {
            arrived.missing.remove(&(log, counter));
        }
    }

    /// What a new event of a log cites: the last of all others that have been delivered.
    fn heads(&self, world: &World, own: &LogId) -> Vec<CitedHead> {
        let logs: Vec<_> = self.arrived().logs.keys().copied().filter(|log| log != own).collect();
        let ends = logs.into_iter().map(|log| (log, self.end(&log))).filter(|(_, end)| *end > 0);
        ends.take(spool_proto::limits::MAX_CITED_HEADS).map(|(log, end)| world.head(&log, end)).collect()
    }

    fn end(&self, log: &LogId) -> u64 {
        let arrived = self.arrived();
        let until = arrived.logs.get(log).copied().unwrap_or(0);
        arrived.forks.get(log).map_or(until, |fork| until.min(fork - 1))
    }
}

impl Source for Delivered {
    fn logs(&self) -> Result<Vec<(LogId, u64)>, source::Error> {
        let logs: Vec<_> = self.arrived().logs.keys().copied().collect();
        Ok(logs.into_iter().map(|log| (log, self.end(&log))).collect())
    }

    fn fork(&self, log: &LogId) -> Result<Option<u64>, source::Error> {
        Ok(self.arrived().forks.get(log).copied())
    }

    fn records(&self, log: &LogId, after: u64, until: u64, page: Page) -> Result<Vec<Record>, source::Error> {
        let world = self.world.lock().expect("no panic while locked");
        let arrived = self.arrived();
        let until = until.min(arrived.logs.get(log).copied().unwrap_or(0));
        let Some(records) = world.logs.get(log) else { return Ok(Vec::new()) };
        let place = |counter: u64| usize::try_from(counter).map_or(records.len(), |place| place.min(records.len()));
        let records = records.get(place(after)..place(until)).unwrap_or_default();
        let mut records: Vec<Record> = records.iter().take(page.count).cloned().collect();
        for record in &mut records {
            if let Event::Open { body, .. } = &mut record.event
                && arrived.missing.contains(&(*log, record.counter))
            {
                *body = Body::Missing;
            }
        }
        Ok(records)
    }

    fn time_of(&self, head: &CitedHead) -> Result<Option<Time>, source::Error> {
        let page = Page { count: 1, bytes: 0 };
        let record = self.records(&head.log, head.counter - 1, head.counter, page)?.pop();
        Ok(record.filter(|record| record.cid == head.cid).and_then(|record| match record.event {
            Event::Open { time, .. } => Some(time),
            Event::Broken | Event::Sealed => None,
        }))
    }

    /// Each log is of somebody else, whose key is that of the log.
    fn author(&self, log: &LogId) -> Result<Option<Author>, source::Error> {
        let key = IdentityKey::from_bytes(log.public_key()).ok();
        Ok(key.map(|key| Author { key, via: None }))
    }
}

/// One replica: what it has, and what it makes of it.
pub struct Replica {
    /// What was delivered.
    pub delivered: Delivered,
    /// Its view.
    pub view: View,
    projector: Projector<Documents>,
    judge: Option<Arc<dyn Judge>>,
}

/// Rooms for views, one for each replica, in one store.
pub struct Rooms {
    store: Store,
    thread: ThreadId,
    world: Arc<Mutex<World>>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self::on(Arc::new(Memory::default()))
    }
}

impl Rooms {
    /// Rooms in any key-value store.
    ///
    /// # Panics
    ///
    /// If it cannot be written to.
    pub fn on(kv: Arc<dyn Kv>) -> Self {
        let thread = ThreadId::new(Variant::Raw, [7; 32]);
        let store = Store::with_kv(kv).expect("a store");
        if store.view(&thread, 0).expect("the store can be read").is_none() {
            let keys = ThreadKeys::new(vec![Epoch::generate([7; 64])]).expect("one epoch");
            let state = ThreadState { keys, name: None, joined_millis: 0, addresses: Vec::new() };
            let committer = Committer::spawn(&store, Options::default(), |_| {}).expect("a thread");
            let write = Write::Thread { thread: thread.clone(), state: Arc::new(state) };
            let commit = Commit { batch: BatchId(1), durability: Durability::Sync, writes: vec![write] };
            committer.handle().submit(commit).expect("the writer runs");
            committer.shutdown();
        }
        Self { store, thread, world: Arc::default() }
    }

    /// A room, for whoever folds something else than a [`World`], looks into it or damages it.
    ///
    /// # Panics
    ///
    /// If the store cannot be read.
    pub fn view(&self, room: u8) -> View {
        self.store.view(&self.thread, room).expect("the store can be read").expect("the thread is there")
    }

    /// All records.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no panic while locked")
    }

    /// A replica that has nothing yet, in a room of its own.
    ///
    /// # Panics
    ///
    /// If the room cannot be read.
    pub fn replica(&self, room: u8) -> Replica {
        self.judging(room, None)
    }

    /// The same, and it judges by rules.
    ///
    /// # Panics
    ///
    /// If the room cannot be read.
    pub fn judging(&self, room: u8, judge: Option<Arc<dyn Judge>>) -> Replica {
        let delivered = Delivered { world: self.world.clone(), arrived: Arc::default() };
        let view = self.view(room);
        let projector = open(&view, &delivered, judge.clone());
        Replica { delivered, view, projector, judge }
    }
}

/// Events that are brought together for a rule in tests, at the most.
pub const BROUGHT_TOGETHER: usize = 8;

/// States are kept often, since tests are short.
fn open(view: &View, delivered: &Delivered, judge: Option<Arc<dyn Judge>>) -> Projector<Documents> {
    let documents = Documents::keeping(3).judged_by(judge).bringing_together(BROUGHT_TOGETHER);
    Projector::open(view.clone(), Arc::new(delivered.clone()), documents).expect("the view opens")
}

impl Replica {
    /// Delivers the records of a log up to a counter.
    pub fn deliver(&self, log: LogId, until: u64) {
        self.delivered.deliver(log, until);
    }

    /// Tells of a fork.
    pub fn fork(&self, log: LogId, at: u64) {
        self.delivered.fork(log, at);
    }

    /// Lets the body of an event be missing, or arrive.
    pub fn set_missing(&self, log: LogId, counter: u64, missing: bool) {
        self.delivered.set_missing(log, counter, missing);
    }

    /// How much of a log was delivered.
    pub fn delivered_of(&self, log: &LogId) -> u64 {
        self.delivered.arrived().logs.get(log).copied().unwrap_or(0)
    }

    /// How much of a log counts here.
    pub fn end(&self, log: &LogId) -> u64 {
        self.delivered.end(log)
    }

    /// Folds one batch.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn step(&mut self, now_millis: u64) -> Progress {
        self.projector.step(now_millis, true).expect("the batch is folded")
    }

    /// Folds all that there is; returns what the last batch has said.
    pub fn settle(&mut self) -> Progress {
        self.settle_at(NOW)
    }

    /// Folds all that there is at a time.
    pub fn settle_at(&mut self, now_millis: u64) -> Progress {
        loop {
            let progress = self.step(now_millis);
            if !progress.more {
                return progress;
            }
        }
    }

    /// Forgets all but what is stored.
    pub fn restart(&mut self) {
        self.projector = open(&self.view, &self.delivered, self.judge.clone());
    }

    /// Drops the view.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn rebuild(&mut self) {
        self.projector.rebuild().expect("the view can be cleared");
    }

    /// The projector.
    pub fn projector(&mut self) -> &mut Projector<Documents> {
        &mut self.projector
    }

    /// The denied events.
    ///
    /// # Panics
    ///
    /// If the view cannot be read.
    pub fn denied(&self) -> Vec<Denied> {
        projector::denied(&self.view.reader(), None, usize::MAX).expect("the view can be read")
    }

    /// The hash over all documents.
    ///
    /// # Panics
    ///
    /// If the view cannot be read.
    pub fn hash(&self) -> [u8; 32] {
        documents::hash(&self.view.reader()).expect("the view can be read")
    }

    /// A document, existing or not.
    ///
    /// # Panics
    ///
    /// If the view cannot be read.
    pub fn document(&self, target: &crate::Target) -> crate::Document {
        documents::document(&self.view.reader(), target).expect("the view can be read").unwrap_or_default()
    }
}

/// A database that nobody else writes to, and that folds by itself what is committed. For examples.
///
/// # Panics
///
/// If there is no thread to be had.
pub fn alone() -> Database {
    let rooms = Rooms::default();
    let (database, local) = rooms.database(1);
    let folding = database.clone();
    // Goes with the process: an example ends soon.
    std::thread::spawn(move || {
        loop {
            if local.append_queued() > 0 {
                while folding.step(NOW, true).is_ok_and(|progress| progress.more) {}
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    database
}

/// The record of a transaction.
///
/// # Panics
///
/// If it breaks the rules.
pub fn body(transaction: &Transaction) -> Bytes {
    transaction.encode().expect("a good transaction").into()
}

/// The CID of a record that nobody has.
pub fn nowhere(number: u8) -> Cid {
    block::cid(&[number; 40])
}

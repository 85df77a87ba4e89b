//! A writer's own node.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use spool_proto::{IdentityKey, LogId, clock::Time, event::CitedHead};

use super::{Delivered, NOW, Rooms, World, rules};
use crate::{
    Database, Limits,
    database::{Appender, Done, Receipt},
    judge::Judge,
};

/// The body of an event, and who waits for it.
type Queued = (Vec<u8>, Done);

/// A writer's own node: its log grows with what it commits. Nothing is folded before the test says so.
#[derive(Clone)]
pub struct Local {
    /// What this node has.
    pub delivered: Delivered,
    log: LogId,
    queue: Arc<Mutex<Vec<Queued>>>,
    /// What the next event cites beside what has been delivered.
    cited: Arc<Mutex<Vec<CitedHead>>>,
}

impl Local {
    /// Puts queued events into the log; returns how many.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn append_queued(&self) -> usize {
        self.append_queued_before_telling(|| {})
    }

    /// The same, and does something after each before its writer is told.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn append_queued_before_telling(&self, act: impl Fn()) -> usize {
        let queued = std::mem::take(&mut *self.queue.lock().expect("no panic while locked"));
        let count = queued.len();
        for (body, done) in queued {
            let mut world = self.delivered.world.lock().expect("no panic while locked");
            let times = world.logs.values().flatten().filter_map(|record| record.stamp(&self.log));
            let last = times.map(|stamp| stamp.time).max().unwrap_or_default();
            let time = Time::after(last, NOW - 1_000);
            let mut heads = self.delivered.heads(&world, &self.log);
            heads.append(&mut self.cited.lock().expect("no panic while locked"));
            heads.sort_by_key(|head| head.log);
            let counter = world.append(self.log, time, heads, body.into());
            drop(world);
            self.delivered.arrived().logs.insert(self.log, counter);
            act();
            done(Ok(Receipt { log: self.log, counter, time }));
        }
        count
    }

    /// Puts an event into the log that nobody has looked at before.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn append_by_force(&self, body: &Bytes) {
        self.append(None, body.to_vec(), Box::new(|_| {}));
        self.append_queued();
    }

    /// Lets the next event cite a record that has not been delivered.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn cite_next(&self, log: LogId, counter: u64) {
        let head = self.world().head(&log, counter);
        self.cited.lock().expect("no panic while locked").push(head);
    }

    /// All records.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.delivered.world.lock().expect("no panic while locked")
    }

    /// Lets all queued events fail; returns how many.
    ///
    /// # Panics
    ///
    /// If another thread panicked with it.
    pub fn fail_queued(&self) -> usize {
        let queued = std::mem::take(&mut *self.queue.lock().expect("no panic while locked"));
        let count = queued.len();
        queued.into_iter().for_each(|(_, done)| done(Err("the disk is full".into())));
        count
    }
}

impl Appender for Local {
    fn now_millis(&self) -> u64 {
        NOW
    }

    fn random(&self) -> [u8; 10] {
        [7; 10]
    }

    fn own_log(&self) -> Option<LogId> {
        self.delivered.arrived().logs.contains_key(&self.log).then_some(self.log)
    }

    fn append(&self, _: Option<IdentityKey>, body: Vec<u8>, done: Done) {
        self.queue.lock().expect("no panic while locked").push((body, done));
    }

    fn writer(&self) -> Option<IdentityKey> {
        IdentityKey::from_bytes(self.log.public_key()).ok()
    }
}

impl Rooms {
    /// A database that writes a log of its own.
    ///
    /// # Panics
    ///
    /// If the room cannot be read.
    pub fn database(&self, room: u8) -> (Database, Local) {
        self.database_within(room, Limits::default())
    }

    /// The same, with limits for what is written there.
    ///
    /// # Panics
    ///
    /// If the room cannot be read.
    pub fn database_within(&self, room: u8, limits: Limits) -> (Database, Local) {
        self.database_judging(room, limits, Some(Arc::new(rules::Words)))
    }

    /// The same, with whoever runs rules.
    ///
    /// # Panics
    ///
    /// If the room cannot be read.
    pub fn database_judging(&self, room: u8, limits: Limits, judge: Option<Arc<dyn Judge>>) -> (Database, Local) {
        let delivered = Delivered { world: self.world.clone(), arrived: Arc::default() };
        let view = self.view(room);
        let local =
            Local { delivered: delivered.clone(), log: World::log(room), queue: Arc::default(), cited: Arc::default() };
        let database =
            Database::open(view, Arc::new(delivered), Box::new(local.clone()), limits, judge).expect("the view opens");
        (database, local)
    }
}

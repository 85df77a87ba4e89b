//! What a simulated node has of a thread, as its database reads it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use spool_db::source::{Error, Event, Page, Record, Source};
use spool_proto::{KeyId, LogId, clock::Time, event::CitedHead, keys::LogKeys, owner::Author, sync::sim::ThreadImage};

/// The last look at the disk of a node. Clones share it.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

struct State {
    image: ThreadImage,
    keys: HashMap<(KeyId, LogId), LogKeys>,
}

impl Disk {
    pub(crate) fn new(image: ThreadImage) -> Self {
        Self(Arc::new(Mutex::new(State { image, keys: HashMap::new() })))
    }

    /// Looks again.
    pub(crate) fn look(&self, image: ThreadImage) {
        self.state().image = image;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while locked")
    }

    /// What of the logs counts: length and head of each.
    pub(crate) fn heads(&self) -> Vec<(LogId, u64, Option<spool_proto::Cid>)> {
        let state = self.state();
        let heads = state.image.logs.iter().map(|(id, log)| (*id, log.active(), log.at(log.active())));
        heads
            .filter(|(_, length, _)| *length > 0)
            .map(|(id, length, head)| (id, length, head.map(|head| head.cid)))
            .collect()
    }
}

impl State {
    fn open(&mut self, log: &LogId, counter: u64) -> Result<Option<Record>, Error> {
        let Some(record) = self.image.logs.get(log).and_then(|log| log.main.get(counter as usize - 1)) else {
            return Ok(None);
        };
        let key_id = record.sealed().key_id;
        let state = &self.image.state;
        let keys = self.keys.entry((key_id, *log));
        let keys = keys.or_insert_with(|| state.keys.log_keys(&key_id, log).expect("members have all keys"));
        Record::open(record, &state.keys, keys, |cid| Ok(self.image.blocks.get(cid).cloned())).map(Some)
    }
}

impl Source for Disk {
    fn logs(&self) -> Result<Vec<(LogId, u64)>, Error> {
        Ok(self.state().image.logs.iter().map(|(id, log)| (*id, log.active())).collect())
    }

    fn fork(&self, log: &LogId) -> Result<Option<u64>, Error> {
        let fork = self.state().image.logs.get(log).and_then(|log| log.state.fork);
        Ok(fork.map(|fork| fork.counter))
    }

    fn records(&self, log: &LogId, after: u64, until: u64, page: Page) -> Result<Vec<Record>, Error> {
        let mut state = self.state();
        let mut records = Vec::new();
        for counter in (after + 1..=until).take(page.count) {
            records.extend(state.open(log, counter)?);
        }
        Ok(records)
    }

    fn time_of(&self, head: &CitedHead) -> Result<Option<Time>, Error> {
        let record = self.state().open(&head.log, head.counter)?;
        Ok(record.filter(|record| record.cid == head.cid).and_then(|record| match record.event {
            Event::Open { time, .. } => Some(time),
            Event::Broken | Event::Sealed => None,
        }))
    }

    fn author(&self, _: &LogId) -> Result<Option<Author>, Error> {
        // Nothing that is folded asks for it.
        Ok(None)
    }
}

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use spool_proto::{
    KeyId, LogId, ThreadId,
    clock::Time,
    event::CitedHead,
    keys::LogKeys,
    owner::Author,
    record::{self, SealedRecord, VerifiedRecord},
    sync::ThreadState,
};
use spool_store::{Store, store};

use super::{Error, Event, Page, Record, Source};
use crate::limits::CACHED_KEYS;

/// The logs of a thread in a node's store, opened with the keys that the thread has there.
pub struct Stored {
    store: Store,
    thread: ThreadId,
    state: Arc<ThreadState>,
    keys: Mutex<HashMap<(KeyId, LogId), Arc<LogKeys>>>,
}

impl Stored {
    /// Reads the thread with these keys. When it gets others, make a new one.
    pub fn new(store: Store, thread: ThreadId, state: Arc<ThreadState>) -> Self {
        Self { store, thread, state, keys: Mutex::default() }
    }

    /// Deriving them costs as much as opening some records.
    fn keys(&self, key_id: &KeyId, log: &LogId) -> Option<Arc<LogKeys>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.get(&(*key_id, *log)) {
            return Some(known.clone());
        }
        let derived = Arc::new(self.state.keys.log_keys(key_id, log)?);
        if keys.len() >= CACHED_KEYS {
            keys.clear();
        }
        keys.insert((*key_id, *log), derived.clone());
        Some(derived)
    }

    /// A record and the keys that open it; `None` if they are not here.
    fn reopen(
        &self,
        log: &LogId,
        counter: u64,
        sealed: SealedRecord,
    ) -> Result<Option<(VerifiedRecord, Arc<LogKeys>)>, Error> {
        let Some(keys) = self.keys(&sealed.key_id, log) else { return Ok(None) };
        let damaged = |_| Error::Damaged { log: *log, counter };
        let record = record::reopen(&self.thread, log, &keys, sealed).map_err(damaged)?;
        Ok(Some((record, keys)))
    }

    fn open(&self, log: &LogId, counter: u64, sealed: SealedRecord) -> Result<Record, Error> {
        let cid = sealed.cid();
        let Some((record, keys)) = self.reopen(log, counter, sealed)? else {
            return Ok(Record { counter, cid, event: Event::Sealed });
        };
        Record::open(&record, &self.state.keys, &keys, |cid| Ok(self.store.block_in_thread(&self.thread, cid)?))
    }
}

impl Source for Stored {
    fn logs(&self) -> Result<Vec<(LogId, u64)>, Error> {
        let states = self.store.log_states(&self.thread)?;
        let until = |state: &spool_proto::sync::LogState| match state.fork {
            Some(fork) => state.counter().min(fork.counter - 1),
            None => state.counter(),
        };
        Ok(states.iter().map(|(log, state)| (*log, until(state))).collect())
    }

    fn fork(&self, log: &LogId) -> Result<Option<u64>, Error> {
        let state = self.store.log_state(&self.thread, log)?;
        Ok(state.and_then(|state| state.fork).map(|fork| fork.counter))
    }

    fn records(&self, log: &LogId, after: u64, until: u64, page: Page) -> Result<Vec<Record>, Error> {
        let page = store::Page { count: page.count, bytes: page.bytes };
        let Some(run) = self.store.records(&self.thread, log, after, until, page)? else { return Ok(Vec::new()) };
        let (mut records, mut bytes) = (Vec::with_capacity(run.records.len()), 0);
        for (counter, sealed) in (run.first..).zip(run.records) {
            // Bodies may be blocks beside the records, so a page is cut by what it has become.
            if bytes > page.bytes {
                break;
            }
            let record = self.open(log, counter, SealedRecord { key_id: run.key_id, bytes: sealed })?;
            bytes += record.body_bytes();
            records.push(record);
        }
        Ok(records)
    }

    fn time_of(&self, head: &CitedHead) -> Result<Option<Time>, Error> {
        let Some(sealed) = self.store.record(&self.thread, &head.log, head.counter)? else { return Ok(None) };
        if sealed.cid() != head.cid {
            return Ok(None);
        }
        let record = self.reopen(&head.log, head.counter, sealed)?;
        Ok(record.and_then(|(record, _)| record.opened().event().map(|event| event.time)))
    }

    fn author(&self, log: &LogId) -> Result<Option<Author>, Error> {
        let state = self.store.log_state(&self.thread, log)?;
        Ok(state.and_then(|state| state.owner?.verify(&self.thread, log).ok()))
    }
}

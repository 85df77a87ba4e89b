use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use spool_proto::{LogId, ThreadId};

use super::Error;
use crate::{
    keys::{self, LogNumber, ThreadNumber},
    kv::{Kv, Space},
    limits::NUMBERS_CACHED,
};

/// Local numbers of threads and logs, cached.
///
/// Whoever misses reads the store and fills the cache, unless a thread was removed meanwhile: else a number that is gone could come
/// back after the removal had cleared it.
#[derive(Default)]
pub(crate) struct Numbers(RwLock<Cached>);

#[derive(Default)]
struct Cached {
    removals: u64,
    threads: HashMap<ThreadId, ThreadNumber>,
    logs: HashMap<(ThreadNumber, LogId), LogNumber>,
}

impl Numbers {
    fn read(&self) -> RwLockReadGuard<'_, Cached> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, removals: u64, insert: impl FnOnce(&mut Cached)) {
        let mut cached = self.write();
        if cached.removals != removals {
            return;
        }
        if cached.threads.len() + cached.logs.len() >= NUMBERS_CACHED {
            cached.threads.clear();
            cached.logs.clear();
        }
        insert(&mut cached);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Cached> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn thread(&self, kv: &dyn Kv, id: &ThreadId) -> Result<Option<ThreadNumber>, Error> {
        let cached = self.read();
        let removals = cached.removals;
        if let Some(number) = cached.threads.get(id) {
            return Ok(Some(*number));
        }
        drop(cached);
        let Some(value) = kv.get(Space::Threads, &keys::threads::by_id(id.as_bytes()))? else { return Ok(None) };
        let number = value.first_chunk().ok_or(Error::Malformed("thread"))?;
        let number = ThreadNumber(u32::from_be_bytes(*number));
        self.fill(removals, |cached| {
            cached.threads.insert(id.clone(), number);
        });
        Ok(Some(number))
    }

    pub(crate) fn log(&self, kv: &dyn Kv, thread: ThreadNumber, id: &LogId) -> Result<Option<LogNumber>, Error> {
        let cached = self.read();
        let removals = cached.removals;
        if let Some(number) = cached.logs.get(&(thread, *id)) {
            return Ok(Some(*number));
        }
        drop(cached);
        let Some(value) = kv.get(Space::Logs, &keys::logs::number(thread, id.public_key()))? else { return Ok(None) };
        let number = LogNumber(keys::number_at_end(&value).ok_or(Error::Malformed("log number"))?);
        self.fill(removals, |cached| {
            cached.logs.insert((thread, *id), number);
        });
        Ok(Some(number))
    }

    /// Both numbers, if thread and log are known.
    pub(crate) fn both(
        &self,
        kv: &dyn Kv,
        thread: &ThreadId,
        log: &LogId,
    ) -> Result<Option<(ThreadNumber, LogNumber)>, Error> {
        let Some(thread) = self.thread(kv, thread)? else { return Ok(None) };
        Ok(self.log(kv, thread, log)?.map(|log| (thread, log)))
    }

    /// A thread was removed.
    pub(crate) fn forget(&self, thread: ThreadNumber) {
        let mut cached = self.write();
        cached.removals += 1;
        cached.threads.retain(|_, number| *number != thread);
        cached.logs.retain(|(number, _), _| *number != thread);
    }
}

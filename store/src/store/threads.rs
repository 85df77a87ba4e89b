use std::collections::HashMap;
use std::ops::ControlFlow;

use spool_proto::{
    LogId, ThreadId,
    sync::{LogState, ThreadState},
};

use zeroize::Zeroizing;

use super::{Error, Store};
use crate::{
    keys::{self, LogNumber},
    kv::Space,
    secrets::Secrets,
};

fn thread_state(secrets: &Secrets, key: &[u8], value: &[u8]) -> Result<ThreadState, Error> {
    let value = Zeroizing::new(secrets.open_thread(key, value)?.into_owned());
    let state = value.get(4..).ok_or(Error::Malformed("thread"))?;
    ThreadState::from_bytes(state).map_err(|source| Error::State { what: "thread", source })
}

fn log_state(value: &[u8]) -> Result<LogState, Error> {
    LogState::from_bytes(value).map_err(|source| Error::State { what: "log", source })
}

impl Store {
    /// All threads with their states: the key book. Those being removed are not among them.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn threads(&self) -> Result<Vec<(ThreadId, ThreadState)>, Error> {
        let until = keys::after_prefix(keys::threads::BY_ID);
        let mut threads = Vec::new();
        self.collect(Space::Threads, keys::threads::BY_ID, &until, |key, value| {
            threads.push((
                ThreadId::from_bytes(&key[keys::threads::BY_ID.len()..])?,
                thread_state(self.secrets(), key, value)?,
            ));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(threads)
    }

    /// One thread's state.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn thread(&self, thread: &ThreadId) -> Result<Option<ThreadState>, Error> {
        let key = keys::threads::by_id(thread.as_bytes());
        let value = self.kv().get(Space::Threads, &key)?;
        value.map(|value| thread_state(self.secrets(), &key, &value)).transpose()
    }

    /// The states of a thread's logs, sorted by log; none if the thread is unknown.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn log_states(&self, thread: &ThreadId) -> Result<Vec<(LogId, LogState)>, Error> {
        let Some(number) = self.shared().numbers.thread(self.kv(), thread)? else { return Ok(Vec::new()) };
        let mut states = HashMap::new();
        let prefix = keys::logs::states(number);
        self.collect(Space::Logs, &prefix, &keys::after_prefix(&prefix), |key, value| {
            states.insert(keys::number_at_end(key), log_state(value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut logs = Vec::with_capacity(states.len());
        let prefix = keys::logs::public_keys(number);
        self.collect(Space::Logs, &prefix, &keys::after_prefix(&prefix), |key, value| {
            if let Some(state) = states.remove(&keys::number_at_end(key)) {
                logs.push((log_id(value)?, state));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        logs.sort_unstable_by_key(|(log, _)| *log);
        Ok(logs)
    }

    /// One log's state.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn log_state(&self, thread: &ThreadId, log: &LogId) -> Result<Option<LogState>, Error> {
        let Some((thread, log)) = self.shared().numbers.both(self.kv(), thread, log)? else { return Ok(None) };
        let value = self.kv().get(Space::Logs, &keys::logs::state(thread, log))?;
        value.map(|value| log_state(&value)).transpose()
    }

    /// The thread with this local number, unless it was removed.
    pub(super) fn thread_id(&self, thread: keys::ThreadNumber) -> Result<Option<ThreadId>, Error> {
        let id = self.kv().get(Space::Threads, &keys::threads::by_number(thread))?;
        Ok(id.map(|id| ThreadId::from_bytes(&id)).transpose()?)
    }

    /// The log with this local number.
    pub(super) fn log_id(&self, thread: keys::ThreadNumber, log: LogNumber) -> Result<Option<LogId>, Error> {
        let key = self.kv().get(Space::Logs, &keys::logs::public_key(thread, log))?;
        key.map(|key| log_id(&key)).transpose()
    }

    /// A scan whose visitor may fail.
    pub(super) fn collect(
        &self,
        space: Space,
        from: &[u8],
        until: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        self.kv().scan(space, from, until, &mut |key, value| match visit(key, value) {
            Ok(flow) => flow,
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        })?;
        result
    }
}

fn log_id(public_key: &[u8]) -> Result<LogId, Error> {
    let public_key = public_key.try_into().map_err(|_| Error::Malformed("log key"))?;
    Ok(LogId::from_public_key(public_key)?)
}

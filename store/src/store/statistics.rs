use std::ops::ControlFlow;

use spool_proto::{ThreadId, sync::LogState};

use super::{Error, Store};
use crate::{
    keys,
    kv::{self, Space},
    schema,
};

/// Sizes of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Version of the schema.
    pub schema: u32,
    /// Threads.
    pub threads: usize,
    /// What the key-value store knows of itself.
    pub kv: kv::Statistics,
}

/// Sizes of one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadStatistics {
    /// Logs.
    pub logs: u64,
    /// Records on main chains.
    pub records: u64,
    /// Records that do not count since their logs are forked.
    pub inert: u64,
    /// Blocks that are here.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Blocks that are wanted.
    pub wanted: u64,
}

/// What all threads come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Logs.
    pub logs: u64,
    /// Records on main chains.
    pub records: u64,
    /// Logs with proof of a fork.
    pub forked: u64,
    /// Blocks that are wanted, once for each thread that wants them.
    pub wanted: u64,
}

impl Store {
    /// What all threads come to: one pass over the states of logs and over what is wanted, and none over what is here.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn totals(&self) -> Result<Totals, Error> {
        let mut totals = Totals::default();
        self.collect(Space::Logs, &[], &[], |key, value| {
            if keys::logs::is_state(key) {
                let state = LogState::from_bytes(value).map_err(|source| Error::State { what: "log", source })?;
                totals.logs += 1;
                totals.records += state.counter();
                totals.forked += u64::from(state.fork.is_some());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let wants = keys::references::WANTS;
        self.collect(Space::References, wants, &keys::after_prefix(wants), |_, _| {
            totals.wanted += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(totals)
    }

    /// Sizes of the whole store.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn statistics(&self) -> Result<Statistics, Error> {
        let mut threads = 0;
        let until = keys::after_prefix(keys::threads::BY_ID);
        self.kv().scan(Space::Threads, keys::threads::BY_ID, &until, &mut |_, _| {
            threads += 1;
            ControlFlow::Continue(())
        })?;
        Ok(Statistics { schema: schema::VERSION, threads, kv: self.kv().statistics()? })
    }

    /// Sizes of one thread; all zero if it is unknown. Visits each of its logs and block references, but no contents.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn thread_statistics(&self, thread: &ThreadId) -> Result<ThreadStatistics, Error> {
        let mut statistics = ThreadStatistics::default();
        let Some(number) = self.shared().numbers.thread(self.kv(), thread)? else { return Ok(statistics) };
        for (_, state) in self.log_states(thread)? {
            statistics.logs += 1;
            statistics.records += state.counter();
            statistics.inert += state.fork.map_or(0, |fork| fork.inert);
        }
        let prefix = keys::references::of_thread(number);
        self.collect(Space::References, &prefix, &keys::after_prefix(&prefix), |key, _| {
            let digest = keys::digest_at_end(key).ok_or(Error::Malformed("reference"))?;
            match self.kv().get(Space::Index, &keys::index::block(&digest))? {
                Some(size) => {
                    statistics.blocks += 1;
                    statistics.block_bytes += u64::from(keys::number_at_end(&size).unwrap_or(0));
                }
                None => statistics.wanted += 1,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(statistics)
    }
}

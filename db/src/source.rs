//! Where events come from: the logs of a thread, as far as they can be read here.

use bytes::Bytes;
use spool_proto::{Cid, LogId, clock::Time, event::CitedHead, owner::Author};

use crate::Stamp;

mod open;
mod stored;

pub use stored::Stored;

/// The logs of one thread. What was read once stays readable: records are never removed from a log, though they may stop to count.
pub trait Source: Send + Sync {
    /// All logs, each with the last record that counts: nothing at or after a fork does.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn logs(&self) -> Result<Vec<(LogId, u64)>, Error>;

    /// The first record of a log that does not count because the log was forked there or before; `None` while no fork is known.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn fork(&self, log: &LogId) -> Result<Option<u64>, Error>;

    /// The next records of a log after a counter, oldest first: as many as fit, at least one if there is one.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn records(&self, log: &LogId, after: u64, until: u64, page: Page) -> Result<Vec<Record>, Error>;

    /// When the event of a record on the main chain of a log happened; `None` if it is not here, or another one is there.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn time_of(&self, head: &CitedHead) -> Result<Option<Time>, Error>;

    /// Whose log it is; `None` while that is not known.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn author(&self, log: &LogId) -> Result<Option<Author>, Error>;
}

/// How much to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Records.
    pub count: usize,
    /// Bytes.
    pub bytes: usize,
}

/// A record as the database sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position in the log.
    pub counter: u64,
    /// Its CID.
    pub cid: Cid,
    /// Its event.
    pub event: Event,
}

/// The event of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It can be read.
    Open {
        /// When.
        time: Time,
        /// Records of other logs that its writer had seen.
        heads: Vec<CitedHead>,
        /// What it says.
        body: Body,
    },
    /// It breaks the rules of events, on every peer.
    Broken,
    /// The key is not here.
    Sealed,
}

/// The body of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing that a database reads: no body, one for somebody else, a file, damaged.
    None,
    /// Here it is.
    Here(Bytes),
    /// Its block has not arrived yet.
    Missing,
}

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("read the events of the thread")]
    Store(#[from] spool_store::Error),
    /// A record does not open that did when it came.
    #[error("record {counter} of log {log} is damaged: run `spool verify`")]
    Damaged {
        /// Its log.
        log: LogId,
        /// Its position.
        counter: u64,
    },
    /// The thread is not here.
    #[error("the thread is not on this node")]
    NoThread,
}

impl Record {
    /// How large its body is, as far as it is here.
    pub(crate) fn body_bytes(&self) -> usize {
        match &self.event {
            Event::Open { body: Body::Here(body), .. } => body.len(),
            Event::Open { .. } | Event::Broken | Event::Sealed => 0,
        }
    }

    /// Where the event stands; none if it cannot be read.
    pub fn stamp(&self, log: &LogId) -> Option<Stamp> {
        match &self.event {
            Event::Open { time, .. } => Some(Stamp { time: *time, log: *log.public_key(), counter: self.counter }),
            Event::Broken | Event::Sealed => None,
        }
    }
}

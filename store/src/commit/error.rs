use spool_proto::{ThreadId, block};

use crate::{kv, store};

/// Why commits were not applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed to write, or to read what it had to know for it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A write to a thread that is not there; the caller's fault.
    #[error("thread {0} is not in the store: its state has to be written first")]
    UnknownThread(ThreadId),
    /// A link of a kind that blocks here do not have; the caller's fault.
    #[error(transparent)]
    Cid(#[from] block::Error),
    /// An earlier commit failed, and the caller has not acknowledged that.
    #[error("an earlier commit failed, and this one may build on it: resume first")]
    Refused,
    /// All 2³² local numbers of threads or logs have been given out.
    #[error("the store has no local numbers left for threads or logs: start afresh and follow the threads again")]
    NumbersExhausted,
}

impl Error {
    /// Whether only the operator can help: no retry will.
    pub fn is_fatal(&self) -> bool {
        match self {
            Error::Store(error) => error.is_fatal(),
            Error::NumbersExhausted => true,
            Error::UnknownThread(_) | Error::Cid(_) | Error::Refused => false,
        }
    }

    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Store(store::Error::Kv(error)) if error.is_full())
    }
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        Self::Store(error.into())
    }
}

use spool_proto::{block, cbor, id};

use crate::{
    kv,
    limits::{SETTING_NAME_BYTES, SETTING_VALUE_BYTES},
    schema,
};

/// Why something could not be read, or a setting not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key-value store failed.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A stored state does not decode.
    #[error("the store is damaged: the state of a {what} does not decode")]
    State {
        /// Of what.
        what: &'static str,
        /// How it is wrong.
        #[source]
        source: cbor::Error,
    },
    /// A stored id is none.
    #[error("the store is damaged: an id is malformed")]
    Id(#[from] id::Error),
    /// A key or value has not the form that it must have.
    #[error("the store is damaged: malformed {0}")]
    Malformed(&'static str),
    /// A value does not open under the key of the repository.
    #[error("the store is damaged: a {0} does not open under the key of the repository")]
    Sealed(&'static str),
    /// A CID of another kind than blocks here have; the caller's fault.
    #[error(transparent)]
    Cid(#[from] block::Error),
    /// The thread was removed while its view was written.
    #[error("the thread was removed")]
    NoThread,
    /// A setting that is too large; the caller's fault.
    #[error("a setting's name may have {SETTING_NAME_BYTES} bytes, its value {SETTING_VALUE_BYTES}")]
    Setting,
}

impl Error {
    /// Whether only the operator can help.
    pub fn is_fatal(&self) -> bool {
        match self {
            Error::Kv(error) => error.is_fatal(),
            Error::State { .. } | Error::Id(_) | Error::Malformed(_) | Error::Sealed(_) => true,
            Error::Cid(_) | Error::NoThread | Error::Setting => false,
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// RocksDB did not open.
    #[cfg(feature = "rocksdb")]
    #[error(transparent)]
    Rocks(#[from] kv::rocks::OpenError),
    /// It is not of a schema that this program knows.
    #[error(transparent)]
    Schema(#[from] schema::Error),
}

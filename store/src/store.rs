//! Typed reads of what a node keeps, and the one gate through which all writes go.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use spool_proto::vault;

use crate::{
    kv::{self, Batch, Kv},
    schema,
    secrets::Secrets,
};

mod blocks;
mod error;
mod inert;
mod numbers;
mod records;
mod settings;
mod statistics;
mod threads;

pub use error::{Error, OpenError};
pub use inert::{InertDigest, InertPage, InertRecord};
pub use records::{Page, Place, Run};
pub use statistics::{Statistics, ThreadStatistics, Totals};

pub(crate) use numbers::Numbers;

/// A node's store. Clones share it.
///
/// Reads may run on any OS thread and block on the disk; they see what was written, synced or not. Threads, logs, records and blocks are
/// written by the one [`Committer`](crate::commit::Committer) only.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

pub(crate) struct Shared {
    kv: Arc<dyn Kv>,
    pub(crate) numbers: Numbers,
    pub(crate) secrets: Secrets,
    /// A sync has failed: nothing is written any more.
    poisoned: AtomicBool,
    /// A committer runs.
    pub(crate) committing: AtomicBool,
}

impl Store {
    /// Opens the RocksDB in `path`, or makes it. Secrets in it are sealed under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what to do; a store of a newer schema is refused by name.
    #[cfg(feature = "rocksdb")]
    pub fn open(
        path: &std::path::Path,
        options: &kv::rocks::Options,
        key: Option<&vault::Key>,
    ) -> Result<Self, OpenError> {
        Self::with_kv_and_key(Arc::new(kv::rocks::Rocks::open(path, options)?), key)
    }

    /// Over any key-value store, which must not be written to by others.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what to do; a store of a newer schema is refused by name.
    pub fn with_kv(kv: Arc<dyn Kv>) -> Result<Self, OpenError> {
        Self::with_kv_and_key(kv, None)
    }

    /// The same, with secrets sealed under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Store::with_kv`].
    pub fn with_kv_and_key(kv: Arc<dyn Kv>, key: Option<&vault::Key>) -> Result<Self, OpenError> {
        let secrets = Secrets::new(key);
        schema::check_or_create(&*kv, secrets.name())?;
        Ok(Self(Arc::new(Shared {
            kv,
            numbers: Numbers::default(),
            secrets,
            poisoned: AtomicBool::new(false),
            committing: AtomicBool::new(false),
        })))
    }

    /// Whether a sync has failed, so that every write is refused until a restart. Reads go on.
    pub fn is_poisoned(&self) -> bool {
        self.0.poisoned.load(Ordering::Acquire)
    }

    /// Puts a copy of the store as it is now into `directory`, which is not there yet; the store goes on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`].
    pub fn checkpoint(&self, directory: &std::path::Path) -> Result<(), Error> {
        Ok(self.kv().checkpoint(directory)?)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    pub(crate) fn kv(&self) -> &dyn Kv {
        &*self.0.kv
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }
}

impl Shared {
    pub(crate) fn kv(&self) -> &dyn Kv {
        &*self.kv
    }

    /// All writes go through here, so that none follows a failed sync.
    pub(crate) fn write(&self, batch: &Batch, sync: bool) -> Result<(), kv::Error> {
        self.guarded(|| self.kv.write(batch, sync))
    }

    /// As [`Kv::write_at_once`].
    pub(crate) fn write_at_once(&self, batch: &Batch) -> Result<bool, kv::Error> {
        self.guarded(|| self.kv.write_at_once(batch))
    }

    pub(crate) fn sync(&self) -> Result<(), kv::Error> {
        self.guarded(|| self.kv.sync())
    }

    fn guarded<T>(&self, act: impl FnOnce() -> Result<T, kv::Error>) -> Result<T, kv::Error> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(kv::Error::Poisoned);
        }
        let result = act();
        if let Err(kv::Error::Sync(_)) = &result {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }
}

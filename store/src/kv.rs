//! The narrow seam to whatever keeps bytes: ordered keys in a few spaces, written in atomic batches.
//!
//! Three implementations: `rocks` for nodes, behind the feature `rocksdb`; `memory` for tests; `faulty`, a memory store whose disk fails, fills up, or loses
//! what was not synced. The trait is batch-oriented and object safe, so that an object store can stand behind it as well.

use std::{ops::ControlFlow, path::Path};

use bytes::Bytes;

mod batch;
mod error;
#[cfg(any(test, feature = "test-utils"))]
pub mod faulty;
#[cfg(any(test, feature = "test-utils"))]
pub mod memory;
#[cfg(feature = "rocksdb")]
pub mod rocks;
mod space;

pub use batch::{Batch, Operation};
pub use error::{Cause, Error};
#[cfg(any(test, feature = "test-utils"))]
pub use faulty::Faulty;
#[cfg(any(test, feature = "test-utils"))]
pub use memory::Memory;
#[cfg(feature = "rocksdb")]
pub use rocks::Rocks;
pub use space::Space;

/// Sees each key and value of a scan in order, and may stop it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reads of one or of ever newer states.
pub trait Reads {
    /// The value at `key`.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Corrupt`].
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits all keys with `from <= key < until` in ascending order of bytes, over one consistent state. An empty `until` is no bound.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Corrupt`]; what was visited before stays visited.
    fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;

    /// As [`scan`](Self::scan), in descending order.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    fn scan_back(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;
}

/// An ordered key-value store.
///
/// Reads see every batch that was written, synced or not. A reader may run beside the writer; each single read is consistent, two
/// reads may see different states.
pub trait Kv: Reads + Send + Sync {
    /// Whether there is a value at `key`, without reading a large one.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Corrupt`].
    fn contains(&self, space: Space, key: &[u8]) -> Result<bool, Error> {
        Ok(self.get(space, key)?.is_some())
    }

    /// Reads as often as it takes from the state of this moment, whatever is written meanwhile. Compaction keeps what a snapshot sees, so it should not
    /// live for hours.
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Reads));

    /// Applies a batch: all of it or nothing. Where two operations name one key, the later wins. With `sync` it (and all that was written
    /// before) is on disk when this returns; without, a power cut may lose it, together with everything written after it.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] and [`Error::Write`]: nothing was applied. [`Error::Sync`]: nobody knows what is on disk; write no more.
    fn write(&self, batch: &Batch, sync: bool) -> Result<(), Error>;

    /// Applies a batch without syncing it, unless that means to wait for something: then nothing was applied, and the answer is `false`.
    ///
    /// # Errors
    ///
    /// As [`Kv::write`].
    fn write_at_once(&self, batch: &Batch) -> Result<bool, Error> {
        self.write(batch, false).map(|()| true)
    }

    /// Brings all that was written to disk.
    ///
    /// # Errors
    ///
    /// [`Error::Sync`]: nobody knows what is on disk; write no more. [`Error::Full`] and [`Error::Write`]: not possible at the
    /// moment, because an earlier write failed; nothing is lost, try again.
    fn sync(&self) -> Result<(), Error>;

    /// Takes overwritten and deleted values of these spaces out of the files of this store, as far as it can: what a file system or a disk keeps of files that are
    /// gone is beyond it.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], [`Error::Full`], [`Error::Sync`]: some may be there still.
    fn forget_overwritten(&self, spaces: &[Space]) -> Result<(), Error> {
        let _ = spaces;
        Ok(())
    }

    /// Begins to give back the disk space of what was deleted, where that is not a matter of course, and returns. A hint.
    fn reclaim(&self) {}

    /// Puts a copy of all that was written into `directory`, which is not there yet: a store that opens and holds one state, while this one goes on. Where the
    /// file system allows it, files are shared instead of copied.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], also where this kind of store cannot; [`Error::Full`].
    fn checkpoint(&self, directory: &Path) -> Result<(), Error> {
        Err(Error::Write(format!("this store has no files to put into {}", directory.display()).into()))
    }

    /// How much is kept, as far as it is known without reading everything.
    ///
    /// # Errors
    ///
    /// [`Error::Read`].
    fn statistics(&self) -> Result<Statistics, Error>;
}

/// Sizes of a [`Kv`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Per space; keys are an estimate.
    pub spaces: Vec<SpaceStatistics>,
    /// Bytes held in memory: caches and unflushed writes.
    pub memory_bytes: u64,
}

/// Sizes of one [`Space`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceStatistics {
    /// Which one.
    pub space: Space,
    /// Keys in it (an estimate).
    pub keys: u64,
    /// Bytes on disk, without what only the write-ahead log has.
    pub disk_bytes: u64,
}

#[cfg(test)]
#[cfg(feature = "rocksdb")]
mod tests;

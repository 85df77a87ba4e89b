//! [`Kv`] on RocksDB.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME, ReadOptions, WriteBatch, WriteOptions,
    properties,
};

use super::{Batch, Error, Kv, Operation, Reads, Space, SpaceStatistics, Statistics, Visit};
use crate::limits::{STALL_POLL_INTERVAL, STALL_POLLS};

mod forget;
mod reclaim;
mod tuning;
mod wal;

pub use tuning::Options;

/// What RocksDB says, by [`tuning::write`], instead of waiting for flushes.
const STALL: &str = "Write stall";

/// Why a RocksDB store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or entered.
    #[error("cannot use the directory {path}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the store in {path} is in use by another process: stop that one first")]
    Locked {
        /// Which one.
        path: PathBuf,
        /// What RocksDB said.
        #[source]
        source: rocksdb::Error,
    },
    /// The list of its files is damaged.
    #[error(
        "{path} is damaged at byte {at}: put back a backup of the store, or let peers send what it had to a new one"
    )]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where, in bytes.
        at: u64,
    },
    /// Its files are damaged or cannot be read.
    #[error("cannot open the store in {path}")]
    Open {
        /// Which one.
        path: PathBuf,
        /// What RocksDB said.
        #[source]
        source: rocksdb::Error,
    },
}

/// A RocksDB with one column family per [`Space`].
///
/// After a crash the write-ahead log is replayed up to its first damage (*point-in-time* recovery). All that was synced lies before
/// the damage that a power cut can do, so it is there; the alternative that tolerates only a torn last record refuses to open
/// where the disk wrote the pages of an unsynced tail out of order. What that alternative would add, noticing damage *within* what had been synced, is
/// done for closed logs by tracking them in the manifest.
pub struct Rocks {
    reclaim: reclaim::Reclaim,
    db: Arc<DB>,
    cache: rocksdb::Cache,
    relaxed: WriteOptions,
    synced: WriteOptions,
    /// The last write failed.
    failing: AtomicBool,
}

impl Rocks {
    /// Opens the store in `path`, or makes it. The directory is readable by its owner only: keys are in it.
    ///
    /// Column families that this program does not know are opened too and left alone, so that a newer store can be refused by its schema
    /// version rather than by an accident of its layout.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what to do.
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        make_private_directory(path).map_err(|source| OpenError::Directory { path: path.to_owned(), source })?;
        mend(path)?;
        let open_error = |source: rocksdb::Error| {
            let path = path.to_owned();
            if source.as_ref().contains("lock") && source.kind() == rocksdb::ErrorKind::IOError {
                return OpenError::Locked { path, source };
            }
            OpenError::Open { path, source }
        };
        let cache = rocksdb::Cache::new_lru_cache(options.cache_bytes);
        let shared = tuning::database(options, &cache);
        let mut families: Vec<_> = Space::ALL
            .into_iter()
            .map(|space| ColumnFamilyDescriptor::new(space.name(), tuning::space(space, options, &cache)))
            .collect();
        let mut others = vec![DEFAULT_COLUMN_FAMILY_NAME.to_owned()];
        if path.join("CURRENT").exists() {
            others.extend(DB::list_cf(&shared, path).map_err(open_error)?);
            others.retain(|name| Space::ALL.into_iter().all(|space| space.name() != name));
            others.sort_unstable();
            others.dedup();
        }
        families.extend(others.into_iter().map(|name| ColumnFamilyDescriptor::new(name, tuning::unused(&cache))));
        let db = DB::open_cf_descriptors(&shared, path, families).map_err(open_error)?;
        Ok(Self {
            reclaim: reclaim::Reclaim::default(),
            db: Arc::new(db),
            cache,
            relaxed: tuning::write(false),
            synced: tuning::write(true),
            failing: AtomicBool::new(false),
        })
    }

    fn family(&self, space: Space) -> &ColumnFamily {
        self.db.cf_handle(space.name()).expect("opened with all spaces")
    }

    fn writes(&self, batch: &Batch) -> WriteBatch {
        let families = Space::ALL.map(|space| self.family(space));
        let mut writes = WriteBatch::with_capacity_bytes(batch.bytes() + 16 * batch.operations().len());
        for operation in batch.operations() {
            match operation {
                Operation::Put { space, key, value } => writes.put_cf(families[*space as usize], key, value),
                Operation::Delete { space, key } => writes.delete_cf(families[*space as usize], key),
            }
        }
        writes
    }

    /// Waits while flushes lag behind, but never long without asking again: where they lag because the disk is full, the next attempt says so. RocksDB's
    /// own waiting would go on in silence until there is room.
    fn wait_for_flushes(&self) {
        for _ in 0..STALL_POLLS {
            std::thread::sleep(STALL_POLL_INTERVAL);
            if self.db.property_int_value(c"rocksdb.is-write-stopped").is_ok_and(|stopped| stopped == Some(0)) {
                return;
            }
        }
    }

    fn property(&self, space: Space, name: &properties::PropName) -> Result<u64, Error> {
        Ok(self.db.property_int_value_cf(self.family(space), name).map_err(read_error)?.unwrap_or(0))
    }
}

impl Drop for Rocks {
    fn drop(&mut self) {
        self.reclaim.stop(&self.db);
    }
}

/// Takes from the logs of a store what RocksDB would stumble over.
///
/// That a process which has the store open is writing them meanwhile does no harm: it writes whole headers, and none of those that are looked for.
fn mend(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Directory { path: path.to_owned(), source };
    for damage in wal::damages(path).map_err(failed)? {
        if !wal::is_write_ahead(&damage.path) {
            return Err(OpenError::Damaged { path: damage.path, at: damage.at });
        }
        tracing::warn!(path = %damage.path.display(), at = damage.at, "the write-ahead log is damaged, as by a power cut: what comes behind is dropped");
        wal::cut(&damage).map_err(failed)?;
    }
    Ok(())
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn read_error(error: rocksdb::Error) -> Error {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::Corrupt(error.into()),
        _ => Error::Read(error.into()),
    }
}

/// RocksDB flattens errors into text before they get here, so the text decides. It names the system call that failed; where that was a
/// sync of any file, the state of the disk is unknown.
fn write_error(error: rocksdb::Error) -> Error {
    let text = error.as_ref();
    if ["While fsync", "While fdatasync", "While sync_file_range"].iter().any(|call| text.contains(call)) {
        return Error::Sync(error.into());
    }
    if ["No space left", "Max allowed space"].iter().any(|reason| text.contains(reason)) {
        return Error::Full(error.into());
    }
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::Corrupt(error.into()),
        _ => Error::Write(error.into()),
    }
}

/// The keys of `from..until`; `None` if there cannot be any.
fn range(from: &[u8], until: &[u8]) -> Option<ReadOptions> {
    if !until.is_empty() && from >= until {
        return None;
    }
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    if !until.is_empty() {
        options.set_iterate_upper_bound(until);
    }
    Some(options)
}

fn forward<D: rocksdb::DBAccess>(
    mut iterator: rocksdb::DBRawIteratorWithThreadMode<'_, D>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    iterator.seek_to_first();
    while let Some((key, value)) = iterator.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        iterator.next();
    }
    iterator.status().map_err(read_error)
}

fn backward<D: rocksdb::DBAccess>(
    mut iterator: rocksdb::DBRawIteratorWithThreadMode<'_, D>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    iterator.seek_to_last();
    while let Some((key, value)) = iterator.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        iterator.prev();
    }
    iterator.status().map_err(read_error)
}

impl Reads for Rocks {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.db.get_cf(self.family(space), key).map_err(read_error)?.map(Bytes::from))
    }

    fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let Some(options) = range(from, until) else { return Ok(()) };
        forward(self.db.raw_iterator_cf_opt(self.family(space), options), visit)
    }

    fn scan_back(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let Some(options) = range(from, until) else { return Ok(()) };
        backward(self.db.raw_iterator_cf_opt(self.family(space), options), visit)
    }
}

/// One state of a [`Rocks`].
struct Snapshot<'a> {
    rocks: &'a Rocks,
    snapshot: rocksdb::Snapshot<'a>,
}

impl Reads for Snapshot<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.snapshot.get_cf(self.rocks.family(space), key).map_err(read_error)?.map(Bytes::from))
    }

    fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let Some(options) = range(from, until) else { return Ok(()) };
        forward(self.snapshot.raw_iterator_cf_opt(self.rocks.family(space), options), visit)
    }

    fn scan_back(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let Some(options) = range(from, until) else { return Ok(()) };
        backward(self.snapshot.raw_iterator_cf_opt(self.rocks.family(space), options), visit)
    }
}

impl Kv for Rocks {
    fn contains(&self, space: Space, key: &[u8]) -> Result<bool, Error> {
        Ok(self.db.get_pinned_cf(self.family(space), key).map_err(read_error)?.is_some())
    }

    fn snapshot(&self, read: &mut dyn FnMut(&dyn Reads)) {
        read(&Snapshot { rocks: self, snapshot: self.db.snapshot() });
    }

    fn write(&self, batch: &Batch, sync: bool) -> Result<(), Error> {
        let options = if sync { &self.synced } else { &self.relaxed };
        let result = loop {
            match self.db.write_opt(self.writes(batch), options) {
                Err(error) if error.as_ref().contains(STALL) => self.wait_for_flushes(),
                result => break result.map_err(write_error),
            }
        };
        self.failing.store(result.is_err(), Ordering::Release);
        result
    }

    fn write_at_once(&self, batch: &Batch) -> Result<bool, Error> {
        let result = match self.db.write_opt(self.writes(batch), &self.relaxed) {
            Err(error) if error.as_ref().contains(STALL) => return Ok(false),
            result => result.map_err(write_error),
        };
        self.failing.store(result.is_err(), Ordering::Release);
        result.map(|()| true)
    }

    fn sync(&self) -> Result<(), Error> {
        if self.failing.load(Ordering::Acquire) {
            // Not by `flush_wal`: it would find the broken log file, and make an error out of which RocksDB finds by itself (a full disk) one out of which it
            // does not. A write, even of nothing, is refused as long as RocksDB has not recovered, which includes that it has flushed what was in that file.
            return self.write(&Batch::default(), true);
        }
        self.db.flush_wal(true).map_err(write_error)
    }

    fn checkpoint(&self, directory: &Path) -> Result<(), Error> {
        // It makes files private to whoever runs this, like the store itself; the directory takes care of the rest.
        let checkpoint = rocksdb::checkpoint::Checkpoint::new(&self.db).map_err(write_error)?;
        checkpoint.create_checkpoint(directory).map_err(write_error)
    }

    fn forget_overwritten(&self, spaces: &[Space]) -> Result<(), Error> {
        forget::overwritten(self, spaces)
    }

    fn reclaim(&self) {
        self.reclaim.start(&self.db);
    }

    fn statistics(&self) -> Result<Statistics, Error> {
        let mut statistics = Statistics { memory_bytes: self.cache.get_usage() as u64, ..Statistics::default() };
        for space in Space::ALL {
            let tables = self.property(space, properties::LIVE_SST_FILES_SIZE)?;
            let blobs = reclaim::blob_bytes(&self.db, self.family(space)).map_err(read_error)?;
            let disk_bytes = tables + blobs;
            let keys = self.property(space, properties::ESTIMATE_NUM_KEYS)?;
            statistics.spaces.push(SpaceStatistics { space, keys, disk_bytes });
        }
        Ok(statistics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_that_the_store_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Rocks::open(directory.path(), &Options::default()).unwrap();
        let second = Rocks::open(directory.path(), &Options::default());
        assert!(matches!(second, Err(OpenError::Locked { .. })));
    }

    #[test]
    fn a_path_that_is_a_file_is_a_clear_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Rocks::open(file.path(), &Options::default()).err().unwrap();
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_directory_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let _store = Rocks::open(&path, &Options::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_checkpoint_is_a_store_of_one_moment() {
        let directory = tempfile::tempdir().unwrap();
        let kv = Rocks::open(&directory.path().join("store"), &Options::default()).unwrap();
        let put = |key: &str, size: usize| {
            let mut batch = Batch::default();
            batch.put(Space::Blocks, key, vec![7; size]);
            kv.write(&batch, true).unwrap();
        };
        put("small", 10);
        put("large", 100_000);
        let copy = directory.path().join("copy");
        kv.checkpoint(&copy).unwrap();
        put("later", 10);
        assert!(matches!(kv.checkpoint(&copy), Err(Error::Write(_))), "it is there already");
        drop(kv);
        let copy = Rocks::open(&copy, &Options::default()).unwrap();
        let has = |key: &str| copy.get(Space::Blocks, key.as_bytes()).unwrap().map(|value| value.len());
        assert_eq!([has("small"), has("large"), has("later")], [Some(10), Some(100_000), None]);
    }

    #[test]
    fn statistics_count_blobs_and_memory() {
        let directory = tempfile::tempdir().unwrap();
        let kv = Rocks::open(directory.path(), &Options::default()).unwrap();
        let mut batch = Batch::default();
        batch.put(Space::Blocks, "block", vec![7; 100_000]);
        kv.write(&batch, true).unwrap();
        kv.db.flush_cf(kv.family(Space::Blocks)).unwrap();
        let statistics = kv.statistics().unwrap();
        let blocks = statistics.spaces[Space::Blocks as usize];
        assert_eq!((Space::Blocks, 1), (blocks.space, blocks.keys));
        assert!(blocks.disk_bytes > 100_000);
        assert!(statistics.memory_bytes > 0);
    }
}

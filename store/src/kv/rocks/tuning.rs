//! How RocksDB is set up, and why.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompactionStyle, DBCompressionType, DBRecoveryMode, LogLevel,
    WriteBufferManager, WriteOptions,
};

use super::super::Space;
use crate::limits;

/// Files of level 0 at which writes wait for compaction: RocksDB's default.
const LEVEL_ZERO_STOP: i32 = 36;

/// What can be set from outside; the rest follows from what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of memory for caches and write buffers together.
    pub cache_bytes: usize,
    /// Bytes of memory for unflushed writes, within the above.
    pub write_buffers_bytes: usize,
    /// Files kept open.
    pub open_files: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: limits::CACHE_BYTES,
            write_buffers_bytes: limits::WRITE_BUFFERS_BYTES,
            open_files: limits::OPEN_FILES,
        }
    }
}

pub(super) fn database(options: &Options, cache: &Cache) -> rocksdb::Options {
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);

    // Durability: see `Rocks` for the choice of the mode.
    database.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    database.set_track_and_verify_wals_in_manifest(true);
    database.set_max_total_wal_size(limits::WRITE_AHEAD_BYTES);
    // Writes go out while they are produced, so that an fsync finds little left to do.
    database.set_bytes_per_sync(1024 * 1024);
    database.set_wal_bytes_per_sync(1024 * 1024);

    // Memory: one bound for all, since the write buffers are charged to the cache.
    let buffers =
        WriteBufferManager::new_write_buffer_manager_with_cache(options.write_buffers_bytes, false, cache.clone());
    database.set_write_buffer_manager(&buffers);
    database.set_max_open_files(options.open_files);
    let cores = std::thread::available_parallelism().map_or(1, |cores| i32::try_from(cores.get()).unwrap_or(1));
    database.set_max_background_jobs(cores.clamp(2, limits::BACKGROUND_JOBS));

    // RocksDB's own log: what went wrong, not what went well.
    database.set_log_level(LogLevel::Warn);
    database.set_keep_log_file_num(4);
    database.set_max_log_file_size(4 * 1024 * 1024);
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database
}

/// Stalls are reported instead of waited for, see [`super::Rocks`]'s `write`. That works because writes are never slowed down: they go at full speed, or not at all.
pub(super) fn write(sync: bool) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    options.set_no_slowdown(true);
    options
}

pub(super) fn space(space: Space, options: &Options, cache: &Cache) -> rocksdb::Options {
    let mut family = rocksdb::Options::default();
    family.set_write_buffer_size(limits::WRITE_BUFFER_BYTES.min(options.write_buffers_bytes));
    family.set_max_write_buffer_number(3);
    family.set_level_compaction_dynamic_level_bytes(true);
    // No slowing down before the stop, see `write`.
    family.set_level_zero_slowdown_writes_trigger(LEVEL_ZERO_STOP);
    family.set_level_zero_stop_writes_trigger(LEVEL_ZERO_STOP);
    family.set_soft_pending_compaction_bytes_limit(0);
    // About as much as the four files that start a compaction into it: keys are digests, so each such compaction rewrites all of it.
    family.set_max_bytes_for_level_base(64 * 1024 * 1024);
    family.set_target_file_size_base(32 * 1024 * 1024);
    // Ciphertext and hashes do not compress; plain bookkeeping does.
    family.set_compression_type(match space {
        Space::Meta | Space::Threads | Space::Logs | Space::Addresses | Space::Views => DBCompressionType::Lz4,
        Space::Records | Space::Inert | Space::Index | Space::Blocks | Space::References => DBCompressionType::None,
    });
    if space == Space::Blocks {
        tune_for_blobs(&mut family, options);
    }
    if space == Space::References {
        // Wants come and go; whoever lists them passes over what is deleted until it has been compacted away.
        family.add_compact_on_deletion_collector_factory(1024, 512, 0.5);
    }
    family.set_block_based_table_factory(&table(space, cache));
    family
}

/// For families that this program writes nothing to. Their write buffer counts nevertheless: after the disk was full, RocksDB goes on only once the
/// largest one of all families would fit again.
pub(super) fn unused(cache: &Cache) -> rocksdb::Options {
    let mut family = rocksdb::Options::default();
    family.set_write_buffer_size(limits::WRITE_BUFFER_BYTES);
    family.set_block_based_table_factory(&table(Space::Meta, cache));
    family
}

/// Values in files of their own. What is left to compact is small, a key and a pointer for each block, and spread over all digests; so it is merged by size
/// rather than into levels, where each few kilobytes would rewrite everything.
///
/// Blobs are never moved by an ordinary compaction, which would rewrite the oldest part of all blocks time and again. A file goes when all in it
/// is deleted; what is left of others is dealt with by [`super::reclaim`].
fn tune_for_blobs(family: &mut rocksdb::Options, options: &Options) {
    family.set_write_buffer_size(limits::BLOCKS_BUFFER_BYTES.min(options.write_buffers_bytes));
    family.set_compaction_style(DBCompactionStyle::Universal);
    family.set_enable_blob_files(true);
    family.set_min_blob_size(limits::BLOB_BYTES);
    family.set_blob_file_size(limits::BLOB_FILE_BYTES);
    family.set_blob_compression_type(DBCompressionType::None);
    family.set_enable_blob_gc(false);
    family.set_blob_gc_age_cutoff(1.0);
}

fn table(space: Space, cache: &Cache) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Index and filters live in the cache too: outside of it their memory would grow with the data, without bound.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_optimize_filters_for_memory(true);
    match space {
        // Asked mostly for digests, or documents, that are not there.
        Space::Index | Space::Blocks | Space::Views => table.set_bloom_filter(10.0, false),
        Space::Records => table.set_block_size(16 * 1024),
        Space::Meta | Space::Threads | Space::Logs | Space::Inert | Space::References | Space::Addresses => {}
    }
    table
}

//! Every bound of this crate, with unit and reason.

use std::time::Duration;

/// Commits that wait for the writer. Beyond, submitting blocks (or fails, for those who try): a disk that lags must be felt by whoever produces.
pub const QUEUE_COMMITS: usize = 1_024;
/// Bytes of the commits that wait for the writer. One commit larger than this is taken when the queue is empty.
pub const QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// Commits in one group. Large enough that the cost of an fsync is shared by many, small enough that the first is not kept waiting.
pub const GROUP_COMMITS: usize = 512;
/// Bytes in one group (a single larger commit is a group of its own). Well below the write buffers, so that one group does not stall on a flush.
pub const GROUP_BYTES: usize = 8 * 1024 * 1024;
/// How long a group waits, at most, for as many commits as the last one had: at most half as long as that one took, so that nobody waits much
/// longer, and a disk that syncs slowly gets fuller groups.
pub const GATHER_PATIENCE: Duration = Duration::from_millis(4);
/// How long a relaxed write may stay unsynced: the most that a power cut takes back, and the delay before a record may leave the node.
pub const RELAXED_SYNC_INTERVAL: Duration = Duration::from_millis(25);
/// Pause before a sync is tried again that could not be done for the moment (the disk is full): as often as RocksDB looks for free space.
pub const SYNC_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Keys that one step of a thread's removal visits, so that commits never wait longer than some milliseconds for it.
pub const PURGE_KEYS: usize = 512;
/// Bytes of records that one step of a thread's removal reads (their CIDs are computed from them).
pub const PURGE_BYTES: usize = 4 * 1024 * 1024;

/// Values that one step of sealing or unsealing a store rewrites.
pub const RESEAL_KEYS: usize = 4_096;
/// Bytes of these: well below the write buffers, as for a group of commits.
pub const RESEAL_BYTES: usize = 4 * 1024 * 1024;

/// Local numbers of threads and logs kept in memory, about 150 bytes each. Beyond, the cache starts afresh.
pub const NUMBERS_CACHED: usize = 32_768;

/// Bytes of a setting's name.
pub const SETTING_NAME_BYTES: usize = 256;
/// Bytes of a setting's value: settings are names and switches, not data.
pub const SETTING_VALUE_BYTES: usize = 64 * 1024;

/// Addresses kept of one peer; the first to expire makes room.
pub const ADDRESSES_PER_PEER: usize = 16;
/// Peers in the address book; whoever expires first makes room. About 2 KiB each at most.
pub const ADDRESS_BOOK_PEERS: usize = 4_096;
/// Bytes of one address; longer ones are not kept.
pub const ADDRESS_BYTES: usize = 512;

/// RocksDB's cache for index, filter and data blocks, with the write buffers charged to it: the one bound of the store's memory.
pub const CACHE_BYTES: usize = 48 * 1024 * 1024;
/// Unflushed writes of all spaces together.
pub const WRITE_BUFFERS_BYTES: usize = 32 * 1024 * 1024;
/// Unflushed writes of the blocks' space; each flush makes one blob file, so this is also their usual size. And it is the free space that RocksDB
/// waits for after the disk was full.
pub const BLOCKS_BUFFER_BYTES: usize = 16 * 1024 * 1024;
/// Unflushed writes of one other space.
pub const WRITE_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Values of blocks from this size on live in blob files, which compaction does not rewrite: below, a pointer saves nothing.
pub const BLOB_BYTES: u64 = 4 * 1024;
/// Size of a blob file at which a new one is begun.
pub const BLOB_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Share of deleted blocks in the blob files, in percent, from which on the rest is rewritten: so no more is rewritten than is freed.
pub const RECLAIM_PERCENT: u64 = 50;
/// Write-ahead log on disk; beyond, the oldest buffers are flushed. It bounds the time of a start after a crash (about a second).
pub const WRITE_AHEAD_BYTES: u64 = 128 * 1024 * 1024;
/// How often to look whether flushes have caught up, when writes outrun the disk.
pub const STALL_POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Looks before the write itself is tried again, which tells whether the disk is full instead.
pub const STALL_POLLS: usize = 100;
/// Files that RocksDB keeps open.
pub const OPEN_FILES: i32 = 256;
/// Threads for flushes and compactions, bounded by the machine's cores.
pub const BACKGROUND_JOBS: i32 = 4;

//! Every bound of the running node, with its unit and its reason.

use std::time::Duration;

/// Calls that wait for the engine. Callers wait beyond that: appending is as fast as the disk, not faster.
pub(super) const CALLS: usize = 1_024;
/// Bytes of bodies that wait for the engine or for the disk, over all callers.
pub(super) const BODY_BYTES: usize = 64 * 1024 * 1024;
/// Inputs that the engine takes in one turn before it looks at the disk again.
pub(super) const CALLS_PER_TURN: usize = 128;
/// Results of verification and lookups that wait for the engine; more than can be under way, so that nobody blocks.
pub(super) const RESULTS: usize = 8_192;
/// Effects that wait because the store or the network had no room; while any does, nothing new is taken in.
pub(super) const BACKLOG: usize = 65_536;
/// News of logs that wait for a slow subscriber; a subscriber that lost some reads by its cursor instead.
pub(super) const NEWS: usize = 4_096;
/// Entries that wait for the reader of a log stream.
pub(super) const ENTRIES: usize = 256;
/// Records read from disk in one step.
pub(super) const READ_RECORDS: usize = 256;
/// Bytes of records read from disk in one step.
pub(super) const READ_BYTES: usize = 1024 * 1024;
/// CIDs that one lookup reads at the most; the engine asks for a page at a time.
pub(super) const LOOKUP_CIDS: usize = 8_192;
/// Pieces of a file that wait for its reader.
pub(super) const PIECES: usize = 4;
/// Blocks of a large body that are handed over in one step, bytes.
pub(super) const STORE_BYTES: usize = 4 * 1024 * 1024;
/// How often progress is reported.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// How often the address book is purged and written.
pub(super) const ADDRESS_BOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How long new addresses must have held before logs announce them.
pub(super) const ANNOUNCE_DELAY: Duration = Duration::from_secs(2);
/// How long a stop waits for what is under way.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Threads that a node may keep; each costs about 3 KB while idle.
pub(super) const THREADS: usize = 65_536;
/// Transactions of one database that wait for their place in the log; beyond, committing waits.
pub(super) const DATABASE_APPENDS: usize = 256;
/// Bytes of them, whichever is reached first: one may have 4 MiB.
pub(super) const DATABASE_APPEND_BYTES: usize = 16 * 1024 * 1024;
/// Documents that one transaction writes to the home thread; the ticket of a thread with many keys has some 50 KiB.
pub(super) const HOME_WRITES: usize = 64;
/// How often the home thread is looked at without a hint.
pub(super) const HOME_INTERVAL: Duration = Duration::from_secs(600);
/// When to write to it again after that failed.
pub(super) const HOME_RETRY: Duration = Duration::from_secs(60);
/// How soon peers are asked for the home thread again, while there are none or they have nothing.
pub(super) const HOME_ASK_AGAIN: Duration = Duration::from_millis(500);
/// Steps of a recovery that wait for whoever asked.
pub(super) const RECOVER_EVENTS: usize = 16;
/// When to fold again after the store could not be read or written.
pub(super) const DATABASE_RETRY: Duration = Duration::from_secs(10);
/// Transactions that are open step by step. Each holds a thread and a snapshot of the store.
pub(super) const OPEN_TRANSACTIONS: usize = 64;
/// A transaction that is given no step for so long is discarded: its snapshot keeps the store from tidying up.
pub(super) const TRANSACTION_IDLE: Duration = Duration::from_secs(60);
/// And one that is open for so long, whatever it is given.
pub(super) const TRANSACTION_LENGTH: Duration = Duration::from_secs(600);
/// Changes that are read at once for one watcher.
pub(super) const WATCHED_CHANGES: usize = 64;
/// Items that wait for a watcher. Beyond, it is read for no further, and slows nobody.
pub(super) const WATCHED_ITEMS: usize = 64;
/// Answers to a query that wait for whoever asked; each holds about [`FOUND_BYTES`].
pub(super) const FOUND_PAGES: usize = 2;
/// Bytes of the documents in one page of answers.
pub(super) const FOUND_BYTES: usize = 512 * 1024;
/// Whoever reads no answers for so long gets no more: a query holds a thread and a snapshot of the store.
pub(super) const FOUND_PATIENCE: Duration = Duration::from_secs(60);
/// How often a watcher of all threads looks for new ones.
pub(super) const WATCH_THREADS: Duration = Duration::from_secs(1);
/// How old the counts of logs and records in the metrics may be: they take a pass over the states of all logs.
pub(super) const TOTALS_AGE: Duration = Duration::from_secs(15);
/// Whoever asks whether the node is alive waits no longer for each of its loops.
pub(super) const LOOP_PATIENCE: Duration = Duration::from_secs(3);
/// How old the answer to whether the disk can be written may be.
pub(super) const DISK_CHECK_AGE: Duration = Duration::from_secs(5);
/// Bytes that have to be free for a node to be ready: the store takes no writes below 16 MiB.
pub(super) const LEAST_FREE_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of an archive that are handed over at once.
pub(super) const PIECE_BYTES: usize = 256 * 1024;
/// Logs in an archive.
pub(super) const ARCHIVE_LOGS: usize = 65_536;
/// Blocks of bodies in an archive: their places are kept in memory, 40 bytes each.
pub(super) const ARCHIVE_BLOCKS: usize = 4 * 1024 * 1024;
/// Records from one remembered place in an archive to the next.
pub(super) const ARCHIVE_MARK: u64 = 64;
/// Questions of the engine that wait for a guest; it asks for no more at once than of any peer.
pub(super) const GUEST_QUESTIONS: usize = 256;
/// A record that is brought is given up after so long: the engine has two questions to answer meanwhile, and the disk one write.
pub(super) const OFFER_PATIENCE: Duration = Duration::from_secs(20);
/// An import in which nothing moves for so long is given up.
pub(super) const IMPORT_PATIENCE: Duration = Duration::from_secs(60);

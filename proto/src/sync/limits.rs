//! Every bound of the engine, with its unit and its reason.

use std::time::Duration;

/// Logs of one thread: a thread is a group of people, and each log costs about 2 KB of memory while the thread is in use.
pub const MAX_LOGS: usize = 4_096;
/// Logs without admission, in threads whose keys came without an admission key.
pub const MAX_UNADMITTED_LOGS: usize = 64;
/// Inputs that wait while a thread is read from disk.
pub const MAX_PARKED: usize = 1_024;
/// Appends of one log that wait for the disk.
pub const MAX_PENDING_APPENDS: usize = 4_096;
/// Runs of records in the verification pool. Each is at most a page, so this bounds the pool's memory to about 64 MiB.
pub const MAX_VERIFICATIONS: usize = 64;
/// Bytes of verified records of one log, and of their blocks, that wait for the ones before them: a few pages.
pub const MAX_AHEAD_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of newest records of one log that are kept for pushing.
pub const MAX_RECENT_BYTES: usize = 512 * 1024;
/// Bytes of records in one push; small, so that a push does not hold up what is newer.
pub const MAX_PUSH_BYTES: usize = 512 * 1024;
/// Bytes of a block that a push carries along; larger ones are asked for.
pub const MAX_PUSHED_BLOCK_BYTES: usize = 300 * 1024;
/// Bytes of a gossip message before it is sealed; larger records are announced by their head.
pub const MAX_PUBLISHED_BYTES: usize = 40 * 1024;
/// Records in one gossip message; more are announced by their head.
pub const MAX_PUBLISHED_RECORDS: u64 = 64;
/// Heads in one gossip message.
pub const MAX_ANNOUNCED_HEADS: usize = 64;
/// In a burst a log is published at most this often; what lies between is announced by its head.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(20);
/// Requests for pages of one log in flight, spread over its sources.
pub const MAX_PAGES_IN_FLIGHT: usize = 4;
/// For how long a thread that is followed for others may save up records that it did not bring.
pub const RATE_BURST: Duration = Duration::from_secs(10);
/// Records asked for in one page, before their size is known.
pub const FIRST_RANGE_RECORDS: u64 = 1_024;
/// Records asked for in one page at the most.
pub const MAX_RANGE_RECORDS: u64 = 8_192;
/// Requests of one session in flight; beyond, they wait.
pub const MAX_REQUESTS_PER_SESSION: usize = 32;
/// How often what is asked of a peer at once is halved for answers that come too late: down to pages of 64 KiB.
pub const MAX_SLOWNESS: u32 = 4;
/// An answer that takes less leaves time for one that is twice as large: far less than a request may take.
pub const QUICK_ANSWER: Duration = Duration::from_secs(2);
/// Head requests of one session in flight.
pub const MAX_HEAD_REQUESTS: usize = 8;
/// How long a pull waits when records seem to be on their way by push or gossip.
pub const PULL_PATIENCE: Duration = Duration::from_millis(50);
/// How long a source is left alone after it failed, doubled each time.
pub const SOURCE_BACKOFF: Duration = Duration::from_secs(1);
/// The longest such wait.
pub const MAX_SOURCE_BACKOFF: Duration = Duration::from_secs(60);
/// How often two connected peers compare edges when nothing else happens.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(10);
/// How soon a broken comparison is tried again.
pub const SYNC_RETRY: Duration = Duration::from_secs(2);
/// How long `Sync` waits for peers before it answers with what it has.
pub const SYNC_PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits where there is no peer: time to find one, not to bore the caller.
pub const SYNC_PATIENCE_ALONE: Duration = Duration::from_secs(10);
/// How soon a proof that was not answered, or not believed, is shown again.
pub const PROVE_RETRY: Duration = Duration::from_secs(2);
/// Peers of a thread with which no more are looked for: the pages of a pull are spread over four.
pub const ENOUGH_PEERS: usize = 4;
/// How soon peers are looked for again when a thread has none, or lacks some; doubled each time.
pub const DISCOVER_INTERVAL: Duration = Duration::from_secs(5);
/// The longest such wait.
pub const MAX_DISCOVER_INTERVAL: Duration = Duration::from_secs(300);
/// How long a thread stays in memory after its last use.
pub const COOL_AFTER: Duration = Duration::from_secs(600);
/// Threads of a node that join their gossip topic; the least recently active live on pushes and edges.
pub const MAX_TOPICS: usize = 2_048;
/// Topics of one subtree of the edge tree that are listed rather than opened further.
pub const MAX_LISTED_EDGES: usize = 16;
/// Inert records that are kept for one log: evidence and what an honest but cloned writer wrote. The prefix that counts converges
/// without any of them but two.
pub const MAX_INERT_RECORDS: u64 = 65_536;
/// How often inert records are counted anew while more arrive.
pub const INERT_COUNT_INTERVAL: Duration = Duration::from_millis(250);
/// Blocks in one request.
pub const MAX_BLOCKS_PER_REQUEST: usize = 64;
/// Block requests of one thread in flight.
pub const MAX_BLOCK_REQUESTS: usize = 4;
/// Wanted blocks of one thread that are held in memory; the store has the rest.
pub const MAX_WANTS: usize = 1_024;
/// Effects that one input may cause, apart from one per connected peer or per record that it carries.
pub const MAX_EFFECTS_PER_INPUT: usize = 64;

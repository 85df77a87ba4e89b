//! Bounds of the interface.

use std::time::Duration;

/// Bytes of one message in either direction: a batch of events, or a piece of a file with room to spare.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of a body that travels within an entry; larger ones are read in pieces.
pub const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// Bytes of a piece of a file, as the commands send them: few enough to show progress, enough to make the frame's cost vanish.
pub const PIECE_BYTES: usize = 256 * 1024;

/// Events of one append stream that wait for their receipts: enough to fill group commits, few enough to lose nothing of note.
pub(super) const APPENDS_IN_FLIGHT: usize = 512;

/// Receipts in one message: what can gather while one fsync runs.
pub(super) const RECEIPTS_PER_MESSAGE: usize = 256;

/// Connections at once: a program has one, and few of them run beside a node.
pub(super) const CONNECTIONS: usize = 256;

/// From opening a connection to the first words of HTTP/2.
pub(super) const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Between two pings of a connection, and how long an answer to one is waited for: who has vanished without a word gives way.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(60);
/// See [`PING_INTERVAL`].
pub(super) const PING_PATIENCE: Duration = Duration::from_secs(20);

/// Calls at once on one connection.
pub(super) const STREAMS_PER_CONNECTION: u32 = 128;

/// HTTP/2 flow control window of one call and of one connection, in bytes: four pieces, so that a file is not sent in lockstep.
pub(super) const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// See [`STREAM_WINDOW_BYTES`].
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// How long running calls may take to end once the node stops.
pub(super) const DRAIN: Duration = Duration::from_secs(5);

/// A sync that hears nothing for so long ends, unless its caller says.
pub(super) const SYNC_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a recovery looks for the home thread, unless its caller says: the hash table takes a while.
pub(super) const RECOVER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that a caller may say.
pub(super) const MAX_SYNC_TIMEOUT: Duration = Duration::from_secs(600);

/// Writes of one transaction: each is at least one operation.
pub(super) const MAX_WRITES: usize = spool_db::limits::MAX_OPERATIONS;

/// Transactions of one stream that were read and are not begun.
pub(super) const TRANSACTIONS_WAITING: usize = 16;

/// Transactions of one stream that wait for their events: enough to fill group commits.
pub(super) const TRANSACTIONS_IN_FLIGHT: usize = 256;

/// Bytes of documents that are found within a transaction, where there are no pages.
pub(super) const MAX_FOUND_BYTES: usize = MAX_MESSAGE_BYTES / 2;

/// Versions on one page.
pub(super) const VERSIONS_PER_PAGE: usize = 1_000;

/// Bytes of changes on one page of versions, about.
pub(super) const VERSIONS_BYTES: usize = 384 * 1024;

/// Bytes of one answer with documents: one of a mebibyte may be six times as large as JSON, if it is made of control characters.
pub const MAX_DOCUMENTS_BYTES: usize = 16 * 1024 * 1024;

/// How long followers are waited for where the caller does not say.
pub(super) const FOLLOWERS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long they are waited for at the most.
pub(super) const MAX_FOLLOWERS_TIMEOUT: Duration = Duration::from_secs(3_600);

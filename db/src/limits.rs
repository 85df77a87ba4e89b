//! Every bound of this crate, with unit and reason.

/// Bytes of a transaction's encoding: it has to fit the body of one event.
pub const MAX_TRANSACTION_BYTES: usize = spool_proto::limits::MAX_SINGLE_BODY_BYTES;
/// Operations of one transaction. Each is at least a few bytes, so that this bounds the work that one event of a hostile writer makes.
pub const MAX_OPERATIONS: usize = 10_000;
/// Bytes of one document as it is stored, merged from all events; what would make it larger has no effect on it.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
/// Nesting of values, and segments of a path. Deep enough for people, shallow enough to recurse over.
pub const MAX_DEPTH: usize = 64;
/// Bytes of a document's id.
pub const MAX_ID_BYTES: usize = 128;
/// Bytes of a collection's name.
pub const MAX_NAME_BYTES: usize = 64;
/// Observed additions that one removal or replacement may name.
pub const MAX_OBSERVED: usize = 4_096;
/// Events of a document between two checkpoints of its state: a late event folds so many again, and a checkpoint costs as much as the document.
pub const CHECKPOINT_EVENTS: u16 = 64;
/// Events that are folded into one batch. Large enough to share the cost of a commit, small enough that readers see progress.
pub const BATCH_EVENTS: usize = 2_048;
/// Bytes of the events in one batch.
pub const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Events of one log that are read at once.
pub const READ_EVENTS: usize = 512;
/// Bytes of one log's records that are read at once.
pub const READ_BYTES: usize = 1024 * 1024;
/// Opened events that are kept for folding documents again: a transaction often touches many documents that are folded one after another.
pub const CACHED_EVENTS: usize = 128;
/// Derived keys of logs that are kept, about 400 bytes each; beyond, they are derived anew.
pub const CACHED_KEYS: usize = 1_024;
/// Events without a body that are looked for at once, when blocks have arrived.
pub const RETRIED_EVENTS: usize = 512;
/// Keys of a view that are deleted at once when it is folded anew.
pub const REBUILD_KEYS: usize = 10_000;
/// Documents of a view that are read at once, so that no more are held than a page of them.
pub const SCANNED_DOCUMENTS: usize = 64;
/// Changes that make one state of a document out of another one; beyond, all its fields are replaced at once: that is smaller than so many paths.
pub const MAX_DIFFERENCES: usize = 1_000;
/// Bytes of a transaction beside its operations: what it begins with, and what it reverts.
pub const TRANSACTION_HEAD_BYTES: usize = 64;
/// Records of the own log that undo and redo look through: as far as people go back step by step, and no more to read than a moment allows.
pub const UNDO_RECORDS: u64 = 1_000;
/// Records of the own log that are read at once, from its end backwards; each may hold a whole transaction.
pub const UNDO_READ_RECORDS: u64 = 16;

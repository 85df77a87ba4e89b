//! Every bound of this crate, with unit and reason.

/// Bytes of a transaction's encoding: a few documents of the largest size, and what one message of the interfaces can bring.
pub const MAX_TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a transaction's encoding where work can be divided: what fits one block is stored and sent as one.
pub const PACKED_TRANSACTION_BYTES: usize = spool_proto::limits::MAX_SINGLE_BODY_BYTES;
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
/// Bytes of the changes of one event that are kept with a document's history, so that folding it again takes no look into its log: a few fields.
pub const INLINE_CHANGES_BYTES: usize = 256;
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
/// Bytes of them as they are stored; opened they take several times as much.
pub const CACHED_EVENT_BYTES: usize = 8 * 1024 * 1024;
/// Derived keys of logs that are kept, about 400 bytes each; beyond, they are derived anew.
pub const CACHED_KEYS: usize = 1_024;
/// Events without a body that are looked for at once, when blocks have arrived.
pub const RETRIED_EVENTS: usize = 512;
/// Keys of a view that are deleted at once when it is folded anew.
pub const REBUILD_KEYS: usize = 10_000;
/// Changes that are kept for those who follow them one by one; who is further behind is told the last change of each document.
pub const RECENT_CHANGES: usize = 4_096;
/// Bytes of them.
pub const RECENT_CHANGES_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a string that an index key keeps. Longer strings share a key with others, which costs looking at their documents and nothing else.
pub const MAX_INDEX_STRING_BYTES: usize = 256;
/// Distinct elements of an array that get an index entry each. A document of a mebibyte could otherwise make half a million of them;
/// arrays with more are found through one entry that stands for all of these.
pub const MAX_INDEX_ELEMENTS: usize = 1_024;
/// Bytes of a query as text or JSON, checked before parsing.
pub const MAX_QUERY_BYTES: usize = 256 * 1024;
/// Conditions and connectives of one filter: every document is held against all of them.
pub const MAX_CONDITIONS: usize = 1_000;
/// Paths that one query sorts by.
pub const MAX_SORT_KEYS: usize = 16;
/// Paths that one query projects to.
pub const MAX_FIELDS: usize = 256;
/// Bytes that one query may hold in memory to sort and to collect results, unless its options say otherwise: some hundred thousand sort keys.
pub const QUERY_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the documents that one transaction changes, as they were stored before, unless the node is set up otherwise. All are held until it ends, and take several times
/// as much memory as on disk.
pub const TRANSACTION_MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// One of so many documents may be fetched through an index before a scan of all is expected to be faster: a fetch costs a seek each.
pub const SCAN_ADVANTAGE: usize = 8;
/// Index entries that are worth fetching in any collection, however small.
pub const MIN_INDEX_ENTRIES: usize = 128;
/// Indexes of one collection. Each write touches every one of them.
pub const MAX_INDEXES: usize = 32;
/// Fields of one collection whose concurrent values are kept side by side.
pub const MAX_KEEP_BOTH: usize = 64;
/// Names in the path of an index or of a field that keeps both values.
pub const MAX_INDEX_DEPTH: usize = 16;
/// Bytes of the text of such a path: it is repeated in keys and messages.
pub const MAX_INDEX_PATH_BYTES: usize = 512;
/// What is found wrong with one definition and listed; a hostile one could have thousands.
pub const MAX_PROBLEMS: usize = 32;
/// Bytes of a JSON Schema as JSON. Bounds what compiling it takes.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Nesting of a JSON Schema. It is compiled by recursion, eight references deep: this many levels each have to fit the stack of a thread.
pub const MAX_SCHEMA_DEPTH: usize = 32;
/// Regular expressions of one JSON Schema. Each takes up to [`MAX_PATTERN_MEMORY`].
pub const MAX_PATTERNS: usize = 64;
/// Weight of one regular expression: characters that it matches, those in counted repetitions as often as they are repeated. A step of matching may touch each.
pub const MAX_PATTERN_WEIGHT: u64 = 4_096;
/// Bytes of one compiled regular expression, and of the cache for matching it.
pub const MAX_PATTERN_MEMORY: usize = 1024 * 1024;
/// Steps of validating one document: a keyword, an element, or 64 bytes of text each time that it is looked at. About a tenth of a second.
pub const MAX_VALIDATION_STEPS: u64 = 2_000_000;
/// Steps up to which violations are told one by one. Telling goes over the document again for each level, and collects everything before the first is told.
pub const MAX_DETAILED_STEPS: u64 = 100_000;
/// Schemas within one another at which validation of one document stops: it recurses, and has to fit the stack of a thread.
pub const MAX_VALIDATION_DEPTH: u32 = 512;
/// Violations that are told of one document.
pub const MAX_VIOLATIONS: usize = 16;
/// Bytes of a message about a schema, a violation or a definition: parts of them are chosen by others.
pub const MAX_MESSAGE_BYTES: usize = 256;
/// Documents whose entries are written at once when an index is built, and entries that are deleted at once when it is dropped.
pub const INDEX_STEP: usize = 2_048;
/// Compiled schemas that are kept.
pub const CACHED_SCHEMAS: usize = 64;
/// Documents that one transaction may rely on: each is looked at once more when it commits, and held in memory until then.
pub const MAX_SEEN: usize = 100_000;
/// How often a transaction is run before it is given up, if others are always faster.
pub const MAX_ATTEMPTS: usize = 32;
/// Pause between two attempts: what was faster has to be folded first.
pub const ATTEMPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(2);
/// Transactions of a restore that are under way at once: the disk is written to while the next ones are found.
pub const RESTORE_IN_FLIGHT: usize = 8;
/// How often a restore goes over what others have changed meanwhile.
pub const RESTORE_PASSES: u32 = 16;
/// Other documents that one duplicate names: people look at some of them, and there may be as many as documents.
pub const MAX_CONFLICT_OTHERS: usize = 16;
/// Documents whose values are remembered at once to find those that are equal, a few hundred bytes each.
pub const CONFLICT_VALUES: u64 = 32_768;
/// Keys of two views that are read at once to compare them.
pub const COMPARED_KEYS: usize = 1_024;
/// Faults that a verification lists; it counts all of them.
pub const MAX_FAULTS: usize = 100;
/// How often a view that moves on is verified before it is believed to be damaged.
pub const VERIFY_ATTEMPTS: u32 = 3;
/// Documents of a view that are read at once, so that no more are held than a page of them.
pub const SCANNED_DOCUMENTS: usize = 64;
/// Changes that make one state of a document out of another one; beyond, all its fields are replaced at once: that is smaller than so many paths.
pub const MAX_DIFFERENCES: usize = 1_000;
/// Bytes of a transaction beside its operations: what it begins with, and what it reverts.
pub const TRANSACTION_HEAD_BYTES: usize = 64;
/// Records of the own log that undo and redo look through: as far as people go back step by step, and no more to read than a moment allows.
pub const UNDO_RECORDS: u64 = 1_000;
/// Records of the own log that are read at once, from its end backwards; each may hold a whole transaction.
pub const UNDO_READ_RECORDS: u64 = 4;
/// Logs that are read ahead at once.
pub const READ_LOGS: usize = 64;
/// Bytes of bodies that are read ahead, over all logs, before no further log is: one event of each may be as large as a transaction.
pub const READ_AHEAD_BYTES: usize = 16 * 1024 * 1024;
/// Positions of the feed of changes for each millisecond: more than can be given out in one, so that those of a later start are beyond those of an earlier one.
pub const POSITIONS_PER_MILLISECOND: u64 = 1 << 20;
/// How long an event waits for what is missing of its past before it is judged without that; and again when that has come. As long as clocks may differ: whoever
/// cites what nobody has holds up no others for longer.
pub const PAST_PATIENCE_MILLIS: u64 = 10 * 60 * 1_000;
/// Records whose past is found in one step, each a few reads.
pub const TRACED_RECORDS: usize = 4_096;
/// Records of one log that are read ahead to find their past: who they cite, no bodies.
pub const TRACED_AHEAD: usize = 128;
/// Changes of a log's past between two that are kept whole: so many are read to know one.
pub const WHOLE_PASTS: u8 = 64;
/// Documents that are judged in one step: a rule may take a third of a second, most take a third of a millisecond.
pub const JUDGED_DOCUMENTS: usize = 256;
/// Events of one document that are applied again to find what an event's writer has seen, at the most: as many as two writers make who know nothing of each other
/// and write each second for a day and a half. An event with a past that brings together more is denied, on every peer.
pub const MAX_BROUGHT_TOGETHER: usize = 256 * 1024;
/// States of one document that are kept in memory, as different writers have seen it.
pub const BRANCHES: usize = 16;
/// Bytes of all of them, and of the lists of their documents' events.
pub const BRANCH_BYTES: usize = 32 * 1024 * 1024;
/// Denied events that are listed at once.
pub const MAX_DENIED_PAGE: usize = 1_000;

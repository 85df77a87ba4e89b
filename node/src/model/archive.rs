//! Taking an archive of a thread.

use spool_proto::LogId;

/// One step of an import. The stream ends after [`ImportStep::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportStep {
    /// So much of the file was found good.
    Checked {
        /// Bytes.
        bytes: u64,
    },
    /// It is good, and being taken.
    Progress(ImportProgress),
    /// The end: all of it is here, on disk.
    Done(ImportReport),
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Records that have come.
    pub records: u64,
    /// Records that have not.
    pub records_missing: u64,
    /// Blocks that have not.
    pub blocks_missing: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Logs in the archive.
    pub logs: u64,
    /// Records that were new here.
    pub records: u64,
    /// Blocks of bodies in the archive.
    pub blocks: u64,
    /// Logs of it that are forked.
    pub forked: Vec<LogId>,
}

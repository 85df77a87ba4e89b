//! Synchronising on demand.

use std::time::Duration;

use spool_proto::{PeerId, ThreadId};

/// What a sync waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncOptions {
    /// One thread, or all of the node's.
    pub thread: Option<ThreadId>,
    /// End when nothing was finished after so long.
    pub timeout: Duration,
}

/// One step of a sync. The stream ends after [`SyncEvent::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncEvent {
    /// A peer was asked, or could not be.
    Peer {
        /// The peer.
        peer: PeerId,
        /// What came of it.
        outcome: SyncOutcome,
    },
    /// Where it stands, at most ten times a second.
    Progress(SyncProgress),
    /// The end: all reachable peers were asked and what they had is here, or the time was up.
    Done(SyncSummary),
}

/// What came of asking one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Connected and both sides have proven access to so many threads.
    Shares(u32),
    /// Has nothing that this node lacks, and the reverse.
    Equal,
    /// Did not answer, refused or lied; the text is for the user.
    Failed(String),
}

/// How far a sync is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncProgress {
    /// Records received and stored since the sync began.
    pub records: u64,
    /// Records known to be missing.
    pub records_missing: u64,
    /// Blocks received since the sync began.
    pub blocks: u64,
    /// Blocks known to be missing.
    pub blocks_missing: u64,
    /// Bytes of both.
    pub bytes: u64,
}

/// What a sync did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncSummary {
    /// The counts at the end.
    pub progress: SyncProgress,
    /// Peers that answered.
    pub peers: u32,
    /// Peers that could not be asked.
    pub failed: u32,
    /// Whether all that the peers who answered have is here, and no block is missing.
    pub complete: bool,
}

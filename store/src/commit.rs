//! The one writer of threads, logs, records and blocks: an OS thread that commits in groups.
//!
//! ```text
//! submit ─▶ bounded queue ─▶ group ─▶ one batch ─▶ write ─▶ Written ─▶ sync ─▶ Synced
//!                                                    └ fails ─▶ Failed: all that follows is refused until `resume`
//! ```
//!
//! What waits is taken together: the more is asked for, the more commits share one fsync. A group with a
//! [`Durability::Sync`](spool_proto::sync::Durability) commit is synced before anything is reported; a relaxed one is reported as written, and synced
//! within [`RELAXED_SYNC_INTERVAL`](crate::limits::RELAXED_SYNC_INTERVAL). A relaxed commit that comes alone may be written by its caller
//! ([`Handle::commit_or_submit`]): one writer at a time either way.

mod committer;
mod error;
mod plan;
mod purge;
mod queue;
mod staging;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use committer::{Committer, Handle, Options, SpawnError};
pub use error::Error;
pub use queue::{Closed, TrySubmitError};

use std::sync::Arc;

use spool_proto::sync::{BatchId, Durability, Write};

/// Writes that belong together: all of them are applied, or none.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Position in the caller's order; increases from commit to commit.
    pub batch: BatchId,
    /// When it may be acknowledged.
    pub durability: Durability,
    /// The writes, in order.
    pub writes: Vec<Write>,
}

/// What became of commits, in order.
#[derive(Debug, Clone)]
pub enum Event {
    /// All commits up to this one are written: readers see them, and they survive the end of the process.
    Written {
        /// The newest.
        through: BatchId,
    },
    /// All commits up to this one survive a power cut. Comes after their `Written`.
    Synced {
        /// The newest.
        through: BatchId,
    },
    /// Nothing of these commits was applied, nor will anything be of what is submitted before a [`Handle::resume`]. Where a sync failed
    /// (then [`Event::Poisoned`] follows), they may be there after a restart, as a whole.
    Failed {
        /// The oldest.
        from: BatchId,
        /// The newest of them so far; more follow if more was queued.
        through: BatchId,
        /// Why.
        error: Arc<Error>,
    },
    /// The disk did not confirm a sync. Nothing later than the last `Synced` is certain to be on disk; no write is accepted until a restart.
    Poisoned {
        /// What the disk said.
        error: Arc<Error>,
    },
}

//! Deadlines, in order. A timer may come late or for something that is gone: whoever handles it looks again.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    PeerId,
    id::{LogId, ThreadId},
};

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// Compare edges with a peer.
    Compare(PeerId),
    /// Publish the head of a log.
    Announce(ThreadId, LogId),
    /// Look again for records that are missing.
    Pull(ThreadId, LogId),
    /// Look again for blocks that are missing.
    Blocks(ThreadId),
    /// Count the inert records of a log.
    CountInert(ThreadId, LogId),
    /// Look for peers that have a thread.
    Discover(ThreadId),
    /// Let go of a thread's memory.
    Cool(ThreadId),
    /// Answer a sync that has waited long enough.
    EndSync(ThreadId),
}

/// The pending deadlines.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Duration, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Duration, timer: Timer) {
        self.due.insert((at, timer));
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, timer)| timer)
    }
}

//! Deadlines, in order. A timer may come late or for something that is gone: whoever handles it looks again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    PeerId,
    id::{LogId, ThreadId},
};

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// Compare edges with a peer.
    Compare(PeerId),
    /// Show a peer again what it has not answered.
    Prove(PeerId),
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

/// The pending deadlines, at most one of each kind: of two the sooner counts.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Duration, Timer)>,
    at: BTreeMap<Timer, Duration>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Duration, timer: Timer) {
        if self.at.get(&timer).is_some_and(|known| *known <= at) {
            return;
        }
        self.cancel(&timer);
        self.at.insert(timer.clone(), at);
        self.due.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.at.remove(timer) {
            self.due.remove(&(at, timer.clone()));
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.due.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }

    /// How many are pending.
    #[cfg(any(test, feature = "test-utils"))]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}

//! The bounded queue before the writer.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use spool_proto::sync::Write;

use super::Commit;
use crate::limits::{GROUP_BYTES, GROUP_COMMITS, QUEUE_BYTES, QUEUE_COMMITS};

/// The committer has been shut down; nothing is accepted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store's writer has stopped")]
pub struct Closed;

/// Why a commit was not queued; it comes back.
#[derive(Debug, thiserror::Error)]
pub enum TrySubmitError {
    /// The queue is full: try again after the next event.
    #[error("the store's queue is full")]
    Full(Commit),
    /// The committer has been shut down.
    #[error("the store's writer has stopped")]
    Closed(Commit),
}

/// What the writer does next.
pub(super) enum Taken {
    /// Commit these, oldest first.
    Group(Vec<Commit>),
    /// The caller has seen the failure.
    Resume,
    /// Nothing arrived in time, or the sleep was ended.
    Nothing,
    /// The queue is closed, and empty.
    Closed,
}

enum Job {
    Commit(Commit, usize),
    Resume,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    left: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    commits: usize,
    bytes: usize,
    closed: bool,
    /// A group was taken, and is not committed yet.
    at_work: bool,
    /// Something was written beside the queue: the writer has to look when to sync.
    poked: bool,
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        self.commits == 0 || (self.commits < QUEUE_COMMITS && self.bytes + bytes <= QUEUE_BYTES)
    }

    fn push(&mut self, commit: Commit, bytes: usize) {
        self.commits += 1;
        self.bytes += bytes;
        self.jobs.push_back(Job::Commit(commit, bytes));
    }

    /// The next group: commits up to the first resume, within a group's bounds.
    fn pop_group(&mut self) -> Vec<Commit> {
        let mut group = Vec::new();
        let mut sum = 0;
        while group.len() < GROUP_COMMITS {
            match self.jobs.front() {
                Some(Job::Commit(_, bytes)) if group.is_empty() || sum + bytes <= GROUP_BYTES => {}
                Some(Job::Commit(..) | Job::Resume) | None => break,
            }
            if let Some(Job::Commit(commit, bytes)) = self.jobs.pop_front() {
                self.commits -= 1;
                self.bytes -= bytes;
                sum += bytes;
                group.push(commit);
            }
        }
        group
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room.
    pub(super) fn submit(&self, commit: Commit) -> Result<(), Closed> {
        let bytes = bytes(&commit);
        let mut state = self.state();
        while !state.closed && !state.has_room(bytes) {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(Closed);
        }
        state.push(commit, bytes);
        self.arrived.notify_one();
        Ok(())
    }

    pub(super) fn try_submit(&self, commit: Commit) -> Result<(), TrySubmitError> {
        let bytes = bytes(&commit);
        let mut state = self.state();
        if state.closed {
            return Err(TrySubmitError::Closed(commit));
        }
        if !state.has_room(bytes) {
            return Err(TrySubmitError::Full(commit));
        }
        state.push(commit, bytes);
        self.arrived.notify_one();
        Ok(())
    }

    /// Not bounded, but sent once for each failure that was reported.
    pub(super) fn resume(&self) -> Result<(), Closed> {
        let mut state = self.state();
        if state.closed {
            return Err(Closed);
        }
        state.jobs.push_back(Job::Resume);
        self.arrived.notify_one();
        Ok(())
    }

    /// Whether no commit waits or is under way, so that another one may be written beside the queue.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.jobs.is_empty() && !state.at_work && !state.closed
    }

    /// How many commits wait, and how many bytes they hold.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.commits, state.bytes)
    }

    /// Ends the writer's sleep, with nothing to do.
    pub(super) fn poke(&self) {
        self.state().poked = true;
        self.arrived.notify_one();
    }

    /// The group that was taken last is committed.
    pub(super) fn done(&self) {
        self.state().at_work = false;
    }

    /// Accepts nothing more; what is queued will still be taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
        self.left.notify_all();
    }

    /// If some commits wait, but fewer than `siblings`, gives the others so long to arrive.
    pub(super) fn gather(&self, siblings: usize, patience: Duration) {
        let state = self.state();
        if state.commits == 0 {
            return;
        }
        let few = |state: &mut State| state.commits < siblings && !state.closed;
        drop(self.arrived.wait_timeout_while(state, patience, few));
    }

    /// Waits until there is something to do, at the latest until the deadline.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Taken {
        let mut state = self.state();
        loop {
            match state.jobs.front() {
                Some(Job::Resume) => {
                    state.jobs.pop_front();
                    return Taken::Resume;
                }
                Some(Job::Commit(..)) => {
                    let group = state.pop_group();
                    state.at_work = true;
                    self.left.notify_all();
                    return Taken::Group(group);
                }
                None if state.closed => return Taken::Closed,
                None if state.poked => {
                    state.poked = false;
                    return Taken::Nothing;
                }
                None => {}
            }
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::Nothing;
                    }
                    self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// What a commit is taken to weigh: its contents, and a little for each write.
fn bytes(commit: &Commit) -> usize {
    const EACH: usize = 256;
    let contents = |write: &Write| match write {
        Write::Record { record } | Write::Inert { record } => record.sealed().bytes.len(),
        Write::Block { bytes, .. } => bytes.len(),
        Write::Thread { .. } | Write::RemoveThread { .. } | Write::Log { .. } | Write::DropBlocks { .. } => 0,
    };
    commit.writes.iter().map(|write| EACH + contents(write)).sum()
}

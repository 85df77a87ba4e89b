//! What the committer's thread does, without the thread.

use std::sync::Arc;

use spool_proto::sync::{BatchId, Durability};
use tracing::{debug, error, warn};

use super::{
    Commit, Error, Event,
    plan::{Counters, Plan, Planned},
    purge::Purge,
};
use crate::{
    kv,
    store::{self, Shared},
};

/// Applies groups of commits, and knows what was synced.
pub(super) struct Writer {
    shared: Arc<Shared>,
    counters: Counters,
    mode: Mode,
    written: Option<BatchId>,
    /// Something was written since the last sync.
    unsynced: bool,
    purge: Purge,
    /// A step of the purge failed; it goes on after the next resume or removal.
    purge_stalled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// A commit failed; later ones may build on it.
    Refusing,
    /// A sync failed.
    Poisoned,
}

/// The first commit of a group that could not be applied.
struct Failure {
    index: usize,
    error: Error,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, store::Error> {
        let counters = Counters::load(shared.kv())?;
        let purge = Purge::load(shared.kv())?;
        let (mode, written) = (Mode::Open, None);
        Ok(Self { shared, counters, mode, written, unsynced: false, purge, purge_stalled: false })
    }

    /// Whether something that was reported as written is not synced yet.
    pub(super) fn has_unsynced(&self) -> bool {
        self.unsynced && self.mode != Mode::Poisoned
    }

    /// Applies a group, oldest first, and reports its watermarks.
    pub(super) fn commit(&mut self, group: &[Commit], emit: &mut dyn FnMut(Event)) {
        let (Some(from), Some(through)) = (group.first(), group.last()) else { return };
        let (from, through) = (from.batch, through.batch);
        debug_assert!(group.windows(2).all(|pair| pair[0].batch < pair[1].batch), "positions increase");
        match self.mode {
            Mode::Open => {}
            Mode::Refusing => return emit(Event::Failed { from, through, error: Arc::new(Error::Refused) }),
            Mode::Poisoned => {
                return emit(Event::Failed { from, through, error: Arc::new(kv::Error::Poisoned.into()) });
            }
        }
        let sync = group.iter().any(|commit| commit.durability == Durability::Sync);
        let Err(failure) = self.apply(group, sync) else {
            debug!(commits = group.len(), through = through.0, sync, "committed");
            self.written = Some(through);
            emit(Event::Written { through });
            self.unsynced = !sync;
            if sync {
                emit(Event::Synced { through });
            }
            return;
        };
        if failure.index > 0 {
            // The fault is in one commit: those before it are good, and it is then the first of the rest.
            let (good, rest) = group.split_at(failure.index);
            self.commit(good, emit);
            return self.commit(rest, emit);
        }
        self.fail(failure.error, from, through, emit);
    }

    fn fail(&mut self, error: Error, from: BatchId, through: BatchId, emit: &mut dyn FnMut(Event)) {
        self.mode = if is_sync_failure(&error) { Mode::Poisoned } else { Mode::Refusing };
        let error = Arc::new(error);
        error!(from = from.0, through = through.0, %error, "commit failed");
        emit(Event::Failed { from, through, error: error.clone() });
        if self.mode == Mode::Poisoned {
            emit(Event::Poisoned { error });
        }
    }

    /// Writes a relaxed commit if that takes no waiting, and reports it. Otherwise nothing has happened, not even a report: it has to be committed as a
    /// group, which also tells what is wrong with it.
    pub(super) fn commit_at_once(&mut self, commit: &Commit, emit: &mut dyn FnMut(Event)) -> bool {
        if self.mode != Mode::Open || commit.durability != Durability::Relaxed || self.is_purging() {
            return false;
        }
        let Ok(planned) = self.plan(std::slice::from_ref(commit)) else { return false };
        if planned.batch.is_empty() || !matches!(self.shared.write_at_once(&planned.batch), Ok(true)) {
            return false;
        }
        self.applied(planned);
        self.written = Some(commit.batch);
        self.unsynced = true;
        emit(Event::Written { through: commit.batch });
        true
    }

    fn plan(&self, group: &[Commit]) -> Result<Planned, Failure> {
        let mut plan = Plan::new(self.shared.kv(), &self.shared.numbers, &self.shared.secrets, self.counters);
        for (index, commit) in group.iter().enumerate() {
            for write in &commit.writes {
                plan.add(write).map_err(|error| Failure { index, error })?;
            }
        }
        Ok(plan.finish())
    }

    fn apply(&mut self, group: &[Commit], sync: bool) -> Result<(), Failure> {
        let planned = self.plan(group)?;
        let written = match (planned.batch.is_empty(), sync) {
            (false, sync) => self.shared.write(&planned.batch, sync),
            (true, true) => self.shared.sync(),
            (true, false) => Ok(()),
        };
        written.map_err(|error| Failure { index: 0, error: error.into() })?;
        self.applied(planned);
        Ok(())
    }

    fn applied(&mut self, planned: Planned) {
        self.counters = planned.counters;
        for thread in planned.removed {
            self.shared.numbers.forget(thread);
            self.purge.add(thread);
            self.purge_stalled = false;
        }
    }

    /// Syncs what was written, if anything was.
    pub(super) fn sync(&mut self, emit: &mut dyn FnMut(Event)) {
        if !self.has_unsynced() {
            return;
        }
        match self.shared.sync() {
            Ok(()) => {
                self.unsynced = false;
                if let Some(through) = self.written {
                    emit(Event::Synced { through });
                }
            }
            Err(failed @ (kv::Error::Sync(_) | kv::Error::Poisoned)) => {
                self.mode = Mode::Poisoned;
                let failed = Arc::new(Error::from(failed));
                error!(error = %failed, "sync failed");
                emit(Event::Poisoned { error: failed });
            }
            Err(failed) => warn!(error = %failed, "cannot sync for now"),
        }
    }

    /// The caller has seen the failure: what is submitted from here on does not build on it.
    pub(super) fn resume(&mut self) {
        self.purge_stalled = false;
        if self.mode == Mode::Refusing {
            self.mode = Mode::Open;
        }
    }

    /// Whether a step of a removal can be done.
    pub(super) fn is_purging(&self) -> bool {
        !self.purge.is_done() && !self.purge_stalled && self.mode == Mode::Open
    }

    /// One step of a removal. Not reported: a removed thread is gone since its commit.
    pub(super) fn purge_step(&mut self) {
        let result = self.purge.plan(self.shared.kv()).and_then(|step| {
            let Some(step) = step else { return Ok(()) };
            if !step.batch.is_empty() {
                self.shared.write(&step.batch, false)?;
            }
            if self.purge.done(step) && self.purge.is_done() {
                self.shared.kv().reclaim();
            }
            Ok(())
        });
        if let Err(error) = result {
            warn!(%error, "removal of a thread is interrupted");
            self.purge_stalled = true;
        }
    }
}

fn is_sync_failure(error: &Error) -> bool {
    matches!(error, Error::Store(store::Error::Kv(kv::Error::Sync(_) | kv::Error::Poisoned)))
}

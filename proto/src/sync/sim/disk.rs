//! A disk that commits in groups, syncs later, fails when told to, and forgets in a power cut what was not synced.

use std::{collections::VecDeque, time::Duration};

use super::{
    super::{
        effect::{BatchId, Durability, Lookup, Write},
        input::{Found, Input},
        log::Writer,
    },
    image::Image,
};
use crate::id::ThreadId;

/// How a disk behaves.
#[derive(Debug, Clone, Copy)]
pub struct DiskSettings {
    /// From handing over a batch until it is written.
    pub write: Duration,
    /// From there until it is synced.
    pub sync: Duration,
    /// Share of groups that fail.
    pub failures: f64,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self { write: Duration::from_micros(200), sync: Duration::from_millis(3), failures: 0.0 }
    }
}

struct Batch {
    id: BatchId,
    writes: Vec<Write>,
}

/// One node's disk.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) settings: DiskSettings,
    pub(super) written: Image,
    pub(super) synced: Image,
    queue: VecDeque<Batch>,
    unsynced: VecDeque<Batch>,
    /// Threads to be read once the batches before are settled.
    loads: VecDeque<(Option<BatchId>, ThreadId)>,
    newest: Option<BatchId>,
    failing: bool,
    /// The next write fails.
    pub(super) fail_next: bool,
    /// The next sync fails, and with it all that is asked of the disk from then on.
    pub(super) fail_sync: bool,
    /// The next reading of a thread's logs fails.
    pub(super) fail_load: bool,
    /// A sync has failed: nobody knows what is there, until the next start.
    poisoned: bool,
    /// An event for the next write, or sync, is in the simulation's queue.
    pub(super) writing: bool,
    pub(super) syncing: bool,
}

impl Disk {
    /// Takes a batch; after a failure it is dropped until [`resume`](Self::resume).
    pub(super) fn persist(&mut self, id: BatchId, _durability: Durability, writes: Vec<Write>) {
        assert!(self.newest < Some(id), "batches come in order");
        self.newest = Some(id);
        if !self.failing {
            // A poisoned disk takes it too, to refuse it in its turn.
            self.queue.push_back(Batch { id, writes });
        }
    }

    pub(super) fn resume(&mut self) {
        assert!(self.failing, "resumed without a failure");
        self.failing = false;
    }

    pub(super) fn load(&mut self, thread: ThreadId) {
        let after = self.unsettled().last();
        self.loads.push_back((after, thread));
    }

    fn unsettled(&self) -> impl DoubleEndedIterator<Item = BatchId> {
        self.unsynced.iter().chain(&self.queue).map(|batch| batch.id)
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Writes all that waits; `failing` is the position of the batch that fails.
    pub(super) fn write(&mut self, failing: Option<usize>) -> Vec<Input> {
        let mut through = None;
        let failing = if self.poisoned { Some(0) } else { failing };
        let good = failing.unwrap_or(usize::MAX).min(self.queue.len());
        for batch in self.queue.drain(..good) {
            batch.writes.iter().for_each(|write| self.written.apply(write));
            through = Some(batch.id);
            self.unsynced.push_back(batch);
        }
        let mut inputs: Vec<_> =
            through.map(|through| Input::Committed { through, synced: false }).into_iter().collect();
        if let Some(first) = self.queue.front() {
            self.failing = true;
            inputs.push(Input::CommitFailed { from: first.id, error: "no space left on device".to_owned() });
            self.queue.clear();
        }
        inputs
    }

    /// Makes durable what was written up to `through`.
    pub(super) fn sync(&mut self) -> Vec<Input> {
        if std::mem::take(&mut self.fail_sync) {
            (self.poisoned, self.failing) = (true, true);
            self.unsynced.clear();
            self.queue.clear();
            return vec![Input::CommitFailed { from: BatchId(0), error: "input/output error".to_owned() }];
        }
        let mut through = None;
        for batch in self.unsynced.drain(..) {
            batch.writes.iter().for_each(|write| self.synced.apply(write));
            through = Some(batch.id);
        }
        through.map(|through| Input::Committed { through, synced: true }).into_iter().collect()
    }

    /// The threads whose turn it is to be read.
    pub(super) fn ready_loads(&mut self) -> Vec<ThreadId> {
        let oldest = self.unsettled().next();
        let mut ready = Vec::new();
        while self
            .loads
            .front()
            .is_some_and(|(after, _)| oldest.is_none_or(|oldest| after.is_none_or(|after| after < oldest)))
        {
            ready.extend(self.loads.pop_front().map(|(_, thread)| thread));
        }
        ready
    }

    /// A power cut.
    pub(super) fn crash(&mut self) {
        let settings = self.settings;
        let synced = std::mem::take(&mut self.synced);
        *self = Self { settings, written: synced.clone(), synced, ..Self::default() };
    }

    pub(super) fn read(&mut self, thread: &ThreadId, writer: Option<&Writer>) -> Input {
        if std::mem::take(&mut self.fail_load) || self.poisoned {
            let logs = Err("input/output error".to_owned());
            return Input::Loaded { thread: thread.clone(), logs, writers: Vec::new() };
        }
        let image = self.written.threads.get(thread);
        let can_write = image.is_some_and(|image| image.state.keys.can_read());
        let writers = writer.filter(|_| can_write).cloned().into_iter().collect();
        let logs = image.map(super::image::ThreadImage::states).unwrap_or_default();
        Input::Loaded { thread: thread.clone(), logs: Ok(logs), writers }
    }

    pub(super) fn look_up(&self, thread: &ThreadId, lookup: &Lookup) -> Found {
        let image = self.written.threads.get(thread);
        match lookup {
            Lookup::Cids { log, from, until } => {
                let log = image.and_then(|image| image.logs.get(log));
                let until = log.map_or(0, |log| (*until).min(log.main.len() as u64));
                Found::Cids((*from..=until).filter_map(|counter| log?.at(counter)).collect())
            }
            Lookup::Inert { log, fork } => {
                let log = image.and_then(|image| image.logs.get(log));
                let (count, digest) = log.map_or((0, [0; 32]), |log| log.inert_digest(*fork));
                Found::Inert { count, digest }
            }
            Lookup::Wants => {
                let wants = image.into_iter().flat_map(|image| &image.wants);
                Found::Wants(wants.take(super::super::limits::MAX_WANTS).map(|(cid, log)| (*cid, *log)).collect())
            }
        }
    }
}

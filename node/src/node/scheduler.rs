//! When a thread's logs may be read back: only after everything that was handed to the store before is settled on disk.

use std::collections::VecDeque;

use spool_proto::{ThreadId, sync::BatchId};

/// Batches at the store that are neither synced nor refused, and the loads that wait for them.
#[derive(Default)]
pub(super) struct Scheduler {
    unsettled: VecDeque<BatchId>,
    loads: VecDeque<(BatchId, ThreadId)>,
    /// A batch was refused, and nothing was synced since.
    failing: bool,
}

impl Scheduler {
    pub(super) fn submitted(&mut self, batch: BatchId) {
        self.unsettled.push_back(batch);
    }

    /// A thread is to be read once all that was submitted so far is settled.
    pub(super) fn load(&mut self, thread: ThreadId) {
        let last = self.unsettled.back().copied().unwrap_or_default();
        self.loads.push_back((last, thread));
    }

    pub(super) fn synced(&mut self, through: BatchId) {
        self.failing = false;
        while self.unsettled.front().is_some_and(|batch| *batch <= through) {
            self.unsettled.pop_front();
        }
    }

    /// These were not applied and never will be.
    pub(super) fn failed(&mut self, from: BatchId) {
        self.failing = true;
        while self.unsettled.back().is_some_and(|batch| *batch >= from) {
            self.unsettled.pop_back();
        }
    }

    /// The loads that would wait until the disk works again: behind batches that are written and, while it refuses writes, may not be synced
    /// for long. Whoever waits for them is to be told rather than left waiting.
    pub(super) fn stuck(&mut self) -> Vec<ThreadId> {
        if !self.failing || self.unsettled.is_empty() {
            return Vec::new();
        }
        self.loads.drain(..).map(|(_, thread)| thread).collect()
    }

    /// The loads that may go ahead now.
    pub(super) fn ready(&mut self) -> Vec<ThreadId> {
        let oldest = self.unsettled.front().copied();
        let mut ready = Vec::new();
        while let Some((after, _)) = self.loads.front() {
            if oldest.is_some_and(|oldest| oldest <= *after) {
                break;
            }
            ready.extend(self.loads.pop_front().map(|(_, thread)| thread));
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use spool_proto::id::Variant;

    use super::*;

    #[test]
    fn a_load_waits_for_what_was_submitted_before_it() {
        let thread = ThreadId::new(Variant::Raw, [1; 32]);
        let mut scheduler = Scheduler::default();
        scheduler.load(thread.clone());
        assert_eq!(scheduler.ready(), std::slice::from_ref(&thread));
        scheduler.submitted(BatchId(1));
        scheduler.submitted(BatchId(2));
        scheduler.load(thread.clone());
        scheduler.submitted(BatchId(3));
        scheduler.synced(BatchId(1));
        assert!(scheduler.ready().is_empty());
        scheduler.failed(BatchId(2));
        assert_eq!(scheduler.ready(), [thread]);
    }

    #[test]
    fn a_load_behind_what_a_failing_disk_has_not_synced_is_given_back() {
        let thread = ThreadId::new(Variant::Raw, [1; 32]);
        let mut scheduler = Scheduler::default();
        scheduler.submitted(BatchId(1));
        scheduler.submitted(BatchId(2));
        scheduler.load(thread.clone());
        assert!(scheduler.stuck().is_empty());
        scheduler.failed(BatchId(2));
        assert!(scheduler.ready().is_empty());
        assert_eq!(scheduler.stuck(), std::slice::from_ref(&thread));
        scheduler.synced(BatchId(1));
        scheduler.load(thread.clone());
        assert!(scheduler.stuck().is_empty());
        assert_eq!(scheduler.ready(), [thread]);
    }
}

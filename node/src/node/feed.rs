//! What the store's writer reports, on its way to the engine: never blocks the writer, never grows beyond what it was given to commit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use spool_store::commit::Event;
use tokio::sync::Notify;

/// Events of the committer in order. Watermarks of the same kind that follow each other are one.
#[derive(Clone, Default)]
pub(super) struct Feed(Arc<Shared>);

#[derive(Default)]
struct Shared {
    events: Mutex<VecDeque<Event>>,
    arrived: Notify,
}

impl Feed {
    /// Called on the writer's thread.
    pub(super) fn push(&self, event: Event) {
        let mut events = self.0.events.lock().unwrap_or_else(PoisonError::into_inner);
        match (events.back_mut(), &event) {
            (Some(Event::Synced { through }), Event::Synced { through: newer })
            | (Some(Event::Written { through }), Event::Written { through: newer }) => *through = *newer,
            _ => events.push_back(event),
        }
        drop(events);
        self.0.arrived.notify_one();
    }

    /// Waits until there is an event. Safe to drop and call again.
    pub(super) async fn arrived(&self) {
        loop {
            let notified = self.0.arrived.notified();
            if !self.0.events.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// All events so far, oldest first.
    pub(super) fn take(&self) -> VecDeque<Event> {
        std::mem::take(&mut *self.0.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use spool_proto::sync::BatchId;

    use super::*;

    #[tokio::test]
    async fn watermarks_are_merged_and_order_is_kept() {
        let feed = Feed::default();
        for through in 1..=3 {
            feed.push(Event::Synced { through: BatchId(through) });
        }
        feed.push(Event::Written { through: BatchId(4) });
        feed.push(Event::Synced { through: BatchId(4) });
        feed.arrived().await;
        let events = feed.take();
        assert_eq!(events.len(), 3);
        assert!(matches!(events[0], Event::Synced { through: BatchId(3) }));
        assert!(matches!(events[1], Event::Written { through: BatchId(4) }));
    }
}

//! The events of a view, as it has folded them, and none that came later.

use std::{collections::BTreeMap, sync::Arc};

use spool_proto::{LogId, clock::Time, event::CitedHead, owner::Author};
use spool_store::view::Reader;

use crate::{
    projector::{self, Positions},
    source::{Body, Error, Event, Page, Record, Source},
};

/// Reads as if nothing had come after a state of a view.
pub(super) struct Bounded {
    source: Arc<dyn Source>,
    ends: Positions,
    /// Events by log, sorted, that the view has passed over: because their bodies were not here then, and ...
    missing: BTreeMap<LogId, Vec<u64>>,
    /// ... because they cite something later that was here and not folded yet, or because they are to be judged.
    void: BTreeMap<LogId, Vec<u64>>,
}

impl Bounded {
    pub(super) fn new(source: Arc<dyn Source>, reader: &Reader<'_>, ends: Positions) -> Result<Self, projector::Error> {
        let missing = projector::missing_bodies(reader)?;
        let mut void = projector::void_because_of_unfolded(reader, &ends)?;
        for (log, counters) in projector::unjudged(reader)? {
            void.entry(log).or_default().extend(counters);
        }
        void.values_mut().for_each(|counters| counters.sort_unstable());
        Ok(Self { source, ends, missing, void })
    }

    fn end(&self, log: &LogId) -> u64 {
        self.ends.get(log).copied().unwrap_or(0)
    }
}

fn contains(events: &BTreeMap<LogId, Vec<u64>>, log: &LogId, counter: u64) -> bool {
    events.get(log).is_some_and(|counters| counters.binary_search(&counter).is_ok())
}

impl Source for Bounded {
    fn logs(&self) -> Result<Vec<(LogId, u64)>, Error> {
        Ok(self.ends.iter().map(|(log, end)| (*log, *end)).collect())
    }

    fn fork(&self, log: &LogId) -> Result<Option<u64>, Error> {
        self.source.fork(log)
    }

    fn records(&self, log: &LogId, after: u64, until: u64, page: Page) -> Result<Vec<Record>, Error> {
        let mut records = self.source.records(log, after, until.min(self.end(log)), page)?;
        for record in &mut records {
            let Event::Open { body, .. } = &mut record.event else { continue };
            if contains(&self.missing, log, record.counter) {
                *body = Body::Missing;
            } else if contains(&self.void, log, record.counter) {
                *body = Body::None;
            }
        }
        Ok(records)
    }

    fn time_of(&self, head: &CitedHead) -> Result<Option<Time>, Error> {
        if head.counter > self.end(&head.log) { Ok(None) } else { self.source.time_of(head) }
    }

    fn author(&self, log: &LogId) -> Result<Option<Author>, Error> {
        self.source.author(log)
    }
}

//! How far a log has been folded, and what was read ahead of that.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
};

use spool_proto::{LogId, clock::Time};
use spool_store::view::Reader;

use super::{Error, Why, keys};
use crate::source::{Event, Page, Record, Source};

/// One log's place in a view.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The last record that was folded, or passed over for good.
    pub(super) counter: u64,
    /// The greatest time of any event up to there.
    time: Time,
    /// What follows, as far as it was read.
    pub(super) buffer: VecDeque<Record>,
    /// The log has more than the buffer.
    beyond: bool,
    /// It has moved since it was written.
    pub(super) moved: bool,
}

impl Cursor {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.counter.to_be_bytes(), self.time.as_u64().to_be_bytes()].concat()
    }

    /// Goes back to where the log was forked. The time stays: nothing will follow in this log.
    pub(super) fn rewind(&mut self, counter: u64) {
        self.counter = counter;
        self.moved = true;
        self.forget();
    }

    /// The greatest time of any event up to there.
    pub(super) fn time(&self) -> Time {
        self.time
    }

    pub(super) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// Reads on when nothing is at hand.
    pub(super) fn fill(&mut self, log: &LogId, until: u64, page: Page, source: &dyn Source) -> Result<(), Error> {
        // A log that was forked meanwhile ends earlier.
        self.buffer.retain(|record| record.counter <= until);
        if self.buffer.is_empty() {
            self.buffer = source.records(log, self.counter, until, page)?.into();
        }
        self.beyond = self.buffer.back().is_some_and(|last| last.counter < until);
        Ok(())
    }

    /// Bytes of the bodies that were read ahead.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.iter().map(Record::body_bytes).sum()
    }

    /// Why the next event cannot be folded now.
    pub(super) fn waits(&self, now_millis: u64) -> Option<Why> {
        match &self.buffer.front()?.event {
            Event::Open { time, .. } if time.is_ahead_of(now_millis) => Some(Why::Ahead(*time)),
            Event::Sealed => Some(Why::Key),
            Event::Open { .. } | Event::Broken => None,
        }
    }

    /// Whether another step would get further.
    pub(super) fn has_more(&self, until: u64) -> bool {
        self.counter < until && !self.buffer.is_empty()
    }

    /// The time up to which the log is known, if there is more of it than is at hand. The greatest, since whoever breaks the rule that times grow
    /// must not hold up its log, and with it all others.
    pub(super) fn read_to(&self) -> Option<Time> {
        let time = |record: &Record| match record.event {
            Event::Open { time, .. } => Some(time),
            Event::Broken | Event::Sealed => None,
        };
        if self.beyond { self.buffer.iter().filter_map(time).max() } else { None }
    }

    /// The next record up to a time, with the greatest time before it in its log.
    pub(super) fn next(&mut self, now_millis: u64, limit: Option<Time>) -> Option<(Record, Time)> {
        if self.waits(now_millis).is_some() {
            return None;
        }
        if let (Some(limit), Event::Open { time, .. }) = (limit, &self.buffer.front()?.event)
            && *time > limit
        {
            return None;
        }
        let record = self.buffer.pop_front()?;
        let above = self.time;
        self.counter = record.counter;
        self.moved = true;
        if let Event::Open { time, .. } = record.event {
            self.time = above.max(time);
        }
        Some((record, above))
    }
}

/// All cursors of a view.
pub(super) fn load(reader: &Reader<'_>) -> Result<BTreeMap<LogId, Cursor>, Error> {
    let mut cursors = BTreeMap::new();
    let mut damaged = false;
    reader.scan_prefix(keys::CURSORS, &mut |key, value| {
        let cursor = keys::log(key).zip(value.split_first_chunk::<8>());
        let Some((log, (counter, time))) = cursor else {
            damaged = true;
            return ControlFlow::Break(());
        };
        let Ok(time) = keys::number(time) else {
            damaged = true;
            return ControlFlow::Break(());
        };
        let cursor = Cursor { counter: u64::from_be_bytes(*counter), time: Time::from_u64(time), ..Cursor::default() };
        cursors.insert(log, cursor);
        ControlFlow::Continue(())
    })?;
    if damaged { Err(Error::Damaged("a cursor")) } else { Ok(cursors) }
}

//! Reads the logs of a thread by cursor and hands their events to a reducer, in batches that move view and cursor together.
//!
//! Whether an event counts depends on the set of records only, never on the order in which they came:
//!
//! - records at or after a fork do not count, and neither do events that do not open;
//! - the time of an event is above that of the event before it in its log, and above that of every record that it cites and that counts.
//!   An event that turns out to cite something later than itself is taken back when that arrives, and counts again if that ceases to count;
//! - an event far ahead of the local clock is held back, and with it the rest of its log, until its time has come.
//!
//! An event whose body has not arrived is passed over and folded in when it has. One that a rule may deny waits until it is judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use bytes::Bytes;
use spool_proto::{LogId, clock::Time};
use spool_store::{
    View,
    view::{Batch, Reader},
};

use crate::{
    Stamp,
    limits::{
        BATCH_EVENTS, PAST_PATIENCE_MILLIS, READ_AHEAD_BYTES, READ_BYTES, READ_EVENTS, READ_LOGS, REBUILD_KEYS,
        RETRIED_EVENTS,
    },
    source::{self, Body, Event, Page, Record, Source},
};

mod cursor;
mod judge;
mod judging;
mod keys;
mod passed;
mod progress;
mod rules;
mod step;

use cursor::Cursor;
pub(crate) use keys::DENIED;
pub(crate) use passed::{Positions, missing_bodies, positions, void_because_of_unfolded};
pub use progress::{Held, Progress, Why};
pub use rules::{Denial, Denied, Past, Ruling};
use rules::{Judged, Moment, Rules};
pub(crate) use rules::{Verdict, denied, denied_record, unjudged, verdict};
use step::{Fold, Step, missing, read_one};

/// Folds events into a view. Pure: the same events give the same view, in whatever order and batches they come.
pub trait Reducer: Send {
    /// To be increased when the program learns to understand more events, or folds them otherwise.
    fn version(&self) -> u64;

    /// A key that stays when everything is folded anew.
    fn lasting_key(&self) -> &'static [u8];

    /// The view was opened, or is empty.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn opened(&mut self, reader: &Reader<'_>) -> Result<(), Error>;

    /// Whether some events are judged.
    fn has_rules(&self) -> bool;

    /// Tells events that are folded in at once from those that are judged before. All are in their total order.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn sort_out(&mut self, added: Vec<Added>, batch: &mut Batch) -> Result<(Vec<Added>, Vec<Added>), Error>;

    /// Some of those events that were folded in before it was known that they are judged; none if there are no more.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn folded_before(&mut self, reader: &Reader<'_>, batch: &mut Batch) -> Result<Option<Vec<Stamp>>, Error>;

    /// Judges an event by its past, all of which is folded in; and how many documents it had to judge. `is_folded` says whether the event is, too.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn judge(
        &mut self,
        event: &Added,
        is_folded: bool,
        past: &Past<'_>,
        source: &dyn Source,
    ) -> Result<(Ruling, usize), Error>;

    /// Folds a batch of events in, and takes others back. Keys of the view are the reducer's own, but for those that begin with a zero.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing was folded then.
    fn reduce(&mut self, input: Input<'_>, batch: &mut Batch) -> Result<(), Error>;

    /// Does a bounded part of what is left to do in the view, if anything; nothing else is in the batch. Returns whether there was something.
    ///
    /// # Errors
    ///
    /// [`Error`].
    fn work(&mut self, reader: &Reader<'_>, batch: &mut Batch) -> Result<bool, Error>;

    /// The batch is written.
    fn committed(&mut self);

    /// The batch was not written: what memory has of it is void.
    fn aborted(&mut self);
}

/// What a reducer is given.
pub struct Input<'a> {
    /// The view as it is before the batch.
    pub reader: &'a Reader<'a>,
    /// To read older events again.
    pub source: &'a dyn Source,
    /// New events, in their total order.
    pub added: Vec<Added>,
    /// Events that do not count any more, in their total order. Some may never have been folded in.
    pub removed: Vec<Added>,
}

/// An event with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Where it stands.
    pub stamp: Stamp,
    /// What it says.
    pub body: Bytes,
}

/// Why events cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They cannot be read.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The view cannot be read or written.
    #[error("the view of the thread")]
    Store(#[from] spool_store::Error),
    /// The view is not what this program has written.
    #[error("the view is damaged ({0}) and has to be rebuilt; its events are whole")]
    Damaged(&'static str),
    /// A newer program has written it.
    #[error("the view is of version {found}, newer than this program's {known}: use a newer spool, or rebuild it")]
    Newer {
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
}

/// Keeps one view up to date. There is only one of each view.
pub struct Projector<R> {
    view: View,
    source: Arc<dyn Source>,
    reducer: R,
    cursors: BTreeMap<LogId, Cursor>,
    /// Logs whose coming records are cited by events that were folded in.
    awaited: BTreeSet<[u8; 32]>,
    /// Events without their bodies.
    missing: usize,
    /// Where to go on looking for bodies that have arrived; and to begin anew then, since more have arrived meanwhile.
    retry: Option<Vec<u8>>,
    retry_again: bool,
    rules: Rules,
    patience_millis: u64,
}

impl<R: Reducer> Projector<R> {
    /// Takes a view up where it was left. One that an older program has folded without understanding everything is folded anew.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn open(view: View, source: Arc<dyn Source>, reducer: R) -> Result<Self, Error> {
        let mut projector = Self {
            view,
            source,
            reducer,
            cursors: BTreeMap::new(),
            awaited: BTreeSet::new(),
            missing: 0,
            retry: None,
            retry_again: false,
            rules: Rules::default(),
            patience_millis: PAST_PATIENCE_MILLIS,
        };
        projector.load()?;
        Ok(projector)
    }

    fn load(&mut self) -> Result<(), Error> {
        let known = self.reducer.version();
        let found = self.view.reader().get(keys::VERSION)?;
        match found.map(|found| keys::number(&found)).transpose()? {
            None => {
                let mut batch = Batch::default();
                batch.put(keys::VERSION, known.to_be_bytes().to_vec());
                self.view.write(batch)?;
            }
            Some(found) if found > known => return Err(Error::Newer { found, known }),
            Some(found) if found < known => return self.rebuild(),
            Some(_) => {}
        }
        let reader = self.view.reader();
        self.reducer.opened(&reader)?;
        self.rules = Rules::load(&reader, self.reducer.has_rules())?;
        self.cursors = cursor::load(&reader)?;
        self.awaited = judge::awaited(&reader)?;
        self.missing = 0;
        reader.scan_prefix(keys::MISSING, &mut |_, _| {
            self.missing += 1;
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// Drops the view; it is folded anew from then on.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn rebuild(&mut self) -> Result<(), Error> {
        while self.view.clear(REBUILD_KEYS, self.reducer.lasting_key())? {}
        self.reducer.aborted();
        (self.cursors, self.awaited, self.missing) = Default::default();
        (self.retry, self.retry_again) = Default::default();
        self.load()
    }

    /// Judges at once, without what is missing then.
    pub(crate) fn without_patience(mut self) -> Self {
        self.patience_millis = 0;
        self
    }

    /// Reads with these keys from now on.
    pub fn set_source(&mut self, source: Arc<dyn Source>) {
        self.source = source;
        self.cursors.values_mut().for_each(Cursor::forget);
    }

    /// The reducer, to be changed in what it does not fold.
    pub fn reducer_mut(&mut self) -> &mut R {
        &mut self.reducer
    }

    /// How far each log has been folded.
    pub fn positions(&self) -> impl Iterator<Item = (LogId, u64)> {
        self.cursors.iter().map(|(log, cursor)| (*log, cursor.counter))
    }

    /// The greatest time of all events up to there.
    pub fn now(&self) -> Time {
        self.cursors.values().map(Cursor::time).max().unwrap_or_default()
    }

    /// How many records are folded in or passed over for good, and how many are here and count.
    ///
    /// # Errors
    ///
    /// [`Error::Source`].
    pub fn count(&self) -> Result<(u64, u64), Error> {
        Ok(self.count_in(&self.source.logs()?))
    }

    fn count_in(&self, logs: &[(LogId, u64)]) -> (u64, u64) {
        let folded = logs.iter().map(|(log, until)| self.folded(log).min(*until)).sum();
        (folded, logs.iter().map(|(_, until)| until).sum())
    }

    /// How far a log has been folded.
    fn folded(&self, log: &LogId) -> u64 {
        self.cursors.get(log).map_or(0, |cursor| cursor.counter)
    }

    /// Folds one batch. `now_millis` is the wall clock, milliseconds since 1970; `blocks_arrived` says that bodies that were missing may be here.
    ///
    /// # Errors
    ///
    /// [`Error`]; the view is as it was.
    pub fn step(&mut self, now_millis: u64, blocks_arrived: bool) -> Result<Progress, Error> {
        let result = self.try_step(now_millis, blocks_arrived);
        if result.is_err() {
            self.reducer.aborted();
            self.load()?;
        }
        result
    }

    fn try_step(&mut self, now_millis: u64, blocks_arrived: bool) -> Result<Progress, Error> {
        let (view, source) = (self.view.clone(), self.source.clone());
        let reader = view.reader();
        let logs = source.logs()?;
        let ends = logs.iter().copied().collect();
        let mut step = Step { reader: &reader, source: &*source, ends, fold: Fold::default(), batch: Batch::default() };
        for (log, until) in &logs {
            self.take_back(log, *until, now_millis, &mut step)?;
        }
        if blocks_arrived && self.missing > 0 {
            self.retry_again = self.retry.is_some();
            self.retry.get_or_insert_with(|| keys::MISSING.to_vec());
        }
        self.retry_missing(&mut step)?;
        let mut held = Vec::new();
        let more = self.read(&logs, now_millis, &mut held)?;
        self.fold(now_millis, &mut step)?;
        let Step { mut fold, mut batch, ends, .. } = step;
        let events = fold.added.len() + fold.removed.len();
        fold.added.sort_unstable_by_key(|added| added.stamp);
        fold.removed.sort_unstable_by_key(|removed| removed.stamp);
        fold.added = self.sort_out(fold.added, &mut batch)?;
        for (log, cursor) in self.cursors.iter_mut().filter(|(_, cursor)| cursor.moved) {
            batch.put(keys::cursor(log), cursor.to_bytes());
            cursor.moved = false;
        }
        self.rules.store(&mut batch);
        if !batch.is_empty() {
            let input = Input { reader: &reader, source: &*source, added: fold.added, removed: fold.removed };
            self.reducer.reduce(input, &mut batch)?;
            self.view.write(batch)?;
            self.reducer.committed();
        }
        let moment = Moment {
            reader: &reader,
            source: &*source,
            ends: &ends,
            folded: self.positions().collect(),
            now_millis,
            patience_millis: self.patience_millis,
            is_missing: self.missing > 0,
        };
        let more = self.judge(&moment, &mut held)? | more;
        let more = self.work(&reader)? || more || self.retry.is_some();
        if !more {
            self.list_missing(&reader, &mut held)?;
        }
        Ok(Progress { more, events, held, folded: self.count_in(&logs) })
    }

    fn work(&mut self, reader: &Reader<'_>) -> Result<bool, Error> {
        let mut batch = Batch::default();
        let worked = self.reducer.work(reader, &mut batch)?;
        if worked {
            self.view.write(batch)?;
        }
        Ok(worked)
    }

    /// A log ends earlier than it did: it was forked there. What cited those records is judged anew.
    fn take_back(&mut self, log: &LogId, until: u64, now_millis: u64, step: &mut Step<'_>) -> Result<(), Error> {
        let Some(cursor) = self.cursors.get_mut(log).filter(|cursor| cursor.counter > until) else { return Ok(()) };
        let (mut after, end) = (until, cursor.counter);
        cursor.rewind(until);
        while after < end {
            let page = Page { count: READ_EVENTS, bytes: READ_BYTES };
            let records = step.source.records(log, after, end, page)?;
            let Some(last) = records.last() else { break };
            after = last.counter;
            for record in records {
                let Some(stamp) = record.stamp(log) else { continue };
                judge::forget(&stamp, &record, step)?;
                self.rules.forget(log, record.counter, &mut step.batch);
                if step.delete_if_there(keys::missing(log, record.counter))? {
                    self.missing = self.missing.saturating_sub(1);
                }
                step.fold.remove(stamp, record);
            }
        }
        self.rules.trace_from(log, until + 1, step.reader)?;
        for stamp in judge::void_because_of(log, until, step.reader)? {
            step.batch.delete(keys::void(&stamp));
            let Some(citing) = stamp.log_id().filter(|log| stamp.counter <= step.end(log)) else { continue };
            self.rules.trace_from(&citing, stamp.counter, step.reader)?;
            if let Some(record) = read_one(step.source, &citing, stamp.counter)? {
                self.admit(&citing, record, now_millis, step)?;
            }
        }
        Ok(())
    }

    /// Fills the cursors' buffers; returns whether some log has more than fits.
    fn read(&mut self, logs: &[(LogId, u64)], now_millis: u64, held: &mut Vec<Held>) -> Result<bool, Error> {
        let behind: Vec<_> = logs.iter().filter(|(log, until)| self.folded(log) < *until).collect();
        let share = behind.len().clamp(1, READ_LOGS);
        let page = Page { count: (BATCH_EVENTS / share).clamp(1, READ_EVENTS), bytes: READ_BYTES / share };
        let (mut more, mut reading, mut bytes) = (false, 0, 0);
        for (log, until) in behind {
            // The others have their turn when these are done.
            if reading == READ_LOGS || bytes >= READ_AHEAD_BYTES {
                return Ok(true);
            }
            let cursor = self.cursors.entry(*log).or_default();
            cursor.fill(log, *until, page, &*self.source)?;
            match cursor.waits(now_millis) {
                Some(why) => {
                    held.push(Held { log: *log, counter: cursor.counter + 1, why });
                    cursor.forget();
                }
                None => {
                    reading += 1;
                    bytes += cursor.bytes();
                    more |= cursor.has_more(*until);
                }
            }
        }
        Ok(more)
    }

    /// Folds what was read, up to the time that all logs have been read to: what comes later is then rarely inserted before it.
    fn fold(&mut self, now_millis: u64, step: &mut Step<'_>) -> Result<(), Error> {
        let limit = self.cursors.values().filter_map(Cursor::read_to).min();
        let behind = self.cursors.iter().filter(|(_, cursor)| !cursor.buffer.is_empty());
        let logs: Vec<_> = behind.map(|(log, _)| *log).collect();
        for log in logs {
            while step.fold.has_room() {
                let Some(cursor) = self.cursors.get_mut(&log) else { break };
                let Some((record, above)) = cursor.next(now_millis, limit) else { break };
                self.rules.offer(&log, &record);
                let Some(stamp) = record.stamp(&log) else { continue };
                if self.awaited.contains(log.public_key()) {
                    for citing in judge::citing(&stamp, &record, step)? {
                        step.fold.take_back(citing, step.source)?;
                        self.make_void(&citing, step)?;
                    }
                }
                if stamp.time <= above {
                    step.batch.put(keys::void(&stamp), Bytes::new());
                } else {
                    self.admit(&log, record, now_millis, step)?;
                }
            }
        }
        Ok(())
    }

    /// Folds an event in, unless it cites something later or its body is not here.
    fn admit(&mut self, log: &LogId, record: Record, now_millis: u64, step: &mut Step<'_>) -> Result<(), Error> {
        let (Some(stamp), Event::Open { heads, body, .. }) = (record.stamp(log), &record.event) else { return Ok(()) };
        if let Some(cited) = judge::later(&stamp, heads, step, &mut self.awaited)? {
            step.batch.put(keys::void(&stamp), keys::cited(cited.log.public_key(), cited.counter));
        } else if *body == Body::Missing {
            step.batch.put(keys::missing(log, record.counter), now_millis.to_be_bytes().to_vec());
            self.missing += 1;
        } else {
            step.fold.add(stamp, record);
        }
        Ok(())
    }

    /// Bodies may have arrived: looks for some of them, and goes on from there in the next step. All have their turn, however many never come.
    fn retry_missing(&mut self, step: &mut Step<'_>) -> Result<(), Error> {
        let Some(from) = self.retry.take() else { return Ok(()) };
        let events = missing(step.reader, &from, RETRIED_EVENTS)?;
        if let Some((log, counter)) = events.last().filter(|_| events.len() == RETRIED_EVENTS) {
            self.retry = Some(keys::missing(log, counter + 1));
        } else if std::mem::take(&mut self.retry_again) {
            self.retry = Some(keys::MISSING.to_vec());
        }
        for (log, counter) in events {
            let record = read_one(step.source, &log, counter)?;
            let Some((stamp, record)) = record.and_then(|record| Some((record.stamp(&log)?, record))) else { continue };
            if counter > step.end(&log) || matches!(record.event, Event::Open { body: Body::Missing, .. }) {
                continue;
            }
            step.batch.delete(keys::missing(&log, counter));
            self.missing = self.missing.saturating_sub(1);
            if step.reader.get(&keys::void(&stamp))?.is_none() {
                step.fold.add(stamp, record);
                // Who has waited for too long was judged without it.
                self.rules.judge_after(&log, counter, step.reader)?;
            }
        }
        Ok(())
    }

    fn list_missing(&self, reader: &Reader<'_>, held: &mut Vec<Held>) -> Result<(), Error> {
        if self.missing > 0 {
            let missing = missing(reader, keys::MISSING, RETRIED_EVENTS)?;
            held.extend(missing.into_iter().map(|(log, counter)| Held { log, counter, why: Why::Body }));
        }
        Ok(())
    }
}

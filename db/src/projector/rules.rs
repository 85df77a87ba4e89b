//! Which events are to be judged, and what their writers had seen.
//!
//! The *past* of a record is what its log has before it, what it cites, and the past of all that. Of each log that is a beginning, so a past is one counter for each log.
//! What does not count is in nobody's past, and an event that is void brings in nothing that it cites. Only threads where a collection has, or had, a rule keep
//! pasts: of each record that cites something they keep what has become more, and now and then all of it.
//!
//! Events of collections with a rule wait until all of their past is folded here, and are judged in their order. When something of a past ceases to count or begins
//! to, what comes after it in any log is judged again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
};

use spool_proto::{LogId, clock::Time, event::CitedHead};
use spool_store::view::{Batch, Reader};

use super::{Error, Positions, keys};
use crate::{
    Stamp,
    limits::TRACED_AHEAD,
    source::{Event, Record, Source},
};

mod past;
mod trace;
mod verdicts;

pub use past::Past;
use past::{Fresh, Vector};
pub use verdicts::{Denial, Denied, Ruling};
pub(crate) use verdicts::{Judged, Verdict, denied, denied_record, unjudged, verdict};

/// How far a thread's events are judged.
#[derive(Default)]
pub(super) struct Rules {
    on: bool,
    logs: BTreeMap<LogId, Log>,
    /// By number.
    names: Vec<LogId>,
    numbers: BTreeMap<[u8; 32], usize>,
    /// Logs that may have events to be judged.
    waiting: BTreeSet<LogId>,
    /// Logs of which something that is cited was not here.
    skipped: BTreeSet<LogId>,
}

/// How far one log is judged.
#[derive(Default)]
struct Log {
    /// Its place in a past.
    number: usize,
    /// The last record whose past is known.
    known: u64,
    /// What is stored of pasts up to here, but beyond that, is not so any more.
    stale: u64,
    /// What there is to judge up to here is judged.
    judged: u64,
    /// The past of the last one.
    latest: Option<Vector>,
    /// How many changes were stored since the last whole past; none if that is not known.
    changes: Option<u8>,
    /// Records that follow.
    ahead: VecDeque<Ahead>,
    /// The record that waits for what it cites, and since when.
    blocked: Option<(u64, u64)>,
    /// How far the log was folded, and when.
    arrived: VecDeque<(u64, u64)>,
    moved: bool,
}

/// What there is to know of a record to find its past.
struct Ahead {
    counter: u64,
    stamp: Option<Stamp>,
    heads: Vec<CitedHead>,
}

impl Ahead {
    fn new(log: &LogId, record: &Record) -> Self {
        let heads = match &record.event {
            Event::Open { heads, .. } => heads.clone(),
            Event::Broken | Event::Sealed => Vec::new(),
        };
        Self { counter: record.counter, stamp: record.stamp(log), heads }
    }
}

/// What is the case while a step judges.
pub(super) struct Moment<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) source: &'a dyn Source,
    /// The last record of each log that counts.
    pub(super) ends: &'a BTreeMap<LogId, u64>,
    /// How far each log is folded.
    pub(super) folded: Positions,
    pub(super) now_millis: u64,
    pub(super) patience_millis: u64,
    /// Some bodies are missing.
    pub(super) is_missing: bool,
}

impl Moment<'_> {
    fn folded(&self, log: &LogId) -> u64 {
        self.folded.get(log).copied().unwrap_or(0)
    }
}

impl Rules {
    pub(super) fn load(reader: &Reader<'_>, on: bool) -> Result<Self, Error> {
        let mut rules = Self { on, ..Self::default() };
        if !on {
            return Ok(rules);
        }
        let damaged = Error::Damaged("how far a log is judged");
        let mut logs = Vec::new();
        reader.scan_prefix(keys::LOGS, &mut |key, value| {
            logs.push(keys::log(key).zip(Log::parse(value)));
            ControlFlow::Continue(())
        })?;
        let Some(logs) = logs.into_iter().collect::<Option<BTreeMap<_, _>>>() else { return Err(damaged) };
        let mut names: Vec<_> = logs.iter().map(|(id, log)| (log.number, *id)).collect();
        names.sort_unstable();
        if names.iter().enumerate().any(|(number, (found, _))| number != *found) {
            return Err(damaged);
        }
        rules.names = names.into_iter().map(|(_, id)| id).collect();
        rules.numbers = rules.names.iter().enumerate().map(|(number, id)| (*id.public_key(), number)).collect();
        rules.waiting = logs.keys().copied().collect();
        rules.logs = logs;
        reader.scan_prefix(keys::SKIPPED, &mut |key, _| {
            rules.skipped.extend(keys::log(key));
            ControlFlow::Continue(())
        })?;
        Ok(rules)
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    pub(super) fn switch_on(&mut self) {
        self.on = true;
    }

    /// The log, with a number of its own from now on.
    fn log(&mut self, id: &LogId) -> &mut Log {
        let (names, numbers) = (&mut self.names, &mut self.numbers);
        self.logs.entry(*id).or_insert_with(|| {
            names.push(*id);
            numbers.insert(*id.public_key(), names.len() - 1);
            Log { number: names.len() - 1, moved: true, ..Log::default() }
        })
    }

    /// The log of an event. To make one from its key takes longer than to judge.
    pub(super) fn id_of(&self, stamp: &Stamp) -> Option<LogId> {
        let known = self.numbers.get(&stamp.log).and_then(|number| self.names.get(*number));
        known.copied().or_else(|| stamp.log_id())
    }

    /// A record is folded: what it cites need not be read again.
    pub(super) fn offer(&mut self, id: &LogId, record: &Record) {
        if !self.on {
            return;
        }
        let log = self.log(id);
        let next = log.ahead.back().map_or(log.known, |last| last.counter) + 1;
        if record.counter == next && log.ahead.len() < TRACED_AHEAD {
            log.ahead.push_back(Ahead::new(id, record));
        }
    }

    /// An event is to be judged: for the first time, or though it was folded in before there was a rule.
    pub(super) fn enqueue(&mut self, stamp: &Stamp, id: &LogId, judged: Judged, batch: &mut Batch) {
        batch.put(keys::record(keys::JUDGED, id, stamp.counter), judged.to_bytes(stamp.time));
        self.waiting.insert(*id);
        let log = self.log(id);
        log.judged = log.judged.min(stamp.counter - 1);
        log.moved = true;
    }

    /// An event does not count any more.
    pub(super) fn forget(&mut self, id: &LogId, counter: u64, batch: &mut Batch) {
        if self.on {
            batch.delete(keys::record(keys::JUDGED, id, counter));
            batch.delete(keys::record(keys::DENIED, id, counter));
        }
    }

    /// What has a record in its past is to be judged again: it counts now, or does not any more.
    pub(super) fn judge_after(&mut self, id: &LogId, counter: u64, reader: &Reader<'_>) -> Result<(), Error> {
        if !self.on {
            return Ok(());
        }
        self.unjudge(id, counter);
        if !self.is_judged_after(id, counter, reader)? {
            return Ok(());
        }
        for (other, first) in self.first_after(id, counter, &Fresh::default(), reader)? {
            self.unjudge(&other, first - 1);
        }
        Ok(())
    }

    /// Whether anything that was judged has a record of another log in its past. Mostly not: what arrives late is waited for.
    fn is_judged_after(&self, id: &LogId, counter: u64, reader: &Reader<'_>) -> Result<bool, Error> {
        let Some(number) = self.numbers.get(id.public_key()) else { return Ok(false) };
        for (other, log) in self.logs.iter().filter(|(other, log)| *other != id && log.judged > 0) {
            let past = self.past(other, log.judged.min(log.known), &Fresh::default(), reader)?;
            if past.get(*number) >= counter {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The past of a record is another one: it is to be found again, and so is that of whatever has the record in its past.
    pub(super) fn trace_from(&mut self, id: &LogId, counter: u64, reader: &Reader<'_>) -> Result<(), Error> {
        if !self.on {
            return Ok(());
        }
        self.trace_again(id, counter, &mut Fresh::default(), reader)
    }

    fn trace_again(&mut self, id: &LogId, counter: u64, fresh: &mut Fresh, reader: &Reader<'_>) -> Result<(), Error> {
        for (other, first) in self.first_after(id, counter, fresh, reader)? {
            self.go_back(&other, first - 1, fresh);
        }
        self.go_back(id, counter - 1, fresh);
        Ok(())
    }

    fn unjudge(&mut self, id: &LogId, until: u64) {
        let log = self.log(id);
        if log.judged > until {
            log.judged = until;
            log.moved = true;
            self.waiting.insert(*id);
        }
    }

    fn go_back(&mut self, id: &LogId, until: u64, fresh: &mut Fresh) {
        fresh.cut(id, until);
        let log = self.log(id);
        // What was read ahead of a fork may be of the other branch.
        log.ahead.clear();
        if log.known > until {
            log.stale = log.stale.max(log.known);
            log.known = until;
            (log.latest, log.changes, log.blocked) = (None, None, None);
            log.moved = true;
        }
        self.unjudge(id, until);
    }

    /// Writes what has moved.
    pub(super) fn store(&mut self, batch: &mut Batch) {
        for (id, log) in self.logs.iter_mut().filter(|(_, log)| log.moved) {
            batch.put([keys::LOGS, id.public_key()].concat(), log.to_bytes());
            log.moved = false;
        }
    }
}

impl Log {
    /// The log is folded up to here.
    fn arrive(&mut self, folded: u64, now_millis: u64) {
        let known = self.known;
        self.arrived.retain(|(until, _)| *until > known && *until <= folded);
        if self.arrived.back().is_some_and(|(until, _)| *until == folded) || folded <= known {
            return;
        }
        let is_full = self.arrived.len() >= TRACED_AHEAD;
        match self.arrived.back_mut() {
            // Those wait a little shorter.
            Some((until, _)) if is_full => *until = folded,
            Some(_) | None => self.arrived.push_back((folded, now_millis)),
        }
    }

    /// Since when a record is here, as far as is known since the start.
    fn arrived(&self, counter: u64, now_millis: u64) -> u64 {
        let arrival = self.arrived.iter().find(|(until, _)| *until >= counter);
        arrival.map_or(now_millis, |(_, since)| (*since).min(now_millis))
    }

    fn to_bytes(&self) -> Vec<u8> {
        [self.number as u64, self.known, self.stale, self.judged].map(u64::to_be_bytes).concat()
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let mut numbers = value.chunks_exact(8).filter_map(|number| keys::number(number).ok());
        let mut next = || numbers.next();
        let (number, known, stale, judged) = (next()?, next()?, next()?, next()?);
        Some(Self { number: usize::try_from(number).ok()?, known, stale, judged, ..Self::default() })
    }
}

/// A time, and what follows it.
fn split_time(value: &[u8]) -> Option<(Time, &[u8])> {
    let (time, rest) = value.split_first_chunk::<8>()?;
    Some((Time::from_u64(u64::from_be_bytes(*time)), rest))
}

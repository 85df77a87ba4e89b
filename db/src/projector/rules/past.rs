//! What a record's writer had seen: of each log how much.

use std::{collections::BTreeMap, ops::ControlFlow};

use spool_proto::LogId;
use spool_store::view::Reader;

use super::{Error, Rules, keys};
use crate::Stamp;

/// Bytes of a log's number and a counter.
const ENTRY: usize = 12;
/// What a past begins with that is kept whole, and one that has only what is more than before.
const WHOLE: u8 = 0;
const CHANGE: u8 = 1;

/// One counter for each log, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Vector(Vec<u64>);

impl Vector {
    pub(super) fn get(&self, number: usize) -> u64 {
        self.0.get(number).copied().unwrap_or(0)
    }

    pub(super) fn raise(&mut self, number: usize, counter: u64) {
        if self.0.len() <= number {
            self.0.resize(number + 1, 0);
        }
        self.0[number] = self.0[number].max(counter);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other
            .0
            .iter()
            .enumerate()
            .filter(|(_, counter)| **counter > 0)
            .for_each(|(number, counter)| self.raise(number, *counter));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied().enumerate().filter(|(_, counter)| *counter > 0)
    }

    /// What it has beyond another one, but for one log; or all of it.
    pub(super) fn to_bytes(&self, beyond: Option<&Self>, but: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![if beyond.is_some() { CHANGE } else { WHOLE }];
        for (number, counter) in self.iter().filter(|(number, _)| *number != but) {
            if beyond.is_none_or(|beyond| beyond.get(number) != counter) {
                bytes.extend((number as u32).to_be_bytes());
                bytes.extend(counter.to_be_bytes());
            }
        }
        (bytes.len() > 1).then_some(bytes)
    }

    pub(super) fn is_beyond(&self, other: &Self, but: usize) -> bool {
        self.iter().any(|(number, counter)| number != but && other.get(number) != counter)
    }
}

/// What is kept of the past of a record.
struct Kept {
    counter: u64,
    /// It is all of it; else what is more than before.
    is_whole: bool,
    entries: Vec<(usize, u64)>,
}

fn parse(counter: u64, value: &[u8]) -> Result<Kept, Error> {
    let damaged = Error::Damaged("what a record's writer had seen");
    let Some((kind, entries)) = value.split_first().filter(|(_, entries)| entries.len() % ENTRY == 0) else {
        return Err(damaged);
    };
    let entries = entries.chunks_exact(ENTRY).filter_map(|entry| {
        let (number, counter) = entry.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*number) as usize, keys::number(counter).ok()?))
    });
    Ok(Kept { counter, is_whole: *kind == WHOLE, entries: entries.collect() })
}

/// Pasts that were found and are not written yet.
#[derive(Default)]
pub(super) struct Fresh {
    pub(super) found: BTreeMap<LogId, BTreeMap<u64, Vec<u8>>>,
    /// What is stored of a log, and still so, up to where.
    pub(super) stored: BTreeMap<LogId, u64>,
}

impl Fresh {
    pub(super) fn cut(&mut self, log: &LogId, until: u64) {
        if let Some(found) = self.found.get_mut(log) {
            found.split_off(&(until + 1));
        }
        if let Some(stored) = self.stored.get_mut(log) {
            *stored = until.min(*stored);
        }
    }
}

impl Rules {
    /// The past of a record that is known; nothing of one that is not.
    pub(super) fn past(&self, id: &LogId, counter: u64, fresh: &Fresh, reader: &Reader<'_>) -> Result<Vector, Error> {
        let Some(log) = self.logs.get(id) else { return Ok(Vector::default()) };
        let mut past = match &log.latest {
            Some(latest) if log.known == counter => latest.clone(),
            Some(_) | None => {
                let mut past = Vector::default();
                self.back(id, counter, fresh, reader, &mut |kept| {
                    kept.entries.iter().for_each(|(number, counter)| past.raise(*number, *counter));
                    if kept.is_whole { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                past
            }
        };
        past.raise(log.number, counter.saturating_sub(1));
        Ok(past)
    }

    /// What is kept of a log's pasts, back from a record.
    fn back(
        &self,
        id: &LogId,
        until: u64,
        fresh: &Fresh,
        reader: &Reader<'_>,
        visit: &mut dyn FnMut(&Kept) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        for (counter, value) in fresh.found.get(id).into_iter().flat_map(|found| found.range(..=until).rev()) {
            if visit(&parse(*counter, value)?).is_break() {
                return Ok(());
            }
        }
        let known = self.logs.get(id).map_or(0, |log| log.known);
        let until = until.min(fresh.stored.get(id).copied().unwrap_or(known));
        let mut result = Ok(());
        let from = keys::records(keys::PASTS, id);
        reader.scan_back(&from, &keys::record(keys::PASTS, id, until + 1), &mut |key, value| match parse(
            keys::counter(key).unwrap_or(0),
            value,
        ) {
            Ok(kept) => visit(&kept),
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        })?;
        result
    }

    /// The first record of each other log that has a record in its past. Pasts only grow along a log.
    pub(super) fn first_after(
        &self,
        id: &LogId,
        counter: u64,
        fresh: &Fresh,
        reader: &Reader<'_>,
    ) -> Result<Vec<(LogId, u64)>, Error> {
        let Some(number) = self.numbers.get(id.public_key()).copied() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (other, log) in self.logs.iter().filter(|(other, log)| *other != id && log.known > 0) {
            let mut first = None;
            self.back(other, log.known, fresh, reader, &mut |kept| {
                let seen = kept.entries.iter().find(|(other, _)| *other == number).map(|(_, seen)| *seen);
                if seen.is_some_and(|seen| seen >= counter) {
                    first = Some(kept.counter);
                }
                // A change does not tell of what stays.
                let is_before = seen.map_or(kept.is_whole, |seen| seen < counter);
                if is_before { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            found.extend(first.map(|first| (*other, first)));
        }
        Ok(found)
    }
}

/// What the writer of an event had seen.
pub struct Past<'a> {
    pub(super) vector: Vector,
    pub(super) rules: &'a Rules,
    pub(super) reader: &'a Reader<'a>,
}

impl<'a> Past<'a> {
    /// The view, in which all of it is folded.
    pub fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    /// How much of a log.
    pub fn of(&self, log: &[u8; 32]) -> u64 {
        self.rules.numbers.get(log).map_or(0, |number| self.vector.get(*number))
    }

    /// The log of an event.
    pub fn log(&self, stamp: &Stamp) -> Option<LogId> {
        self.rules.id_of(stamp)
    }

    /// What the writer of another event in this past had seen.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn before(&self, stamp: &Stamp) -> Result<Past<'_>, Error> {
        let vector = match self.log(stamp) {
            Some(log) => self.rules.past(&log, stamp.counter, &Fresh::default(), self.reader)?,
            None => Vector::default(),
        };
        Ok(Past { vector, rules: self.rules, reader: self.reader })
    }
}

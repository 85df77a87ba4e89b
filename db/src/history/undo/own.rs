//! The own log, read from its end backwards.

use spool_proto::LogId;
use spool_store::view::Reader;

use super::{Error, Scope};
use crate::{
    Stamp,
    documents::{events::ByTarget, keys},
    limits::{READ_BYTES, UNDO_READ_RECORDS, UNDO_RECORDS},
    operation::{Decoded, Reverts, Transaction},
    source::{Body, Event, Page, Record, Source},
};

/// A transaction of the own log.
pub(super) struct Own {
    pub(super) stamp: Stamp,
    pub(super) transaction: ByTarget,
}

pub(super) struct OwnLog<'a> {
    reader: &'a Reader<'a>,
    source: &'a dyn Source,
    log: LogId,
    /// Records before those that were read.
    before: u64,
    /// How many more are looked at.
    left: u64,
    /// Records that were read and not looked at, oldest first.
    read: Vec<Record>,
}

impl<'a> OwnLog<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, source: &'a dyn Source, log: &LogId) -> Result<Self, Error> {
        let logs = source.logs()?;
        let before = logs.iter().find(|(known, _)| known == log).map_or(0, |(_, until)| *until);
        Ok(Self { reader, source, log: *log, before, left: UNDO_RECORDS, read: Vec::new() })
    }

    /// The next older transaction that takes effect.
    pub(super) fn next(&mut self) -> Result<Option<Own>, Error> {
        self.next_from(0)
    }

    /// As [`next`](Self::next), but no further back than a record.
    pub(super) fn next_from(&mut self, oldest: u64) -> Result<Option<Own>, Error> {
        loop {
            let next = self.read.last().map_or(self.before, |record| record.counter);
            if next < oldest || next == 0 {
                return Ok(None);
            }
            match self.read.pop() {
                None => self.read_back()?,
                Some(record) => {
                    if let Some(own) = self.open(&record)? {
                        return Ok(Some(own));
                    }
                }
            }
        }
    }

    fn read_back(&mut self) -> Result<(), Error> {
        let count = self.before.min(self.left).min(UNDO_READ_RECORDS);
        if count == 0 {
            return Err(Error::TooFarBack);
        }
        let until = self.before;
        let mut after = until - count;
        self.before = after;
        self.left -= count;
        while after < until {
            let page = Page { count: usize::try_from(count).unwrap_or(usize::MAX), bytes: READ_BYTES };
            let records = self.source.records(&self.log, after, until, page)?;
            let Some(last) = records.last() else { break };
            after = last.counter;
            self.read.extend(records);
        }
        Ok(())
    }

    /// A transaction in a record, whether it takes effect or not; `None` if it holds something else.
    pub(super) fn at(&self, counter: u64) -> Result<Option<Own>, Error> {
        let page = Page { count: 1, bytes: 0 };
        let record = self.source.records(&self.log, counter.saturating_sub(1), counter, page)?.pop();
        record.map_or(Ok(None), |record| self.decode(&record))
    }

    fn decode(&self, record: &Record) -> Result<Option<Own>, Error> {
        let (Some(stamp), Event::Open { body: Body::Here(body), .. }) = (record.stamp(&self.log), &record.event) else {
            return Ok(None);
        };
        match Transaction::decode(body) {
            Ok(Decoded::Transaction(transaction)) => Ok(Some(Own { stamp, transaction: ByTarget::new(transaction) })),
            Ok(Decoded::Newer(_)) => Err(Error::Newer),
            Ok(Decoded::Other) | Err(_) => Ok(None),
        }
    }

    /// An event that the view has not folded in has changed nothing that could be taken back.
    fn open(&self, record: &Record) -> Result<Option<Own>, Error> {
        let Some(own) = self.decode(record)? else { return Ok(None) };
        let folded = match own.transaction.targets().next() {
            Some(target) => {
                let key = keys::event(target, &own.stamp);
                self.reader.get(&key).map_err(crate::projector::Error::from)?.is_some()
            }
            // An undo that found nothing left to take back.
            None => own.transaction.reverts.is_some(),
        };
        Ok(folded.then_some(own))
    }

    /// Whether a transaction is within a scope. An undo or redo is, if what it refers to is, though it may have found nothing left to take back.
    pub(super) fn touches(&self, event: &Own, scope: &Scope) -> Result<bool, Error> {
        if scope.is_touched(&event.transaction) {
            return Ok(true);
        }
        let (mut counter, mut reverts) = (event.stamp.counter, event.transaction.reverts);
        for _ in 0..UNDO_RECORDS {
            let Some(Reverts::Undo(older) | Reverts::Redo(older)) = reverts else { break };
            if older >= counter {
                break;
            }
            let Some(own) = self.at(older)? else { break };
            if scope.is_touched(&own.transaction) {
                return Ok(true);
            }
            (counter, reverts) = (older, own.transaction.reverts);
        }
        Ok(false)
    }
}

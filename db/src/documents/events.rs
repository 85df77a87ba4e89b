//! Transactions that were folded before, read again.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use super::read;
use crate::{
    Stamp,
    limits::{CACHED_EVENT_BYTES, CACHED_EVENTS},
    operation::{Change, Operation, Target, Transaction},
    projector::Error,
    source::{Body, Event, Page, Source},
};

/// Reads the events that histories name. The last ones are kept: one transaction often changes many documents.
pub(crate) struct Events<'a> {
    source: &'a dyn Source,
    read: BTreeMap<Stamp, (Arc<ByTarget>, usize)>,
    /// Of all that are kept.
    bytes: usize,
}

impl<'a> Events<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { source, read: BTreeMap::new(), bytes: 0 }
    }

    pub(crate) fn source(&self) -> &'a dyn Source {
        self.source
    }

    pub(crate) fn get(&mut self, stamp: &Stamp) -> Result<Arc<ByTarget>, Error> {
        if let Some((event, _)) = self.read.get(stamp) {
            return Ok(event.clone());
        }
        let lost = Error::Damaged("an event in the history of a document");
        let Some(log) = stamp.log_id() else { return Err(lost) };
        let page = Page { count: 1, bytes: 0 };
        let record = self.source.records(&log, stamp.counter - 1, stamp.counter, page)?.pop();
        let Some(Event::Open { body: Body::Here(body), .. }) = record.map(|record| record.event) else {
            return Err(lost);
        };
        let Some(transaction) = read(&body) else { return Err(lost) };
        let transaction = Arc::new(ByTarget::new(transaction));
        self.bytes += body.len();
        while self.read.len() >= CACHED_EVENTS || self.bytes > CACHED_EVENT_BYTES {
            let Some((_, (_, bytes))) = self.read.pop_first() else { break };
            self.bytes -= bytes;
        }
        self.read.insert(*stamp, (transaction.clone(), body.len()));
        Ok(transaction)
    }
}

/// A transaction that can be asked for the changes of one document: looking through all of them for each document would be
/// quadratic, and whoever writes events decides how many there are.
#[derive(Debug)]
pub(crate) struct ByTarget {
    transaction: Transaction,
    positions: BTreeMap<Target, Vec<u32>>,
}

impl ByTarget {
    pub(crate) fn new(transaction: Transaction) -> Self {
        let mut positions: BTreeMap<Target, Vec<u32>> = BTreeMap::new();
        for (index, operation) in (0..).zip(&transaction.operations) {
            if let Operation::Change(target, _) = operation {
                positions.entry(target.clone()).or_default().push(index);
            }
        }
        Self { transaction, positions }
    }

    /// The documents that it changes, each once.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.positions.keys()
    }

    /// The operations that change one document, with their positions among all.
    pub(crate) fn operations(&self, target: &Target) -> impl Iterator<Item = (u32, &Operation)> {
        let positions = self.positions.get(target).into_iter().flatten();
        positions.filter_map(|index| Some((*index, self.transaction.operations.get(*index as usize)?)))
    }

    /// The changes of one document, with their positions among all operations.
    pub(crate) fn changes(&self, target: &Target) -> impl Iterator<Item = (u32, &Change)> {
        self.operations(target).filter_map(|(index, operation)| match operation {
            Operation::Change(_, change) => Some((index, change)),
            Operation::Unknown(_) => None,
        })
    }
}

impl Deref for ByTarget {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

//! Transactions that were folded before, read again.

use std::{collections::BTreeMap, sync::Arc};

use super::read;
use crate::{
    Stamp,
    limits::CACHED_EVENTS,
    operation::{Change, Operation, Target, Transaction},
    projector::Error,
    source::{Body, Event, Page, Source},
};

/// Reads the events that histories name. The last ones are kept: one transaction often changes many documents.
pub(crate) struct Events<'a> {
    source: &'a dyn Source,
    read: BTreeMap<Stamp, Arc<Transaction>>,
}

impl<'a> Events<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { source, read: BTreeMap::new() }
    }

    pub(crate) fn source(&self) -> &'a dyn Source {
        self.source
    }

    pub(crate) fn get(&mut self, stamp: &Stamp) -> Result<Arc<Transaction>, Error> {
        if let Some(event) = self.read.get(stamp) {
            return Ok(event.clone());
        }
        let lost = Error::Damaged("an event in the history of a document");
        let Some(log) = stamp.log_id() else { return Err(lost) };
        let page = Page { count: 1, bytes: 0 };
        let record = self.source.records(&log, stamp.counter - 1, stamp.counter, page)?.pop();
        let Some(Event::Open { body: Body::Here(body), .. }) = record.map(|record| record.event) else {
            return Err(lost);
        };
        let (Some(transaction), _) = read(&body) else { return Err(lost) };
        let transaction = Arc::new(transaction);
        if self.read.len() >= CACHED_EVENTS {
            self.read.pop_first();
        }
        self.read.insert(*stamp, transaction.clone());
        Ok(transaction)
    }
}

/// The changes that a transaction makes to one document, with their positions in it.
pub(crate) fn changes<'a>(
    transaction: &'a Transaction,
    target: &'a Target,
) -> impl Iterator<Item = (u32, &'a Change)> + 'a {
    (0..).zip(&transaction.operations).filter_map(move |(index, operation)| match operation {
        Operation::Change(changed, change) if changed == target => Some((index, change)),
        Operation::Change(..) | Operation::Unknown(_) => None,
    })
}

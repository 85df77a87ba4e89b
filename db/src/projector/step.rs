//! What one step has read, and what it hands to the reducer.

use std::{collections::BTreeMap, ops::ControlFlow};

use spool_proto::LogId;
use spool_store::view::{Batch, Reader, after_prefix};

use super::{Added, Error, keys};
use crate::{
    Stamp,
    limits::{BATCH_BYTES, BATCH_EVENTS},
    source::{Body, Event, Page, Record, Source},
};

/// One step in the making.
pub(super) struct Step<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) source: &'a dyn Source,
    /// The last record of each log that counts.
    pub(super) ends: BTreeMap<LogId, u64>,
    pub(super) fold: Fold,
    pub(super) batch: Batch,
}

impl Step<'_> {
    pub(super) fn end(&self, log: &LogId) -> u64 {
        self.ends.get(log).copied().unwrap_or(0)
    }

    pub(super) fn delete_if_there(&mut self, key: Vec<u8>) -> Result<bool, Error> {
        let there = self.reader.get(&key)?.is_some();
        if there {
            self.batch.delete(key);
        }
        Ok(there)
    }
}

/// What a step gives to the reducer.
#[derive(Default)]
pub(super) struct Fold {
    pub(super) added: Vec<Added>,
    pub(super) removed: Vec<Added>,
    bytes: usize,
}

impl Fold {
    pub(super) fn has_room(&self) -> bool {
        self.added.len() < BATCH_EVENTS && self.bytes < BATCH_BYTES
    }

    pub(super) fn add(&mut self, stamp: Stamp, record: Record) {
        if let Event::Open { body: Body::Here(body), .. } = record.event {
            self.bytes += body.len();
            self.added.push(Added { stamp, body });
        }
    }

    pub(super) fn remove(&mut self, stamp: Stamp, record: Record) {
        if let Event::Open { body: Body::Here(body), .. } = record.event {
            self.bytes += body.len();
            self.removed.push(Added { stamp, body });
        }
    }

    /// An event has turned out to cite something later than itself.
    pub(super) fn take_back(&mut self, stamp: Stamp, source: &dyn Source) -> Result<(), Error> {
        if let Some(at) = self.added.iter().position(|added| added.stamp == stamp) {
            self.added.swap_remove(at);
            return Ok(());
        }
        let Some(log) = stamp.log_id() else { return Ok(()) };
        if let Some(record) = read_one(source, &log, stamp.counter)? {
            self.remove(stamp, record);
        }
        Ok(())
    }
}

pub(super) fn read_one(source: &dyn Source, log: &LogId, counter: u64) -> Result<Option<Record>, Error> {
    let page = Page { count: 1, bytes: 0 };
    Ok(source.records(log, counter.saturating_sub(1), counter, page)?.pop())
}

pub(super) fn missing(reader: &Reader<'_>, from: &[u8], count: usize) -> Result<Vec<(LogId, u64)>, Error> {
    let mut found = Vec::new();
    reader.scan(from, &after_prefix(keys::MISSING), &mut |key, _| {
        found.extend(keys::log_and_counter(key));
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

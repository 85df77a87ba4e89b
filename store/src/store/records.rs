use std::ops::ControlFlow;

use bytes::Bytes;
use spool_proto::{Cid, KeyId, LogId, ThreadId, block, record::SealedRecord, sync::Head};

use super::{Error, Store};
use crate::{
    keys::{self, KEY_ID_BYTES},
    kv::Space,
};

/// How much of something to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Bytes of content. A first item larger than that is still delivered, alone.
    pub bytes: usize,
    /// Items.
    pub count: usize,
}

impl Page {
    /// Whether an item of `bytes` more goes beyond the page that already has `count` items of `sum` bytes.
    pub(super) fn exceeded_by(self, bytes: usize, count: usize, sum: usize) -> bool {
        count >= self.count || (count > 0 && sum.saturating_add(bytes) > self.bytes)
    }
}

/// Consecutive records of a log's main chain, all sealed under one thread key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Under which key they are sealed.
    pub key_id: KeyId,
    /// Counter of the first.
    pub first: u64,
    /// The sealed records, at least one.
    pub records: Vec<Bytes>,
    /// Whether another run follows within what was asked for.
    pub more: bool,
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its thread.
    pub thread: ThreadId,
    /// Its log.
    pub log: LogId,
    /// Its position in the log.
    pub counter: u64,
    /// Whether it is kept beside the main chain. (One on the main chain is inert too if it is at or after a fork; the log's state tells.)
    pub beside: bool,
}

/// A stored record: key id and sealed bytes.
pub(super) fn sealed(value: &[u8]) -> Result<(KeyId, &[u8]), Error> {
    let Some((key_id, bytes)) = value.split_first_chunk::<KEY_ID_BYTES>() else {
        return Err(Error::Malformed("record"));
    };
    Ok((KeyId::new(*key_id), bytes))
}

impl Store {
    /// The record at `counter` of a log's main chain.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn record(&self, thread: &ThreadId, log: &LogId, counter: u64) -> Result<Option<SealedRecord>, Error> {
        let Some((thread, log)) = self.shared().numbers.both(self.kv(), thread, log)? else { return Ok(None) };
        let Some(value) = self.kv().get(Space::Records, &keys::records::main(thread, log, counter))? else {
            return Ok(None);
        };
        let (key_id, _) = sealed(&value)?;
        Ok(Some(SealedRecord { key_id, bytes: value.slice(KEY_ID_BYTES..) }))
    }

    /// The records of a log's main chain after `after` up to and including `until`, as far as they fit the page and are sealed
    /// under one key; none if there is no record at `after + 1` in that range.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn records(
        &self,
        thread: &ThreadId,
        log: &LogId,
        after: u64,
        until: u64,
        page: Page,
    ) -> Result<Option<Run>, Error> {
        let mut run: Option<Run> = None;
        let mut sum = 0;
        self.main_chain(thread, log, after, until, |counter, value| {
            let (key_id, bytes) = sealed(value)?;
            let run = run.get_or_insert_with(|| Run { key_id, first: counter, records: Vec::new(), more: false });
            if run.key_id != key_id || page.exceeded_by(bytes.len(), run.records.len(), sum) {
                run.more = true;
                return Ok(ControlFlow::Break(()));
            }
            sum += bytes.len();
            run.records.push(Bytes::copy_from_slice(bytes));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(run.filter(|run| !run.records.is_empty()))
    }

    /// Counters and CIDs of a log's main chain from one counter to another, both included; ends early at `count` or at the head.
    ///
    /// CIDs are computed from the records, so this costs as much as reading them.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn cids(
        &self,
        thread: &ThreadId,
        log: &LogId,
        from: u64,
        until: u64,
        count: usize,
    ) -> Result<Vec<Head>, Error> {
        let mut cids = Vec::new();
        self.main_chain(thread, log, from.saturating_sub(1), until, |counter, value| {
            if cids.len() >= count {
                return Ok(ControlFlow::Break(()));
            }
            cids.push(Head { counter, cid: block::cid(sealed(value)?.1) });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(cids)
    }

    /// The record with this CID, wherever it is.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn locate(&self, cid: &Cid) -> Result<Option<Place>, Error> {
        let Ok(digest) = block::digest(cid) else { return Ok(None) };
        let Some(value) = self.kv().get(Space::Index, &keys::index::record(&digest))? else { return Ok(None) };
        let place = keys::Place::from_bytes(&value).ok_or(Error::Malformed("place of a record"))?;
        let Some(thread) = self.thread_id(place.thread)? else { return Ok(None) };
        let Some(log) = self.log_id(place.thread, place.log)? else { return Ok(None) };
        Ok(Some(Place { thread, log, counter: place.counter, beside: place.inert }))
    }

    /// Visits consecutive records of the main chain after `after` up to `until`; ends at a gap.
    pub(super) fn main_chain(
        &self,
        thread: &ThreadId,
        log: &LogId,
        after: u64,
        until: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let Some((thread, log)) = self.shared().numbers.both(self.kv(), thread, log)? else { return Ok(()) };
        let Some(first) = after.checked_add(1).filter(|first| *first <= until) else { return Ok(()) };
        let from = keys::records::main(thread, log, first);
        let end = keys::after(&keys::records::main(thread, log, until));
        let mut next = Some(first);
        self.collect(Space::Records, &from, &end, |key, value| {
            let counter = keys::records::counter(key).ok_or(Error::Malformed("key of a record"))?;
            if next != Some(counter) {
                return Ok(ControlFlow::Break(()));
            }
            next = counter.checked_add(1);
            visit(counter, value)
        })
    }
}

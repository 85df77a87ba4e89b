//! Events that cite something later than themselves. What they cite may come after them, so they may have to be taken back.

use std::{collections::BTreeSet, ops::ControlFlow};

use bytes::Bytes;
use spool_proto::{LogId, block, event::CitedHead};
use spool_store::view::Reader;

use super::{Error, Step, keys};
use crate::{
    Stamp,
    source::{Event, Record},
};

/// The record that an event cites though it is not before it. What does not count, or is not here yet, is remembered.
pub(super) fn later<'a>(
    stamp: &Stamp,
    heads: &'a [CitedHead],
    step: &mut Step<'_>,
    awaited: &mut BTreeSet<[u8; 32]>,
) -> Result<Option<&'a CitedHead>, Error> {
    for head in heads {
        let counts = head.counter <= step.end(&head.log);
        match if counts { step.source.time_of(head)? } else { None } {
            Some(time) if time >= stamp.time => return Ok(Some(head)),
            Some(_) => {}
            None => {
                let Ok(digest) = block::digest(&head.cid) else { continue };
                step.batch.put(keys::awaited(head.log.public_key(), head.counter, &digest, stamp), Bytes::new());
                awaited.insert(*head.log.public_key());
            }
        }
    }
    Ok(None)
}

/// The events that have cited this record before it was here, and are not later than it. They become void.
pub(super) fn citing(stamp: &Stamp, record: &Record, step: &mut Step<'_>) -> Result<Vec<Stamp>, Error> {
    let Ok(digest) = block::digest(&record.cid) else { return Ok(Vec::new()) };
    let mut void = Vec::new();
    let Step { reader, batch, .. } = step;
    reader.scan_prefix(&keys::awaited_record(&stamp.log, stamp.counter, &digest), &mut |key, _| {
        batch.delete(key);
        void.extend(keys::stamp(key).filter(|citing| citing.time <= stamp.time));
        ControlFlow::Continue(())
    })?;
    let cited = keys::cited(&stamp.log, stamp.counter);
    void.iter().for_each(|citing| batch.put(keys::void(citing), cited.clone()));
    Ok(void)
}

/// An event does not count any more, whatever it cites.
pub(super) fn forget(stamp: &Stamp, record: &Record, step: &mut Step<'_>) -> Result<(), Error> {
    step.delete_if_there(keys::void(stamp))?;
    let Event::Open { heads, .. } = &record.event else { return Ok(()) };
    for head in heads {
        let Ok(digest) = block::digest(&head.cid) else { continue };
        step.batch.delete(keys::awaited(head.log.public_key(), head.counter, &digest, stamp));
    }
    Ok(())
}

/// The events that are void because of records of a log after a counter.
pub(super) fn void_because_of(log: &LogId, after: u64, reader: &Reader<'_>) -> Result<Vec<Stamp>, Error> {
    let mut found = Vec::new();
    reader.scan_prefix(keys::VOID, &mut |key, cited| {
        let counter = cited.strip_prefix(log.public_key()).and_then(|counter| keys::number(counter).ok());
        if counter.is_some_and(|counter| counter > after) {
            found.extend(keys::stamp(key));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The logs of which records are awaited.
pub(super) fn awaited(reader: &Reader<'_>) -> Result<BTreeSet<[u8; 32]>, Error> {
    let mut logs = BTreeSet::new();
    let mut from = keys::AWAITED.to_vec();
    let until = spool_store::view::after_prefix(keys::AWAITED);
    // One look for each log: there may be many records of it.
    loop {
        let mut log = None;
        reader.scan(&from, &until, &mut |key, _| {
            log = key.get(2..34).and_then(|log| log.first_chunk().copied());
            ControlFlow::Break(())
        })?;
        let Some(log) = log else { return Ok(logs) };
        logs.insert(log);
        from = spool_store::view::after_prefix(&[keys::AWAITED, &log].concat());
        if from.is_empty() {
            return Ok(logs);
        }
    }
}

//! Finds the pasts of records, log by log, as far as what they cite is here.

use std::ops::ControlFlow;

use bytes::Bytes;
use spool_proto::{LogId, event::CitedHead};
use spool_store::view::{Batch, Reader};

use super::{Ahead, Error, Fresh, Moment, Rules, Vector, keys};
use crate::{
    limits::{READ_BYTES, TRACED_AHEAD, TRACED_RECORDS, WHOLE_PASTS},
    source::Page,
};

/// What becomes of something that is cited.
enum Cited {
    /// It is in the past.
    Here,
    /// It does not count, and never will.
    Nothing,
    /// It is to be looked at first.
    Untraced,
    /// It may come.
    Absent,
}

impl Rules {
    /// Goes on in all logs that were folded further; returns whether there is more to do at once.
    pub(in super::super) fn trace(&mut self, moment: &Moment<'_>, batch: &mut Batch) -> Result<bool, Error> {
        for (log, folded) in &moment.folded {
            self.log(log).arrive(*folded, moment.now_millis);
        }
        let mut left = TRACED_RECORDS;
        let mut fresh = Fresh::default();
        loop {
            let known = |log| self.logs.get(log).map_or(0, |log| log.known);
            let behind = moment.folded.iter().filter(|(log, until)| known(log) < **until);
            let behind: Vec<_> = behind.map(|(log, until)| (*log, *until)).collect();
            let mut has_moved = false;
            for (log, until) in &behind {
                while left > 0 && self.log(log).known < *until && self.trace_next(log, moment, &mut fresh, batch)? {
                    left -= 1;
                    has_moved = true;
                }
            }
            if left == 0 {
                return Ok(true);
            }
            if !has_moved {
                // Only now, since what somebody waits for may have come with this step. What is done without has to be written before anything goes on.
                return self.do_without(&behind, moment, &mut fresh, batch);
            }
        }
    }

    /// Who has waited for too long does not wait any more; returns whether there is one.
    fn do_without(
        &mut self,
        behind: &[(LogId, u64)],
        moment: &Moment<'_>,
        fresh: &mut Fresh,
        batch: &mut Batch,
    ) -> Result<bool, Error> {
        let mut has_moved = false;
        for (id, _) in behind {
            let Some(log) = self.logs.get_mut(id) else { continue };
            let Some((_, since)) = log.blocked else { continue };
            if moment.now_millis < since.saturating_add(moment.patience_millis) {
                continue;
            }
            let Some(mut next) = log.ahead.pop_front() else { continue };
            let counter = next.counter;
            for head in std::mem::take(&mut next.heads) {
                match self.cited(&head, (id, counter), moment)? {
                    Cited::Here | Cited::Untraced => next.heads.push(head),
                    Cited::Nothing => {}
                    Cited::Absent => {
                        batch.put(keys::skipped((&head.log, head.counter), (id, counter)), Bytes::new());
                        self.skipped.insert(head.log);
                    }
                }
            }
            self.log(id).ahead.push_front(next);
            has_moved |= self.trace_next(id, moment, fresh, batch)?;
        }
        Ok(has_moved)
    }

    /// Finds the past of a log's next record; returns whether it is found.
    fn trace_next(
        &mut self,
        id: &LogId,
        moment: &Moment<'_>,
        fresh: &mut Fresh,
        batch: &mut Batch,
    ) -> Result<bool, Error> {
        if !self.read_ahead(id, moment)? {
            return Ok(false);
        }
        let log = self.log(id);
        let (number, known) = (log.number, log.known);
        let Some(next) = log.ahead.pop_front() else { return Ok(false) };
        let before = self.past(id, known, fresh, moment.reader)?;
        let mut past = before.clone();
        let counter = next.counter;
        if counts(&next, moment.reader)? {
            for head in &next.heads {
                match self.cited(head, (id, counter), moment)? {
                    Cited::Here => {
                        past.merge(&self.past(&head.log, head.counter, fresh, moment.reader)?);
                        past.raise(self.log(&head.log).number, head.counter);
                    }
                    Cited::Nothing => {}
                    Cited::Untraced | Cited::Absent => {
                        let log = self.log(id);
                        log.blocked = Some((counter, log.arrived(counter, moment.now_millis)));
                        log.ahead.push_front(next);
                        return Ok(false);
                    }
                }
            }
        }
        past.raise(number, counter - 1);
        self.keep(id, counter, &before, past, fresh, batch);
        self.look_for_skipped(id, fresh, moment.reader, batch)?;
        Ok(true)
    }

    /// The past of the next record is known.
    fn keep(&mut self, id: &LogId, counter: u64, before: &Vector, past: Vector, fresh: &mut Fresh, batch: &mut Batch) {
        let log = self.log(id);
        fresh.stored.entry(*id).or_insert(log.known);
        let key = keys::record(keys::PASTS, id, counter);
        let changes = log.changes.filter(|changes| *changes < WHOLE_PASTS);
        let bytes = match changes {
            Some(_) => past.to_bytes(Some(before), log.number),
            None if past.is_beyond(before, log.number) => past.to_bytes(None, log.number),
            None => None,
        };
        match bytes {
            Some(bytes) => {
                log.changes = Some(changes.map_or(0, |changes| changes + 1));
                batch.put(key, bytes.clone());
                fresh.found.entry(*id).or_default().insert(counter, bytes);
            }
            None if counter <= log.stale => batch.delete(key),
            None => {}
        }
        log.known = counter;
        log.latest = Some(past);
        log.blocked = None;
        log.moved = true;
    }

    /// Records that were traced without this one, which has come.
    fn look_for_skipped(
        &mut self,
        id: &LogId,
        fresh: &mut Fresh,
        reader: &Reader<'_>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        if !self.skipped.contains(id) {
            return Ok(());
        }
        let until = keys::record(keys::SKIPPED, id, self.log(id).known + 1);
        let mut citing = Vec::new();
        reader.scan(&keys::records(keys::SKIPPED, id), &until, &mut |key, _| {
            batch.delete(key);
            let record = key.get(42..74).zip(keys::counter(key));
            citing.extend(
                record.and_then(|(log, counter)| Some((LogId::from_public_key(log.try_into().ok()?).ok()?, counter))),
            );
            ControlFlow::Continue(())
        })?;
        for (log, counter) in citing {
            self.trace_again(&log, counter, fresh, reader)?;
        }
        Ok(())
    }

    fn read_ahead(&mut self, id: &LogId, moment: &Moment<'_>) -> Result<bool, Error> {
        let log = self.log(id);
        let known = log.known;
        log.ahead.retain(|ahead| ahead.counter > known);
        if log.ahead.front().is_none_or(|ahead| ahead.counter != known + 1) {
            let page = Page { count: TRACED_AHEAD, bytes: READ_BYTES };
            let records = moment.source.records(id, known, moment.folded(id), page)?;
            log.ahead = records.iter().map(|record| Ahead::new(id, record)).collect();
        }
        Ok(log.ahead.front().is_some_and(|ahead| ahead.counter == known + 1))
    }

    fn cited(&mut self, head: &CitedHead, citing: (&LogId, u64), moment: &Moment<'_>) -> Result<Cited, Error> {
        let end = moment.ends.get(&head.log).copied().unwrap_or(0);
        if head.counter > moment.folded(&head.log) {
            let fork = moment.source.fork(&head.log)?;
            if head.counter > end && fork.is_some_and(|fork| head.counter >= fork) {
                return Ok(Cited::Nothing);
            }
            // Whoever has waited once, and still has not seen it, does not wait again.
            let key = keys::skipped((&head.log, head.counter), citing);
            let is_skipped = self.skipped.contains(&head.log) && moment.reader.get(&key)?.is_some();
            return Ok(if is_skipped { Cited::Nothing } else { Cited::Absent });
        }
        if moment.source.time_of(head)?.is_none() {
            // It may be another record; or this one, though it cannot be read.
            let page = Page { count: 1, bytes: 0 };
            let record = moment.source.records(&head.log, head.counter - 1, head.counter, page)?.pop();
            if record.is_none_or(|record| record.cid != head.cid) {
                return Ok(Cited::Nothing);
            }
        }
        Ok(if self.log(&head.log).known >= head.counter { Cited::Here } else { Cited::Untraced })
    }
}

/// Whether what a record cites is in its past.
fn counts(next: &Ahead, reader: &Reader<'_>) -> Result<bool, Error> {
    let Some(stamp) = next.stamp.filter(|_| !next.heads.is_empty()) else { return Ok(false) };
    Ok(reader.get(&keys::void(&stamp))?.is_none())
}

//! Events are judged in their order, as soon as their pasts are here.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spool_proto::{LogId, clock::Time};
use spool_store::view::{Batch, Reader};

use super::{Error, Fresh, Log, Moment, Past, Rules, keys, split_time};
use crate::{
    Stamp,
    limits::{JUDGED_DOCUMENTS, READ_EVENTS},
    operation::Target,
    projector::{Added, Held, Reducer, Why, read_one},
    source::{Body, Event},
};

/// Why an event is denied, and with it all that its transaction does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Denial {
    /// The document whose change is denied.
    pub target: Target,
    /// What the rule says, if it says something.
    pub reason: Option<String>,
}

impl std::fmt::Display for Denial {
    /// As Textile's clients know it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("app denied net record body")?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(formatter, ": {reason}"))
    }
}

/// An event that is denied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// Its log.
    pub log: LogId,
    /// Its place there.
    pub counter: u64,
    /// Why.
    pub denial: Denial,
}

/// What comes of judging an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It is folded in.
    Accepted,
    /// It is not.
    Denied(Denial),
    /// That cannot be said here: nothing runs rules, or what does has failed.
    Unknown,
}

/// What was found of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Nothing yet.
    No,
    /// It is folded in.
    Accepted,
    /// It is not.
    Denied,
}

impl Judged {
    pub(super) fn to_bytes(self, time: Time) -> Vec<u8> {
        let state: u8 = match self {
            Judged::No => 0,
            Judged::Accepted => 1,
            Judged::Denied => 2,
        };
        [&time.as_u64().to_be_bytes()[..], &[state]].concat()
    }

    fn parse(value: &[u8]) -> Option<(Time, Self)> {
        let (time, state) = split_time(value)?;
        let states = [([0], Judged::No), ([1], Judged::Accepted), ([2], Judged::Denied)];
        states.into_iter().find(|(code, _)| code == state).map(|(_, state)| (time, state))
    }
}

/// What becomes of one event of a batch.
pub(crate) enum Verdict {
    /// It is on its way to be judged.
    Waiting,
    /// It is folded in, or nobody's business.
    Accepted,
    /// It is denied.
    Denied(Denial),
}

/// What was judged in one go.
#[derive(Default)]
pub(in super::super) struct Session {
    pub(in super::super) added: Vec<Added>,
    pub(in super::super) removed: Vec<Added>,
    /// There is more to judge at once.
    pub(in super::super) more: bool,
}

/// An event that is the next of its log.
struct Due {
    log: LogId,
    judged: Judged,
}

/// What is to be judged next in each log, some of it read ahead.
type Queues = BTreeMap<LogId, VecDeque<Option<(u64, (Time, Judged))>>>;

impl Rules {
    /// Judges events in their order, as many as a step may. `held` gets those that cannot be judged.
    pub(in super::super) fn judge<R: Reducer>(
        &mut self,
        moment: &Moment<'_>,
        reducer: &mut R,
        held: &mut Vec<Held>,
        batch: &mut Batch,
    ) -> Result<Session, Error> {
        let mut session = Session::default();
        let (mut due, mut queues) = (BTreeMap::new(), Queues::new());
        for log in self.waiting.clone() {
            due.extend(self.next_due(&log, moment.reader, &mut queues)?);
        }
        if due.is_empty() {
            return Ok(session);
        }
        let missing = if moment.is_missing { missing(moment)? } else { BTreeMap::new() };
        let mut blocked: Vec<(LogId, u64)> = Vec::new();
        let mut left = JUDGED_DOCUMENTS;
        while let Some((stamp, next)) = due.pop_first() {
            let Due { log, judged } = next;
            let counter = stamp.counter;
            if left == 0 {
                session.more = true;
                break;
            }
            let past = match self.ready(&log, counter, &missing, &blocked, moment)? {
                Ok(past) => past,
                Err(why) => {
                    held.push(Held { log, counter, why });
                    blocked.push((log, counter));
                    continue;
                }
            };
            let record = read_one(moment.source, &log, counter)?;
            let Some(Event::Open { body: Body::Here(body), .. }) = record.map(|record| record.event) else {
                return Err(Error::Damaged("an event that is to be judged"));
            };
            let event = Added { stamp, body };
            let past = Past { vector: past, rules: self, reader: moment.reader };
            let before = judged == Judged::Accepted;
            let (ruling, documents) = reducer.judge(&event, before, &past, moment.source)?;
            left = left.saturating_sub(documents.max(1));
            let after = match &ruling {
                Ruling::Unknown => {
                    held.push(Held { log, counter, why: Why::Judge });
                    blocked.push((log, counter));
                    continue;
                }
                Ruling::Accepted => Judged::Accepted,
                Ruling::Denied(_) => Judged::Denied,
            };
            let key = keys::record(keys::DENIED, &log, counter);
            match &ruling {
                Ruling::Denied(denial) => batch.put(key, encode(denial)),
                Ruling::Accepted | Ruling::Unknown if judged == Judged::Denied => batch.delete(key),
                Ruling::Accepted | Ruling::Unknown => {}
            }
            if after != judged {
                batch.put(keys::record(keys::JUDGED, &log, counter), after.to_bytes(stamp.time));
            }
            match (judged, after) {
                (Judged::Accepted, Judged::Denied) => session.removed.push(event),
                (Judged::No | Judged::Denied, Judged::Accepted) => session.added.push(event),
                _ => {}
            }
            let own = self.log(&log);
            own.judged = counter;
            own.moved = true;
            // Whoever has seen it otherwise is judged again as well, and later: what has changed in its past is in that of the others, too.
            due.extend(self.next_due(&log, moment.reader, &mut queues)?);
        }
        Ok(session)
    }

    /// The next event of a log that is to be judged.
    fn next_due(
        &mut self,
        id: &LogId,
        reader: &Reader<'_>,
        queues: &mut Queues,
    ) -> Result<Option<(Stamp, Due)>, Error> {
        let queue = queues.entry(*id).or_default();
        if queue.is_empty() {
            let from = keys::record(keys::JUDGED, id, self.log(id).judged + 1);
            let until = spool_store::view::after_prefix(&keys::records(keys::JUDGED, id));
            reader.scan(&from, &until, &mut |key, value| {
                queue.push_back(keys::counter(key).zip(Judged::parse(value)));
                if queue.len() < READ_EVENTS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        match queue.pop_front() {
            None => {
                self.waiting.remove(id);
                Ok(None)
            }
            Some(None) => Err(Error::Damaged("an event that is to be judged")),
            Some(Some((counter, (time, judged)))) => {
                let stamp = Stamp { time, log: *id.public_key(), counter };
                Ok(Some((stamp, Due { log: *id, judged })))
            }
        }
    }

    /// The past of an event, if all of it is here and judged; else why it cannot be judged.
    fn ready(
        &self,
        id: &LogId,
        counter: u64,
        missing: &BTreeMap<LogId, BTreeMap<u64, u64>>,
        blocked: &[(LogId, u64)],
        moment: &Moment<'_>,
    ) -> Result<Result<super::Vector, Why>, Error> {
        let until = |since: u64| Why::Past { until_millis: since.saturating_add(moment.patience_millis) };
        let Some(log) = self.logs.get(id) else { return Ok(Err(until(moment.now_millis))) };
        if log.known < counter {
            let since = log.blocked.map_or(moment.now_millis, |(_, since)| since);
            return Ok(Err(until(since)));
        }
        let past = self.past(id, counter, &Fresh::default(), moment.reader)?;
        let sees = |log: &LogId| self.numbers.get(log.public_key()).map_or(0, |number| past.get(*number));
        for (log, counters) in missing {
            let seen = counters.range(..=sees(log)).map(|(_, since)| *since);
            let waits = seen.filter(|since| moment.now_millis < since.saturating_add(moment.patience_millis)).min();
            if let Some(since) = waits {
                return Ok(Err(until(since)));
            }
        }
        if blocked.iter().any(|(log, counter)| sees(log) >= *counter) {
            return Ok(Err(Why::Judge));
        }
        Ok(Ok(past))
    }
}

/// Bodies that are missing, and since when.
fn missing(moment: &Moment<'_>) -> Result<BTreeMap<LogId, BTreeMap<u64, u64>>, Error> {
    let mut missing: BTreeMap<LogId, BTreeMap<u64, u64>> = BTreeMap::new();
    moment.reader.scan_prefix(keys::MISSING, &mut |key, since| {
        if let Some((log, counter)) = keys::log_and_counter(key) {
            missing.entry(log).or_default().insert(counter, keys::number(since).unwrap_or(0));
        }
        ControlFlow::Continue(())
    })?;
    Ok(missing)
}

fn encode(denial: &Denial) -> Bytes {
    serde_ipld_dagcbor::to_vec(denial).expect("text has a dag-cbor form, and a Vec takes every write").into()
}

fn decode(value: &[u8]) -> Result<Denial, Error> {
    serde_ipld_dagcbor::from_slice(value).map_err(|_| Error::Damaged("why an event is denied"))
}

/// What has become of an event that was folded or passed over.
pub(crate) fn verdict(reader: &Reader<'_>, log: &LogId, counter: u64) -> Result<Verdict, Error> {
    if reader.get(&keys::record(keys::JUDGED, log, counter))?.is_none() {
        return Ok(Verdict::Accepted);
    }
    let standing = reader.get(&[keys::LOGS, log.public_key()].concat())?.and_then(|value| Log::parse(&value));
    if standing.is_none_or(|log| log.judged < counter) {
        return Ok(Verdict::Waiting);
    }
    match reader.get(&keys::record(keys::DENIED, log, counter))? {
        Some(denial) => decode(&denial).map(Verdict::Denied),
        None => Ok(Verdict::Accepted),
    }
}

/// The denied events after one, by log and counter.
pub(crate) fn denied(reader: &Reader<'_>, after: Option<(LogId, u64)>, count: usize) -> Result<Vec<Denied>, Error> {
    let from = after.map_or_else(
        || keys::DENIED.to_vec(),
        |(log, counter)| keys::record(keys::DENIED, &log, counter.saturating_add(1)),
    );
    let mut found = Vec::new();
    reader.scan(&from, &spool_store::view::after_prefix(keys::DENIED), &mut |key, value| {
        if found.len() >= count {
            return ControlFlow::Break(());
        }
        found.push(read_denied(key, value));
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect()
}

fn read_denied(key: &[u8], value: &[u8]) -> Result<Denied, Error> {
    let (log, counter) = keys::log_and_counter(key).ok_or(Error::Damaged("a denied event"))?;
    Ok(Denied { log, counter, denial: decode(value)? })
}

/// The record in the key of a denied event.
pub(crate) fn denied_record(key: &[u8]) -> Option<(LogId, u64)> {
    keys::log_and_counter(key)
}

/// The events that wait to be judged for the first time, by log.
pub(crate) fn unjudged(reader: &Reader<'_>) -> Result<BTreeMap<LogId, Vec<u64>>, Error> {
    let mut found: BTreeMap<LogId, Vec<u64>> = BTreeMap::new();
    let mut logs = Vec::new();
    reader.scan_prefix(keys::LOGS, &mut |key, value| {
        logs.extend(keys::log(key).zip(Log::parse(value)));
        ControlFlow::Continue(())
    })?;
    for (id, log) in logs {
        let until = spool_store::view::after_prefix(&keys::records(keys::JUDGED, &id));
        reader.scan(&keys::record(keys::JUDGED, &id, log.judged + 1), &until, &mut |key, value| {
            let is_new = Judged::parse(value).is_some_and(|(_, judged)| judged == Judged::No);
            found.entry(id).or_default().extend(keys::counter(key).filter(|_| is_new));
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

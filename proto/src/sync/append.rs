//! Own records: sealed, chained and signed here, told to others only once they are on disk.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use super::{
    commit::{Pending, Then},
    effect::{AppendError, Durability, Receipt, RequestId, Write},
    engine::{Context, World},
    hot::Hot,
    input::Append,
    limits::{MAX_PENDING_APPENDS, MAX_PUSHED_BLOCK_BYTES},
    log::Log,
    state::{Head, LogState},
};
use crate::{
    clock::Time,
    event::{CitedHead, Event},
    id::{LogId, ThreadId},
    limits::MAX_CITED_HEADS,
    record::{Control, Draft},
};

impl World {
    pub(super) fn on_append(&mut self, append: Append, context: &mut Context<'_>) {
        let request = append.request;
        if let Err(error) = self.append(append, context) {
            context.reply(request, Err(error));
        }
    }

    fn append(&mut self, append: Append, context: &mut Context<'_>) -> Result<(), AppendError> {
        let thread = self.threads.get_mut(&append.thread).ok_or(AppendError::ThreadNotFound)?;
        let state = thread.state.clone();
        let key_id = state.keys.current().map(crate::keys::Epoch::key_id).ok_or(AppendError::CannotWrite)?;
        let hot = thread.hot().ok_or(AppendError::Busy)?;
        let log_id = match append.log {
            Some(log) => log,
            None => own_log(hot).ok_or(AppendError::CannotWrite)?,
        };
        let log = hot.logs.get(&log_id).ok_or(AppendError::CannotWrite)?;
        writable(log)?;
        let (heads, time) = cite(hot, &log_id, context.now.wall_millis);
        let log = hot.logs.get_mut(&log_id).ok_or(AppendError::CannotWrite)?;
        let keys = log.keys(&log_id, &state.keys, &key_id).ok_or(AppendError::CannotWrite)?;
        let writer = log.writer.as_ref().ok_or(AppendError::CannotWrite)?;

        let first = log.state.head.is_none();
        let (prev, skip) = log.state.next_links();
        let admission = writer.admission.filter(|_| first).map(Control::Admission);
        if admission.is_some() && append.control.is_some() {
            // The first record carries the admission; an empty one is written to make room for what was asked.
            return self.append_first(append, context);
        }
        let (content, body, blocks) = match append.body {
            Some(sealed) => (sealed.content, Some(sealed.body), sealed.blocks),
            None => (None, None, Vec::new()),
        };
        let cited = heads.iter().map(|head| (head.log, head.counter)).collect::<Vec<_>>();
        let owner = first.then(|| writer.owner.clone());
        let event = Event { time, kind: append.kind, content, heads, owner, body };
        let draft =
            Draft { counter: log.state.counter() + 1, prev, skip, event, control: append.control.or(admission) };
        let record = draft
            .seal(&append.thread, &log_id, &keys, &writer.signer)
            .map_err(|error| AppendError::TooLarge(error.to_string()))?;
        let record = Arc::new(record);

        let next = Arc::make_mut(&mut log.state);
        next.advance(&record);
        next.admitted |= first && writer.admission.is_some();
        next.cited.extend(cited.iter().copied());
        let small = blocks.iter().map(|(_, bytes, _)| bytes).filter(|bytes| bytes.len() <= MAX_PUSHED_BLOCK_BYTES);
        log.remember(record.clone(), small.cloned().collect());
        log.uncommitted += 1;
        let head = Head { counter: record.counter(), cid: *record.cid() };
        let receipt = Receipt { log: log_id, head, time };
        let mut writes: Vec<Write> = blocks.into_iter().map(|block| block_write(&append.thread, block)).collect();
        writes.push(Write::Record { record });
        writes.push(Write::Log { thread: append.thread.clone(), log: log_id, state: log.state.clone() });
        if hot.written > 1 {
            // The others that are written here cite this log as they cite those of peers.
            hot.fresh.insert(log_id);
        } else {
            cited.iter().for_each(|(cited, _)| _ = hot.fresh.remove(cited));
        }
        let durability = append.durability;
        let request = (append.request != RequestId::default()).then_some(append.request);
        let then = Then::Own { log: log_id, receipt, request, durability };
        context.persist(durability, writes, |batch| Pending::new(batch, append.thread, then));
        Ok(())
    }

    /// Opens the log with a control event of its own, then appends what was asked.
    fn append_first(&mut self, append: Append, context: &mut Context<'_>) -> Result<(), AppendError> {
        let opening = Append {
            // Nobody waits for it.
            request: RequestId::default(),
            thread: append.thread.clone(),
            log: append.log,
            kind: crate::event::Kind::Control,
            body: None,
            control: None,
            durability: Durability::Relaxed,
        };
        self.append(opening, context)?;
        self.append(append, context)
    }

    /// Stores blocks of a body that is still being read.
    pub(super) fn on_store(
        &mut self,
        request: RequestId,
        thread: &ThreadId,
        blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
        context: &mut Context<'_>,
    ) {
        if !self.threads.contains_key(thread) {
            return context.reply(request, Err(AppendError::ThreadNotFound));
        }
        let writes = blocks.into_iter().map(|block| block_write(thread, block)).collect();
        let then = Then::Stored { request };
        context.persist(Durability::Relaxed, writes, |batch| Pending::new(batch, thread.clone(), then));
    }
}

fn block_write(thread: &ThreadId, (cid, bytes, links): (Cid, Bytes, Vec<Cid>)) -> Write {
    Write::Block { thread: thread.clone(), cid, bytes, links }
}

/// The log that this node writes when the caller names none.
fn own_log(hot: &Hot) -> Option<LogId> {
    hot.logs.iter().find(|(_, log)| log.writer.is_some()).map(|(id, _)| *id)
}

fn writable(log: &Log) -> Result<(), AppendError> {
    if log.writer.is_none() {
        return Err(AppendError::CannotWrite);
    }
    if let Some(fork) = log.state.fork {
        return Err(AppendError::Forked(fork.counter));
    }
    if let Some(counter) = log.rolled_back {
        return Err(AppendError::RolledBack(counter));
    }
    if log.state.retired {
        return Err(AppendError::Retired);
    }
    if log.uncommitted >= MAX_PENDING_APPENDS {
        return Err(AppendError::Busy);
    }
    Ok(())
}

/// The heads that a new event of `own` cites, and a time above all of them.
///
/// A head is left out where another log that is cited, or was, has already cited it; as far as memory goes, that is, so a head may be
/// cited twice after a restart, which is harmless.
fn cite(hot: &Hot, own: &LogId, now_millis: u64) -> (Vec<CitedHead>, Time) {
    let Some(log) = hot.logs.get(own) else { return (Vec::new(), Time::default()) };
    let mut floor = log.state.time;
    let mut heads = Vec::new();
    for id in hot.fresh.iter().filter(|id| *id != own) {
        let Some((other, head)) = hot.logs.get(id).and_then(|other| Some((other, other.durable?))) else { continue };
        let state: &LogState = &other.state;
        let unread = state.time == Time::default() || state.time.is_ahead_of(now_millis);
        if unread || head.counter <= log.state.cited(id) || reachable(hot, id, head.counter, own) {
            continue;
        }
        heads.push(CitedHead { log: *id, counter: head.counter, cid: head.cid });
        floor = floor.max(state.time);
        if heads.len() == MAX_CITED_HEADS {
            break;
        }
    }
    (heads, Time::after(floor, now_millis))
}

fn reachable(hot: &Hot, id: &LogId, counter: u64, own: &LogId) -> bool {
    hot.fresh
        .iter()
        .filter(|other| *other != id && *other != own)
        .filter_map(|other| hot.logs.get(other))
        .any(|other| other.durable.is_some() && other.cites.get(id).is_some_and(|cited| *cited >= counter))
}

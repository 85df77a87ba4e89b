//! Forks: two different valid records of one log with one counter.
//!
//! They prove that the log's writer was cloned, rolled back or dishonest; never that whoever relayed one of them did wrong. From
//! the lowest proven divergence on, all records of the log are inert on every peer: kept and listed, but not part of the thread's
//! state. Peers find that point by comparing older and older records with whoever has the other branch, and then exchange
//! their inert records until they hold the same set, so that all end with the same prefix and the same list.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    commit::{Pending, Then},
    effect::{Durability, Effect, Lookup, Misbehaviour, Write},
    engine::{Context, World},
    hot::Thread,
    ingest::{Fate, Origin},
    limits::{INERT_COUNT_INTERVAL, MAX_INERT_RECORDS, MAX_VERIFICATIONS},
    serve::Asked,
    state::{Fork, Head},
    timers::Timer,
};
use crate::{
    PeerId,
    id::{LogId, ThreadId},
    record::{SealedRecord, VerifiedRecord},
    wire::{self, Envelope, InertRecord, Request},
};

/// Records compared in one step down a log.
const MAX_DESCENT: u64 = 4_096;

impl World {
    /// A peer's head differs from what memory knows at that counter: ask the store.
    pub(super) fn check_branch(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log: &LogId,
        head: Head,
        context: &mut Context<'_>,
    ) {
        let lookup = Lookup::Cids { log: *log, from: head.counter, until: head.counter };
        let asked = Asked::HasHead { peer, thread: id.clone(), log: *log, head };
        context.look_up(id.clone(), lookup, asked);
    }

    /// Asks a peer for the `step` records up to `counter`, to compare them with ours.
    pub(super) fn descend(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log: &LogId,
        counter: u64,
        step: u64,
        context: &mut Context<'_>,
    ) {
        let Some(topic) = self.threads.get(id).map(Thread::topic) else { return };
        if counter == 0 || !self.sessions.contains_key(&peer) {
            return;
        }
        let step = step.min(MAX_DESCENT);
        let after = counter.saturating_sub(step);
        let asked = Asked::Descend { peer, thread: id.clone(), log: *log, after, step };
        context.ask(peer, Request::Records { topic, log: *log, after, until: counter }, asked);
    }

    /// The older records have come: verify them, then compare.
    pub(super) fn on_older_records(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log: &LogId,
        (after, step): (u64, u64),
        envelope: Option<Box<Envelope>>,
        context: &mut Context<'_>,
    ) {
        // Nothing there: the peer knows of the fork and sends what counts only; its inert records tell the rest.
        let Some(envelope) = envelope else { return };
        if envelope.log != *log || envelope.counter != after + 1 {
            return context.penalize(peer, Misbehaviour::WrongAnswer);
        }
        self.ingest_unknown(id, *envelope, Origin::Descend { peer, step }, context);
    }

    /// Sends an envelope to verification whatever is known of its counters.
    fn ingest_unknown(&mut self, id: &ThreadId, envelope: Envelope, origin: Origin, context: &mut Context<'_>) {
        let log = envelope.log;
        let key_id = envelope.key_id;
        let records = envelope.records.into_iter().map(|bytes| SealedRecord { key_id, bytes }).collect();
        self.verify_branch(id, log, records, origin, context);
    }

    fn verify_branch(
        &mut self,
        id: &ThreadId,
        log_id: LogId,
        records: Vec<SealedRecord>,
        origin: Origin,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let state = thread.state.clone();
        let room = context.shared.verifications.len() < MAX_VERIFICATIONS;
        let Some(hot) = thread.hot().filter(|_| room).and_then(|hot| hot.has_room(&log_id).then_some(hot)) else {
            return self.finish_run(id, &log_id, origin, Fate::Busy, context);
        };
        let log = hot.logs.entry(log_id).or_default();
        let with_keys = records.into_iter().map_while(|record| {
            let keys = log.keys(&log_id, &state.keys, &record.key_id)?;
            Some((record, keys))
        });
        let records: Vec<_> = with_keys.collect();
        if records.is_empty() {
            return self.finish_run(id, &log_id, origin, Fate::Old, context);
        }
        self.verify_records(id, log_id, (records, Vec::new()), None, origin, context);
    }

    /// Valid records and our own CIDs at their counters: whatever differs proves a fork.
    pub(super) fn compare_records(
        &mut self,
        id: &ThreadId,
        log_id: &LogId,
        records: Vec<Arc<VerifiedRecord>>,
        own: &[Head],
        origin: Origin,
        context: &mut Context<'_>,
    ) {
        let own: BTreeMap<u64, Head> = own.iter().map(|head| (head.counter, *head)).collect();
        let mut seen: BTreeMap<u64, Vec<&VerifiedRecord>> = BTreeMap::new();
        records.iter().for_each(|record| seen.entry(record.counter()).or_default().push(record));
        let differs = |counter: u64, records: &[&VerifiedRecord]| {
            let ours = own.get(&counter).map(|head| head.cid);
            let mut cids = records.iter().map(|record| *record.cid()).chain(ours);
            let first = cids.next();
            cids.any(|cid| Some(cid) != first)
        };
        let lowest = seen.iter().find(|(counter, records)| differs(**counter, records)).map(|(counter, _)| *counter);
        let Some(log) = self.log_mut(id, log_id) else {
            return self.finish_run(id, log_id, origin, Fate::Dropped, context);
        };
        let known = log.state.fork.map(|fork| fork.counter);
        if let Some(counter) = lowest
            && known.is_none_or(|known| counter < known)
        {
            let before = own.get(&(counter - 1)).copied();
            self.set_fork(id, log_id, counter, before, context);
        }
        let fork = self.log_mut(id, log_id).and_then(|log| log.state.fork).map(|fork| fork.counter);
        let peer = origin.peer();
        // The lowest of a page differs already: the branches part further down.
        let settled = match (&origin, lowest) {
            (Origin::Inert { .. }, _) | (_, None) => true,
            (_, Some(counter)) => seen.get(&counter).is_some_and(|records| {
                records.iter().all(|record| record.prev() == own.get(&(counter - 1)).map(|head| &head.cid))
            }),
        };
        if let (false, Some(counter)) = (settled, lowest) {
            let step = if let Origin::Descend { step, .. } = origin { step * 4 } else { 4 };
            self.descend(peer, id, log_id, counter - 1, step, context);
        }
        let more = matches!(origin, Origin::Inert { more: true, .. });
        let last = records.last().map(|record| (record.counter(), *record.cid()));
        if let Some(fork) = fork {
            let new: Vec<_> = records
                .into_iter()
                .filter(|record| record.counter() >= fork)
                .filter(|record| own.get(&record.counter()).map(|head| head.cid) != Some(*record.cid()))
                .collect();
            self.keep_inert(id, log_id, new, context);
        }
        if let (true, Some(last)) = (more, last) {
            self.ask_inert(peer, id, log_id, Some(last), context);
        }
        self.finish_run(id, log_id, origin, Fate::Old, context);
    }

    /// A lower fork than known so far is proven.
    fn set_fork(
        &mut self,
        id: &ThreadId,
        log_id: &LogId,
        counter: u64,
        before: Option<Head>,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        thread.edge_changed(context);
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log_id)) else { return };
        let state = Arc::make_mut(&mut log.state);
        let kept = state.fork.map_or((0, [0; 32]), |fork| (fork.inert, fork.digest));
        state.fork = Some(Fork { counter, inert: kept.0, digest: kept.1 });
        state.before_fork = before.or_else(|| {
            let cid = *state.known_cid(counter - 1)?;
            Some(Head { counter: counter - 1, cid })
        });
        log.set_durable(None);
        log.uncommitted += 1;
        let missing = log.lacks_before_fork();
        let write = Write::Log { thread: id.clone(), log: *log_id, state: log.state.clone() };
        let then = Then::Inert { log: *log_id };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
        context.push(Effect::ForkFound { thread: id.clone(), log: *log_id, counter });
        if missing {
            look_before(id, log_id, counter, context);
        }
    }

    /// A forked log was read from disk: what was under way for it when it was last in memory is begun anew.
    pub(super) fn reopen_fork(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let Some(log) = self.log_mut(id, log_id) else { return };
        let Some(fork) = log.state.fork else { return };
        if log.lacks_before_fork() {
            look_before(id, log_id, fork.counter, context);
        }
        self.count_soon(id, log_id, context);
    }

    pub(super) fn set_before_fork(
        &mut self,
        id: &ThreadId,
        log_id: &LogId,
        head: Option<Head>,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        thread.edge_changed(context);
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log_id)) else { return };
        let Some(head) = head.filter(|head| head.counter == log.state.active_counter()) else { return };
        Arc::make_mut(&mut log.state).before_fork = Some(head);
        log.set_durable(Some(head));
        let write = Write::Log { thread: id.clone(), log: *log_id, state: log.state.clone() };
        log.uncommitted += 1;
        let then = Then::Inert { log: *log_id };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
    }

    /// Records at or after a known fork have come on an ordinary road.
    pub(super) fn take_inert(
        &mut self,
        id: &ThreadId,
        log: LogId,
        records: Vec<Arc<VerifiedRecord>>,
        peer: PeerId,
        context: &mut Context<'_>,
    ) {
        self.look_up_own(id, log, records, Origin::Check { peer }, context);
    }

    fn keep_inert(
        &mut self,
        id: &ThreadId,
        log_id: &LogId,
        records: Vec<Arc<VerifiedRecord>>,
        context: &mut Context<'_>,
    ) {
        let Some(log) = self.log_mut(id, log_id) else { return };
        let kept = log.state.fork.map_or(0, |fork| fork.inert);
        let room = usize::try_from(MAX_INERT_RECORDS.saturating_sub(kept)).unwrap_or(usize::MAX);
        let writes: Vec<_> = records.into_iter().take(room).map(|record| Write::Inert { record }).collect();
        if writes.is_empty() {
            return;
        }
        log.uncommitted += 1;
        let then = Then::Inert { log: *log_id };
        context.persist(Durability::Sync, writes, |batch| Pending::new(batch, id.clone(), then));
    }

    /// Inert records or a fork are on disk: count what there is, and tell others.
    pub(super) fn inert_durable(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        thread.edge_changed(context);
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log_id)) else { return };
        log.uncommitted = log.uncommitted.saturating_sub(1);
        let counter = log.state.active_counter();
        context.push(Effect::Wake { thread: id.clone(), log: *log_id, counter });
        self.count_soon(id, log_id, context);
    }

    fn count_soon(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        if let Some(log) = self.log_mut(id, log_id) {
            log.count_due = true;
            context.after(INERT_COUNT_INTERVAL, Timer::CountInert(id.clone(), *log_id));
        }
    }

    pub(super) fn count_due(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let Some(log) = self.log_mut(id, log_id) else { return };
        let Some(fork) = log.state.fork else { return };
        if log.counting || !std::mem::take(&mut log.count_due) {
            return;
        }
        log.counting = true;
        let lookup = Lookup::Inert { log: *log_id, fork: fork.counter };
        let asked = Asked::InertCount { thread: id.clone(), log: *log_id, fork: fork.counter };
        context.look_up(id.clone(), lookup, asked);
    }

    pub(super) fn inert_count_failed(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        if let Some(log) = self.log_mut(id, log_id) {
            log.counting = false;
            self.count_soon(id, log_id, context);
        }
    }

    pub(super) fn on_inert_count(
        &mut self,
        id: &ThreadId,
        log_id: &LogId,
        counted: u64,
        inert: u64,
        digest: [u8; 32],
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        thread.edge_changed(context);
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log_id)) else { return };
        log.counting = false;
        let Some(fork) = log.state.fork else { return };
        let changed = (fork.inert, fork.digest) != (inert, digest);
        if counted == fork.counter && changed {
            Arc::make_mut(&mut log.state).fork = Some(Fork { counter: counted, inert, digest });
            let state = log.state.clone();
            let write = Write::Log { thread: id.clone(), log: *log_id, state };
            log.uncommitted += 1;
            let then = Then::Inert { log: *log_id };
            context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
            self.announce(id, log_id, context);
        } else if log.count_due || counted != fork.counter {
            self.count_soon(id, log_id, context);
        }
    }

    /// A peer keeps inert records of a log. If they are others than ours, list them, once for each state of its list.
    pub(super) fn on_fork_announced(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log_id: &LogId,
        theirs: &wire::Fork,
        context: &mut Context<'_>,
    ) {
        if self.has_same_fork(id, log_id, theirs) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let listed = session.inert_listed.insert((id.clone(), *log_id), theirs.inert_digest);
        if listed != Some(theirs.inert_digest) {
            self.ask_inert(peer, id, log_id, None, context);
        }
    }

    /// A fork was heard of by gossip. Whoever passed that on need not know the fork itself: it is asked what it has.
    pub(super) fn on_fork_rumoured(
        &mut self,
        peer: &PeerId,
        id: &ThreadId,
        log_id: &LogId,
        theirs: &wire::Fork,
        context: &mut Context<'_>,
    ) {
        if !self.has_same_fork(id, log_id, theirs) {
            self.check_heads(peer, id, context);
        }
    }

    /// A log of which nothing is here has no fork to compare.
    fn has_same_fork(&mut self, id: &ThreadId, log_id: &LogId, theirs: &wire::Fork) -> bool {
        let Some(log) = self.log_mut(id, log_id) else { return true };
        log.state.fork.is_some_and(|ours| {
            (ours.counter, ours.inert, ours.digest) == (theirs.counter, theirs.inert, theirs.inert_digest)
        })
    }

    /// A list of inert records came to nothing: it is asked for again when the peer's next heads come.
    pub(super) fn list_again(&mut self, peer: &PeerId, id: &ThreadId, log_id: &LogId) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.inert_listed.remove(&(id.clone(), *log_id));
        }
    }

    fn ask_inert(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log_id: &LogId,
        after: Option<(u64, cid::Cid)>,
        context: &mut Context<'_>,
    ) {
        let Some(topic) = self.threads.get(id).map(Thread::topic) else { return };
        let asked = Asked::Inert { peer, thread: id.clone(), log: *log_id };
        context.ask(peer, Request::Inert { topic, log: *log_id, after }, asked);
    }

    pub(super) fn on_inert_page(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log_id: &LogId,
        records: Vec<InertRecord>,
        more: bool,
        context: &mut Context<'_>,
    ) {
        let records =
            records.into_iter().map(|record| SealedRecord { key_id: record.key_id, bytes: record.record }).collect();
        self.verify_branch(id, *log_id, records, Origin::Inert { peer, more }, context);
    }
}

fn look_before(id: &ThreadId, log_id: &LogId, fork: u64, context: &mut Context<'_>) {
    let lookup = Lookup::Cids { log: *log_id, from: fork - 1, until: fork - 1 };
    context.look_up(id.clone(), lookup, Asked::BeforeFork { thread: id.clone(), log: *log_id });
}

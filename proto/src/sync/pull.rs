//! Pulling: missing records of a log are asked for in ranges, several in flight, spread over all who have them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use cid::Cid;

use super::{
    effect::{Effect, Misbehaviour, RequestId},
    engine::{Context, World},
    hot::Thread,
    ingest::Origin,
    limits::{MAX_AHEAD_BYTES, MAX_PAGES_IN_FLIGHT, MAX_RANGE_RECORDS, PULL_PATIENCE},
    log::Log,
    pace::Pace,
    serve::{Asked, Range},
    timers::Timer,
};
use crate::{
    PeerId,
    id::{LogId, ThreadId},
    record::VerifiedRecord,
    wire::{self, Envelope, Request},
};

/// What is under way for one log.
#[derive(Debug, Default)]
pub(super) struct Pull {
    /// Pages that are being verified.
    pub(super) verifying: usize,
    in_flight: Vec<(RequestId, PeerId, Range)>,
    /// Ranges that failed or came short, to be asked for again.
    gaps: Vec<Range>,
    /// Highest counter that was asked for.
    asked: u64,
    /// Verified records that wait for the ones before them.
    ahead: BTreeMap<u64, Ahead>,
    ahead_bytes: usize,
    /// Bytes of a record and the blocks that travel with it, on average.
    average: usize,
}

/// Verified blocks, each with the chunks that it lists.
pub(super) type Blocks = BTreeMap<Cid, (Bytes, Vec<Cid>)>;

/// A verified record that waits for the ones before it. Its blocks wait with it, since pages overtake each other all the time: without them what was
/// sent would have to be sent again.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) record: Arc<VerifiedRecord>,
    pub(super) blocks: Blocks,
    /// Who sent it.
    pub(super) peer: PeerId,
}

impl Ahead {
    fn bytes(&self) -> usize {
        self.record.sealed().bytes.len() + self.blocks.values().map(|(bytes, _)| bytes.len()).sum::<usize>()
    }
}

impl Pull {
    /// Whoever is asked for pages now.
    pub(super) fn asked_peers(&self) -> std::collections::BTreeSet<PeerId> {
        self.in_flight.iter().map(|(_, peer, _)| *peer).collect()
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.in_flight.is_empty() || self.verifying > 0
    }

    #[cfg(any(test, feature = "test-utils"))]
    pub(super) fn ahead_bytes(&self) -> usize {
        debug_assert_eq!(self.ahead_bytes, self.ahead.values().map(Ahead::bytes).sum::<usize>());
        self.ahead_bytes
    }

    /// Learns how much a record of this log takes of a page, so that a range is about a page: of more, the rest has to be asked for again.
    pub(super) fn note_size(&mut self, size: usize) {
        self.average = if self.average == 0 { size } else { (self.average * 15 + size) / 16 };
    }

    pub(super) fn keep_ahead(&mut self, ahead: Ahead, limit: usize) {
        let (counter, size) = (ahead.record.counter(), ahead.bytes());
        if self.ahead.contains_key(&counter) {
            return;
        }
        // What is needed sooner takes the place of what is needed last.
        while self.ahead_bytes + size > limit {
            let Some(last) = self.ahead.last_entry().filter(|last| *last.key() > counter) else { return };
            self.ahead_bytes -= last.remove().bytes();
        }
        self.ahead_bytes += size;
        self.ahead.insert(counter, ahead);
    }

    /// The waiting record after `counter`; older ones are dropped.
    pub(super) fn next_ahead(&mut self, counter: u64) -> Option<Ahead> {
        loop {
            let entry = self.ahead.first_entry()?;
            if *entry.key() > counter + 1 {
                return None;
            }
            let ahead = entry.remove();
            self.ahead_bytes -= ahead.bytes();
            if ahead.record.counter() == counter + 1 {
                return Some(ahead);
            }
        }
    }

    /// How many records to ask for in one page.
    fn records_of(&self, pace: &Pace) -> u64 {
        match self.average {
            0 => pace.first_records(),
            average => ((pace.page_bytes() / average) as u64).clamp(1, MAX_RANGE_RECORDS),
        }
    }

    /// The next range to ask for, up to `target`.
    fn next_range(&mut self, head: u64, target: u64) -> Option<Range> {
        let records = self.records_of(&Pace::default());
        while let Some(gap) = self.gaps.pop() {
            let (after, end) = (gap.after.max(head), gap.until.min(target));
            let until = end.min(after.saturating_add(records));
            if until < end {
                self.gaps.push(Range { after: until, until: end });
            }
            if after < until {
                return Some(Range { after, until });
            }
        }
        let mut after = self.asked.max(head);
        // What already waits here need not be asked for again.
        while self.ahead.contains_key(&(after + 1)) {
            after += 1;
        }
        if after >= target {
            return None;
        }
        let before_next = self.ahead.range(after + 1..).next().map_or(u64::MAX, |(counter, _)| counter - 1);
        let until = after.saturating_add(records).min(target).min(before_next);
        self.asked = until;
        Some(Range { after, until })
    }

    fn give_back(&mut self, range: Range) {
        self.gaps.push(range);
        // The lowest last, since the last is taken first.
        self.gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(gap.after));
    }
}

impl World {
    /// Asks for what is missing of a log, as far as sources and limits permit.
    pub(super) fn pull(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let now = context.time();
        if !self.may_pull(id, log_id, context) {
            return;
        }
        let Some(thread) = self.threads.get_mut(id) else { return };
        let topic = thread.topic();
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log_id)) else { return };
        let limit = log.state.fork.map_or(u64::MAX, |fork| fork.counter - 1);
        loop {
            let head = log.state.counter();
            let target = log.target().min(limit);
            if log.pull.in_flight.is_empty() && log.pull.verifying == 0 {
                // Nothing is under way: whatever was asked for and did not come counts as not asked.
                log.pull.asked = head;
                log.pull.gaps.clear();
            }
            let pages = log.pull.in_flight.len() + log.pull.verifying;
            // One page at a time while it is not known who writes the log, or while much waits already for what is missing.
            let crowded = head == 0 || log.pull.ahead_bytes >= MAX_AHEAD_BYTES;
            if head >= target || pages >= if crowded { 1 } else { MAX_PAGES_IN_FLIGHT } {
                return;
            }
            let Some(range) = log.pull.next_range(head, target) else { return };
            let sessions = &mut self.sessions;
            let is_free = |peer: &PeerId| sessions.get(peer).is_some_and(|session| session.has_room_for_a_page());
            let Some(peer) = best_source(log, range.after, now, is_free) else {
                log.pull.give_back(range);
                if let Some(session) =
                    best_source(log, range.after, now, |_| true).and_then(|peer| sessions.get_mut(&peer))
                {
                    session.stalled.insert((id.clone(), *log_id));
                    return;
                }
                return wait_for_source(log, id, log_id, context);
            };
            let mut fits = u64::MAX;
            if let Some(session) = sessions.get_mut(&peer) {
                session.pages += 1;
                fits = log.pull.records_of(&session.pace);
            }
            let has = log.sources.get(&peer).map_or(range.until, |source| source.counter);
            let asked = Range { after: range.after, until: range.until.min(has).min(range.after.saturating_add(fits)) };
            if asked.until < range.until {
                log.pull.give_back(Range { after: asked.until, until: range.until });
            }
            let body = Request::Records { topic, log: *log_id, after: asked.after, until: asked.until };
            let question = Asked::Records { peer, thread: id.clone(), log: *log_id, range: asked, since: now };
            let request = context.ask(peer, body, question);
            log.pull.in_flight.push((request, peer, asked));
        }
    }

    /// A page of a peer has landed: logs that waited for that may go on.
    pub(super) fn pull_stalled(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        while let Some(session) = self.sessions.get_mut(peer)
            && session.has_room_for_a_page()
            && let Some((thread, log)) = session.stalled.pop_first()
        {
            self.pull(&thread, &log, context);
        }
    }

    /// A page has come.
    #[expect(clippy::too_many_arguments, reason = "the answer and the question, field by field")]
    pub(super) fn on_records(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log_id: &LogId,
        request: RequestId,
        range: Range,
        envelope: Option<Box<Envelope>>,
        context: &mut Context<'_>,
    ) {
        let now = context.time();
        let topic = self.threads.get(id).map(Thread::topic);
        let Some(log) = self.log_mut(id, log_id) else { return };
        log.pull.in_flight.retain(|(pending, ..)| *pending != request);
        let Some(envelope) = envelope else {
            if let Some(source) = log.sources.get_mut(&peer) {
                source.counter = source.counter.min(range.after);
                source.failed(now);
                // It has said itself that it has more, while others may only have thought so.
                if std::mem::replace(&mut source.claimed, 0) > range.after {
                    source.denied += 1;
                    if source.denied > 1 || log.state.head.is_none() {
                        context.penalize(peer, Misbehaviour::FalseHeads);
                    }
                }
            }
            log.pull.give_back(range);
            self.pull(id, log_id, context);
            return self.drop_empty(id, log_id);
        };
        let last = envelope.last_counter();
        let asked = envelope.log == *log_id && Some(envelope.topic) == topic;
        let fits = asked && envelope.counter == range.after + 1 && last <= range.until;
        if !fits {
            context.penalize(peer, Misbehaviour::WrongAnswer);
            return self.page_useless(peer, id, log_id, range, context);
        }
        if last < range.until {
            log.pull.give_back(Range { after: last, until: range.until });
        }
        let range = Range { after: range.after, until: last };
        self.ingest(id, *envelope, Origin::Pull { peer, range }, context);
        // The next page travels while this one is verified.
        self.pull(id, log_id, context);
    }

    pub(super) fn on_page_failed(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log_id: &LogId,
        request: RequestId,
        range: Range,
        context: &mut Context<'_>,
    ) {
        if let Some(log) = self.log_mut(id, log_id) {
            log.pull.in_flight.retain(|(pending, ..)| *pending != request);
        }
        self.page_useless(peer, id, log_id, range, context);
        self.drop_empty(id, log_id);
    }

    /// A range has to be asked for again, from somebody else if possible.
    pub(super) fn page_useless(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        log_id: &LogId,
        range: Range,
        context: &mut Context<'_>,
    ) {
        let now = context.time();
        let Some(log) = self.log_mut(id, log_id) else { return };
        if let Some(source) = log.sources.get_mut(&peer) {
            source.failed(now);
        }
        log.pull.give_back(range);
        self.pull(id, log_id, context);
    }

    /// A page of a peer's heads has come: note who has what, and pull.
    pub(super) fn on_heads(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        heads: Vec<wire::Head>,
        more: bool,
        context: &mut Context<'_>,
    ) {
        let last = heads.last().map(|head| head.log);
        let told: Vec<_> = heads.iter().map(|head| (head.log, head.counter)).collect();
        for head in heads {
            self.on_head(peer, id, &head, Duration::ZERO, context);
            if let Some(fork) = &head.fork {
                self.on_fork_announced(peer, id, &head.log, fork, context);
            }
            // From the peer itself, so this is what it has, and no less.
            if let Some(source) = self.log_mut(id, &head.log).and_then(|log| log.sources.get_mut(&peer)) {
                (source.counter, source.claimed, source.acknowledged) = (head.counter, head.counter, head.counter);
            }
        }
        if !told.is_empty() {
            context.push(Effect::Acknowledged { thread: id.clone(), peer, heads: told });
        }
        let topic = self.threads.get(id).map(Thread::topic);
        if let (true, Some(after), Some(topic)) = (more, last, topic) {
            let asked = Asked::Heads { peer, thread: id.clone() };
            context.ask(peer, Request::Heads { topic, after: Some(after) }, asked);
            return;
        }
        self.heads_done(&peer, id, true, context);
    }

    pub(super) fn heads_done(&mut self, peer: &PeerId, id: &ThreadId, answered: bool, context: &mut Context<'_>) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.heads_in_flight = session.heads_in_flight.saturating_sub(1);
        }
        if let Some(run) = self.threads.get_mut(id).and_then(|thread| thread.sync.as_mut())
            && run.waiting.remove(peer)
        {
            if answered {
                run.answered += 1;
            } else {
                run.failed += 1;
            }
        }
        self.ask_heads(peer, context);
    }

    /// Heads were published. Returns whether any was news.
    pub(super) fn on_announced(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        heads: &[wire::Head],
        context: &mut Context<'_>,
    ) -> bool {
        let mut news = false;
        for head in heads {
            let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return news };
            let log = hot.logs.get(&head.log);
            news |= log.is_none_or(|log| head.counter >= log.state.active_counter() || head.fork.is_some());
            // The records themselves may be on their way by push: from there they come sooner than by asking.
            let pushed = log.and_then(|log| log.pusher).is_some_and(|pusher| self.sessions.contains_key(&pusher));
            let patience = if pushed { PULL_PATIENCE } else { Duration::ZERO };
            self.on_head(peer, id, head, patience, context);
            if let Some(fork) = &head.fork {
                self.on_fork_rumoured(&peer, id, &head.log, fork, context);
            }
        }
        news
    }

    fn on_head(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        head: &wire::Head,
        patience: Duration,
        context: &mut Context<'_>,
    ) {
        let connected = self.sessions.contains_key(&peer);
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        if !connected || !hot.has_room(&head.log) {
            return;
        }
        let log = hot.logs.entry(head.log).or_default();
        log.note_source(peer, head.counter);
        let state = &log.state;
        if let Some(cid) = head.cid
            && head.counter <= state.active_counter()
            && state.known_cid(head.counter) != Some(&cid)
            && log.recent_cid(head.counter) != Some(&cid)
        {
            self.check_branch(peer, id, &head.log, super::state::Head { counter: head.counter, cid }, context);
        }
        let Some(log) = self.log_mut(id, &head.log) else { return };
        if head.counter <= log.state.counter() {
            return;
        }
        if patience.is_zero() {
            self.pull(id, &head.log, context);
        } else {
            context.after(patience, Timer::Pull(id.clone(), head.log));
        }
    }
}

/// The source with the fewest pages in flight among those that have the record after `after` and did not fail just now.
fn best_source(log: &Log, after: u64, now: Duration, is_free: impl Fn(&PeerId) -> bool) -> Option<PeerId> {
    let load = |peer: &PeerId| log.pull.in_flight.iter().filter(|(_, source, _)| source == peer).count();
    log.sources
        .iter()
        .filter(|(peer, source)| source.counter > after && source.not_before <= now && is_free(peer))
        .min_by_key(|(peer, source)| (load(peer), source.failures))
        .map(|(peer, _)| *peer)
}

/// All who have the records failed just now: come back when the first may be asked again.
fn wait_for_source(log: &Log, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
    let now = context.time();
    let soonest = log.sources.values().map(|source| source.not_before).filter(|at| *at > now).min();
    if let Some(at) = soonest {
        context.after(at - now, Timer::Pull(id.clone(), *log_id));
    }
}

//! The door for foreign records: whatever road they took, they go to verification here and meet the engine's state in `accept`.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    effect::{Effect, GossipId, InboundId, Misbehaviour, Verdict},
    engine::{Context, World},
    hot::Thread,
    limits::MAX_VERIFICATIONS,
    log::Log,
    serve::Range,
    verify::{Job, Sender},
};
use crate::{
    PeerId,
    id::{LogId, ThreadId, TopicId},
    keys::LogKeys,
    record::SealedRecord,
    seal::{self, Layer, Place},
    wire::{Ack, Envelope, Gossip, Response},
};

/// The road that records took.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    /// Published; the message waits for its verdict.
    Gossip { gossip: GossipId, source: PeerId },
    /// Pushed; the push waits for its answer.
    Push { inbound: InboundId, peer: PeerId },
    /// Asked for.
    Pull { peer: PeerId, range: Range },
    /// Asked for to find where a log forked.
    Descend { peer: PeerId, step: u64 },
    /// Asked for as inert records.
    Inert { peer: PeerId, more: bool },
    /// Came with something else; nobody waits for it.
    Check { peer: PeerId },
}

impl Origin {
    /// Who is to blame if the records are bad.
    pub(super) fn peer(&self) -> PeerId {
        match self {
            Origin::Gossip { source, .. } => *source,
            Origin::Push { peer, .. }
            | Origin::Pull { peer, .. }
            | Origin::Descend { peer, .. }
            | Origin::Inert { peer, .. }
            | Origin::Check { peer } => *peer,
        }
    }
}

/// What became of records, as far as their road has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are here and durable, or were already.
    Kept,
    /// They are older than the head: here already, but no news for others.
    Old,
    /// They may be good, but nothing could be done with them now.
    Dropped,
    /// There was no room.
    Busy,
    /// They are bad.
    Bad(Misbehaviour),
}

/// A verification under way.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) thread: ThreadId,
    pub(super) what: What,
}

/// What is being verified.
#[derive(Debug)]
pub(super) enum What {
    Records { log: LogId, origin: Origin },
    Blocks { peer: PeerId },
}

/// A push that waits until all its runs are durable or refused.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) waiting: Vec<(ThreadId, LogId)>,
    pub(super) acks: Vec<Ack>,
}

impl World {
    pub(super) fn on_gossip(
        &mut self,
        gossip: GossipId,
        source: PeerId,
        topic: &TopicId,
        data: &Bytes,
        context: &mut Context<'_>,
    ) {
        let origin = Origin::Gossip { gossip, source };
        let Some(id) = self.topics.get(topic).cloned() else { return self.finish(origin, Fate::Dropped, context) };
        let Some(thread) = self.threads.get(&id) else { return self.finish(origin, Fate::Dropped, context) };
        let place = Place { layer: Layer::Gossip, thread: id.as_bytes(), log: &[] };
        let message =
            seal::open(thread.access().gossip(), place, data).ok().and_then(|plain| Gossip::decode(plain.into()).ok());
        match message {
            None => self.finish(origin, Fate::Bad(Misbehaviour::InvalidData), context),
            Some(Gossip::Envelope(envelope)) if envelope.topic != *topic => {
                self.finish(origin, Fate::Bad(Misbehaviour::InvalidData), context);
            }
            Some(Gossip::Envelope(_)) if self.declines(&id, context).is_some() => {
                self.finish(origin, Fate::Busy, context);
            }
            Some(Gossip::Envelope(envelope)) => self.ingest(&id, *envelope, origin, context),
            Some(Gossip::Heads(heads)) => {
                let news = self.on_announced(source, &id, &heads, context);
                self.finish(origin, if news { Fate::Kept } else { Fate::Dropped }, context);
            }
        }
    }

    pub(super) fn on_push(
        &mut self,
        peer: PeerId,
        inbound: InboundId,
        envelopes: Vec<Envelope>,
        context: &mut Context<'_>,
    ) {
        // A push carries one thread only, so that its logs are in memory by now.
        let Some(topic) = envelopes.first().map(|envelope| envelope.topic) else {
            return context.push(Effect::Respond { inbound, response: Response::Push(Vec::new()) });
        };
        let Some(thread) = self.proven_thread(&peer, &topic, inbound, context) else { return };
        let id = thread.id.clone();
        let mut runs: Vec<_> = envelopes.iter().map(|envelope| (id.clone(), envelope.log)).collect();
        runs.sort_unstable();
        runs.dedup();
        if runs.len() != envelopes.len() || envelopes.iter().any(|envelope| envelope.topic != topic) {
            context.penalize(peer, Misbehaviour::InvalidData);
            return context.refuse(inbound, crate::wire::Refusal::Malformed);
        }
        if let Some(refusal) = self.declines(&id, context) {
            return context.refuse(inbound, refusal);
        }
        context.shared.pushed.insert(inbound, Pushed { waiting: runs, acks: Vec::new() });
        for envelope in envelopes {
            let log = envelope.log;
            self.ingest(&id, envelope, Origin::Push { inbound, peer }, context);
            self.note_pusher(&id, &log, peer);
        }
    }

    fn note_pusher(&mut self, thread: &ThreadId, log: &LogId, peer: PeerId) {
        if let Some(log) = self.threads.get_mut(thread).and_then(Thread::hot).and_then(|hot| hot.logs.get_mut(log)) {
            log.pusher = Some(peer);
        }
    }

    /// Takes an envelope on its way to verification: what is known already goes no further, unless it brings blocks that may be missing.
    /// Messages to the topic carry none, so that a record is often here before the push with its blocks.
    pub(super) fn ingest(&mut self, id: &ThreadId, envelope: Envelope, origin: Origin, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return self.finish(origin, Fate::Dropped, context) };
        let state = thread.state.clone();
        let Some(hot) = thread.hot() else { return self.finish(origin, Fate::Dropped, context) };
        let log_id = envelope.log;
        if !hot.has_room(&log_id) {
            return self.finish_run(id, &log_id, origin, Fate::Busy, context);
        }
        let log = hot.logs.entry(log_id).or_default();
        let brings_blocks = !envelope.blocks.is_empty() && (log.uncommitted > 0 || !hot.wants.is_empty());
        if let Some(fate) = already_known(log, &envelope).filter(|_| !brings_blocks) {
            // Not durable yet: the verdict waits with the batch that is under way.
            if fate == Fate::Kept && log.durable_counter() < envelope.last_counter() {
                return self.wait_for_commit(id, &log_id, origin, context);
            }
            return self.finish_run(id, &log_id, origin, fate, context);
        }
        if context.shared.verifications.len() >= MAX_VERIFICATIONS {
            return self.finish_run(id, &log_id, origin, Fate::Busy, context);
        }
        let Some(keys) = log.keys(&log_id, &state.keys, &envelope.key_id) else {
            // A newer epoch that this node was not given, or nonsense: nobody can tell here.
            return self.finish_run(id, &log_id, origin, Fate::Dropped, context);
        };
        let count = envelope.records.len();
        let sender = Sender { peer: envelope.sender, hash: envelope.signing_hash(), signature: envelope.signature };
        let key_id = envelope.key_id;
        let records =
            envelope.records.into_iter().map(|bytes| (SealedRecord { key_id, bytes }, keys.clone())).collect();
        self.charge(id, count, &origin, context);
        self.verify_records(id, log_id, (records, envelope.blocks), Some(Box::new(sender)), origin, context);
    }

    pub(super) fn verify_records(
        &mut self,
        id: &ThreadId,
        log: LogId,
        (records, blocks): (Vec<(SealedRecord, Arc<LogKeys>)>, Vec<Bytes>),
        sender: Option<Box<Sender>>,
        origin: Origin,
        context: &mut Context<'_>,
    ) {
        if let Some(log) = self.threads.get_mut(id).and_then(Thread::hot).and_then(|hot| hot.logs.get_mut(&log)) {
            log.pull.verifying += 1;
        }
        let job = Job::Records { thread: id.clone(), log, records, blocks, sender };
        context.verify(job, Verification { thread: id.clone(), what: What::Records { log, origin } });
    }

    /// Ends a run's road and, if it was a page that was asked for, goes on pulling.
    pub(super) fn finish_run(
        &mut self,
        thread: &ThreadId,
        log: &LogId,
        origin: Origin,
        fate: Fate,
        context: &mut Context<'_>,
    ) {
        if let Origin::Pull { peer, range } = &origin
            && !matches!(fate, Fate::Kept | Fate::Old)
        {
            self.page_useless(*peer, thread, log, *range, context);
        }
        if let Origin::Inert { peer, .. } = &origin
            && fate != Fate::Old
        {
            self.list_again(peer, thread, log);
        }
        if let Origin::Push { inbound, .. } = &origin {
            self.acknowledge(*inbound, thread, log, fate == Fate::Busy, context);
        }
        self.finish(origin, fate, context);
        if !matches!(fate, Fate::Kept) {
            self.drop_empty(thread, log);
        }
    }

    /// Tells a record's road what became of it.
    pub(super) fn finish(&mut self, origin: Origin, fate: Fate, context: &mut Context<'_>) {
        if let Fate::Bad(what) = fate {
            context.penalize(origin.peer(), what);
        }
        let Origin::Gossip { gossip, .. } = origin else { return };
        let verdict = match fate {
            Fate::Kept => Verdict::Accept,
            Fate::Bad(_) => Verdict::Reject,
            Fate::Old | Fate::Dropped | Fate::Busy => Verdict::Ignore,
        };
        context.push(Effect::Judge { gossip, verdict });
    }

    /// One run of a push is settled; the last one sends the answer.
    pub(super) fn acknowledge(
        &mut self,
        inbound: InboundId,
        thread: &ThreadId,
        log: &LogId,
        busy: bool,
        context: &mut Context<'_>,
    ) {
        let Some(pushed) = context.shared.pushed.get_mut(&inbound) else { return };
        pushed.waiting.retain(|(_, waiting)| waiting != log);
        if let Some(thread) = self.threads.get_mut(thread) {
            let topic = thread.topic();
            let counter = thread.hot().and_then(|hot| hot.logs.get(log)).map_or(0, Log::durable_counter);
            pushed.acks.push(Ack { topic, log: *log, counter, busy });
        }
        if pushed.waiting.is_empty()
            && let Some(pushed) = context.shared.pushed.remove(&inbound)
        {
            context.push(Effect::Respond { inbound, response: Response::Push(pushed.acks) });
        }
    }
}

/// What memory alone can say of an envelope: all of it is here, or (`None`) it has to be looked at.
fn already_known(log: &Log, envelope: &Envelope) -> Option<Fate> {
    let last = envelope.last_counter();
    if last > log.state.counter() {
        return None;
    }
    let cid = crate::block::cid(envelope.records.last()?);
    let known = log.state.known_cid(last) == Some(&cid) || log.recent_cid(last) == Some(&cid);
    if !known {
        return None;
    }
    Some(if last == log.state.counter() { Fate::Kept } else { Fate::Old })
}

//! Pushing own records to connected peers: writers first, then followers, one push per peer in flight, all that is new in each.

use super::{
    effect::Effect,
    engine::{Context, World},
    limits::{MAX_PUSH_BYTES, MAX_PUSHED_BLOCK_BYTES},
    log::Log,
    serve::Asked,
};
use crate::{
    PeerId,
    envelope::Run,
    id::{LogId, ThreadId},
    wire::{Ack, Envelope, Request, Role},
};

/// What a push carried of one log: the records after one counter up to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct PushedRun {
    pub(super) log: LogId,
    before: u64,
    last: u64,
}

impl World {
    /// A log of this node has new durable records.
    pub(super) fn push_records(&mut self, id: &ThreadId, log: &LogId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get(id) else { return };
        let topic = thread.topic();
        let mut peers: Vec<(Role, PeerId)> = Vec::with_capacity(thread.peers.len());
        for peer in &thread.peers {
            let Some(session) = self.sessions.get_mut(peer) else { continue };
            let standing = session.proven.get(&topic).copied().unwrap_or_default();
            // It would refuse them.
            if standing.terms.is_full {
                continue;
            }
            session.push_due.insert((id.clone(), *log));
            peers.push((standing.role, *peer));
        }
        peers.sort_unstable_by(|a, b| b.cmp(a));
        for (_, peer) in peers {
            self.push_due(&peer, context);
        }
    }

    /// Sends a peer what is due, unless a push to it is in flight.
    fn push_due(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        loop {
            let Some(session) = self.sessions.get_mut(peer) else { return };
            if session.pushing {
                return;
            }
            let Some(thread) = session.push_due.first().map(|(thread, _)| thread.clone()) else { return };
            let due: Vec<LogId> =
                session.push_due.iter().take_while(|(id, _)| *id == thread).map(|(_, log)| *log).collect();
            session.push_due.retain(|(id, _)| *id != thread);
            let envelopes = self.envelopes_for(peer, &thread, &due, context);
            if envelopes.is_empty() {
                continue;
            }
            let run = |envelope: &Envelope| PushedRun {
                log: envelope.log,
                before: envelope.counter - 1,
                last: envelope.last_counter(),
            };
            let runs = envelopes.iter().map(run).collect();
            if let Some(session) = self.sessions.get_mut(peer) {
                session.pushing = true;
            }
            context.ask(*peer, Request::Push(envelopes), Asked::Push { peer: *peer, thread, runs });
        }
    }

    fn envelopes_for(&mut self, peer: &PeerId, id: &ThreadId, logs: &[LogId], context: &Context<'_>) -> Vec<Envelope> {
        let Some(thread) = self.threads.get_mut(id) else { return Vec::new() };
        let topic = thread.topic();
        let Some(hot) = thread.hot() else { return Vec::new() };
        let mut room = MAX_PUSH_BYTES;
        let mut envelopes = Vec::new();
        let key = &context.shared.config.node_key;
        for log_id in logs {
            let Some(log) = hot.logs.get_mut(log_id) else { continue };
            // Of a peer of which nothing is known the newest are the best guess: it asks for the ones before if they are missing.
            let known = log.sources.get(peer).map_or(log.before_recent(), |source| source.counter);
            let Some(run) = run_after(log, log_id, known, &mut room) else { continue };
            let envelope = run.sign(topic, key);
            // Taken as arrived until the answer says otherwise, so that nothing is sent twice.
            log.note_source(*peer, envelope.last_counter());
            envelopes.push(envelope);
        }
        envelopes
    }

    /// A peer says how far it has come, or nothing.
    pub(super) fn on_acks(
        &mut self,
        peer: PeerId,
        id: &ThreadId,
        runs: &[PushedRun],
        acks: Option<&[Ack]>,
        context: &mut Context<'_>,
    ) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.pushing = false;
        }
        let mut heads = Vec::with_capacity(runs.len());
        for run in runs {
            let Some(log) = self.log_mut(id, &run.log) else { continue };
            let Some(ack) = acks.and_then(|acks| acks.iter().find(|ack| ack.log == run.log)) else {
                // Nothing is known of what the peer has; it will ask for itself.
                log.sources.remove(&peer);
                continue;
            };
            let counter = ack.counter.min(log.state.counter());
            let source = log.sources.entry(peer).or_default();
            (source.counter, source.acknowledged) = (counter, counter);
            heads.push((run.log, counter));
            // Whoever has come no further with what it was sent has its reasons: a gap that it pulls, or a fork.
            let moved = counter >= run.last || counter < run.before;
            let due = !ack.busy && moved && counter < log.durable_counter();
            if due && let Some(session) = self.sessions.get_mut(&peer) {
                session.push_due.insert((id.clone(), run.log));
            }
        }
        if !heads.is_empty() {
            context.push(Effect::Acknowledged { thread: id.clone(), peer, heads });
        }
        if acks.is_some() {
            self.push_due(&peer, context);
        }
    }
}

/// The durable records after `known` under one key, with their small blocks, as far as memory and `room` (bytes) reach.
pub(super) fn run_after(log: &Log, log_id: &LogId, known: u64, room: &mut usize) -> Option<Run> {
    let mut records = log.recent_after(known)?.peekable();
    let first = records.peek()?;
    let (key_id, counter) = (first.sealed().key_id, first.counter());
    let mut run = Run { log: *log_id, counter, key_id, records: Vec::new(), blocks: Vec::new() };
    for record in records {
        let size = record.sealed().bytes.len();
        if record.sealed().key_id != key_id || size > *room {
            break;
        }
        *room -= size;
        for block in log.recent_blocks(record.counter()) {
            if block.len() <= MAX_PUSHED_BLOCK_BYTES && block.len() <= *room {
                *room -= block.len();
                run.blocks.push(block.clone());
            }
        }
        run.records.push(record.sealed().bytes.clone());
    }
    (!run.records.is_empty()).then_some(run)
}

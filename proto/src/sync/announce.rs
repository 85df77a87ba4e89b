//! Publishing on the thread's gossip topic: single records whole, bursts by their heads.

use super::{
    effect::Effect,
    engine::{Context, World},
    hot::Thread,
    limits::{ANNOUNCE_INTERVAL, MAX_ANNOUNCED_HEADS, MAX_PUBLISHED_BYTES, MAX_PUBLISHED_RECORDS},
    log::Log,
    push::run_after,
    timers::Timer,
};
use crate::{
    id::{LogId, ThreadId},
    seal::{self, Layer, Place},
    wire::{Fork, Gossip, Head},
};

impl World {
    /// Publishes new records of an own log, or their head if the log was published a moment ago.
    pub(super) fn publish(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let now = context.time();
        let Some(thread) = self.threads.get_mut(id) else { return };
        let topic = thread.topic();
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log_id)) else { return };
        if log.announced.is_some_and(|at| now < at + ANNOUNCE_INTERVAL) {
            return self.announce(id, log_id, context);
        }
        let durable = log.durable_counter();
        let mut room = MAX_PUBLISHED_BYTES;
        let known =
            if durable - log.published.min(durable) <= MAX_PUBLISHED_RECORDS { log.published } else { durable - 1 };
        let Some(mut run) = run_after(log, log_id, known, &mut room) else { return self.announce(id, log_id, context) };
        run.blocks.clear();
        log.announced = Some(now);
        log.published = run.counter + run.records.len() as u64 - 1;
        let complete = log.published == durable;
        let envelope = run.sign(topic, &context.shared.config.node_key);
        send(thread, Gossip::Envelope(Box::new(envelope)), context);
        if !complete {
            self.announce(id, log_id, context);
        }
    }

    /// Publishes the head of a log, soon: what comes in between goes with it.
    pub(super) fn announce(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let now = context.time();
        let Some(log) = self.log_mut(id, log_id) else { return };
        if std::mem::replace(&mut log.announce_due, true) {
            return;
        }
        let wait = log.announced.map_or(ANNOUNCE_INTERVAL, |at| (at + ANNOUNCE_INTERVAL).saturating_sub(now));
        context.after(wait, Timer::Announce(id.clone(), *log_id));
    }

    /// Publishes all heads of a thread that are due.
    pub(super) fn announce_due(&mut self, id: &ThreadId, log_id: &LogId, context: &mut Context<'_>) {
        let now = context.time();
        let Some(thread) = self.threads.get_mut(id) else { return };
        let Some(hot) = thread.hot() else { return };
        if !hot.logs.get(log_id).is_some_and(|log| log.announce_due) {
            return;
        }
        let mut heads = Vec::new();
        for (log_id, log) in hot.logs.iter_mut().filter(|(_, log)| log.announce_due).take(MAX_ANNOUNCED_HEADS) {
            log.announce_due = false;
            log.announced = Some(now);
            log.published = log.durable_counter();
            heads.extend(head(log_id, log));
        }
        if !heads.is_empty() {
            send(thread, Gossip::Heads(heads), context);
        }
    }
}

/// What peers are told of a log: nothing while it has no durable record.
pub(super) fn head(log_id: &LogId, log: &Log) -> Option<Head> {
    let fork = log.state.fork.map(|fork| Fork { counter: fork.counter, inert: fork.inert, inert_digest: fork.digest });
    if log.durable.is_none() && fork.is_none() {
        return None;
    }
    Some(Head { log: *log_id, counter: log.durable_counter(), cid: log.durable.map(|head| head.cid), fork })
}

fn send(thread: &Thread, message: Gossip, context: &mut Context<'_>) {
    if !thread.subscribed {
        return;
    }
    let place = Place { layer: Layer::Gossip, thread: thread.id.as_bytes(), log: &[] };
    let Ok(plain) = message.encode() else { return };
    let data = seal::seal(thread.access().gossip(), place, &plain).into();
    context.push(Effect::Publish { topic: thread.topic(), data });
}

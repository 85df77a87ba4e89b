//! What happens once a batch is on disk: only then is anybody told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    effect::{AppendError, BatchId, Durability, Effect, Outcome, Receipt, RequestId},
    engine::{Context, World},
    hot::{Memory, Thread},
    ingest::{Fate, Origin},
    state::{Head, ThreadState},
};
use crate::id::{LogId, ThreadId};

/// A batch that is not synced yet, and what waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) batch: BatchId,
    pub(super) thread: ThreadId,
    pub(super) then: Then,
}

impl Pending {
    pub(super) fn new(batch: BatchId, thread: ThreadId, then: Then) -> Self {
        Self { batch, thread, then }
    }
}

/// What waits for a batch.
#[derive(Debug)]
pub(super) enum Then {
    /// An own append.
    Own { log: LogId, receipt: Receipt, request: Option<RequestId>, durability: Durability },
    /// Foreign records, and the roads on which they came.
    Foreign { log: LogId, head: Head, origin: Vec<Origin>, wants: bool },
    /// Inert records or a new fork.
    Inert { log: LogId },
    /// Blocks; some of them list others.
    Blocks { listing: bool },
    /// A thread that was joined, and what was known of it before.
    Joined { request: RequestId, before: Option<Arc<ThreadState>> },
    /// A thread that was left, and what was known of it.
    Left { request: RequestId, state: Arc<ThreadState> },
    /// Blocks of a body whose event is yet to come.
    Stored { request: RequestId },
}

impl World {
    pub(super) fn on_committed(&mut self, through: BatchId, synced: bool, context: &mut Context<'_>) {
        self.reply_relaxed(through, context);
        if !synced {
            return;
        }
        let mut advanced = BTreeSet::new();
        while context.shared.pending.front().is_some_and(|pending| pending.batch <= through) {
            let Some(Pending { thread, then, .. }) = context.shared.pending.pop_front() else { break };
            context.shared.written = context.shared.written.saturating_sub(1);
            self.on_durable(thread, then, &mut advanced, context);
        }
        for (thread, log, own) in advanced {
            self.log_advanced(&thread, &log, own, context);
        }
    }

    /// Appends that do not wait for the sync are acknowledged as soon as they are written.
    fn reply_relaxed(&mut self, through: BatchId, context: &mut Context<'_>) {
        let from = context.shared.written;
        let mut replies = Vec::new();
        for pending in context.shared.pending.iter_mut().skip(from) {
            if pending.batch > through {
                break;
            }
            context.shared.written += 1;
            if let Then::Own { request, receipt, durability: Durability::Relaxed, .. } = &mut pending.then
                && let Some(request) = request.take()
            {
                replies.push((request, *receipt));
            }
        }
        for (request, receipt) in replies {
            context.reply(request, Ok(Outcome::Appended(receipt)));
        }
    }

    fn on_durable(
        &mut self,
        thread: ThreadId,
        then: Then,
        advanced: &mut BTreeSet<(ThreadId, LogId, bool)>,
        context: &mut Context<'_>,
    ) {
        match then {
            Then::Own { log, receipt, request, .. } => {
                self.set_durable(&thread, &log, receipt.head, context);
                if let Some(request) = request {
                    context.reply(request, Ok(Outcome::Appended(receipt)));
                }
                advanced.insert((thread, log, true));
            }
            Then::Foreign { log, head, origin, wants } => {
                self.set_durable(&thread, &log, head, context);
                for origin in origin {
                    // A page or push was no gossip message: who else is connected hears of the new head from here.
                    let announce = !matches!(origin, Origin::Gossip { .. });
                    self.note_has(&thread, &log, &origin, head);
                    self.finish_run(&thread, &log, origin, Fate::Kept, context);
                    advanced.insert((thread.clone(), log, false));
                    if announce {
                        self.announce(&thread, &log, context);
                    }
                }
                if wants {
                    self.want_more(&thread, context);
                }
                self.pull(&thread, &log, context);
            }
            Then::Inert { log } => self.inert_durable(&thread, &log, context),
            Then::Blocks { listing } => {
                if let Some(hot) = self.threads.get_mut(&thread).and_then(Thread::hot) {
                    hot.wants.settling = hot.wants.settling.saturating_sub(1);
                }
                if listing {
                    self.want_more(&thread, context);
                }
                context.push(Effect::BlocksArrived { thread: thread.clone() });
                self.fetch_blocks(&thread, context);
            }
            Then::Joined { request, .. } => context.reply(request, Ok(Outcome::Joined)),
            Then::Left { request, .. } => context.reply(request, Ok(Outcome::Left)),
            Then::Stored { request } => context.reply(request, Ok(Outcome::Stored)),
        }
    }

    fn set_durable(&mut self, id: &ThreadId, log: &LogId, head: Head, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        thread.edge_changed(context);
        let Some(log) = thread.hot().and_then(|hot| hot.logs.get_mut(log)) else { return };
        log.uncommitted = log.uncommitted.saturating_sub(1);
        log.set_durable(Some(head));
    }

    /// Whoever sent a record has it.
    fn note_has(&mut self, id: &ThreadId, log: &LogId, origin: &Origin, head: Head) {
        let peer = origin.peer();
        if !self.sessions.contains_key(&peer) {
            return;
        }
        if let (Origin::Push { .. } | Origin::Pull { .. }, Some(log)) = (origin, self.log_mut(id, log)) {
            log.note_source(peer, head.counter);
            log.note_acknowledged(peer, head.counter);
            if let Some(source) = log.sources.get_mut(&peer) {
                (source.failures, source.denied, source.not_before) = (0, 0, Duration::ZERO);
            }
        }
    }

    /// A log has new durable records: wake readers, and spread own ones.
    pub(super) fn log_advanced(&mut self, id: &ThreadId, log: &LogId, own: bool, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let Some(hot) = thread.hot() else {
            *thread.missed.entry(*log).or_default() |= own;
            return;
        };
        let Some(counter) = hot.logs.get(log).map(super::log::Log::durable_counter) else { return };
        context.push(Effect::Wake { thread: id.clone(), log: *log, counter });
        if own {
            self.push_records(id, log, context);
            self.publish(id, log, context);
        }
    }

    /// A gossip message whose records are being committed gets its verdict with them.
    pub(super) fn wait_for_commit(&mut self, id: &ThreadId, log: &LogId, origin: Origin, context: &mut Context<'_>) {
        let batch = context.shared.pending.iter_mut().rev().find_map(|pending| match &mut pending.then {
            Then::Foreign { log: pending_log, origin, .. } if pending_log == log && pending.thread == *id => {
                Some(origin)
            }
            _ => None,
        });
        match batch {
            Some(waiting) => waiting.push(origin),
            None => self.finish_run(id, log, origin, Fate::Old, context),
        }
    }

    /// A batch failed, and with it all that came after: nobody is told anything, and the logs are read back from disk.
    pub(super) fn on_commit_failed(&mut self, from: BatchId, error: &str, context: &mut Context<'_>) {
        let mut failed = Vec::new();
        while context.shared.pending.back().is_some_and(|pending| pending.batch >= from) {
            failed.extend(context.shared.pending.pop_back());
        }
        context.shared.written = context.shared.written.min(context.shared.pending.len());
        context.push(Effect::Resume);
        let mut threads = BTreeSet::new();
        let why = AppendError::Store(error.to_owned());
        // The newest first, so that of a thread what was before all of them stays.
        for Pending { thread, then, .. } in failed {
            threads.insert(thread.clone());
            match then {
                Then::Own { request: Some(request), .. } | Then::Stored { request } => {
                    context.reply(request, Err(why.clone()));
                }
                Then::Joined { request, before } => {
                    self.unjoin(&thread, before, &why, context);
                    context.reply(request, Err(why.clone()));
                }
                Then::Left { request, state } => {
                    self.unleave(&thread, state, context);
                    context.reply(request, Err(why.clone()));
                }
                Then::Foreign { log, origin, .. } => {
                    for origin in origin {
                        self.finish_run(&thread, &log, origin, Fate::Busy, context);
                    }
                }
                Then::Own { request: None, .. } | Then::Inert { .. } | Then::Blocks { .. } => {}
            }
        }
        for id in threads {
            // Inert records that did not stay are listed again.
            self.sessions.values_mut().for_each(|session| session.inert_listed.retain(|(listed, _), _| *listed != id));
            let Some(thread) = self.threads.get_mut(&id) else { continue };
            // What is being read is read after the failure; what is cold had nothing under way.
            if matches!(thread.memory, Memory::Hot(_)) {
                thread.load(context);
            }
        }
    }
}

impl Thread {
    /// What this node keeps of the thread, as peers are told.
    pub(super) fn terms(&self) -> crate::wire::Terms {
        self.following.unwrap_or_default().terms
    }

    /// What this node does in the thread, as peers are told.
    pub(super) fn role(&self) -> crate::wire::Role {
        use crate::wire::Role;
        if !self.state.keys.can_read() {
            return Role::Follower;
        }
        let wrote =
            |hot: &super::hot::Hot| hot.logs.values().any(|log| log.writer.is_some() && log.state.head.is_some());
        match &self.memory {
            Memory::Hot(hot) if wrote(hot) => Role::Writer,
            Memory::Hot(_) | Memory::Cold | Memory::Loading(_) => Role::Reader,
        }
    }
}

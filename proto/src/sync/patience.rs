//! A caller waits until all peers of a thread were asked and what they had is here.

use std::time::Duration;

use super::{
    effect::{AppendError, Effect, Outcome, RequestId},
    engine::{Context, World},
    hot::{SyncRun, Thread},
    limits::{ENOUGH_PEERS, SYNC_PATIENCE, SYNC_PATIENCE_ALONE},
    timers::Timer,
};
use crate::id::ThreadId;

impl World {
    pub(super) fn on_sync(&mut self, request: RequestId, id: &ThreadId, context: &mut Context<'_>) {
        let now = context.time();
        let Some(thread) = self.threads.get_mut(id) else {
            return context.reply(request, Err(AppendError::ThreadNotFound));
        };
        let peers = thread.peers.clone();
        let key = *thread.access().dht_key();
        match &mut thread.sync {
            Some(run) => run.requests.push(request),
            None => {
                let run =
                    SyncRun { since: now, requests: vec![request], waiting: peers.clone(), answered: 0, failed: 0 };
                thread.sync = Some(run);
                context.shared.syncing.insert(id.clone());
                context.after(SYNC_PATIENCE_ALONE, Timer::EndSync(id.clone()));
            }
        }
        let Some(hot) = thread.hot() else { return };
        // A pull that waits out a failure is due now: the caller asks for it.
        let logs: Vec<_> = hot
            .logs
            .iter_mut()
            .map(|(log, state)| {
                state.sources.values_mut().for_each(|source| source.not_before = Duration::ZERO);
                *log
            })
            .collect();
        if peers.len() < ENOUGH_PEERS {
            context.push(Effect::FindPeers { thread: id.clone(), key });
        }
        peers.iter().for_each(|peer| self.check_heads(peer, id, context));
        logs.iter().for_each(|log| self.pull(id, log, context));
    }

    /// Answers a sync that has all it can get.
    pub(super) fn sync_progress(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let Some(run) = &thread.sync else { return };
        if !run.waiting.is_empty() || run.answered + run.failed == 0 {
            return;
        }
        let Some(hot) = thread.hot() else { return };
        let busy = hot.logs.values().any(|log| log.pull.is_busy() || log.uncommitted > 0 || log.counting);
        if !busy && hot.wants.is_quiet() && !hot.wants.is_stale() {
            self.end_sync(id, context);
        }
    }

    /// Nobody is waited for in vain: not long while there are no peers at all, and at the longest a minute.
    pub(super) fn sync_due(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let now = context.time();
        let Some(run) = self.threads.get(id).and_then(|thread| thread.sync.as_ref()) else { return };
        let alone = run.waiting.is_empty() && run.answered + run.failed == 0;
        let end = run.since + if alone { SYNC_PATIENCE_ALONE } else { SYNC_PATIENCE };
        if now < end {
            return context.after(end - now, Timer::EndSync(id.clone()));
        }
        self.end_sync(id, context);
    }

    fn end_sync(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        context.shared.syncing.remove(id);
        context.shared.timers.cancel(&Timer::EndSync(id.clone()));
        let Some(run) = self.threads.get_mut(id).and_then(|thread: &mut Thread| thread.sync.take()) else { return };
        let outcome = Outcome::Synced { peers: run.answered, failed: run.failed + run.waiting.len() };
        for request in run.requests {
            context.reply(request, Ok(outcome.clone()));
        }
    }
}

//! Threads come, go, warm up and cool down.

use std::{sync::Arc, time::Duration};

use super::{
    commit::{Pending, Then},
    effect::{AppendError, Durability, Effect, Outcome, RequestId, Write},
    engine::{Context, World, refuse},
    hot::{Hot, Memory, SyncRun, Thread},
    input::Input,
    limits::{COOL_AFTER, DISCOVER_INTERVAL, MAX_DISCOVER_INTERVAL, MAX_TOPICS, SYNC_PATIENCE},
    log::{Log, Writer},
    state::{LogState, ThreadState},
    timers::Timer,
};
use crate::id::{LogId, ThreadId};

impl World {
    pub(super) fn on_known(
        &mut self,
        id: ThreadId,
        state: Arc<ThreadState>,
        logs: &[(LogId, LogState)],
        context: &mut Context<'_>,
    ) {
        let mut thread = Thread::new(id.clone(), state, context.time());
        thread.set_edge(logs);
        self.topics.insert(thread.topic(), id.clone());
        self.threads.insert(id.clone(), thread);
        self.announce_thread(&id, context);
    }

    pub(super) fn on_join(
        &mut self,
        request: RequestId,
        id: ThreadId,
        state: ThreadState,
        context: &mut Context<'_>,
    ) {
        let state = match self.threads.get(&id) {
            None => state,
            Some(thread) => {
                let mut merged = ThreadState::clone(&thread.state);
                if let Err(error) = merged.keys.merge(&state.keys) {
                    return context.reply(request, Err(AppendError::Keys(error.to_string())));
                }
                merged.name = state.name.or(merged.name);
                merged.addresses = state.addresses;
                merged
            }
        };
        let state = Arc::new(state);
        let write = Write::Thread { thread: id.clone(), state: state.clone() };
        let then = Then::Request { request, outcome: Outcome::Joined };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
        if let Some(thread) = self.threads.get_mut(&id) {
            self.topics.remove(&thread.topic());
            thread.state = state;
            thread.edge_changed();
            // Logs are read again, so that what was sealed opens, and this node's own log with it.
            if let Memory::Hot(_) = thread.memory {
                thread.memory = Memory::Loading(Vec::new());
                context.push(Effect::Load { thread: id.clone() });
            }
        } else {
            self.threads.insert(id.clone(), Thread::new(id.clone(), state, context.time()));
        }
        if let Some(thread) = self.threads.get(&id) {
            self.topics.insert(thread.topic(), id.clone());
        }
        self.announce_thread(&id, context);
        self.prove_to_all(&id, context);
    }

    /// Makes a thread known to gossip, to the DHT, and looks for peers.
    fn announce_thread(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let topic = thread.topic();
        if !thread.subscribed {
            thread.subscribed = true;
            context.shared.subscribed += 1;
            context.push(Effect::Subscribe { topic });
        }
        context.push(Effect::Provide { key: *thread.access().dht_key() });
        context.after(Duration::ZERO, Timer::Discover(id.clone()));
        self.leave_idle_topics(context);
    }

    /// Beyond the limit the least recently active threads leave their topic and live on pushes and edges.
    fn leave_idle_topics(&mut self, context: &mut Context<'_>) {
        while context.shared.subscribed > MAX_TOPICS {
            let idle = self.threads.values_mut().filter(|thread| thread.subscribed).min_by_key(|thread| thread.used);
            let Some(idle) = idle else { return };
            idle.subscribed = false;
            context.shared.subscribed -= 1;
            context.push(Effect::Unsubscribe { topic: idle.topic() });
        }
    }

    pub(super) fn on_leave(&mut self, request: RequestId, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.remove(id) else {
            return context.reply(request, Err(AppendError::ThreadNotFound));
        };
        let topic = thread.topic();
        self.topics.remove(&topic);
        for peer in &thread.peers {
            if let Some(session) = self.sessions.get_mut(peer) {
                session.forget(&topic);
            }
        }
        if thread.subscribed {
            context.shared.subscribed -= 1;
            context.push(Effect::Unsubscribe { topic });
        }
        if let Memory::Loading(parked) = thread.memory {
            parked.into_iter().for_each(|input| refuse(input, context));
        }
        let write = Write::RemoveThread { thread: id.clone() };
        let then = Then::Request { request, outcome: Outcome::Left };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
    }

    pub(super) fn on_loaded(
        &mut self,
        id: &ThreadId,
        logs: Result<Vec<(LogId, LogState)>, String>,
        writers: Vec<Writer>,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        if let Memory::Hot(_) = thread.memory {
            return;
        }
        let memory = std::mem::replace(&mut thread.memory, Memory::Cold);
        let parked = if let Memory::Loading(parked) = memory { parked } else { Vec::new() };
        let logs = match logs {
            Ok(logs) => logs,
            Err(error) => return parked.into_iter().for_each(|input| fail(input, &error, context)),
        };
        let mut hot = Hot { wants: super::hot::Wants { more: true, ..Default::default() }, ..Hot::default() };
        hot.logs = logs.into_iter().map(|(log, state)| (log, Log::new(state))).collect();
        for writer in writers {
            let log = hot.logs.entry(writer.log).or_default();
            log.rolled_back = log.state.rolled_back;
            log.writer = Some(Box::new(writer));
        }
        hot.fresh = hot.logs.keys().copied().collect();
        thread.memory = Memory::Hot(Box::new(hot));
        thread.edge_changed();
        context.shared.unparked.extend(parked);
        context.after(COOL_AFTER, Timer::Cool(id.clone()));
        context.after(Duration::ZERO, Timer::Blocks(id.clone()));
        // Who has more is not kept on disk: ask.
        let peers: Vec<_> = thread.peers.iter().copied().collect();
        peers.iter().for_each(|peer| self.check_heads(peer, id, context));
    }

    /// Lets go of a thread's logs when it was not used for long and nothing of it is under way.
    pub(super) fn cool(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let idle = context.time().saturating_sub(thread.used);
        let Some(hot) = thread.hot() else { return };
        let busy = hot.sync.is_some()
            || !hot.wants.is_quiet()
            || hot.logs.values().any(|log| log.uncommitted > 0 || log.pull.is_busy() || log.announce_due || log.counting);
        if busy || idle < COOL_AFTER {
            let wait = COOL_AFTER.saturating_sub(idle).max(Duration::from_secs(1));
            return context.after(wait, Timer::Cool(id.clone()));
        }
        thread.edge();
        thread.memory = Memory::Cold;
    }

    /// Looks for peers while a thread has none, ever less often.
    pub(super) fn discover(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        if !thread.peers.is_empty() {
            thread.discover_wait = DISCOVER_INTERVAL;
            return;
        }
        let key = *thread.access().dht_key();
        context.push(Effect::FindPeers { thread: id.clone(), key });
        let wait = thread.discover_wait;
        thread.discover_wait = wait.saturating_mul(2).min(MAX_DISCOVER_INTERVAL);
        context.after(wait, Timer::Discover(id.clone()));
    }

    pub(super) fn on_sync(&mut self, request: RequestId, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else {
            return context.reply(request, Err(AppendError::ThreadNotFound));
        };
        let peers = thread.peers.clone();
        let key = *thread.access().dht_key();
        let Some(hot) = thread.hot() else { return context.reply(request, Err(AppendError::Busy)) };
        match &mut hot.sync {
            Some(run) => run.requests.push(request),
            None => {
                let run = SyncRun { requests: vec![request], waiting: peers.clone(), answered: 0, failed: 0 };
                hot.sync = Some(run);
                context.after(SYNC_PATIENCE, Timer::EndSync(id.clone()));
            }
        }
        // A pull that waits out a failure is due now: the caller asks for it.
        let logs: Vec<_> = hot.logs.iter_mut().map(|(log, state)| {
            state.sources.values_mut().for_each(|source| source.not_before = Duration::ZERO);
            *log
        }).collect();
        if peers.is_empty() {
            context.push(Effect::FindPeers { thread: id.clone(), key });
        }
        peers.iter().for_each(|peer| self.check_heads(peer, id, context));
        logs.iter().for_each(|log| self.pull(id, log, context));
    }

    /// Answers a sync that has all it can get.
    pub(super) fn sync_progress(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        let Some(run) = &hot.sync else { return };
        let busy = hot.logs.values().any(|log| log.pull.is_busy() || log.uncommitted > 0 || log.counting);
        let fetching = !hot.wants.is_quiet() || hot.wants.more;
        if !run.waiting.is_empty() || run.answered + run.failed == 0 || busy || fetching {
            return;
        }
        self.end_sync(id, context);
    }

    pub(super) fn end_sync(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        let Some(run) = hot.sync.take() else { return };
        let outcome = Outcome::Synced { peers: run.answered, failed: run.failed + run.waiting.len() };
        for request in run.requests {
            context.reply(request, Ok(outcome.clone()));
        }
    }
}

/// Answers an input whose thread could not be read.
fn fail(input: Input, error: &str, context: &mut Context<'_>) {
    match input {
        Input::Append(append) => context.reply(append.request, Err(AppendError::Store(error.to_owned()))),
        Input::Store { request, .. } | Input::Sync { request, .. } => {
            context.reply(request, Err(AppendError::Store(error.to_owned())));
        }
        other => refuse(other, context),
    }
}

//! Threads come, go, warm up and cool down.

use std::{sync::Arc, time::Duration};

use super::{
    commit::{Pending, Then},
    effect::{AppendError, Durability, Effect, Lookup, RequestId, Write},
    engine::{Context, World},
    hot::{Hot, Memory, Thread},
    limits::{COOL_AFTER, DISCOVER_INTERVAL, MAX_DISCOVER_INTERVAL, MAX_TOPICS},
    log::{Log, Writer},
    serve::Asked,
    state::{LogState, ThreadState},
    timers::Timer,
};
use crate::id::{LogId, ThreadId, TopicId};

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
        context.look_up(id.clone(), Lookup::Wants, Asked::Missing { thread: id });
    }

    pub(super) fn on_join(&mut self, request: RequestId, id: &ThreadId, state: ThreadState, context: &mut Context<'_>) {
        let before = self.threads.get(id).map(|thread| thread.state.clone());
        let mut elsewhere = false;
        let state = match &before {
            None => state,
            Some(before) => {
                let mut merged = ThreadState::clone(before);
                if let Err(error) = merged.keys.merge(&state.keys) {
                    return context.reply(request, Err(AppendError::Keys(error.to_string())));
                }
                merged.name = state.name.or(merged.name);
                if !state.addresses.is_empty() {
                    elsewhere = merged.addresses != state.addresses;
                    merged.addresses = state.addresses;
                }
                merged
            }
        };
        let state = Arc::new(state);
        let write = Write::Thread { thread: id.clone(), state: state.clone() };
        let then = Then::Joined { request, before };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
        self.enter(id, state, context);
        if let Some(thread) = self.threads.get(id).filter(|_| elsewhere) {
            let key = *thread.access().dht_key();
            context.push(Effect::FindPeers { thread: id.clone(), key });
        }
    }

    /// Takes a thread, or other keys for one that is here, into memory.
    fn enter(&mut self, id: &ThreadId, state: Arc<ThreadState>, context: &mut Context<'_>) {
        if let Some(thread) = self.threads.get_mut(id) {
            let topic = thread.topic();
            thread.state = state;
            // Logs are read again, so that what was sealed opens, and this node's own log with it.
            thread.load(context);
            // What was being listed when the thread was put aside may not have been kept.
            self.sessions.values_mut().for_each(|session| session.inert_listed.retain(|(listed, _), _| listed != id));
            if thread.topic() != topic {
                self.move_topic(id, topic, context);
            }
        } else {
            let thread = Thread::new(id.clone(), state, context.time());
            self.topics.insert(thread.topic(), id.clone());
            self.threads.insert(id.clone(), thread);
        }
        self.announce_thread(id, context);
        self.prove_to_all(id, context);
    }

    /// Other keys have moved a thread: nobody has proven access to it at its new place.
    fn move_topic(&mut self, id: &ThreadId, old: TopicId, context: &mut Context<'_>) {
        self.topics.remove(&old);
        self.sessions.values_mut().for_each(|session| session.forget(id, &old));
        let Some(thread) = self.threads.get_mut(id) else { return };
        self.topics.insert(thread.topic(), id.clone());
        thread.peers.clear();
        if std::mem::take(&mut thread.subscribed) {
            context.shared.subscribed -= 1;
            context.push(Effect::Unsubscribe { topic: old });
        }
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
        let account = self.threads.get(id).and_then(|thread| thread.following).map(|following| following.account);
        let Some(state) = self.forget_thread(id, &AppendError::ThreadNotFound, context) else {
            return context.reply(request, Err(AppendError::ThreadNotFound));
        };
        if let Some(account) = account {
            self.close_account(account, context);
        }
        let write = Write::RemoveThread { thread: id.clone() };
        let then = Then::Left { request, state };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
    }

    /// Lets go of all that memory has of a thread; whoever waits for it is told `why`.
    fn forget_thread(
        &mut self,
        id: &ThreadId,
        why: &AppendError,
        context: &mut Context<'_>,
    ) -> Option<Arc<ThreadState>> {
        let thread = self.threads.remove(id)?;
        let topic = thread.topic();
        self.topics.remove(&topic);
        self.sessions.values_mut().for_each(|session| session.forget(id, &topic));
        if thread.subscribed {
            context.shared.subscribed -= 1;
            context.push(Effect::Unsubscribe { topic });
        }
        context.shared.syncing.remove(id);
        for request in thread.sync.into_iter().flat_map(|run| run.requests) {
            context.reply(request, Err(why.clone()));
        }
        if let Memory::Loading(loading) = thread.memory {
            loading.parked.into_iter().for_each(|input| self.abandon(input, why, context));
        }
        Some(thread.state)
    }

    /// A join did not get to disk.
    pub(super) fn unjoin(
        &mut self,
        id: &ThreadId,
        before: Option<Arc<ThreadState>>,
        why: &AppendError,
        context: &mut Context<'_>,
    ) {
        match before {
            Some(before) if self.threads.contains_key(id) => self.enter(id, before, context),
            Some(_) => {}
            None => {
                self.forget_thread(id, why, context);
            }
        }
    }

    /// The removal of a thread did not get to disk: it is here still.
    pub(super) fn unleave(&mut self, id: &ThreadId, state: Arc<ThreadState>, context: &mut Context<'_>) {
        self.enter(id, state, context);
        // Its edge is not known before its logs are.
        if let Some(thread) = self.threads.get_mut(id)
            && matches!(thread.memory, Memory::Cold)
        {
            thread.load(context);
        }
    }

    pub(super) fn on_loaded(
        &mut self,
        id: &ThreadId,
        logs: Result<Vec<(LogId, LogState)>, String>,
        writers: Vec<Writer>,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let Memory::Loading(loading) = &mut thread.memory else { return };
        loading.asked = loading.asked.saturating_sub(1);
        if loading.asked > 0 {
            return;
        }
        let parked = std::mem::take(&mut loading.parked);
        thread.memory = Memory::Cold;
        let logs = match logs {
            Ok(logs) => logs,
            Err(error) => {
                let why = AppendError::Store(error);
                return parked.into_iter().for_each(|input| self.abandon(input, &why, context));
            }
        };
        let mut hot = Hot { wants: super::hot::Wants { more: true, ..Default::default() }, ..Hot::default() };
        hot.logs = logs.into_iter().map(|(log, state)| (log, Log::new(state))).collect();
        writers.into_iter().for_each(|writer| hot.write(writer));
        hot.fresh = hot.logs.keys().copied().collect();
        let forked = hot.logs.iter().filter(|(_, log)| log.state.fork.is_some()).map(|(id, _)| *id);
        let forked: Vec<_> = forked.collect();
        thread.memory = Memory::Hot(Box::new(hot));
        thread.incomplete = false;
        thread.edge_changed(context);
        let missed = std::mem::take(&mut thread.missed);
        let peers: Vec<_> = thread.peers.iter().copied().collect();
        context.shared.unparked.extend(parked);
        context.after(COOL_AFTER, Timer::Cool(id.clone()));
        context.after(Duration::ZERO, Timer::Blocks(id.clone()));
        forked.iter().for_each(|log| self.reopen_fork(id, log, context));
        missed.iter().for_each(|(log, own)| self.log_advanced(id, log, *own, context));
        // Who has more is not kept on disk: where edges differ, heads are asked for.
        peers.iter().for_each(|peer| self.compare_now(peer, context));
    }

    /// One more log is written here; a thread that is read from disk later comes with all its writers.
    pub(super) fn on_writer(&mut self, id: &ThreadId, writer: Writer) {
        if let Some(hot) = self.threads.get_mut(id).and_then(super::hot::Thread::hot) {
            hot.write(writer);
        }
    }

    /// Lets go of a thread's logs when it was not used for long and nothing of it is under way.
    pub(super) fn cool(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let idle = context.time().saturating_sub(thread.used);
        let syncing = thread.sync.is_some();
        let Some(hot) = thread.hot() else { return };
        let busy = syncing
            || !hot.wants.is_quiet()
            || hot
                .logs
                .values()
                .any(|log| log.uncommitted > 0 || log.pull.is_busy() || log.announce_due || log.counting);
        if busy || idle < COOL_AFTER {
            let wait = COOL_AFTER.saturating_sub(idle).max(Duration::from_secs(1));
            return context.after(wait, Timer::Cool(id.clone()));
        }
        let incomplete = !hot.wants.queue.is_empty() || hot.wants.is_stale();
        thread.edge();
        thread.incomplete = incomplete;
        thread.memory = Memory::Cold;
    }

    /// Looks for peers, ever less often, while a thread has none, or none that had anything, or fewer than a while ago.
    pub(super) fn discover(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        if !thread.peers.is_empty() && !thread.wants_peers && !thread.is_empty() {
            thread.discover_wait = DISCOVER_INTERVAL;
            return;
        }
        let key = *thread.access().dht_key();
        context.push(Effect::FindPeers { thread: id.clone(), key });
        let wait = thread.discover_wait;
        // Whoever has been away for so long looks for this node itself when it is back.
        thread.wants_peers &= wait < MAX_DISCOVER_INTERVAL;
        thread.discover_wait = wait.saturating_mul(2).min(MAX_DISCOVER_INTERVAL);
        context.after(wait, Timer::Discover(id.clone()));
    }
}

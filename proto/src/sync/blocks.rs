//! Blocks that records link to and that did not come with them: asked for a few at a time, of whoever has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;

use super::{
    commit::{Pending, Then},
    effect::{Durability, Lookup, RequestId, Write},
    engine::{Context, World},
    hot::{Hot, Memory, Thread, Want},
    ingest::{Verification, What},
    input::Failure,
    limits::{MAX_BLOCK_REQUESTS, MAX_VERIFICATIONS, MAX_WANTS, SYNC_INTERVAL},
    serve::Asked,
    session::Session,
    timers::Timer,
    verify::Job,
};
use crate::{
    PeerId,
    id::{LogId, ThreadId},
    keys::{LogKeys, ThreadKeys},
    wire::Request,
};

impl World {
    /// The store may hold more wanted blocks than are in memory.
    pub(super) fn want_more(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        hot.wants.more = true;
        self.fetch_blocks(id, context);
    }

    /// Asks peers for wanted blocks, as far as limits permit.
    pub(super) fn fetch_blocks(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let is_full = self.is_full(id);
        let now = context.time();
        let sessions = &self.sessions;
        let Some(thread) = self.threads.get_mut(id) else { return };
        let topic = thread.topic();
        let peers = thread.peers.clone();
        let Some(hot) = thread.hot() else { return };
        if hot.wants.is_stale() && hot.wants.is_quiet() {
            hot.wants.loading = true;
            hot.wants.more = false;
            hot.wants.truncated = false;
            return context.look_up(id.clone(), Lookup::Wants, Asked::Wants { thread: id.clone() });
        }
        if is_full {
            return;
        }
        while hot.wants.in_flight.len() < MAX_BLOCK_REQUESTS && !hot.wants.queue.is_empty() {
            let Some((peer, wanted)) = next_request(hot, &peers, sessions) else { break };
            let cids = wanted.iter().map(|(cid, _)| *cid).collect();
            let asked = Asked::Blocks { peer, thread: id.clone(), since: now };
            let request = context.ask(peer, Request::Blocks { topic, cids }, asked);
            hot.wants.in_flight.insert(request, (peer, wanted));
        }
        if !hot.wants.queue.is_empty() && hot.wants.in_flight.is_empty() && !peers.is_empty() {
            // Everybody was asked in vain: begin anew a while later.
            hot.wants.vain.clear();
            context.after(SYNC_INTERVAL, Timer::Blocks(id.clone()));
        }
    }

    /// A new peer of the thread may have what nobody had.
    pub(super) fn resume_blocks(&mut self, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        match &thread.memory {
            Memory::Cold if thread.incomplete && !thread.peers.is_empty() => thread.load(context),
            Memory::Cold | Memory::Loading(_) => {}
            Memory::Hot(_) => self.fetch_blocks(id, context),
        }
    }

    pub(super) fn on_wants(&mut self, id: &ThreadId, wants: Vec<(Cid, Option<LogId>)>, context: &mut Context<'_>) {
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        hot.wants.loading = false;
        hot.wants.truncated = wants.len() >= MAX_WANTS;
        hot.wants.queue = wants.into();
        self.fetch_blocks(id, context);
    }

    /// Blocks have come, some of those asked for or none.
    pub(super) fn on_blocks(
        &mut self,
        id: &ThreadId,
        request: RequestId,
        answer: Result<(Vec<Bytes>, bool), Failure>,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let state = thread.state.clone();
        let Some(hot) = thread.hot() else { return };
        let Some((peer, wanted)) = hot.wants.in_flight.remove(&request) else { return };
        match answer {
            Ok((blocks, more)) if !blocks.is_empty() => {
                let came: BTreeSet<Cid> = blocks.iter().map(|block| crate::block::cid(block)).collect();
                // Whoever sends nothing that was asked for is not asked again, whatever more there may be.
                let more = more && wanted.iter().any(|(cid, _)| came.contains(cid));
                for (cid, log) in wanted.iter().filter(|(cid, _)| !came.contains(cid)) {
                    hot.wants.queue.push_back((*cid, *log));
                    if !more {
                        hot.wants.vain.entry(*cid).or_default().insert(peer);
                    }
                }
                if context.shared.verifications.len() >= MAX_VERIFICATIONS {
                    hot.wants.more = true;
                    return context.after(Duration::from_secs(1), Timer::Blocks(id.clone()));
                }
                let wanted = wanted.into_iter().filter(|(cid, _)| came.contains(cid));
                let wanted = wanted
                    .map(|(cid, log)| (cid, log.map(|log| manifest_keys(hot, &state.keys, log)).unwrap_or_default()))
                    .collect();
                hot.wants.settling += 1;
                let job = Job::Blocks { thread: id.clone(), wanted, blocks };
                context.verify(job, Verification { thread: id.clone(), what: What::Blocks { peer } });
            }
            Ok(_) | Err(_) => {
                for (cid, log) in wanted {
                    hot.wants.vain.entry(cid).or_default().insert(peer);
                    hot.wants.queue.push_back((cid, log));
                }
            }
        }
        self.fetch_blocks(id, context);
    }

    /// Verified blocks came after their records: those that are missing are kept, for who sent them may not be there to be asked.
    pub(super) fn keep_late_blocks(
        &mut self,
        id: &ThreadId,
        log: &LogId,
        mut blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
        context: &mut Context<'_>,
    ) {
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        let Some(log) = hot.logs.get(log) else { return };
        // What a record under way links to is not wanted by the store yet.
        let unsure = log.uncommitted > 0 || hot.wants.is_partial();
        blocks.retain(|(cid, ..)| hot.wants.lists(cid) || (unsure && log.recently_links(cid)));
        if blocks.is_empty() {
            return;
        }
        hot.wants.queue.retain(|(wanted, _)| blocks.iter().all(|(cid, ..)| cid != wanted));
        hot.wants.settling += 1;
        // They may be asked for at this moment, and in vain: the list is read anew then, so that they are not asked for again.
        hot.wants.more = true;
        self.keep_blocks(id, blocks, context);
    }

    pub(super) fn keep_blocks(
        &mut self,
        id: &ThreadId,
        blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
        context: &mut Context<'_>,
    ) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        if let Some(hot) = thread.hot() {
            if blocks.is_empty() {
                hot.wants.settling = hot.wants.settling.saturating_sub(1);
                return self.fetch_blocks(id, context);
            }
            blocks.iter().for_each(|(cid, ..)| {
                hot.wants.vain.remove(cid);
            });
        }
        let listing = blocks.iter().any(|(.., links)| !links.is_empty());
        let writes = blocks
            .into_iter()
            .map(|(cid, bytes, links)| Write::Block { thread: id.clone(), cid, bytes, links })
            .collect();
        context.persist(Durability::Sync, writes, |batch| Pending::new(batch, id.clone(), Then::Blocks { listing }));
    }
}

/// The next wanted blocks, and a peer that was not yet asked for them in vain.
fn next_request(
    hot: &mut Hot,
    peers: &BTreeSet<PeerId>,
    sessions: &BTreeMap<PeerId, Session>,
) -> Option<(PeerId, Vec<Want>)> {
    let busy = |peer: &PeerId| hot.wants.in_flight.values().filter(|(source, _)| source == peer).count();
    let mut candidates: Vec<_> = peers.iter().map(|peer| (busy(peer), *peer)).collect();
    candidates.sort_unstable();
    for (busy, peer) in candidates {
        let Some(pace) = sessions.get(&peer).map(|session| &session.pace) else { continue };
        if busy >= pace.at_once(MAX_BLOCK_REQUESTS) {
            continue;
        }
        let vain = &hot.wants.vain;
        let useful = |(cid, _): &Want| !vain.get(cid).is_some_and(|asked| asked.contains(&peer));
        let mut taken = Vec::new();
        let mut rest = std::collections::VecDeque::with_capacity(hot.wants.queue.len());
        for want in hot.wants.queue.drain(..) {
            if taken.len() < pace.blocks() && useful(&want) {
                taken.push(want);
            } else {
                rest.push_back(want);
            }
        }
        hot.wants.queue = rest;
        if !taken.is_empty() {
            return Some((peer, taken));
        }
    }
    None
}

/// A manifest does not say under which epoch it is sealed: its reader tries them.
fn manifest_keys(hot: &mut Hot, keys: &ThreadKeys, log_id: LogId) -> Vec<Arc<LogKeys>> {
    let Some(log) = hot.logs.get_mut(&log_id) else { return Vec::new() };
    keys.key_ids().filter_map(|key_id| log.keys(&log_id, keys, &key_id)).collect()
}

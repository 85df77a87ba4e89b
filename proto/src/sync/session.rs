//! One peer: what it has proven, and the steady comparison of edges with it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{
    effect::{Effect, InboundId, Misbehaviour},
    engine::{Context, World},
    hot::Thread,
    input::Failure,
    limits::{
        DISCOVER_INTERVAL, ENOUGH_PEERS, MAX_HEAD_REQUESTS, MAX_REQUESTS_PER_SESSION, PROVE_RETRY, SYNC_INTERVAL,
        SYNC_RETRY,
    },
    pace::Pace,
    serve::Asked,
    status::Trouble,
    timers::Timer,
};
use crate::{
    PeerId,
    id::{LogId, ThreadId, TopicId},
    keys::{AccessKey, Direction},
    wire::{Digest, Node, Prefix, Proof, Request, Response, Role, Terms, limits::MAX_PROOFS},
};

/// What a peer says of itself in a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) role: Role,
    pub(super) terms: Terms,
    /// When it proved access.
    since: Duration,
}

/// A connected peer.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Threads that both have proven to each other, with the role that the peer gives itself.
    pub(super) proven: BTreeMap<TopicId, Standing>,
    /// Threads that were proven once and are gone: what the peer asks of them is late, not impertinent.
    pub(super) left: BTreeSet<TopicId>,
    /// Threads that the peer was shown and has not answered for: the answer was lost, and the peer may believe already.
    unanswered: BTreeSet<TopicId>,
    /// The digest over all of `proven`, and how many changes of edges it covers. Two peers at rest compare it every few seconds.
    root: Option<(u64, Digest)>,
    /// A comparison of edges is under way; another one was asked for meanwhile.
    pub(super) comparing: usize,
    pub(super) compare_again: bool,
    /// A request of the comparison that is under way came to nothing.
    pub(super) broken: bool,
    /// When the last comparison that ended well began, and which threads it found to differ: in all others the peer had what was here then.
    pub(super) agreed: Option<(Duration, BTreeSet<ThreadId>)>,
    /// The same of the comparison that is under way.
    pub(super) comparison: (Duration, BTreeSet<ThreadId>),
    /// What last went wrong with each thread, until it goes well again.
    pub(super) troubles: BTreeMap<ThreadId, Trouble>,
    /// Threads whose heads are to be asked for, and how many requests for heads are in flight.
    pub(super) heads_due: VecDeque<ThreadId>,
    pub(super) heads_in_flight: usize,
    /// Logs with records to push; a push is in flight.
    pub(super) push_due: BTreeSet<(ThreadId, LogId)>,
    pub(super) pushing: bool,
    /// Inert records that were listed from this peer, by the digest it had then.
    pub(super) inert_listed: BTreeMap<(ThreadId, LogId), [u8; 32]>,
    /// Pages of records in flight, and logs that wait for one of them to land.
    pub(super) pages: usize,
    pub(super) stalled: BTreeSet<(ThreadId, LogId)>,
    /// How much is asked for at once.
    pub(super) pace: Pace,
}

impl Session {
    pub(super) fn forget(&mut self, id: &ThreadId, topic: &TopicId) {
        if self.proven.remove(topic).is_some() {
            self.left.insert(*topic);
            self.root = None;
        }
        self.unanswered.remove(topic);
        self.heads_due.retain(|due| due != id);
        self.push_due.retain(|(due, _)| due != id);
        self.inert_listed.retain(|(listed, _), _| listed != id);
        self.stalled.retain(|(stalled, _)| stalled != id);
        self.troubles.remove(id);
    }

    /// Whether a page of records may be asked for.
    pub(super) fn has_room_for_a_page(&self) -> bool {
        self.pages < self.pace.at_once(MAX_REQUESTS_PER_SESSION)
    }

    /// Whether the peer has all that is here of a thread, which last changed at a time.
    pub(super) fn agrees(&self, id: &ThreadId, topic: &TopicId, changed: Duration) -> bool {
        let Some((at, differing)) = &self.agreed else { return false };
        let proven = self.proven.get(topic).is_some_and(|standing| standing.since < *at);
        proven && changed < *at && !differing.contains(id)
    }
}

impl World {
    pub(super) fn on_peer_connected(&mut self, peer: PeerId, context: &mut Context<'_>) {
        if self.sessions.contains_key(&peer) {
            return;
        }
        self.sessions.insert(peer, Session::default());
        let topics: Vec<_> = self.topics.values().cloned().collect();
        self.prove(&peer, &topics, context);
        context.after(SYNC_INTERVAL, Timer::Compare(peer));
    }

    pub(super) fn on_peer_gone(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        let Some(session) = self.sessions.remove(peer) else { return };
        context.shared.timers.cancel(&Timer::Compare(*peer));
        context.shared.timers.cancel(&Timer::Prove(*peer));
        for topic in session.proven.keys() {
            if let Some(id) = self.topics.get(topic).cloned() {
                self.lose_peer(peer, &id, context);
            }
        }
        self.fail_requests(peer, context);
    }

    /// A peer has gone or does not share a thread any more.
    fn lose_peer(&mut self, peer: &PeerId, id: &ThreadId, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        if !thread.peers.remove(peer) {
            return;
        }
        // The others may have less than the one that has gone, and nobody but this node may know where it is.
        if thread.peers.len() < ENOUGH_PEERS {
            let wait = if thread.peers.is_empty() { Duration::ZERO } else { DISCOVER_INTERVAL };
            thread.look_for_peers(wait, context);
        }
        if let Some(run) = &mut thread.sync
            && run.waiting.remove(peer)
        {
            run.failed += 1;
        }
        let Some(hot) = thread.hot() else { return };
        hot.logs.values_mut().for_each(|log| {
            log.sources.remove(peer);
        });
        hot.logs.retain(|_, log| !log.is_empty() || log.target() > 0);
    }

    /// A peer says that it does not know a thread, or has not seen the proof: it is shown once more.
    pub(super) fn disowned(&mut self, peer: &PeerId, id: &ThreadId, context: &mut Context<'_>) {
        let Some(topic) = self.threads.get(id).map(Thread::topic) else { return };
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if session.proven.contains_key(&topic) {
            session.forget(id, &topic);
            self.lose_peer(peer, id, context);
            context.after(PROVE_RETRY, Timer::Prove(*peer));
        }
    }

    /// Shows a new or changed thread to everybody who is connected.
    pub(super) fn prove_to_all(&mut self, thread: &ThreadId, context: &mut Context<'_>) {
        let peers: Vec<_> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.prove(&peer, std::slice::from_ref(thread), context);
        }
    }

    /// Shows those proofs again that a peer has not answered.
    pub(super) fn prove_again(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get(peer) else { return };
        let unproven = self.topics.iter().filter(|(topic, _)| !session.proven.contains_key(*topic));
        let threads: Vec<_> = unproven.map(|(_, id)| id.clone()).collect();
        self.prove(peer, &threads, context);
    }

    fn prove(&mut self, peer: &PeerId, threads: &[ThreadId], context: &mut Context<'_>) {
        let me = context.shared.config.peer;
        let threads: Vec<_> = threads.iter().filter_map(|id| self.threads.get(id)).collect();
        for page in threads.chunks(MAX_PROOFS) {
            let topics = page.iter().map(|thread| thread.topic()).collect();
            let proofs = page.iter().map(|thread| Proof {
                topic: thread.topic(),
                mac: thread.access().proof(&me, peer, Direction::Request),
                role: thread.role(),
                terms: thread.terms(),
            });
            context.ask(*peer, Request::Proofs(proofs.collect()), Asked::Proofs { peer: *peer, topics });
        }
    }

    /// A peer shows proofs: answer in kind for those that are right, with silence for the others.
    pub(super) fn on_proofs(
        &mut self,
        peer: PeerId,
        inbound: InboundId,
        proofs: Vec<Proof>,
        context: &mut Context<'_>,
    ) {
        let me = context.shared.config.peer;
        let mut answer = Vec::new();
        let mut news = false;
        // An unknown thread costs the same computation as a known one, and gets the same silence as a wrong proof.
        let stranger = AccessKey::new([0; 32]);
        for proof in proofs {
            let thread = self.topics.get(&proof.topic).and_then(|id| self.threads.get(id));
            let access = thread.map_or(&stranger, |thread| thread.access());
            let right = access.verify_proof(&proof.mac, &peer, &me, Direction::Request);
            let mac = access.proof(&peer, &me, Direction::Response);
            // Nobody is scored for a wrong proof either: a ban would tell that the thread is here.
            let Some(thread) = thread.filter(|_| right) else { continue };
            answer.push(Proof { topic: proof.topic, mac, role: thread.role(), terms: thread.terms() });
            let id = thread.id.clone();
            news |= self.set_proven(peer, &id, &proof, context);
        }
        context.push(Effect::Respond { inbound, response: Response::Proofs(answer) });
        if news {
            // Not at once: the peer believes this node only when the answer is there.
            context.after(SYNC_RETRY, Timer::Compare(peer));
        }
    }

    pub(super) fn on_proofs_answer(
        &mut self,
        peer: PeerId,
        topics: &[TopicId],
        answer: Result<Vec<Proof>, Failure>,
        context: &mut Context<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let Ok(proofs) = answer else {
            session.unanswered.extend(topics);
            return context.after(PROVE_RETRY, Timer::Prove(peer));
        };
        topics.iter().for_each(|topic| {
            session.unanswered.remove(topic);
        });
        let me = context.shared.config.peer;
        let mut proven = false;
        for proof in proofs {
            let Some(thread) = self.topics.get(&proof.topic).and_then(|id| self.threads.get(id)) else { continue };
            if !thread.access().verify_proof(&proof.mac, &me, &peer, Direction::Response) {
                context.penalize(peer, Misbehaviour::WrongProof);
                continue;
            }
            let id = thread.id.clone();
            self.set_proven(peer, &id, &proof, context);
            proven = true;
        }
        if proven {
            self.compare_now(&peer, context);
        }
    }

    /// Whether a peer has reason to believe that access to a thread is proven on both sides, though it is not here: it takes back
    /// what it had, or its answer to what it was shown is on the way, behind what it asks already.
    pub(super) fn may_believe(&self, peer: &PeerId, topic: &TopicId, context: &Context<'_>) -> bool {
        let is_on_the_way =
            |asked: &Asked| matches!(asked, Asked::Proofs { peer: to, topics } if to == peer && topics.contains(topic));
        self.sessions
            .get(peer)
            .is_some_and(|session| session.left.contains(topic) || session.unanswered.contains(topic))
            || context.shared.asked.values().any(is_on_the_way)
    }

    /// Returns whether the peer is new to the thread.
    fn set_proven(&mut self, peer: PeerId, id: &ThreadId, proof: &Proof, context: &mut Context<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(&peer) else { return false };
        let Some(thread) = self.threads.get_mut(id) else { return false };
        let since = session.proven.get(&proof.topic).map_or(context.time(), |standing| standing.since);
        session.proven.insert(proof.topic, Standing { role: proof.role, terms: proof.terms, since });
        session.root = None;
        if !thread.peers.insert(peer) {
            return false;
        }
        thread.wants_peers = false;
        context.push(Effect::Met { thread: id.clone(), peer, role: proof.role });
        if let Some(run) = &mut thread.sync {
            run.waiting.insert(peer);
            self.check_heads(&peer, id, context);
        }
        self.resume_blocks(id, context);
        true
    }

    /// The regular comparison with a peer, and the next one.
    pub(super) fn compare(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        if !self.sessions.contains_key(peer) {
            return;
        }
        self.compare_now(peer, context);
        context.after(SYNC_INTERVAL, Timer::Compare(*peer));
    }

    /// Compares now, or right after the comparison that is under way: never two at once, never one forgotten.
    pub(super) fn compare_now(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if session.proven.is_empty() {
            return;
        }
        if session.comparing > 0 {
            session.compare_again = true;
            return;
        }
        session.comparing = 1;
        session.comparison = (context.time(), BTreeSet::new());
        let digest = self.root_digest(peer, context);
        let body = Request::Edges(vec![Node { prefix: Prefix::root(), digest }]);
        context.ask(*peer, body, Asked::Edges { peer: *peer });
    }

    /// The digest over all threads that are proven with a peer.
    pub(super) fn root_digest(&mut self, peer: &PeerId, context: &Context<'_>) -> Digest {
        let changes = context.shared.edge_changes;
        let known = self.sessions.get(peer).and_then(|session| session.root);
        if let Some((_, digest)) = known.filter(|(covers, _)| *covers == changes) {
            debug_assert_eq!(digest, self.digest(peer, &Prefix::root()), "no change of an edge is missed");
            return digest;
        }
        let digest = self.digest(peer, &Prefix::root());
        if let Some(session) = self.sessions.get_mut(peer) {
            session.root = Some((changes, digest));
        }
        digest
    }

    /// One request of a comparison is answered or lost.
    pub(super) fn compared(&mut self, peer: &PeerId, failed: bool, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        session.comparing = session.comparing.saturating_sub(1);
        session.broken |= failed;
        if session.comparing > 0 {
            return;
        }
        if std::mem::take(&mut session.broken) {
            return context.after(SYNC_RETRY, Timer::Compare(*peer));
        }
        session.agreed = Some(std::mem::take(&mut session.comparison));
        if std::mem::take(&mut session.compare_again) {
            self.compare_now(peer, context);
        }
    }

    /// Asks a peer for the heads of a thread, a few threads at a time.
    pub(super) fn check_heads(&mut self, peer: &PeerId, id: &ThreadId, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if !session.heads_due.contains(id) {
            session.heads_due.push_back(id.clone());
        }
        self.ask_heads(peer, context);
    }

    pub(super) fn ask_heads(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        while session.heads_in_flight < MAX_HEAD_REQUESTS {
            let Some(id) = session.heads_due.pop_front() else { return };
            let Some(thread) = self.threads.get(&id) else { continue };
            let topic = thread.topic();
            if !session.proven.contains_key(&topic) {
                continue;
            }
            session.heads_in_flight += 1;
            let asked = Asked::Heads { peer: *peer, thread: id };
            context.ask(*peer, Request::Heads { topic, after: None }, asked);
        }
    }
}

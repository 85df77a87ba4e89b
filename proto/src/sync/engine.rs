//! The engine's front: one input in, a list of effects out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ed25519_dalek::SigningKey;

use super::{
    commit::Pending,
    effect::{
        AppendError, BatchId, Durability, Effect, InboundId, Lookup, Misbehaviour, Outcome, RequestId, Verdict, Write,
    },
    follow::Bucket,
    hot::{Memory, Thread},
    ingest::{Pushed, Verification},
    input::{Failure, Input, Now},
    limits::MAX_PARKED,
    serve::Asked,
    session::Session,
    timers::{Timer, Timers},
    verify::{Job, Ticket},
};
use crate::{
    PeerId,
    id::{ThreadId, TopicId},
    wire::{Refusal, Request, Response},
};

/// What an engine is told about its node.
#[derive(Clone)]
pub struct Config {
    /// The node's peer id.
    pub peer: PeerId,
    /// The key behind it; signs envelopes.
    pub node_key: SigningKey,
}

/// The state machine. Drive it as the module's documentation says.
pub struct Engine {
    world: World,
    shared: Shared,
}

impl Engine {
    /// An engine that knows no thread and no peer.
    pub fn new(config: Config) -> Self {
        Self { world: World::default(), shared: Shared::new(config) }
    }

    /// Takes one input; appends to `effects` what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        let mut context = Context { now, shared: &mut self.shared, effects };
        self.world.take(input, &mut context);
        // A thread that became hot in this step has inputs that waited for it.
        while let Some(input) = context.shared.unparked.pop_front() {
            self.world.take(input, &mut context);
        }
        for thread in context.shared.syncing.clone() {
            self.world.sync_progress(&thread, &mut context);
        }
    }

    /// When to feed [`Input::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.shared.timers.next()
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    #[cfg(any(test, feature = "test-utils"))]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// Threads and peers.
#[derive(Default)]
pub(super) struct World {
    pub(super) threads: BTreeMap<ThreadId, Thread>,
    pub(super) topics: BTreeMap<TopicId, ThreadId>,
    pub(super) sessions: BTreeMap<PeerId, Session>,
}

/// What all parts of the engine use.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) timers: Timers,
    /// Batches that are not synced yet, oldest first.
    pub(super) pending: VecDeque<Pending>,
    /// How many of them, from the front, are known to be written.
    pub(super) written: usize,
    /// Requests to peers and to the store that wait for an answer.
    pub(super) asked: BTreeMap<RequestId, Asked>,
    pub(super) verifications: BTreeMap<Ticket, Verification>,
    /// Pushes that were not answered yet.
    pub(super) pushed: BTreeMap<InboundId, Pushed>,
    pub(super) unparked: VecDeque<Input>,
    /// Threads whose peers a caller waits for.
    pub(super) syncing: BTreeSet<ThreadId>,
    /// Threads whose gossip topic is joined.
    pub(super) subscribed: usize,
    /// What threads that are followed for others may bring now.
    pub(super) accounts: BTreeMap<u64, Bucket>,
    /// How often the edge of any thread has changed: a digest over many is good for as long as this stays.
    pub(super) edge_changes: u64,
    next: u64,
}

impl Shared {
    fn new(config: Config) -> Self {
        Self {
            config,
            timers: Timers::default(),
            pending: VecDeque::new(),
            written: 0,
            asked: BTreeMap::new(),
            verifications: BTreeMap::new(),
            pushed: BTreeMap::new(),
            unparked: VecDeque::new(),
            syncing: BTreeSet::new(),
            subscribed: 0,
            accounts: BTreeMap::new(),
            edge_changes: 0,
            next: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// One step's surroundings: the time, what all share, and where effects go.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) shared: &'a mut Shared,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    pub(super) fn time(&self) -> Duration {
        self.now.monotonic
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn after(&mut self, wait: Duration, timer: Timer) {
        self.shared.timers.set(self.now.monotonic + wait, timer);
    }

    pub(super) fn ask(&mut self, peer: PeerId, body: Request, asked: Asked) -> RequestId {
        let request = RequestId(self.shared.next());
        self.shared.asked.insert(request, asked);
        self.push(Effect::Send { peer, request, body });
        request
    }

    pub(super) fn look_up(&mut self, thread: ThreadId, lookup: Lookup, asked: Asked) {
        let request = RequestId(self.shared.next());
        self.shared.asked.insert(request, asked);
        self.push(Effect::Lookup { thread, lookup, request });
    }

    pub(super) fn verify(&mut self, job: Job, verification: Verification) {
        let ticket = Ticket(self.shared.next());
        self.shared.verifications.insert(ticket, verification);
        self.push(Effect::Verify { ticket, job: Box::new(job) });
    }

    pub(super) fn persist(
        &mut self,
        durability: Durability,
        writes: Vec<Write>,
        pending: impl FnOnce(BatchId) -> Pending,
    ) {
        let batch = BatchId(self.shared.next());
        self.shared.pending.push_back(pending(batch));
        self.push(Effect::Persist { batch, durability, writes });
    }

    pub(super) fn reply(&mut self, request: RequestId, result: Result<Outcome, AppendError>) {
        self.push(Effect::Reply { request, result });
    }

    pub(super) fn refuse(&mut self, inbound: InboundId, refusal: Refusal) {
        self.push(Effect::Respond { inbound, response: Response::Refusal(refusal) });
    }

    pub(super) fn penalize(&mut self, peer: PeerId, what: Misbehaviour) {
        self.push(Effect::Penalize { peer, what });
    }
}

impl World {
    /// Handles an input, or parks it until its thread's logs are in memory.
    fn take(&mut self, input: Input, context: &mut Context<'_>) {
        let Some(thread) = self.needs(&input, context) else { return self.dispatch(input, context) };
        let Some(thread) = self.threads.get_mut(&thread) else { return self.dispatch(input, context) };
        thread.used = context.time();
        match &mut thread.memory {
            Memory::Hot(_) => self.dispatch(input, context),
            Memory::Cold => {
                thread.load(context);
                if let Memory::Loading(loading) = &mut thread.memory {
                    loading.parked.push(input);
                }
            }
            // Answers to own questions, and writers, are few and must not get lost; what comes from outside has a bound.
            Memory::Loading(loading) if loading.parked.len() < MAX_PARKED || must_stay(&input) => {
                loading.parked.push(input);
            }
            Memory::Loading(_) => self.abandon(input, &AppendError::Busy, context),
        }
    }

    /// The thread whose logs must be in memory for this input.
    fn needs(&self, input: &Input, context: &Context<'_>) -> Option<ThreadId> {
        match input {
            Input::Append(append) => Some(append.thread.clone()),
            Input::Writer { thread, .. }
            | Input::Store { thread, .. }
            | Input::DropBlocks { thread, .. }
            | Input::Sync { thread, .. } => Some(thread.clone()),
            Input::Gossip { topic, .. } => self.topics.get(topic).cloned(),
            Input::Request { peer, body, .. } => self.request_needs(peer, body),
            Input::Response { request, .. } | Input::Found { request, .. } => {
                context.shared.asked.get(request).and_then(Asked::thread)
            }
            Input::Verified { ticket, .. } => context.shared.verifications.get(ticket).map(|job| job.thread.clone()),
            Input::Known { .. }
            | Input::Join { .. }
            | Input::Leave { .. }
            | Input::Loaded { .. }
            | Input::Committed { .. }
            | Input::CommitFailed { .. }
            | Input::PeerConnected { .. }
            | Input::PeerGone { .. }
            | Input::Following { .. }
            | Input::Invite { .. }
            | Input::Tick => None,
        }
    }

    fn dispatch(&mut self, input: Input, context: &mut Context<'_>) {
        match input {
            Input::Known { thread, state, logs } => self.on_known(thread, state, &logs, context),
            Input::Join { request, thread, state } => self.on_join(request, &thread, state, context),
            Input::Leave { request, thread } => self.on_leave(request, &thread, context),
            Input::Loaded { thread, logs, writers } => self.on_loaded(&thread, logs, writers, context),
            Input::Writer { thread, writer } => self.on_writer(&thread, *writer),
            Input::Append(append) => self.on_append(*append, context),
            Input::Store { request, thread, blocks } => self.on_store(request, &thread, blocks, context),
            Input::DropBlocks { request, thread, cids, heads } => {
                self.on_drop_blocks(request, &thread, cids, &heads, context);
            }
            Input::Sync { request, thread } => self.on_sync(request, &thread, context),
            Input::Following { thread, following } => self.on_following(&thread, following, context),
            Input::Invite { request, peer, sealed } => {
                context.ask(peer, Request::Invite { sealed }, Asked::Invite { peer, request });
            }
            Input::Committed { through, synced } => self.on_committed(through, synced, context),
            Input::CommitFailed { from, error } => self.on_commit_failed(from, &error, context),
            Input::Found { request, found } => self.on_found(request, found, context),
            Input::Verified { ticket, result } => self.on_verified(ticket, result, context),
            Input::PeerConnected { peer } => self.on_peer_connected(peer, context),
            Input::PeerGone { peer } => self.on_peer_gone(&peer, context),
            Input::Request { peer, inbound, body } => self.on_request(peer, inbound, body, context),
            Input::Response { request, result } => self.on_response(request, result, context),
            Input::Gossip { gossip, source, topic, data } => self.on_gossip(gossip, source, &topic, &data, context),
            Input::Tick => self.on_tick(context),
        }
    }

    fn on_tick(&mut self, context: &mut Context<'_>) {
        let now = context.time();
        while let Some(timer) = context.shared.timers.pop(now) {
            match timer {
                Timer::Compare(peer) => self.compare(&peer, context),
                Timer::Prove(peer) => self.prove_again(&peer, context),
                Timer::Announce(thread, log) => self.announce_due(&thread, &log, context),
                Timer::Pull(thread, log) => self.pull(&thread, &log, context),
                Timer::Blocks(thread) => self.fetch_blocks(&thread, context),
                Timer::CountInert(thread, log) => self.count_due(&thread, &log, context),
                Timer::Discover(thread) => self.discover(&thread, context),
                Timer::Cool(thread) => self.cool(&thread, context),
                Timer::EndSync(thread) => self.sync_due(&thread, context),
            }
        }
    }

    /// Ends an input for which there is no room, or whose thread is gone or could not be read.
    pub(super) fn abandon(&mut self, input: Input, why: &AppendError, context: &mut Context<'_>) {
        match input {
            Input::Append(append) => context.reply(append.request, Err(why.clone())),
            Input::Store { request, .. } | Input::DropBlocks { request, .. } | Input::Sync { request, .. } => {
                context.reply(request, Err(why.clone()));
            }
            Input::Request { inbound, .. } => context.refuse(inbound, Refusal::Busy),
            Input::Gossip { gossip, .. } => context.push(Effect::Judge { gossip, verdict: Verdict::Ignore }),
            // Whoever waits for an answer is told even without the thread's logs.
            Input::Response { .. } | Input::Found { .. } | Input::Verified { .. } => self.dispatch(input, context),
            Input::Known { .. }
            | Input::Join { .. }
            | Input::Leave { .. }
            | Input::Loaded { .. }
            | Input::Writer { .. }
            | Input::Committed { .. }
            | Input::CommitFailed { .. }
            | Input::PeerConnected { .. }
            | Input::PeerGone { .. }
            | Input::Following { .. }
            | Input::Invite { .. }
            | Input::Tick => {}
        }
    }

    /// A peer is gone: nothing that it was asked will be answered.
    pub(super) fn fail_requests(&mut self, peer: &PeerId, context: &mut Context<'_>) {
        let of_peer = |(_, asked): &(&RequestId, &Asked)| asked.peer() == Some(*peer);
        let requests: Vec<_> = context.shared.asked.iter().filter(of_peer).map(|(request, _)| *request).collect();
        for request in requests {
            self.dispatch(Input::Response { request, result: Err(Failure::Disconnected) }, context);
        }
    }
}

fn must_stay(input: &Input) -> bool {
    matches!(input, Input::Response { .. } | Input::Found { .. } | Input::Verified { .. } | Input::Writer { .. })
}

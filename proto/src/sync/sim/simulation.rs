//! The event queue, and the one place where an engine is driven.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{
    super::{
        effect::RequestId,
        input::{Failure, Input, Now},
        limits::MAX_EFFECTS_PER_INPUT,
        verify::{Job, Ticket},
    },
    network::Network,
    node::{Node, NodeId},
    trace::Trace,
};
use crate::id::TopicId;

/// Wall clock at virtual time zero, milliseconds since 1970.
const WALL_START: u64 = 1_700_000_000_000;
/// Inputs without any passing of virtual time after which a node is said to spin.
const MAX_INPUTS_AT_ONCE: usize = 100_000;

/// Something that is to happen.
pub(super) enum Event {
    Tick { node: NodeId, life: u32 },
    Write { node: NodeId, life: u32 },
    Sync { node: NodeId, life: u32 },
    Input { node: NodeId, life: u32, input: Box<Input> },
    Verify { node: NodeId, life: u32, ticket: Ticket, job: Box<Job> },
    Found { node: NodeId, life: u32, request: RequestId, thread: crate::ThreadId, lookup: Box<super::super::Lookup> },
    Request { from: NodeId, from_life: u32, to: NodeId, request: RequestId, bytes: Bytes },
    Response { to: NodeId, life: u32, request: RequestId, result: Result<Bytes, Failure> },
    Carried { to: NodeId, request: RequestId },
    Gossip { from: NodeId, to: NodeId, topic: TopicId, data: Bytes, again: bool },
    LinkUp { a: NodeId, b: NodeId },
    LinkDown { a: NodeId, b: NodeId },
}

/// Nodes, links and time. See the [module](super).
pub struct Simulation {
    pub(super) rng: StdRng,
    pub(super) now: Duration,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) threads: Vec<super::SharedThread>,
    /// What was observed.
    pub trace: Trace,
    pub(super) record_messages: bool,
    queue: BTreeMap<(Duration, u64), Event>,
    next: u64,
    at_once: usize,
}

impl Simulation {
    /// An empty world. Everything that is random in it follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
            nodes: Vec::new(),
            network: Network::default(),
            threads: Vec::new(),
            trace: Trace::default(),
            record_messages: false,
            queue: BTreeMap::new(),
            next: 0,
            at_once: 0,
        }
    }

    /// Keep every message in the trace; without this only the summary.
    pub fn record_messages(&mut self) {
        self.record_messages = true;
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// A node's wall clock, milliseconds since 1970.
    pub fn wall_millis(&self, node: NodeId) -> u64 {
        WALL_START + (self.now + self.node(node).clock).as_millis() as u64
    }

    /// The simulation's randomness.
    pub fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    pub(super) fn random_bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }

    pub(super) fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.0]
    }

    pub(super) fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[node.0]
    }

    pub(super) fn schedule(&mut self, wait: Duration, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + wait, self.next), event);
    }

    pub(super) fn schedule_input(&mut self, node: NodeId, wait: Duration, input: Input) {
        let life = self.node(node).life;
        self.schedule(wait, Event::Input { node, life, input: Box::new(input) });
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until `done`, looked at every 200 ms, or for `limit` at the longest. Tells whether it is done.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now + limit;
        while !done(self) {
            if self.now >= until {
                return false;
            }
            self.run_for(Duration::from_millis(200));
        }
        true
    }

    /// Handles the next event, if it is due by `until`.
    fn step(&mut self, until: Duration) -> bool {
        let Some(entry) = self.queue.first_entry() else { return false };
        let at = entry.key().0;
        if at > until {
            return false;
        }
        let event = entry.remove();
        if at > self.now {
            self.at_once = 0;
            self.now = at;
        }
        self.handle(event);
        true
    }

    fn is_alive(&self, node: NodeId, life: u32) -> bool {
        let node = self.node(node);
        node.engine.is_some() && node.life == life
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick { node, life } => {
                if self.is_alive(node, life) && self.node(node).tick == Some(self.now) {
                    self.node_mut(node).tick = None;
                    self.feed(node, Input::Tick);
                }
            }
            Event::Write { node, life } if self.is_alive(node, life) => self.disk_write(node),
            Event::Sync { node, life } if self.is_alive(node, life) => self.disk_sync(node),
            Event::Input { node, life, input } if self.is_alive(node, life) => self.feed(node, *input),
            Event::Verify { node, life, ticket, job } if self.is_alive(node, life) => {
                let result = job.run();
                self.feed(node, Input::Verified { ticket, result });
            }
            Event::Found { node, life, request, thread, lookup } if self.is_alive(node, life) => {
                let found = self.node(node).disk.look_up(&thread, &lookup);
                self.feed(node, Input::Found { request, found });
            }
            Event::Write { .. }
            | Event::Sync { .. }
            | Event::Input { .. }
            | Event::Verify { .. }
            | Event::Found { .. } => {}
            Event::Request { from, from_life, to, request, bytes } => {
                self.deliver_request(from, from_life, to, request, bytes);
            }
            Event::Response { to, life, request, result } => {
                if self.is_alive(to, life) {
                    self.deliver_response(to, request, result);
                }
            }
            Event::Carried { to, request } => self.carried(to, request),
            Event::Gossip { from, to, topic, data, again } => self.deliver_gossip(from, to, topic, data, again),
            Event::LinkUp { a, b } => self.link_up(a, b),
            Event::LinkDown { a, b } => self.link_down(a, b),
        }
    }

    /// Gives an engine an input and carries out its effects.
    pub(super) fn feed(&mut self, id: NodeId, input: Input) {
        self.at_once += 1;
        assert!(
            self.at_once < MAX_INPUTS_AT_ONCE,
            "the world spins at {:?}, last with {:.200?} at {id:?}",
            self.now,
            input
        );
        self.trace.inputs += 1;
        let now = Now { monotonic: self.now, wall_millis: self.wall_millis(id) };
        let items = items(&input);
        let mut kind = String::new();
        let _ = write!(kind, "{input:.80?}");
        kind.truncate(kind.char_indices().nth(60).map_or(kind.len(), |(at, _)| at));
        let node = self.node_mut(id);
        let Some(engine) = node.engine.as_mut() else { return };
        let load = engine.waiting_for(&input);
        let mut effects = Vec::new();
        engine.handle(input, now, &mut effects);
        let beyond = effects.len().saturating_sub((items + load) * (4 + node.peers.len()));
        assert!(
            beyond <= MAX_EFFECTS_PER_INPUT,
            "{} effects of {kind} with {items} items, {load} waiting, {} peers",
            effects.len(),
            node.peers.len(),
        );
        if beyond > self.trace.most_effects.0 {
            self.trace.most_effects = (beyond, kind);
        }
        for effect in effects {
            self.carry_out(id, effect);
        }
        self.set_tick(id);
    }

    fn set_tick(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.node_mut(id);
        let Some(at) = node.engine.as_ref().and_then(super::super::Engine::next_deadline) else { return };
        let at = at.max(now);
        if node.tick.is_some_and(|tick| tick <= at) {
            return;
        }
        node.tick = Some(at);
        let life = node.life;
        self.schedule(at - now, Event::Tick { node: id, life });
    }
}

/// How many things an input carries: each may cause effects of its own.
fn items(input: &Input) -> usize {
    use crate::wire::{Contents, Request, Response};
    let request = |body: &Request| match body {
        Request::Proofs(proofs) => proofs.len(),
        Request::Edges(nodes) => nodes.len(),
        Request::Push(envelopes) => envelopes.len(),
        Request::Heads { .. }
        | Request::Records { .. }
        | Request::Inert { .. }
        | Request::Blocks { .. }
        | Request::Invite { .. } => 1,
    };
    let response = |body: &Response| match body {
        Response::Proofs(proofs) => proofs.len(),
        Response::Edges(opened) => opened
            .iter()
            .map(|opened| match &opened.contents {
                Contents::Children(_) => 16,
                Contents::Edges(edges) => edges.len(),
            })
            .sum(),
        Response::Heads { heads, .. } => heads.len(),
        Response::Push(acks) => acks.len(),
        Response::Records { .. }
        | Response::Inert { .. }
        | Response::Blocks { .. }
        | Response::Invite(_)
        | Response::Refusal(_) => 1,
    };
    match input {
        Input::Request { body, .. } => request(body),
        Input::Response { result: Ok(body), .. } => response(body),
        Input::Gossip { .. } => 64,
        Input::Loaded { logs: Ok(logs), .. } => logs.len(),
        _ => 1,
    }
}

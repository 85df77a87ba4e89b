//! Links between nodes: requests with responses, gossip by flooding, and everything that goes wrong on the way.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use rand::{RngExt, seq::IteratorRandom};
use sha2::{Digest, Sha256};

use super::{
    super::{
        effect::{GossipId, InboundId, RequestId, Verdict},
        input::{Failure, Input},
    },
    node::{Inbound, NodeId, Unjudged},
    simulation::{Event, Simulation},
    trace::Sent,
};
use crate::{
    PeerId,
    id::{ThreadId, TopicId},
    wire::{Request, Response},
};

/// How long a request waits for its response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broken connection goes unnoticed.
const NOTICE: Duration = Duration::from_secs(2);
/// How long a restored one takes.
const RECONNECT: Duration = Duration::from_millis(300);

/// Ids from here on belong to requests that no engine has sent.
const FOREIGN_REQUESTS: u64 = 1 << 60;
/// Messages that a malicious node remembers, to replay them.
const HEARD: usize = 64;

/// How links behave.
#[derive(Debug, Clone, Copy)]
pub struct LinkSettings {
    /// One way, at least.
    pub latency: Duration,
    /// On top of it, random for each message: this is what reorders.
    pub jitter: Duration,
    /// Share of messages that get lost.
    pub loss: f64,
    /// Share of gossip messages that come twice.
    pub duplication: f64,
    /// Bytes of answers that reach a node in a second, from all others together; none is as many as come.
    pub rate: Option<u64>,
}

impl Default for LinkSettings {
    fn default() -> Self {
        let (latency, jitter) = (Duration::from_millis(5), Duration::from_millis(1));
        Self { latency, jitter, loss: 0.0, duplication: 0.0, rate: None }
    }
}

/// An answer on its way.
struct Answer {
    by: NodeId,
    life: u32,
    request: RequestId,
    bytes: Bytes,
}

#[derive(Default)]
pub(super) struct Network {
    pub(super) settings: LinkSettings,
    /// Answers that wait for the narrow link of a node; the first is on it.
    narrow: BTreeMap<NodeId, VecDeque<Answer>>,
    /// Pairs that keep a connection whenever they can, smaller id first; latency on top of the general one.
    pub(super) links: BTreeMap<(NodeId, NodeId), Duration>,
    /// Nodes that can reach each other have the same number; 0 if it is not listed.
    pub(super) part: BTreeMap<NodeId, usize>,
    /// Nodes are found by the DHT, so that FindPeers connects.
    pub(super) no_discovery: bool,
    peers: BTreeMap<PeerId, NodeId>,
}

fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

impl Simulation {
    /// How all links behave from now on.
    pub fn set_links(&mut self, settings: LinkSettings) {
        self.network.settings = settings;
    }

    /// Whether nodes find each other through the DHT; they do unless this says no.
    pub fn set_discovery(&mut self, works: bool) {
        self.network.no_discovery = !works;
    }

    pub(super) fn register(&mut self, node: NodeId) {
        let peer = self.node(node).peer;
        self.network.peers.insert(peer, node);
    }

    pub(super) fn find_peer(&self, peer: &PeerId) -> NodeId {
        *self.network.peers.get(peer).expect("only nodes of the simulation are spoken of")
    }

    fn latency(&mut self, a: NodeId, b: NodeId) -> Duration {
        let LinkSettings { latency, jitter, .. } = self.network.settings;
        let own = self.network.links.get(&pair(a, b)).copied().unwrap_or_default();
        let jitter = self.rng.random_range(0..=jitter.as_micros() as u64);
        latency + own + Duration::from_micros(jitter)
    }

    /// Puts an answer on the way to a node.
    fn carry(&mut self, to: NodeId, answer: Answer) {
        if self.network.settings.rate.is_none() {
            return self.arrive(to, answer);
        }
        let waiting = self.network.narrow.entry(to).or_default();
        waiting.push_back(answer);
        if waiting.len() == 1 {
            self.carry_next(to);
        }
    }

    /// The first answer that waits for the link of a node gets it.
    fn carry_next(&mut self, to: NodeId) {
        let Some(answer) = self.network.narrow.get(&to).and_then(VecDeque::front) else { return };
        let takes = self.network.settings.rate.map(|rate| answer.bytes.len() as f64 / rate as f64);
        let carried = Event::Carried { to, request: answer.request };
        self.schedule(Duration::from_secs_f64(takes.unwrap_or_default()), carried);
    }

    /// An answer is through the narrow link of a node, unless it was given up.
    pub(super) fn carried(&mut self, to: NodeId, request: RequestId) {
        let waiting = self.network.narrow.entry(to).or_default();
        if waiting.front().is_some_and(|answer| answer.request == request)
            && let Some(answer) = waiting.pop_front()
        {
            self.arrive(to, answer);
            self.carry_next(to);
        }
    }

    /// Nobody waits for an answer any more: the closed stream takes nothing of the link.
    fn give_up(&mut self, to: NodeId, request: RequestId) {
        let Some(waiting) = self.network.narrow.get_mut(&to) else { return };
        let was_first = waiting.front().is_some_and(|answer| answer.request == request);
        waiting.retain(|answer| answer.request != request);
        if was_first {
            self.carry_next(to);
        }
    }

    fn arrive(&mut self, to: NodeId, answer: Answer) {
        let Answer { by, life, request, bytes } = answer;
        let latency = self.latency(by, to);
        self.schedule(latency, Event::Response { to, life, request, result: Ok(bytes) });
    }

    pub(super) fn reaches(&self, a: NodeId, b: NodeId) -> bool {
        let part = |node| self.network.part.get(&node).copied().unwrap_or_default();
        part(a) == part(b) && self.node(a).engine.is_some() && self.node(b).engine.is_some()
    }

    fn is_connected(&self, a: NodeId, b: NodeId) -> bool {
        self.node(a).peers.contains(&b)
    }

    /// Connects two nodes now, and again whenever they can reach each other.
    pub fn connect(&mut self, a: NodeId, b: NodeId) {
        if a == b {
            return;
        }
        let latency = Duration::from_micros(self.rng.random_range(0..20_000));
        self.network.links.entry(pair(a, b)).or_insert(latency);
        self.schedule(Duration::from_millis(1), Event::LinkUp { a, b });
    }

    /// Ends the connection of two nodes for good.
    pub fn disconnect(&mut self, a: NodeId, b: NodeId) {
        self.network.links.remove(&pair(a, b));
        self.link_down(a, b);
    }

    pub(super) fn link_up(&mut self, a: NodeId, b: NodeId) {
        if !self.network.links.contains_key(&pair(a, b)) || !self.reaches(a, b) {
            return;
        }
        for (node, peer) in [(a, b), (b, a)] {
            let id = self.node(peer).peer;
            if self.node_mut(node).peers.insert(peer) {
                self.feed(node, Input::PeerConnected { peer: id });
            }
        }
    }

    pub(super) fn link_down(&mut self, a: NodeId, b: NodeId) {
        if self.network.links.contains_key(&pair(a, b))
            && self.reaches(a, b)
            && self.is_connected(a, b)
            && self.is_connected(b, a)
        {
            // Restored before anybody noticed.
            return;
        }
        for (node, peer) in [(a, b), (b, a)] {
            let id = self.node(peer).peer;
            if !self.node_mut(node).peers.remove(&peer) {
                continue;
            }
            self.feed(node, Input::PeerGone { peer: id });
            let broken = self.node(node).outbound.iter().filter(|(_, to)| **to == peer);
            for request in broken.map(|(request, _)| *request).collect::<Vec<_>>() {
                self.fail_request(node, request, Duration::ZERO, Failure::Disconnected);
            }
        }
    }

    /// Cuts the nodes apart into groups; whoever is in none forms one more.
    pub fn partition(&mut self, groups: &[Vec<NodeId>]) {
        self.network.part.clear();
        for (number, group) in groups.iter().enumerate() {
            self.network.part.extend(group.iter().map(|node| (*node, number + 1)));
        }
        for (a, b) in self.network.links.keys().copied().collect::<Vec<_>>() {
            if !self.reaches(a, b) {
                self.schedule(NOTICE, Event::LinkDown { a, b });
            }
        }
    }

    /// Ends a partition.
    pub fn heal(&mut self) {
        self.network.part.clear();
        for (a, b) in self.network.links.keys().copied().collect::<Vec<_>>() {
            // Connections that broke unnoticed are noticed first.
            self.schedule(RECONNECT, Event::LinkUp { a, b });
        }
    }

    pub(super) fn links_of(&self, node: NodeId) -> Vec<(NodeId, NodeId)> {
        self.network.links.keys().copied().filter(|(a, b)| *a == node || *b == node).collect()
    }

    /// A node's process is gone: its peers notice.
    pub(super) fn break_links(&mut self, node: NodeId) {
        for (a, b) in self.links_of(node) {
            let peer = if a == node { b } else { a };
            let id = self.node(node).peer;
            if !self.node_mut(peer).peers.remove(&node) {
                continue;
            }
            self.feed(peer, Input::PeerGone { peer: id });
            let broken = self.node(peer).outbound.iter().filter(|(_, to)| **to == node);
            for request in broken.map(|(request, _)| *request).collect::<Vec<_>>() {
                self.fail_request(peer, request, Duration::from_millis(1), Failure::Disconnected);
            }
        }
    }

    pub(super) fn restore_links(&mut self, node: NodeId) {
        for (a, b) in self.links_of(node) {
            self.schedule(RECONNECT, Event::LinkUp { a, b });
        }
    }

    /// Stands for the DHT: connects to a reachable member of the thread.
    pub(super) fn find_peers(&mut self, node: NodeId, thread: &ThreadId) {
        if self.network.no_discovery {
            return;
        }
        let members = (0..self.nodes.len()).map(NodeId).filter(|other| {
            let has = self.node(*other).engine.as_ref().is_some_and(|engine| engine.threads().any(|id| id == thread));
            *other != node && has && self.reaches(node, *other) && !self.is_connected(node, *other)
        });
        if let Some(found) = members.collect::<Vec<_>>().into_iter().choose(&mut self.rng) {
            self.connect(node, found);
        }
    }

    pub(super) fn send(&mut self, from: NodeId, peer: &PeerId, request: RequestId, body: Request) {
        let to = self.find_peer(peer);
        if self.node(from).malice.is_none() {
            self.check_request(from, &body);
        }
        if let Some(body) = self.twist_request(from, body) {
            self.send_request(from, to, request, body);
        }
    }

    /// Sends a request that the node's engine knows nothing of; the answer goes to the trace.
    pub fn ask(&mut self, from: NodeId, to: NodeId, request: Request) {
        let id = RequestId(FOREIGN_REQUESTS + self.rng.random_range(0..FOREIGN_REQUESTS));
        self.send_request(from, to, id, request);
    }

    fn send_request(&mut self, from: NodeId, to: NodeId, request: RequestId, body: Request) {
        let kind = body.kind();
        let bytes = body.encode().expect("a request fits into a frame");
        self.record(from, to, kind, false, bytes.len());
        self.node_mut(from).outbound.insert(request, to);
        if !self.is_connected(from, to) {
            return self.fail_request(from, request, Duration::ZERO, Failure::Disconnected);
        }
        self.fail_request(from, request, TIMEOUT, Failure::Timeout);
        let loss = self.network.settings.loss;
        if self.chance(loss) {
            return;
        }
        let from_life = self.node(from).life;
        let latency = self.latency(from, to);
        self.schedule(latency, Event::Request { from, from_life, to, request, bytes });
    }

    fn record(&mut self, from: NodeId, to: NodeId, kind: &'static str, response: bool, bytes: usize) {
        if self.record_messages {
            self.trace.sent.push(Sent { at: self.now, from, to, kind, response, bytes });
        }
    }

    pub(super) fn deliver_request(
        &mut self,
        from: NodeId,
        from_life: u32,
        to: NodeId,
        request: RequestId,
        bytes: Bytes,
    ) {
        if !self.reaches(from, to) || !self.is_connected(to, from) {
            return;
        }
        let peer = self.node(from).peer;
        let node = self.node_mut(to);
        let inbound = InboundId(node.next());
        let body = match Request::decode(bytes) {
            Ok(body) => body,
            // The network layer scores the sender and answers by itself.
            Err(_) => return,
        };
        node.inbound.insert(inbound, Inbound { from, from_life, request });
        self.feed(to, Input::Request { peer, inbound, body });
    }

    pub(super) fn respond(&mut self, by: NodeId, inbound: InboundId, response: Response) {
        let Inbound { from, from_life, request } =
            self.node_mut(by).inbound.remove(&inbound).expect("every inbound request is answered exactly once");
        if self.node(by).malice.is_none() {
            self.check_response(by, &response);
        }
        let Some(response) = self.twist_response(by, response) else { return };
        self.record(by, from, response.kind(), true, 0);
        let bytes = response.encode().expect("a response fits into a frame");
        if let Some(sent) = self.trace.sent.last_mut().filter(|_| self.record_messages) {
            sent.bytes = bytes.len();
        }
        let loss = self.network.settings.loss;
        if self.chance(loss) || !self.reaches(by, from) || !self.is_connected(by, from) {
            return;
        }
        self.carry(from, Answer { by, life: from_life, request, bytes });
    }

    pub(super) fn deliver_response(&mut self, to: NodeId, request: RequestId, result: Result<Bytes, Failure>) {
        // Whatever comes after the first result is what a closed stream drops.
        let Some(_) = self.node_mut(to).outbound.remove(&request) else { return };
        if result.is_err() {
            self.give_up(to, request);
        }
        let result = result.and_then(|bytes| Response::decode(bytes).map_err(|_| Failure::Malformed));
        if request.0 >= FOREIGN_REQUESTS {
            self.trace.answers.extend(result.ok().map(|answer| (to, answer)));
            return;
        }
        self.feed(to, Input::Response { request, result });
    }

    pub(super) fn publish(&mut self, by: NodeId, topic: TopicId, data: Bytes) {
        if self.node(by).malice.is_none() {
            self.check_published(by, &topic, &data);
        }
        let Some(data) = self.twist_gossip(by, data) else { return };
        let id: [u8; 32] = Sha256::digest(&data).into();
        self.node_mut(by).seen.insert(id);
        self.flood(by, None, topic, &data);
    }

    pub(super) fn flood(&mut self, by: NodeId, except: Option<NodeId>, topic: TopicId, data: &Bytes) {
        let LinkSettings { loss, duplication, .. } = self.network.settings;
        let peers: BTreeSet<_> = self.node(by).peers.iter().copied().filter(|peer| Some(*peer) != except).collect();
        for to in peers {
            if !self.node(to).subscribed.contains(&topic) || self.chance(loss) {
                continue;
            }
            let times = 1 + usize::from(self.chance(duplication));
            for time in 0..times {
                self.send_gossip(by, to, topic, data, time > 0);
            }
        }
    }

    pub(super) fn send_gossip(&mut self, from: NodeId, to: NodeId, topic: TopicId, data: &Bytes, again: bool) {
        let latency = self.latency(from, to);
        self.schedule(latency, Event::Gossip { from, to, topic, data: data.clone(), again });
    }

    pub(super) fn deliver_gossip(&mut self, from: NodeId, to: NodeId, topic: TopicId, data: Bytes, again: bool) {
        if !self.reaches(from, to) || !self.is_connected(to, from) || !self.node(to).subscribed.contains(&topic) {
            return;
        }
        let id: [u8; 32] = Sha256::digest(&data).into();
        let source = self.node(from).peer;
        let node = self.node_mut(to);
        if !node.seen.insert(id) && !again {
            return;
        }
        if node.malice.is_some() && node.heard.len() < HEARD {
            node.heard.push((topic, data.clone()));
        }
        let gossip = GossipId(node.next());
        node.unjudged.insert(gossip, Unjudged { topic, source: from, data: data.clone() });
        self.feed(to, Input::Gossip { gossip, source, topic, data });
    }

    pub(super) fn judge(&mut self, by: NodeId, gossip: GossipId, verdict: Verdict) {
        let Unjudged { topic, source, data } =
            self.node_mut(by).unjudged.remove(&gossip).expect("every gossip message is judged exactly once");
        match verdict {
            Verdict::Accept => self.flood(by, Some(source), topic, &data),
            Verdict::Reject | Verdict::Ignore => {}
        }
    }
}

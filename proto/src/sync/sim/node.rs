//! One simulated node: an engine, a disk, and what its network layer remembers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::{
    super::{
        Config, Engine,
        effect::{Durability, GossipId, InboundId, RequestId},
        log::Writer,
    },
    disk::Disk,
    malice::Malice,
};
use crate::{
    PeerId,
    envelope::peer_id,
    id::{ThreadId, TopicId},
};

/// A node of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A peer's request that waits for the engine's answer.
pub(super) struct Inbound {
    pub(super) from: NodeId,
    pub(super) from_life: u32,
    pub(super) request: RequestId,
}

/// A gossip message that waits for its verdict.
pub(super) struct Unjudged {
    pub(super) topic: TopicId,
    pub(super) source: NodeId,
    pub(super) data: Bytes,
}

/// A request of the API that waits for its answer.
pub(super) struct Waiting {
    pub(super) thread: ThreadId,
    pub(super) durability: Durability,
}

pub(super) struct Node {
    pub(super) peer: PeerId,
    pub(super) key: SigningKey,
    /// None while it is down.
    pub(super) engine: Option<Engine>,
    /// Counts restarts; what was sent to an earlier life is lost.
    pub(super) life: u32,
    pub(super) disk: Disk,
    pub(super) writers: BTreeMap<ThreadId, Writer>,
    pub(super) malice: Option<Malice>,
    /// Wall clock minus virtual time.
    pub(super) clock: Duration,
    /// Peers that the engine knows to be connected.
    pub(super) peers: BTreeSet<NodeId>,
    pub(super) subscribed: BTreeSet<TopicId>,
    pub(super) seen: BTreeSet<[u8; 32]>,
    /// Of a malicious node: messages to replay.
    pub(super) heard: Vec<(TopicId, Bytes)>,
    pub(super) unjudged: BTreeMap<GossipId, Unjudged>,
    pub(super) inbound: BTreeMap<InboundId, Inbound>,
    pub(super) outbound: BTreeMap<RequestId, NodeId>,
    pub(super) waiting: BTreeMap<RequestId, Waiting>,
    /// When the engine is fed its next tick.
    pub(super) tick: Option<Duration>,
    next: u64,
}

impl Node {
    pub(super) fn new(key: SigningKey, clock: Duration) -> Self {
        let mut node = Self {
            peer: peer_id(&key),
            key,
            engine: None,
            life: 0,
            disk: Disk::default(),
            writers: BTreeMap::new(),
            malice: None,
            clock,
            peers: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            seen: BTreeSet::new(),
            heard: Vec::new(),
            unjudged: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            waiting: BTreeMap::new(),
            tick: None,
            next: 0,
        };
        node.start();
        node
    }

    pub(super) fn start(&mut self) {
        self.engine = Some(Engine::new(Config { peer: self.peer, node_key: self.key.clone() }));
    }

    /// Everything that is not on the synced disk is gone.
    pub(super) fn crash(&mut self) {
        self.engine = None;
        self.life += 1;
        self.disk.crash();
        self.peers.clear();
        self.subscribed.clear();
        self.seen.clear();
        self.unjudged.clear();
        self.inbound.clear();
        self.outbound.clear();
        self.waiting.clear();
        self.tick = None;
    }

    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

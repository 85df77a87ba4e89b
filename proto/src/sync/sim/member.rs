//! Building a world: nodes, threads, members, and what their users do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::{
    super::{
        effect::{Durability, RequestId},
        follow::Following,
        input::{Append, Input},
        log::Writer,
        state::ThreadState,
        status::PeerStatus,
    },
    disk::DiskSettings,
    malice::Malice,
    node::{Node, NodeId, Waiting},
    simulation::Simulation,
};
use crate::{
    Identity,
    body::{Protection, SealedBody, seal_body},
    event::Kind,
    id::{DeviceId, LogId, ThreadId, Variant},
    key_set::Scope,
    keys::ThreadKeys,
    record::Control,
};

/// What a node does in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Has all keys and a log of its own.
    Writer,
    /// Has all keys.
    Reader,
    /// Has the follow key only.
    Follower,
}

/// A thread that nodes share.
#[derive(Debug, Clone)]
pub struct SharedThread {
    /// Its id.
    pub id: ThreadId,
    /// All its keys.
    pub keys: ThreadKeys,
    /// Who takes part.
    pub members: BTreeSet<NodeId>,
}

impl SharedThread {
    /// The thread as a node joins it.
    pub fn state(&self, part: Part) -> ThreadState {
        let scope = if part == Part::Follower { Scope::Follow } else { Scope::Read };
        let keys = self.keys.to_set(scope).expect("the thread's keys are all here").into_keys();
        ThreadState { keys, name: None, joined_millis: 0, addresses: Vec::new() }
    }
}

impl Simulation {
    /// A node that knows nothing and nobody.
    pub fn add_node(&mut self) -> NodeId {
        let key = SigningKey::from_bytes(&self.random_bytes());
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node::new(key, Duration::ZERO));
        self.register(id);
        id
    }

    /// Several nodes.
    pub fn add_nodes<const N: usize>(&mut self) -> [NodeId; N] {
        std::array::from_fn(|_| self.add_node())
    }

    /// Makes a node misbehave from now on.
    pub fn corrupt(&mut self, node: NodeId, malice: Malice) {
        self.node_mut(node).malice = Some(malice);
    }

    /// Whether a node keeps to the protocol.
    pub fn is_honest(&self, node: NodeId) -> bool {
        self.node(node).malice.is_none()
    }

    /// How far a node's clock is ahead of the others'.
    pub fn set_clock(&mut self, node: NodeId, ahead: Duration) {
        self.node_mut(node).clock = ahead;
    }

    /// How a node's disk behaves from now on.
    pub fn set_disk(&mut self, node: NodeId, settings: DiskSettings) {
        self.node_mut(node).disk.settings = settings;
    }

    /// The next write of a node's disk fails.
    pub fn fail_next_write(&mut self, node: NodeId) {
        self.node_mut(node).disk.fail_next = true;
    }

    /// The next sync of a node's disk fails; from then on it takes and shows nothing, until the node starts anew.
    pub fn fail_next_sync(&mut self, node: NodeId) {
        self.node_mut(node).disk.fail_sync = true;
    }

    /// The next reading of a thread's logs from a node's disk fails.
    pub fn fail_next_load(&mut self, node: NodeId) {
        self.node_mut(node).disk.fail_load = true;
    }

    /// A new thread without members.
    pub fn add_thread(&mut self) -> SharedThread {
        let id = ThreadId::new(Variant::Raw, self.random_bytes());
        let mut entropy = [0; 64];
        entropy[..32].copy_from_slice(&self.random_bytes());
        entropy[32..].copy_from_slice(&self.random_bytes());
        let thread = SharedThread { id, keys: ThreadKeys::generate(entropy), members: BTreeSet::new() };
        self.threads.push(thread.clone());
        thread
    }

    /// A thread with the given members, who are all connected to each other, settled.
    pub fn thread_of(&mut self, members: &[(NodeId, Part)]) -> SharedThread {
        let thread = self.add_thread();
        for (node, part) in members {
            self.join(*node, &thread, *part);
        }
        for (index, (a, _)) in members.iter().enumerate() {
            members[..index].iter().for_each(|(b, _)| self.connect(*a, *b));
        }
        self.run_for(Duration::from_secs(1));
        thread
    }

    /// Makes a node a member; a writer gets a log.
    pub fn join(&mut self, node: NodeId, thread: &SharedThread, part: Part) -> RequestId {
        if part == Part::Writer && !self.node(node).writers.contains_key(&thread.id) {
            let seed = self.random_bytes();
            let writer = writer(&thread.id, &thread.keys, seed);
            self.give_writer(node, thread, writer);
        }
        self.enter(node, thread, thread.state(part))
    }

    /// Joins with keys of the caller's choice.
    pub fn enter(&mut self, node: NodeId, thread: &SharedThread, state: ThreadState) -> RequestId {
        if let Some(shared) = self.threads.iter_mut().find(|shared| shared.id == thread.id) {
            shared.members.insert(node);
        }
        let request = self.expect_reply(node, &thread.id, Durability::Sync);
        self.feed(node, Input::Join { request, thread: thread.id.clone(), state });
        request
    }

    /// Gives a node a log to write, perhaps one that another writes too.
    pub fn give_writer(&mut self, node: NodeId, thread: &SharedThread, writer: Writer) {
        self.node_mut(node).writers.insert(thread.id.clone(), writer);
    }

    /// What a node writes a thread with.
    pub fn writer(&self, node: NodeId, thread: &SharedThread) -> Option<&Writer> {
        self.node(node).writers.get(&thread.id)
    }

    /// The log that a node writes.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn log(&self, node: NodeId, thread: &SharedThread) -> LogId {
        self.writer(node, thread).expect("the node is a writer").log
    }

    /// Removes a thread from a node.
    pub fn leave(&mut self, node: NodeId, thread: &SharedThread) -> RequestId {
        if let Some(shared) = self.threads.iter_mut().find(|shared| shared.id == thread.id) {
            shared.members.remove(&node);
        }
        let request = self.expect_reply(node, &thread.id, Durability::Sync);
        self.feed(node, Input::Leave { request, thread: thread.id.clone() });
        request
    }

    /// Members of a thread now.
    pub fn members(&self, thread: &ThreadId) -> BTreeSet<NodeId> {
        self.threads.iter().find(|shared| shared.id == *thread).map(|shared| shared.members.clone()).unwrap_or_default()
    }

    fn expect_reply(&mut self, node: NodeId, thread: &ThreadId, durability: Durability) -> RequestId {
        let node = self.node_mut(node);
        let request = RequestId(node.next());
        node.waiting.insert(request, Waiting { thread: thread.clone(), durability });
        request
    }

    /// Appends a small event to a node's own log.
    pub fn append(&mut self, node: NodeId, thread: &SharedThread, durability: Durability) -> RequestId {
        let body = self.seal(node, thread, b"event");
        self.append_body(node, thread, body, durability)
    }

    /// Seals a body for a node's own log.
    ///
    /// # Panics
    ///
    /// If the node is no writer.
    pub fn seal(&mut self, node: NodeId, thread: &SharedThread, plain: &[u8]) -> SealedBody {
        let key_id = thread.keys.current().expect("a thread has an epoch").key_id();
        let keys = thread.keys.log_keys(&key_id, &self.log(node, thread)).expect("of the same epoch");
        let protection = Protection::Thread { key: self.random_bytes() };
        seal_body(plain, &protection, &keys, &thread.id).expect("small enough")
    }

    /// Appends an event with this body.
    pub fn append_body(
        &mut self,
        node: NodeId,
        thread: &SharedThread,
        body: SealedBody,
        durability: Durability,
    ) -> RequestId {
        self.append_event(node, thread, Kind::Application, Some(body), None, durability)
    }

    /// Appends a control item.
    pub fn append_control(&mut self, node: NodeId, thread: &SharedThread, control: Control) -> RequestId {
        self.append_event(node, thread, Kind::Control, None, Some(control), Durability::Sync)
    }

    fn append_event(
        &mut self,
        node: NodeId,
        thread: &SharedThread,
        kind: Kind,
        body: Option<SealedBody>,
        control: Option<Control>,
        durability: Durability,
    ) -> RequestId {
        let request = self.expect_reply(node, &thread.id, durability);
        let append = Append { request, thread: thread.id.clone(), log: None, kind, body, control, durability };
        self.feed(node, Input::Append(Box::new(append)));
        request
    }

    /// Stores blocks ahead of their event.
    pub fn store(
        &mut self,
        node: NodeId,
        thread: &SharedThread,
        blocks: Vec<(cid::Cid, Bytes, Vec<cid::Cid>)>,
    ) -> RequestId {
        let request = self.expect_reply(node, &thread.id, Durability::Sync);
        self.feed(node, Input::Store { request, thread: thread.id.clone(), blocks });
        request
    }

    /// Asks a node to sync.
    pub fn sync(&mut self, node: NodeId, thread: &SharedThread) -> RequestId {
        let request = self.expect_reply(node, &thread.id, Durability::Sync);
        self.feed(node, Input::Sync { request, thread: thread.id.clone() });
        request
    }

    /// Has a node follow a thread on terms, as if for others.
    pub fn follow(&mut self, node: NodeId, thread: &SharedThread, following: Option<Following>) {
        self.feed(node, Input::Following { thread: thread.id.clone(), following });
    }

    /// Has a node drop blocks of a thread whose logs somebody has seen at these counters.
    pub fn drop_blocks(
        &mut self,
        node: NodeId,
        thread: &SharedThread,
        cids: Vec<crate::Cid>,
        heads: Vec<(LogId, u64)>,
    ) -> RequestId {
        let request = self.expect_reply(node, &thread.id, Durability::Sync);
        self.feed(node, Input::DropBlocks { request, thread: thread.id.clone(), cids, heads });
        request
    }

    /// What a node knows of a peer of a thread.
    pub fn peer_status(&mut self, node: NodeId, thread: &SharedThread, peer: NodeId) -> Option<PeerStatus> {
        let id = self.node(peer).peer;
        let status = self.engine(node)?.status(&thread.id)?;
        status.peers.into_iter().find(|status| status.peer == id)
    }

    /// Whether a node runs.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.node(node).engine.is_some()
    }

    /// A power cut: what is not synced is gone.
    pub fn crash(&mut self, node: NodeId) {
        if !self.is_up(node) {
            return;
        }
        self.node_mut(node).crash();
        self.break_links(node);
        let synced = &self.nodes[node.0].disk.synced;
        for acknowledged in self.trace.acknowledged.iter_mut().filter(|acknowledged| acknowledged.by == node) {
            let head = acknowledged.receipt.head;
            let there =
                synced.find(&acknowledged.thread, &acknowledged.receipt.log).and_then(|log| log.at(head.counter));
            if there != Some(head) {
                assert_eq!(acknowledged.durability, Durability::Relaxed, "a synced append was lost");
                acknowledged.lost = true;
            }
        }
    }

    /// Starts a node again with what its disk has.
    pub fn restart(&mut self, id: NodeId) {
        if self.is_up(id) {
            return;
        }
        self.node_mut(id).start();
        let threads: Vec<_> = self
            .node(id)
            .disk
            .synced
            .threads
            .iter()
            .map(|(thread, image)| (thread.clone(), Arc::clone(&image.state), image.states()))
            .collect();
        for (thread, state, logs) in threads {
            self.feed(id, Input::Known { thread, state, logs });
        }
        self.restore_links(id);
    }

    /// The disk of a node as it is now, to be put back later: a backup.
    pub fn backup(&self, node: NodeId) -> super::Image {
        self.node(node).disk.synced.clone()
    }

    /// Puts a backup onto the disk of a node that is down.
    pub fn restore(&mut self, node: NodeId, image: super::Image) {
        assert!(!self.is_up(node), "a backup is restored while the node is down");
        self.trace.restored.insert(node);
        let disk = &mut self.node_mut(node).disk;
        disk.written = image.clone();
        disk.synced = image;
    }
}

/// A log of its own for each seed.
pub(super) fn writer(thread: &ThreadId, keys: &ThreadKeys, seed: [u8; 32]) -> Writer {
    let identity = Identity::from_seed(seed);
    let signer = identity.log_key(thread, &DeviceId::new([1; 16]));
    let log = LogId::from(&signer);
    let owner = identity.bind(thread, &log);
    let admission = keys.current().and_then(|epoch| epoch.admit(thread, &log));
    Writer { log, signer, owner, admission }
}

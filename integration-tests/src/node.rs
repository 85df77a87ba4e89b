//! A whole node on loopback.

use std::{ops::Deref, path::Path, sync::Arc};

use bytes::Bytes;
use futures::StreamExt as _;
use spool_net as net;
use spool_node::{
    config::{Config, Dht, Relay},
    model::{AppendOptions, Durability, Entry, EventKind, LogInfo, LogItem, LogQuery, Receipt, SyncOptions},
    node::{Node, Parts},
};
use spool_proto::{
    Address, Cid, DeviceId, Identity, LogId, Multiaddr, PeerId, ThreadId, ThreadKeys, Ticket, address::Target,
    id::Variant, key_set::Scope,
};
use spool_store::{
    Store,
    kv::{Kv, Memory, rocks},
    store::Page,
};

use crate::{PATIENCE, eventually};

/// What a node is made from. Everything follows from the seed; what differs is set.
#[derive(Clone)]
pub struct Setup {
    /// Seed of the owner's identity.
    pub identity: [u8; 32],
    /// The device id; together with the identity it determines the logs.
    pub device: [u8; 16],
    /// Seed of the node's key.
    pub node: [u8; 32],
    /// Where the node keeps what it has.
    pub kv: Arc<dyn Kv>,
    /// The network's settings.
    pub network: net::Config,
    /// The node's own settings.
    pub config: Config,
}

impl Setup {
    /// A node on a free TCP port of the loopback interface with a store in memory; no mDNS, hash table, relay, home thread.
    pub fn new(seed: u64) -> Self {
        let node = bytes_of("node", seed);
        let listen: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr written by hand");
        let config = Config {
            listen: vec![listen.clone()],
            mdns: false,
            dht: Dht::Off,
            relay: Relay::Off,
            home: false,
            ..Config::default()
        };
        let mut network = net::Config::new(node);
        network.listen = vec![listen];
        network.mdns = false;
        network.kad = net::KadMode::Off;
        network.autonat = false;
        network.hole_punching = false;
        let device = bytes_of("device", seed);
        Self {
            identity: bytes_of("identity", seed),
            device: *device.first_chunk().expect("32 bytes begin with 16"),
            node,
            kv: Arc::new(Memory::default()),
            network,
            config,
        }
    }

    /// The same writer, identity and device, on another node: what restoring a backup on a second machine makes.
    #[must_use]
    pub fn cloned_as(&self, seed: u64, kv: Arc<dyn Kv>) -> Self {
        let other = Self::new(seed);
        Self { identity: self.identity, device: self.device, kv, ..other }
    }

    /// Keeps what it has in RocksDB, in a directory.
    ///
    /// # Panics
    ///
    /// If the database cannot be opened.
    #[must_use]
    pub fn in_directory(self, path: &Path) -> Self {
        let options = rocks::Options { cache_bytes: 8 * 1024 * 1024, ..Default::default() };
        let kv = rocks::Rocks::open(path, &options).expect("the database opens");
        Self { kv: Arc::new(kv), ..self }
    }

    /// Starts the node; returns when it listens.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(self) -> TestNode {
        let store = Store::with_kv(self.kv.clone()).expect("the store opens");
        let parts = Parts {
            identity: Identity::from_seed(self.identity),
            device: DeviceId::new(self.device),
            node_seed: self.node,
            store: store.clone(),
            network: self.network.clone(),
            config: self.config.clone(),
        };
        let node = Node::from_parts(parts).await.expect("the node starts");
        let address = eventually("the node listens", || async {
            node.addresses().await.expect("the node runs").announced.first().cloned()
        })
        .await;
        TestNode { node, store, setup: self, address }
    }
}

fn bytes_of(what: &str, seed: u64) -> [u8; 32] {
    use sha2::Digest as _;
    let digest = sha2::Sha256::new().chain_update(what).chain_update(seed.to_be_bytes()).finalize();
    digest.into()
}

/// A running node, its store, and what it was made from. Dereferences to [`Node`].
#[derive(Clone)]
pub struct TestNode {
    node: Node,
    /// For looking; only the node writes.
    pub store: Store,
    /// What it was made from.
    pub setup: Setup,
    /// Where it listens, with its peer id at the end.
    pub address: Multiaddr,
}

impl Deref for TestNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl TestNode {
    /// Starts a node with a store in memory.
    pub async fn start(seed: u64) -> Self {
        Setup::new(seed).start().await
    }

    /// Stops the node and starts it again with what it has stored, on a new port.
    pub async fn restart(self) -> Self {
        let setup = self.setup.clone();
        self.stop().await;
        drop(self);
        setup.start().await
    }

    /// Its peer id.
    pub fn peer(&self) -> PeerId {
        self.info().peer
    }

    /// Connects with another node.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub async fn connect_to(&self, other: &TestNode) {
        let address = Address { base: other.address.clone(), target: Target::None };
        let peer = self.connect(&address).await.expect("loopback connects");
        assert_eq!(peer, other.peer());
    }

    /// Creates a thread.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn thread_with_name(&self, name: &str) -> ThreadId {
        self.create_thread(Some(name.to_owned()), Variant::Raw).await.expect("threads can be created").id
    }

    /// A ticket with this node's addresses.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn ticket(&self, thread: &ThreadId, scope: Scope) -> String {
        self.share(thread, scope, None).await.expect("the thread can be shared").ticket
    }

    /// Joins a thread of `other` with a ticket that has its address.
    ///
    /// # Panics
    ///
    /// If the node refuses.
    pub async fn join_from(&self, other: &TestNode, thread: &ThreadId, scope: Scope) {
        let ticket = other.ticket(thread, scope).await;
        self.join(&ticket, None).await.expect("the ticket is good");
    }

    /// Appends one event and waits until it is on disk.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn write(&self, thread: &ThreadId, body: impl Into<Bytes>) -> Receipt {
        let pending = self.append(thread, body.into(), AppendOptions::default()).await.expect("there is room");
        pending.await.expect("the event is appended")
    }

    /// Appends `count` events of some 20 bytes each, as fast as it goes, and waits until all are on disk. Returns the last receipt.
    ///
    /// # Panics
    ///
    /// If one is refused.
    pub async fn write_many(&self, thread: &ThreadId, count: u64) -> Receipt {
        let options = AppendOptions { durability: Some(Durability::Relaxed), ..AppendOptions::default() };
        let mut under_way = std::collections::VecDeque::new();
        for number in 1..count {
            let body = Bytes::from(format!("event number {number}"));
            under_way.push_back(self.append(thread, body, options).await.expect("there is room"));
            if under_way.len() >= 256
                && let Some(first) = under_way.pop_front()
            {
                first.await.expect("the event is appended");
            }
        }
        for pending in under_way {
            pending.await.expect("the event is appended");
        }
        // Those before are on disk once this one is.
        self.write(thread, format!("event number {count}")).await
    }

    /// All entries of a thread's main chains that are stored now, bodies opened.
    ///
    /// # Panics
    ///
    /// If they cannot be read.
    pub async fn entries(&self, thread: &ThreadId) -> Vec<Entry> {
        let query = LogQuery {
            thread: thread.clone(),
            logs: Vec::new(),
            after: Default::default(),
            limit: None,
            follow: false,
            max_body: 1 << 20,
        };
        let items: Vec<_> = self.log(query).await.expect("the thread is here").collect().await;
        let entries = items.into_iter().map(|item| item.expect("the entry can be read"));
        entries.filter_map(|item| if let LogItem::Entry(entry) = item { Some(*entry) } else { None }).collect()
    }

    /// The opened bodies of a thread's application events, without those that are inert.
    ///
    /// # Panics
    ///
    /// If the log cannot be read.
    pub async fn bodies(&self, thread: &ThreadId) -> Vec<Bytes> {
        use spool_node::model::Body;
        let entries = self.entries(thread).await.into_iter().filter(|entry| !entry.inert);
        let events = entries.filter_map(|entry| entry.event).filter(|event| event.kind == EventKind::Application);
        events.filter_map(|event| if let Body::Open { bytes, .. } = event.body { Some(bytes) } else { None }).collect()
    }

    /// What the node knows of a log.
    pub async fn log_info(&self, thread: &ThreadId, log: &LogId) -> Option<LogInfo> {
        let detail = self.thread(thread).await.ok()?;
        detail.logs.into_iter().find(|info| info.id == *log)
    }

    /// Counter of a log's newest record here; 0 where there is none.
    pub async fn head(&self, thread: &ThreadId, log: &LogId) -> u64 {
        self.log_info(thread, log).await.and_then(|info| info.head).map_or(0, |(counter, _)| counter)
    }

    /// Waits until a log has come as far as `counter`.
    pub async fn has(&self, thread: &ThreadId, log: &LogId, counter: u64) {
        let what = format!("record {counter} arrives");
        eventually(&what, || async { (self.head(thread, log).await >= counter).then_some(()) }).await;
    }

    /// Waits until what a receipt proves is here.
    pub async fn has_record(&self, receipt: &Receipt) {
        self.has(&receipt.thread, &receipt.log, receipt.counter).await;
        let here = self.store.record(&receipt.thread, &receipt.log, receipt.counter).expect("the store can be read");
        assert_eq!(here.map(|record| record.cid()), Some(receipt.cid));
    }

    /// Waits until this node and `peer` have proven a thread to each other, as this node sees it.
    pub async fn shares(&self, thread: &ThreadId, peer: &PeerId) {
        eventually("both have proven access", || async {
            let detail = self.thread(thread).await.ok()?;
            detail.peers.contains(peer).then_some(())
        })
        .await;
    }

    /// Asks all peers of a thread and waits for the end of it.
    ///
    /// # Panics
    ///
    /// If nobody is reachable.
    pub async fn sync_now(&self, thread: &ThreadId) {
        let options = SyncOptions { thread: Some(thread.clone()), timeout: PATIENCE };
        let mut steps = self.sync(options).await.expect("the thread is here");
        while let Some(step) = steps.next().await {
            step.expect("peers answer");
        }
    }

    /// The score of a connected peer, below 0 if it misbehaved; `None` if it is not connected.
    ///
    /// # Panics
    ///
    /// If the node has stopped.
    pub async fn score(&self, peer: &PeerId) -> Option<f64> {
        let peers = self.peers().await.expect("the node runs");
        peers.iter().find(|info| info.peer == *peer && !info.connections.is_empty()).map(|info| info.score)
    }

    /// The inert records of a forked log: counters and CIDs, in order.
    ///
    /// # Panics
    ///
    /// If the store cannot be read.
    pub async fn inert(&self, thread: &ThreadId, log: &LogId) -> Vec<(u64, Cid)> {
        let Some(fork) = self.log_info(thread, log).await.and_then(|info| info.fork) else { return Vec::new() };
        let page = Page { bytes: 64 << 20, count: 65_536 };
        let inert = self.store.inert(thread, log, fork.counter, None, page).expect("the store can be read");
        inert.records.into_iter().map(|record| (record.counter, record.cid)).collect()
    }
}

/// The keys that a ticket hands over.
///
/// # Panics
///
/// If it is no ticket.
pub fn keys_of(ticket: &str) -> ThreadKeys {
    ticket.parse::<Ticket>().expect("a ticket").keys().clone().into_keys()
}

/// The same ticket with other addresses than those in it: none by default.
///
/// # Panics
///
/// If it is no ticket.
pub fn without_addresses(ticket: &str, instead: Vec<Multiaddr>) -> String {
    let ticket: Ticket = ticket.parse().expect("a ticket");
    let addresses = instead.into_iter().map(|base| Address { base, target: Target::None }).collect();
    let ticket = Ticket::new(ticket.thread().clone(), ticket.keys().clone(), addresses, None);
    ticket.expect("within the limits").to_string()
}

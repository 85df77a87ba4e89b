use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    kad::{
        self, Caching, GetProvidersOk, InboundRequest, Mode, ProviderRecord, QueryId, QueryResult, RecordKey,
        StoreInserts,
        store::{MemoryStore, MemoryStoreConfig, RecordStore},
    },
    swarm::dial_opts::DialOpts,
};

use super::keeper::Keeper;
use crate::{Event, KadMode, behaviour::Behaviour, limits, out::Out};

/// Name of the protocol: our own table, not the public one.
pub(crate) const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/spool/kad/1.0.0");

pub(crate) type Kad = kad::Behaviour<MemoryStore>;

/// Kademlia for announcements only: values are neither kept nor asked for.
pub(crate) fn kad(peer: PeerId, mode: KadMode) -> Kad {
    let store = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: limits::MAX_PROVIDERS_PER_KEY,
        max_provided_keys: limits::MAX_PROVIDED + limits::MAX_STORED_KEYS,
    };
    let mut config = kad::Config::new(KAD_PROTOCOL);
    config
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_provider_record_ttl(Some(limits::PROVIDER_TTL))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_query_timeout(Duration::from_secs(30))
        .set_caching(Caching::Disabled);
    let mut kad = Kad::with_config(peer, MemoryStore::with_config(peer, store), config);
    match mode {
        KadMode::Server => kad.set_mode(Some(Mode::Server)),
        KadMode::Client | KadMode::Off => kad.set_mode(Some(Mode::Client)),
        KadMode::Auto => {}
    }
    kad
}

/// Announcements of this node, its lookups, and what it keeps for others.
#[derive(Default)]
pub(crate) struct Dht {
    provided: BTreeSet<[u8; 32]>,
    /// To be announced, each key once.
    queue: VecDeque<[u8; 32]>,
    queued: HashSet<[u8; 32]>,
    announcing: HashMap<QueryId, [u8; 32]>,
    /// Whether there is anybody to announce to. Without, an announcement succeeds at once and reaches nobody.
    routable: bool,
    /// Announce everything again at the next tick.
    again: bool,
    waiting: VecDeque<[u8; 32]>,
    lookups: HashMap<QueryId, Lookup>,
    keeper: Keeper,
}

struct Lookup {
    key: [u8; 32],
    found: HashSet<PeerId>,
}

impl Dht {
    /// Tells the routing table where a peer is.
    pub(crate) fn add_address(swarm: &mut Swarm<Behaviour>, peer: PeerId, address: Multiaddr) {
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else { return };
        kad.add_address(&peer, address);
        // The table forgets an address only when it fails, and a peer may name new ones for ever.
        let stale: Vec<_> = kad
            .kbucket(peer)
            .into_iter()
            .flat_map(|bucket| {
                let entry = bucket.iter().find(|entry| entry.node.key.preimage() == &peer);
                let addresses = entry.map(|entry| entry.node.value.clone().into_vec()).unwrap_or_default();
                let surplus = addresses.len().saturating_sub(limits::MAX_ADDRESSES);
                addresses.into_iter().take(surplus)
            })
            .collect();
        for address in stale {
            kad.remove_address(&peer, &address);
        }
    }

    pub(crate) fn provide(&mut self, swarm: &mut Swarm<Behaviour>, key: [u8; 32]) {
        let local = *swarm.local_peer_id();
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else { return };
        if self.provided.len() >= limits::MAX_PROVIDED && !self.provided.contains(&key) {
            tracing::warn!(limit = limits::MAX_PROVIDED, "too many keys, not announced");
            return;
        }
        // At once, for those who ask this node itself.
        let record = ProviderRecord::new(RecordKey::new(&key), local, Vec::new());
        if let Err(error) = kad.store_mut().add_provider(record) {
            tracing::warn!(%error, "not announced");
            return;
        }
        self.provided.insert(key);
        self.enqueue(key);
        self.pump(swarm);
    }

    pub(crate) fn stop_providing(&mut self, swarm: &mut Swarm<Behaviour>, key: &[u8; 32]) {
        self.provided.remove(key);
        if let Some(kad) = swarm.behaviour_mut().kad.as_mut() {
            kad.stop_providing(&RecordKey::new(key));
        }
    }

    pub(crate) fn find(&mut self, swarm: &mut Swarm<Behaviour>, key: [u8; 32], out: &mut Out) {
        let known = self.waiting.contains(&key) || self.lookups.values().any(|lookup| lookup.key == key);
        if known {
            return;
        }
        if !swarm.behaviour().kad.is_enabled() || self.waiting.len() >= limits::MAX_WAITING_LOOKUPS {
            out.event(Event::Providers { key, peers: Vec::new(), done: true });
            return;
        }
        self.waiting.push_back(key);
        self.pump(swarm);
    }

    pub(crate) fn on_event(&mut self, swarm: &mut Swarm<Behaviour>, event: kad::Event, now: Instant, out: &mut Out) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                match result {
                    QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                        self.on_found(swarm, id, providers, out);
                    }
                    QueryResult::StartProviding(result) => self.on_announced(id, result.is_ok()),
                    _ => {}
                }
                if step.last {
                    if let Some(Lookup { key, .. }) = self.lookups.remove(&id) {
                        out.event(Event::Providers { key, peers: Vec::new(), done: true });
                    }
                    self.pump(swarm);
                }
            }
            kad::Event::InboundRequest { request: InboundRequest::AddProvider { record: Some(record) } } => {
                if let Some(kad) = swarm.behaviour_mut().kad.as_mut() {
                    self.keeper.add(kad.store_mut(), record, now);
                }
            }
            kad::Event::RoutingUpdated { is_new_peer: true, .. } => self.on_new_peer(swarm),
            kad::Event::ModeChanged { new_mode } => tracing::info!(mode = %new_mode, "part in the hash table"),
            _ => {}
        }
    }

    fn on_found(&mut self, swarm: &mut Swarm<Behaviour>, id: QueryId, providers: HashSet<PeerId>, out: &mut Out) {
        let local = *swarm.local_peer_id();
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let mut peers = Vec::new();
        for peer in providers {
            if peer == local || lookup.found.len() >= limits::MAX_PROVIDER_DIALS || !lookup.found.insert(peer) {
                continue;
            }
            peers.push(peer);
            // Where it is, the running query knows, and nobody after it has ended. What came from our own store no query knows.
            let dial = DialOpts::peer_id(peer)
                .addresses(stored_addresses(swarm, &lookup.key, peer))
                .extend_addresses_through_behaviour()
                .build();
            if let Err(error) = swarm.dial(dial) {
                tracing::debug!(%peer, %error, "provider is not dialled");
            }
        }
        if !peers.is_empty() {
            out.event(Event::Providers { key: lookup.key, peers, done: false });
        }
    }

    fn on_announced(&mut self, id: QueryId, reached: bool) {
        let Some(key) = self.announcing.remove(&id) else { return };
        if !reached {
            self.enqueue(key);
        }
    }

    fn on_new_peer(&mut self, swarm: &mut Swarm<Behaviour>) {
        self.routable = true;
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else { return };
        let peers: usize = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        self.again |= peers <= limits::SMALL_NETWORK;
        self.pump(swarm);
    }

    pub(crate) fn tick(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) {
        if let Some(kad) = swarm.behaviour_mut().kad.as_mut() {
            self.keeper.expire(kad.store_mut(), now);
        }
        if std::mem::take(&mut self.again) {
            for key in self.provided.clone() {
                self.enqueue(key);
            }
        }
        self.pump(swarm);
    }

    fn enqueue(&mut self, key: [u8; 32]) {
        if self.queued.insert(key) {
            self.queue.push_back(key);
        }
    }

    /// Starts as many announcements and lookups as may be under way.
    fn pump(&mut self, swarm: &mut Swarm<Behaviour>) {
        let Some(kad) = swarm.behaviour_mut().kad.as_mut() else { return };
        while self.routable && self.announcing.len() < limits::ANNOUNCEMENTS_IN_FLIGHT {
            let Some(key) = self.queue.pop_front() else { break };
            self.queued.remove(&key);
            if !self.provided.contains(&key) {
                continue;
            }
            match kad.start_providing(RecordKey::new(&key)) {
                Ok(id) => {
                    self.announcing.insert(id, key);
                }
                Err(error) => tracing::warn!(%error, "not announced"),
            }
        }
        while self.lookups.len() < limits::LOOKUPS_IN_FLIGHT {
            let Some(key) = self.waiting.pop_front() else { break };
            let id = kad.get_providers(RecordKey::new(&key));
            self.lookups.insert(id, Lookup { key, found: HashSet::new() });
        }
    }

    /// Keys that are announced, and announcements that wait.
    pub(crate) fn provided(&self) -> (usize, usize) {
        (self.provided.len(), self.queue.len())
    }
}

fn stored_addresses(swarm: &mut Swarm<Behaviour>, key: &[u8; 32], peer: PeerId) -> Vec<Multiaddr> {
    let Some(kad) = swarm.behaviour_mut().kad.as_mut() else { return Vec::new() };
    let records = kad.store_mut().providers(&RecordKey::new(key));
    records.into_iter().find(|record| record.provider == peer).map(|record| record.addresses).unwrap_or_default()
}

use std::{collections::HashMap, time::Instant};

use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    multiaddr::Protocol,
    swarm::{ConnectionId, dial_opts::DialOpts},
};

use super::{addresses::peer_of, dht::Dht};
use crate::{
    Config,
    behaviour::Behaviour,
    limits::{BOOTSTRAP_INTERVAL, FEW_PEERS},
};

/// Connects with the configured peers when there are few others, and keeps reservations at the configured relays.
pub(crate) struct Bootstrap {
    peers: Vec<Target>,
    relays: Vec<Relay>,
    dialling: HashMap<ConnectionId, usize>,
    due: Option<Instant>,
    /// Whether bootstrap peers become relays.
    reserve: bool,
}

struct Target {
    address: Multiaddr,
    /// From the address, or learnt when it was dialled.
    peer: Option<PeerId>,
}

struct Relay {
    address: Multiaddr,
    listener: Option<ListenerId>,
}

impl Relay {
    fn at(address: Multiaddr) -> Self {
        Self { address: address.with(Protocol::P2pCircuit), listener: None }
    }
}

impl Bootstrap {
    pub(crate) fn new(config: &Config) -> Self {
        let target = |address: &Multiaddr| Target { address: address.clone(), peer: peer_of(address) };
        Self {
            peers: config.bootstrap.iter().map(target).collect(),
            relays: config.relays.iter().cloned().map(Relay::at).collect(),
            dialling: HashMap::new(),
            due: None,
            reserve: config.reserve,
        }
    }

    pub(crate) fn tick(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) {
        if self.due.is_some_and(|due| due > now) {
            return;
        }
        let first = self.due.replace(now + BOOTSTRAP_INTERVAL).is_none();
        if first || swarm.network_info().num_peers() < FEW_PEERS {
            self.dial_peers(swarm);
        }
        self.listen_at_relays(swarm);
    }

    fn dial_peers(&mut self, swarm: &mut Swarm<Behaviour>) {
        let local = *swarm.local_peer_id();
        for (index, target) in self.peers.iter().enumerate() {
            if target.peer.is_some_and(|peer| peer == local || swarm.is_connected(&peer)) {
                continue;
            }
            let dial = match target.peer {
                Some(peer) => {
                    Dht::add_address(swarm, peer, target.address.clone());
                    DialOpts::peer_id(peer).addresses(vec![target.address.clone()]).build()
                }
                None => DialOpts::unknown_peer_id().address(target.address.clone()).build(),
            };
            let connection = dial.connection_id();
            match swarm.dial(dial) {
                Ok(()) => {
                    self.dialling.insert(connection, index);
                }
                Err(error) => tracing::debug!(address = %target.address, %error, "bootstrap peer is not dialled"),
            }
        }
    }

    fn listen_at_relays(&mut self, swarm: &mut Swarm<Behaviour>) {
        for relay in self.relays.iter_mut().filter(|relay| relay.listener.is_none()) {
            match swarm.listen_on(relay.address.clone()) {
                Ok(listener) => relay.listener = Some(listener),
                Err(error) => tracing::warn!(relay = %relay.address, %error, "no reservation"),
            }
        }
    }

    /// A bootstrap peer that relays becomes a relay of this node, unless others are known to reach it without one.
    pub(crate) fn on_relay(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId) {
        let is_relayed = |address: &Multiaddr| address.iter().any(|part| part == Protocol::P2pCircuit);
        if !self.reserve || !swarm.external_addresses().all(is_relayed) {
            return;
        }
        let Some(target) = self.peers.iter().find(|target| target.peer == Some(peer)) else { return };
        let address = target.address.clone().with_p2p(peer).unwrap_or_else(|address| address);
        let relay = Relay::at(address);
        if self.relays.iter().all(|known| known.address != relay.address) {
            self.relays.push(relay);
            self.listen_at_relays(swarm);
        }
    }

    pub(crate) fn on_connected(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(index) = self.dialling.remove(&connection) {
            self.peers[index].peer = Some(peer);
        }
    }

    pub(crate) fn on_dial_failed(&mut self, connection: ConnectionId, error: &libp2p::swarm::DialError) {
        let Some(index) = self.dialling.remove(&connection) else { return };
        let target = &mut self.peers[index];
        tracing::debug!(address = %target.address, %error, "bootstrap peer is not reached");
        // Another node may live there now; an address with a peer id means that peer and no other.
        target.peer = peer_of(&target.address);
    }

    pub(crate) fn on_listener_closed(&mut self, listener: ListenerId) {
        for relay in self.relays.iter_mut().filter(|relay| relay.listener == Some(listener)) {
            tracing::info!(relay = %relay.address, "reservation lost");
            relay.listener = None;
        }
    }
}

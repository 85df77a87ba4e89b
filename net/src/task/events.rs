use std::{collections::BTreeMap, time::Instant};

use libp2p::{
    Multiaddr, PeerId, identify, mdns, ping, relay,
    swarm::{ConnectionId, SwarmEvent},
};

use super::Task;
use crate::{
    DialError, Event, Via,
    behaviour::BehaviourEvent,
    discovery::{Dht, KAD_PROTOCOL, usable},
    exchange,
    limits::MAX_LOCAL_DIALS,
};

impl Task {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>, now: Instant) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, endpoint.get_remote_address().clone());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.on_closed(peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                tracing::debug!(peer = ?peer_id, %error, "dial failed");
                self.bootstrap.on_dial_failed(connection_id, &error);
                self.dialling.ended(&connection_id);
                if let Some(reply) = self.dials.remove(&connection_id) {
                    // Who asked may have gone.
                    let _ = reply.send(Err(DialError::Failed { address: None, source: Box::new(error) }));
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.out.event(Event::Listening(address));
            }
            SwarmEvent::ExternalAddrConfirmed { address } => {
                tracing::info!(%address, "reachable");
                self.out.event(Event::NewExternalAddress(address));
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => self.bootstrap.on_listener_closed(listener_id),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
            other => tracing::trace!(event = ?other),
        }
        self.settle(now);
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent, now: Instant) {
        let behaviour = self.swarm.behaviour_mut();
        match event {
            BehaviourEvent::Exchange(event) => {
                self.exchange.on_event(&mut behaviour.exchange, event, &mut self.out);
            }
            BehaviourEvent::Gossip(event) => self.gossip.on_event(&mut behaviour.gossip, event, now, &mut self.out),
            BehaviourEvent::Kad(event) => self.dht.on_event(&mut self.swarm, event, now, &mut self.out),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info);
            }
            BehaviourEvent::Identify(event) => tracing::trace!(?event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_local_peers(found),
            BehaviourEvent::Mdns(mdns::Event::Expired(_)) => {}
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::RelayClient(event) => tracing::debug!(?event),
            BehaviourEvent::RelayServer(event) => tracing::debug!(?event),
            BehaviourEvent::HolePunching(event) => tracing::debug!(?event),
            BehaviourEvent::AutonatClient(event) => tracing::debug!(?event),
            BehaviourEvent::AutonatServer(event) => tracing::debug!(?event),
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, address: Multiaddr) {
        self.bootstrap.on_connected(connection, peer);
        self.dialling.ended(&connection);
        if let Some(reply) = self.dials.remove(&connection) {
            // Who asked may have gone.
            let _ = reply.send(Ok(peer));
        }
        if self.peers.connected(peer, connection, address.clone()) {
            tracing::debug!(%peer, %address, "connected");
            self.out.event(Event::PeerConnected { peer, address });
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if self.peers.closed(&peer, connection) {
            tracing::debug!(%peer, "gone");
            self.gossip.on_gone(&peer);
            self.exchange.on_gone(peer, &mut self.out);
            self.out.event(Event::PeerGone { peer });
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        self.peers.identified(&peer, &info.agent_version);
        if info.protocols.contains(&relay::HOP_PROTOCOL_NAME) {
            self.bootstrap.on_relay(&mut self.swarm, peer);
        }
        let ours = info.protocols.contains(&exchange::PROTOCOL);
        let routes = info.protocols.contains(&KAD_PROTOCOL);
        if !ours && !routes {
            return;
        }
        let addresses = usable(peer, self.peers.address(&peer), info.listen_addrs);
        for address in &addresses {
            self.swarm.add_peer_address(peer, address.clone());
            if routes {
                Dht::add_address(&mut self.swarm, peer, address.clone());
            }
        }
        if ours && !addresses.is_empty() {
            self.out.event(Event::Discovered { peer, addresses, via: Via::Identify });
        }
    }

    fn on_local_peers(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let mut by_peer = BTreeMap::<PeerId, Vec<Multiaddr>>::new();
        for (peer, address) in found {
            by_peer.entry(peer).or_default().push(address);
        }
        for (peer, addresses) in by_peer {
            let addresses = usable(peer, None, addresses);
            if addresses.is_empty() || peer == *self.swarm.local_peer_id() {
                continue;
            }
            for address in &addresses {
                self.swarm.add_peer_address(peer, address.clone());
            }
            if self.peers.len() < MAX_LOCAL_DIALS {
                self.dial_peer(peer, addresses.clone());
            }
            self.out.event(Event::Discovered { peer, addresses, via: Via::Mdns });
        }
    }

    /// A connection whose ping fails is dead, and TCP alone would take a quarter of an hour to notice.
    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(round_trip) => self.peers.answered_ping(&event.peer, round_trip),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "ping failed, closing");
                self.swarm.close_connection(event.connection);
            }
        }
    }
}

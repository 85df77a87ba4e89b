use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::limits::MAX_AGENT_CHARACTERS;

/// A connected peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerInfo {
    /// The peer.
    pub peer: PeerId,
    /// Its end of every connection with it.
    pub addresses: Vec<Multiaddr>,
    /// Its software, by its own account; empty until it said so.
    pub agent: String,
    /// How long the last ping took.
    pub round_trip: Option<Duration>,
    /// Points for misbehaviour; 100 are a ban.
    pub points: f64,
}

/// The connected peers.
#[derive(Default)]
pub(crate) struct Peers(HashMap<PeerId, Connected>);

#[derive(Default)]
struct Connected {
    connections: Vec<(ConnectionId, Multiaddr)>,
    agent: String,
    round_trip: Option<Duration>,
}

impl Peers {
    /// Whether this is the first connection with the peer.
    pub(crate) fn connected(&mut self, peer: PeerId, connection: ConnectionId, address: Multiaddr) -> bool {
        let connected = self.0.entry(peer).or_default();
        connected.connections.push((connection, address));
        connected.connections.len() == 1
    }

    /// Whether this was the last connection with the peer.
    pub(crate) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) -> bool {
        let Some(connected) = self.0.get_mut(peer) else { return false };
        connected.connections.retain(|(id, _)| *id != connection);
        let last = connected.connections.is_empty();
        if last {
            self.0.remove(peer);
        }
        last
    }

    pub(crate) fn identified(&mut self, peer: &PeerId, agent: &str) {
        if let Some(connected) = self.0.get_mut(peer) {
            let printable = agent.chars().filter(|character| !character.is_control());
            connected.agent = printable.take(MAX_AGENT_CHARACTERS).collect();
        }
    }

    pub(crate) fn answered_ping(&mut self, peer: &PeerId, round_trip: Duration) {
        if let Some(connected) = self.0.get_mut(peer) {
            connected.round_trip = Some(round_trip);
        }
    }

    /// Where the peer is, by its first connection.
    pub(crate) fn address(&self, peer: &PeerId) -> Option<&Multiaddr> {
        self.0.get(peer)?.connections.first().map(|(_, address)| address)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn list(&self, points: impl Fn(&PeerId) -> f64) -> Vec<PeerInfo> {
        let mut list: Vec<_> = self
            .0
            .iter()
            .map(|(peer, connected)| PeerInfo {
                peer: *peer,
                addresses: connected.connections.iter().map(|(_, address)| address.clone()).collect(),
                agent: connected.agent.clone(),
                round_trip: connected.round_trip,
                points: points(peer),
            })
            .collect();
        list.sort_by_key(|info| info.peer);
        list
    }
}

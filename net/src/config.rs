use std::{fmt, time::Duration};

use libp2p::{Multiaddr, identity::Keypair};

use crate::{Error, limits};

/// How the network is set up. [`Default`] is an ephemeral node with a fresh identity on the standard port.
#[derive(Clone)]
pub struct Config {
    /// Seed of the node's ed25519 key, and so of its peer id.
    pub seed: [u8; 32],
    /// Addresses to listen on. None is right for a node that only dials.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach this node, where it knows better than AutoNAT.
    pub external: Vec<Multiaddr>,
    /// Peers to begin with: dialled at the start, and again while fewer than [`limits::FEW_PEERS`] are connected.
    pub bootstrap: Vec<Multiaddr>,
    /// Relays, each with `/p2p/<peer>`, at which this node is to be reachable from behind NAT.
    pub relays: Vec<Multiaddr>,
    /// Whether [`Self::bootstrap`] peers that relay are asked for the same, as long as nobody is known to reach this node directly.
    pub reserve: bool,
    /// Whether peers on the local network are looked for, found by, and dialled.
    pub mdns: bool,
    /// The part this node takes in the distributed hash table.
    pub kad: KadMode,
    /// Whether this node relays for others.
    pub relay_server: bool,
    /// Whether relayed connections are replaced by direct ones where NATs let them.
    pub hole_punching: bool,
    /// Whether peers are asked if this node can be reached at the addresses it is seen at, and answered likewise.
    pub autonat: bool,
    /// Bounds on connections.
    pub connections: ConnectionLimits,
    /// From opening a stream to the last byte of the answer.
    pub request_timeout: Duration,
    /// Until a connection without requests closes.
    pub idle_timeout: Duration,
    /// Bounds on what peers may send on gossip.
    pub gossip: GossipLimits,
}

/// The part a node takes in the distributed hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KadMode {
    /// Keeps announcements for others. Right for reachable nodes, and in private networks.
    Server,
    /// Only asks.
    Client,
    /// Server as soon as an external address is confirmed.
    Auto,
    /// No part at all.
    Off,
}

/// Bounds on connections, each a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Established with one peer.
    pub per_peer: u32,
    /// Established and opened by others.
    pub incoming: u32,
    /// Established and opened by this node.
    pub outgoing: u32,
    /// In their handshake, opened by others.
    pub pending_incoming: u32,
    /// In their handshake, opened by this node.
    pub pending_outgoing: u32,
}

/// Bounds on what one peer may send on gossip; above, its messages are dropped and it is scored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GossipLimits {
    /// Messages a second.
    pub messages_a_second: f64,
    /// Messages at once.
    pub messages_burst: f64,
    /// Bytes a second.
    pub bytes_a_second: f64,
    /// Bytes at once.
    pub bytes_burst: f64,
}

impl Config {
    /// The defaults, for the node with this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            listen: vec![standard("/ip4/0.0.0.0/tcp/4006"), standard("/ip4/0.0.0.0/udp/4006/quic-v1")],
            external: Vec::new(),
            bootstrap: Vec::new(),
            relays: Vec::new(),
            reserve: true,
            mdns: true,
            kad: KadMode::Auto,
            relay_server: false,
            hole_punching: true,
            autonat: true,
            connections: ConnectionLimits::default(),
            request_timeout: limits::REQUEST_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            gossip: GossipLimits::default(),
        }
    }

    pub(crate) fn keypair(&self) -> Keypair {
        Keypair::ed25519_from_bytes(self.seed).expect("32 bytes by type")
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (setting, addresses) in [("bootstrap", &self.bootstrap), ("relays", &self.relays)] {
            if addresses.len() > limits::MAX_BOOTSTRAP {
                let reason = format!("{} addresses, at most {} are permitted", addresses.len(), limits::MAX_BOOTSTRAP);
                return Err(Error::Config { setting, reason });
            }
        }
        let nameless = self.relays.iter().find(|relay| crate::discovery::peer_of(relay).is_none());
        if let Some(relay) = nameless {
            let reason = format!("{relay} does not end in /p2p/<peer id>");
            return Err(Error::Config { setting: "relays", reason });
        }
        Ok(())
    }
}

fn standard(address: &'static str) -> Multiaddr {
    address.parse().expect("a multiaddr written by hand")
}

impl Default for Config {
    fn default() -> Self {
        let keypair = libp2p::identity::ed25519::Keypair::generate();
        let secret = keypair.secret();
        Self::new(secret.as_ref().try_into().expect("ed25519 secrets have 32 bytes"))
    }
}

impl ConnectionLimits {
    /// Peers that may be connected at once.
    pub(crate) fn most_peers(&self) -> usize {
        self.incoming.saturating_add(self.outgoing) as usize
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            per_peer: limits::MAX_CONNECTIONS_PER_PEER,
            incoming: limits::MAX_INCOMING,
            outgoing: limits::MAX_OUTGOING,
            pending_incoming: limits::MAX_PENDING_INCOMING,
            pending_outgoing: limits::MAX_PENDING_OUTGOING,
        }
    }
}

impl Default for GossipLimits {
    fn default() -> Self {
        Self {
            messages_a_second: limits::GOSSIP_MESSAGES_A_SECOND,
            messages_burst: limits::GOSSIP_MESSAGES_BURST,
            bytes_a_second: limits::GOSSIP_BYTES_A_SECOND,
            bytes_burst: limits::GOSSIP_BYTES_BURST,
        }
    }
}

// By hand, because of the seed.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("external", &self.external)
            .field("bootstrap", &self.bootstrap)
            .field("relays", &self.relays)
            .field("mdns", &self.mdns)
            .field("kad", &self.kad)
            .field("relay_server", &self.relay_server)
            .field("hole_punching", &self.hole_punching)
            .field("autonat", &self.autonat)
            .field("connections", &self.connections)
            .field("request_timeout", &self.request_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("gossip", &self.gossip)
            .finish_non_exhaustive()
    }
}

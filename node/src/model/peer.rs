//! Peers and addresses.

use std::time::{Duration, SystemTime};

use spool_proto::{Multiaddr, PeerId};

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// This node did.
    Outbound,
}

/// A peer that this node is connected to, or has addresses of.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerInfo {
    /// The peer.
    pub peer: PeerId,
    /// Open connections: address and who dialled. Empty: not connected.
    pub connections: Vec<(Multiaddr, Direction)>,
    /// Addresses in the address book that have not expired.
    pub addresses: Vec<Multiaddr>,
    /// What the peer says it runs, at most 128 characters, as it said it.
    pub agent: Option<String>,
    /// Round trip of the last ping.
    pub rtt: Option<Duration>,
    /// Threads that both sides have proven access to.
    pub threads: u32,
    /// Behaviour score; below 0 the peer misbehaved.
    pub score: f64,
    /// It is kept out for what it did, for so long still.
    pub blocked_for: Option<Duration>,
    /// When it was last connected; `None` where never.
    pub last_seen: Option<SystemTime>,
}

/// Where this node can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Bound, without `/p2p`.
    pub listen: Vec<Multiaddr>,
    /// Seen or confirmed from outside, relayed ones too.
    pub external: Vec<Multiaddr>,
    /// What goes into tickets and announcements: configured, else external, else listen; each ends in `/p2p/<peer>`.
    pub announced: Vec<Multiaddr>,
}

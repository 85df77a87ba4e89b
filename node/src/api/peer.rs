//! Peers and the node itself in the interface's messages.

use std::time::Duration;

use super::pb;
use super::thread::{texts, unix_millis};
use crate::model::{Addresses, Direction, NodeInfo, PeerInfo, Stat};

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<PeerInfo> for pb::Peer {
    fn from(peer: PeerInfo) -> Self {
        let connection = |(address, direction): &(_, Direction)| pb::peer::Connection {
            address: ToString::to_string(address as &spool_proto::Multiaddr),
            inbound: *direction == Direction::Inbound,
        };
        Self {
            peer_id: peer.peer.to_string(),
            connections: peer.connections.iter().map(connection).collect(),
            addresses: texts(&peer.addresses),
            agent: peer.agent,
            rtt_us: peer.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            threads: peer.threads,
            score: peer.score,
            last_seen_ms: peer.last_seen.map(unix_millis),
            blocked_ms: peer.blocked_for.map(millis),
        }
    }
}

impl From<Addresses> for pb::ListAddressesResponse {
    fn from(addresses: Addresses) -> Self {
        Self {
            listen: texts(&addresses.listen),
            external: texts(&addresses.external),
            announced: texts(&addresses.announced),
        }
    }
}

/// The name is configuration, which the node does not carry.
pub(super) fn node(info: &NodeInfo, name: Option<String>) -> pb::Node {
    pb::Node {
        peer_id: info.peer.to_string(),
        identity: info.identity.to_string(),
        device: info.device.to_string(),
        version: info.version.into(),
        name,
        uptime_ms: millis(info.uptime),
    }
}

pub(super) fn stat(stat: &Stat, uptime: Duration) -> pb::Stat {
    pb::Stat {
        threads: stat.threads,
        logs: stat.logs,
        records: stat.records,
        inert: stat.inert,
        blocks: stat.blocks,
        block_bytes: stat.block_bytes,
        missing_blocks: stat.missing_blocks,
        disk_bytes: stat.disk_bytes,
        peers: stat.peers,
        bytes_in: stat.bytes_in,
        bytes_out: stat.bytes_out,
        accepted: stat.accepted,
        rejected: stat.rejected,
        appended: stat.appended,
        read_only: stat.read_only,
        uptime_ms: millis(uptime),
    }
}

//! The node itself.

use std::time::Duration;

use spool_proto::{DeviceId, IdentityKey, PeerId};

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node's peer id.
    pub peer: PeerId,
    /// The owner's public identity.
    pub identity: IdentityKey,
    /// This installation: with the identity it determines the log in each thread.
    pub device: DeviceId,
    /// The version of the program.
    pub version: &'static str,
    /// Time since start.
    pub uptime: Duration,
}

/// Sizes and counts, cheap enough to ask every second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stat {
    /// Threads here.
    pub threads: u64,
    /// Logs in them.
    pub logs: u64,
    /// Records in the logs.
    pub records: u64,
    /// Inert records, kept beside.
    pub inert: u64,
    /// Blocks of bodies.
    pub blocks: u64,
    /// Bytes of those blocks.
    pub block_bytes: u64,
    /// Blocks that records link to and that have not arrived.
    pub missing_blocks: u64,
    /// Bytes on disk, estimated.
    pub disk_bytes: u64,
    /// Connected peers.
    pub peers: u64,
    /// Bytes received since start.
    pub bytes_in: u64,
    /// Bytes sent since start.
    pub bytes_out: u64,
    /// Records accepted from others since start.
    pub accepted: u64,
    /// Records refused since start.
    pub rejected: u64,
    /// Events appended since start.
    pub appended: u64,
    /// Whether the disk refused a write and the node only reads.
    pub read_only: bool,
}

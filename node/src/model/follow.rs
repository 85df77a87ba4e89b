//! Following for others, and being followed.

use std::time::SystemTime;

use spool_proto::{IdentityKey, Multiaddr, PeerId, ThreadId};

/// A node that was asked to follow a thread and has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerInfo {
    /// The thread.
    pub thread: ThreadId,
    /// The node.
    pub peer: PeerId,
    /// Where it can be reached.
    pub addresses: Vec<Multiaddr>,
    /// Days after which it drops bodies; 0 for never.
    pub bodies_days: u32,
    /// When it accepted.
    pub since: SystemTime,
    /// When it left, if it did.
    pub gone: Option<SystemTime>,
}

/// A thread that this node follows for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedThread {
    /// The thread.
    pub thread: ThreadId,
    /// Who asked, from which node. The first one's quota it uses.
    pub inviters: Vec<(IdentityKey, PeerId)>,
    /// When it was first agreed.
    pub since: SystemTime,
    /// Days after which bodies are dropped here; 0 for never.
    pub bodies_days: u32,
    /// Bytes of its records and blocks.
    pub used_bytes: u64,
    /// Bytes that all threads of that identity use here.
    pub quota_used: u64,
    /// And how many they may.
    pub quota: u64,
    /// Nothing more of it is taken, because that is used up.
    pub is_full: bool,
}

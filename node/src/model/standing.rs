//! How a thread stands here and at its peers.

use std::{collections::BTreeMap, time::SystemTime};

use spool_proto::{LogId, PeerId, ThreadId, sync::Trouble, wire::Role};

use super::FollowedThread;

/// A thread as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadStanding {
    /// The thread.
    pub thread: ThreadId,
    /// Followers that are known and have not left.
    pub followers: u32,
    /// How many of them have all that is here.
    pub durable: u32,
    /// Its logs, by id.
    pub logs: Vec<LogStanding>,
    /// Peers that are connected, were asked to follow, or were heard of; by id.
    pub peers: Vec<PeerStanding>,
    /// Blocks of bodies that have not arrived here.
    pub missing_blocks: u64,
    /// On which terms this node follows it for others, if it does.
    pub followed: Option<FollowedThread>,
}

/// One log as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStanding {
    /// The log.
    pub log: LogId,
    /// Whether this node writes it.
    pub own: bool,
    /// Counter of the newest record that is here and counts; 0 for none.
    pub head: u64,
    /// The newest that anybody is known to have.
    pub newest: u64,
    /// How many followers have it up to `head`.
    pub durable: u32,
    /// Whoever is being asked for what is missing.
    pub pulled_from: Vec<PeerId>,
    /// Whether a fork is proven.
    pub forked: bool,
    /// Whether it has ended.
    pub retired: bool,
}

/// One peer of a thread as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStanding {
    /// The peer.
    pub peer: PeerId,
    /// Its part, by its own account.
    pub role: Role,
    /// This node has asked it to follow.
    pub asked: bool,
    /// When it left, if it did.
    pub gone: Option<SystemTime>,
    /// Whether it is connected, and has proven access.
    pub connected: bool,
    /// When it last said what it has.
    pub last_contact: Option<SystemTime>,
    /// How far it has each log on its disk, by its own account.
    pub heads: BTreeMap<LogId, u64>,
    /// Days after which it drops bodies; 0 for never.
    pub bodies_days: u32,
    /// It takes nothing more: what the thread may use there is used up.
    pub is_full: bool,
    /// What last went wrong with it.
    pub trouble: Option<Trouble>,
}

impl PeerStanding {
    /// Whether it has all that is here.
    pub fn has_all(&self, logs: &[LogStanding]) -> bool {
        logs.iter().all(|log| self.heads.get(&log.log).copied().unwrap_or(0) >= log.head)
    }

    /// Whether it counts as a follower: it follows, and has not left.
    pub fn is_counted(&self) -> bool {
        (self.asked || self.role == Role::Follower) && self.gone.is_none()
    }
}

/// How many followers have a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// So many have it.
    pub durable: u32,
    /// Of so many that are known.
    pub followers: u32,
}

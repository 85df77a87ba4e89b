//! What a person wants to know of a thread, read from the engine's memory.

use super::{
    engine::{Engine, World},
    hot::Memory,
    log::Log,
    state::{Fork, Head},
};
use crate::{
    PeerId,
    id::{LogId, ThreadId},
    owner::Owner,
    wire::Role,
};

/// A thread as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadStatus {
    /// Short hash over all heads: equal on two peers that have the same.
    pub edge: [u8; 16],
    /// Its logs, if they are in memory; sorted by id.
    pub logs: Option<Vec<LogStatus>>,
    /// Connected peers that share it.
    pub peers: Vec<PeerStatus>,
}

/// A log as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// The log.
    pub log: LogId,
    /// Its newest durable record that counts.
    pub head: Option<Head>,
    /// Whether this node writes it.
    pub own: bool,
    /// Whose it is, where that can be read.
    pub owner: Option<Owner>,
    /// A fork, if one is proven.
    pub fork: Option<Fork>,
    /// Own log: a record that came from a peer though this node never wrote it.
    pub rolled_back: Option<u64>,
    /// Whether it has ended.
    pub retired: bool,
    /// The highest counter that a connected peer has.
    pub target: u64,
    /// Whether records are being fetched.
    pub pulling: bool,
}

/// A peer that shares a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Its part, by its own account.
    pub role: Role,
    /// How far it has each log, as far as known.
    pub heads: Vec<(LogId, u64)>,
}

impl Engine {
    /// The state of a thread; `None` if it is not here.
    pub fn status(&mut self, thread: &ThreadId) -> Option<ThreadStatus> {
        self.world_mut().status(thread)
    }

    /// All threads.
    pub fn threads(&self) -> impl Iterator<Item = &ThreadId> {
        self.world().threads.keys()
    }

    /// Connected peers, and how many threads each has proven.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerId, usize)> {
        self.world().sessions.iter().map(|(peer, session)| (peer, session.proven.len()))
    }
}

impl World {
    fn status(&mut self, id: &ThreadId) -> Option<ThreadStatus> {
        let thread = self.threads.get_mut(id)?;
        let topic = thread.topic();
        let edge = thread.edge();
        let (logs, heads) = match &thread.memory {
            Memory::Hot(hot) => (Some(hot.logs.iter().map(log_status).collect()), Some(&hot.logs)),
            Memory::Cold | Memory::Loading(_) => (None, None),
        };
        let peers = thread.peers.iter().map(|peer| {
            let role = self.sessions.get(peer).and_then(|session| session.proven.get(&topic)).copied();
            let heads = heads
                .into_iter()
                .flatten()
                .filter_map(|(id, log)| log.sources.get(peer).map(|source| (*id, source.counter)));
            PeerStatus { peer: *peer, role: role.unwrap_or(Role::Follower), heads: heads.collect() }
        });
        Some(ThreadStatus { edge, logs, peers: peers.collect() })
    }
}

fn log_status((id, log): (&LogId, &Log)) -> LogStatus {
    LogStatus {
        log: *id,
        head: log.durable,
        own: log.writer.is_some(),
        owner: log.state.owner.clone(),
        fork: log.state.fork,
        rolled_back: log.rolled_back,
        retired: log.state.retired,
        target: log.target(),
        pulling: log.pull.is_busy(),
    }
}

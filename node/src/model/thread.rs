//! Threads and their logs.

use std::time::SystemTime;

use spool_proto::key_set::Scope;
use spool_proto::{Address, Cid, KeyId, LogId, Multiaddr, PeerId, ThreadId};

use super::{Author, Time};

/// One thread in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadInfo {
    /// The thread.
    pub id: ThreadId,
    /// The local name; nobody else sees it unless it is shared in a ticket.
    pub name: Option<String>,
    /// What this node's keys allow.
    pub scope: Scope,
    /// This node's current log, once it wrote something.
    pub own_log: Option<LogId>,
    /// Logs known.
    pub logs: u64,
    /// Records in them.
    pub records: u64,
    /// Inert records.
    pub inert: u64,
    /// Logs with a proven fork.
    pub forks: u64,
    /// Blocks that have not arrived.
    pub missing_blocks: u64,
    /// Connected peers that proved access to it.
    pub peers: u64,
    /// When it was created or joined here.
    pub added: SystemTime,
}

/// One thread in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadDetail {
    /// The summary.
    pub info: ThreadInfo,
    /// Its logs, by id.
    pub logs: Vec<LogInfo>,
    /// Peers connected now that proved access.
    pub peers: Vec<PeerId>,
    /// Where the thread can be reached, as far as known: the logs' announced addresses and those of the ticket it was joined with.
    pub addresses: Vec<Address>,
}

/// One log of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInfo {
    /// The log.
    pub id: LogId,
    /// Whether this node writes it, or did with an earlier device id.
    pub own: bool,
    /// Counter and CID of the newest record of the main chain.
    pub head: Option<(u64, Cid)>,
    /// Time of the newest event, where it can be read.
    pub time: Option<Time>,
    /// Whom the log is bound to, where it can be read.
    pub author: Option<Author>,
    /// A proven fork.
    pub fork: Option<ForkInfo>,
    /// Whether the log has ended.
    pub retired: bool,
    /// What the writer announced last.
    pub addresses: Vec<Multiaddr>,
}

/// Two valid records with one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkInfo {
    /// The lowest proven divergence; from here on all records of the log are inert.
    pub counter: u64,
    /// The two records that prove it; only one of them while the other branch is still on its way.
    pub evidence: Vec<Cid>,
    /// Inert records kept here.
    pub inert: u64,
}

/// A ticket that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Shared {
    /// The ticket's text. A secret: it carries keys (sealed, where it is for one identity).
    pub ticket: String,
    /// What it allows.
    pub scope: Scope,
    /// The addresses in it; without one, the receiver has to find a peer by itself.
    pub addresses: Vec<Address>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("scope", &self.scope).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// One epoch of a thread's keys: which are held, never what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochInfo {
    /// Place among the epochs known here, from 0.
    pub index: u32,
    /// The key id.
    pub key_id: KeyId,
    /// Whether the read key is held, too.
    pub read: bool,
    /// Whether logs are checked for admission (not where there is only a Textile service key).
    pub admission: bool,
    /// Whether new records are sealed under it.
    pub current: bool,
}

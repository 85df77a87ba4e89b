//! What a person wants to know of a thread, read from the engine's memory.

use std::fmt;

use super::{
    engine::{Engine, World},
    hot::Memory,
    input::Failure,
    log::Log,
    serve::Asked,
    state::{Fork, Head},
};
use crate::{
    PeerId,
    id::{LogId, ThreadId},
    owner::Owner,
    wire::{Refusal, Response, Role, Terms},
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
    /// From whom.
    pub pulled_from: Vec<PeerId>,
}

impl LogStatus {
    /// Records that connected peers are known to have and that are not here. None of a forked log: its end is another one for each.
    pub fn missing(&self) -> u64 {
        let here = self.head.map_or(0, |head| head.counter);
        if self.fork.is_some() { 0 } else { self.target.saturating_sub(here) }
    }
}

/// What is missing here of all threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missing {
    /// Threads of which something is.
    pub threads: u64,
    /// Records that connected peers are known to have and that are not here.
    pub records: u64,
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
    /// What it keeps, by its own account.
    pub terms: Terms,
    /// How far it has each log on disk: it said so, or sent the record. Logs that are not in memory here are left out.
    pub acknowledged: Vec<(LogId, u64)>,
    /// It had all that is here when last compared, and nothing has changed here since.
    pub agrees: bool,
    /// What last went wrong with it, until it goes well again.
    pub trouble: Option<Trouble>,
}

/// What went wrong when a peer was asked or sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// It refused.
    Refused(Refusal),
    /// There was no answer, or none that makes sense.
    Failed(Failure),
}

impl Trouble {
    /// A stable name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused(Refusal::Unknown) => "unknown",
            Self::Refused(Refusal::Busy) | Self::Failed(Failure::Busy) => "busy",
            Self::Refused(Refusal::Malformed) | Self::Failed(Failure::Malformed) => "malformed",
            Self::Refused(Refusal::Internal) => "internal",
            Self::Refused(Refusal::Full) => "full",
            Self::Refused(Refusal::TooFast) => "too-fast",
            Self::Failed(Failure::Disconnected) => "disconnected",
            Self::Failed(Failure::Timeout) => "timeout",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(Refusal::Unknown) => "it does not know the thread, or not by these keys",
            Self::Refused(Refusal::Busy) => "it is busy",
            Self::Refused(Refusal::Malformed) => "it did not understand what it was sent",
            Self::Refused(Refusal::Internal) => "it failed: its operator should look at its log",
            Self::Refused(Refusal::Full) => "it takes nothing more: what the thread may use there is used up",
            Self::Refused(Refusal::TooFast) => "it takes no more records in this time, and asks for them later",
            Self::Failed(Failure::Busy) => "this node had no room for another request",
            Self::Failed(Failure::Malformed) => "its answer made no sense",
            Self::Failed(Failure::Disconnected) => "the connection broke",
            Self::Failed(Failure::Timeout) => "it did not answer in time",
        })
    }
}

impl Engine {
    /// The state of a thread; `None` if it is not here.
    pub fn status(&mut self, thread: &ThreadId) -> Option<ThreadStatus> {
        self.world_mut().status(thread)
    }

    /// What is known to be missing here. Looks at every log that is in memory; of others nothing is under way.
    pub fn missing(&self) -> Missing {
        let mut missing = Missing::default();
        for thread in self.world().threads.values() {
            let Memory::Hot(hot) = &thread.memory else { continue };
            let records: u64 = hot.logs.iter().map(|log| log_status(log).missing()).sum();
            missing.threads += u64::from(records > 0);
            missing.records += records;
        }
        missing
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
    /// Remembers what went wrong with a peer, and forgets it when it goes well again. Answers that fit no question count as well: they are malformed.
    pub(super) fn note_trouble(&mut self, asked: &Asked, result: &Result<Response, Failure>) {
        let (Some(peer), Some(thread)) = (asked.peer(), asked.about()) else { return };
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let trouble = match result {
            Ok(Response::Refusal(refusal)) => Trouble::Refused(*refusal),
            Ok(_) => {
                session.troubles.remove(thread);
                return;
            }
            Err(failure) => Trouble::Failed(*failure),
        };
        session.troubles.insert(thread.clone(), trouble);
    }

    fn status(&mut self, id: &ThreadId) -> Option<ThreadStatus> {
        let thread = self.threads.get_mut(id)?;
        let topic = thread.topic();
        let edge = thread.edge();
        let (logs, heads) = match &thread.memory {
            Memory::Hot(hot) => (Some(hot.logs.iter().map(log_status).collect()), Some(&hot.logs)),
            Memory::Cold | Memory::Loading(_) => (None, None),
        };
        let changed = thread.changed;
        let peers = thread.peers.iter().map(|peer| {
            let session = self.sessions.get(peer);
            let standing = session.and_then(|session| session.proven.get(&topic)).copied().unwrap_or_default();
            let agrees = session.is_some_and(|session| session.agrees(id, &topic, changed));
            let on_disk = heads.into_iter().flatten().filter_map(|(id, log)| {
                let said = log.sources.get(peer).map(|source| source.acknowledged).filter(|counter| *counter > 0);
                let equal = agrees.then(|| log.durable_counter()).filter(|counter| *counter > 0);
                Some((*id, said.max(equal)?))
            });
            let heads = heads
                .into_iter()
                .flatten()
                .filter_map(|(id, log)| log.sources.get(peer).map(|source| (*id, source.counter)));
            PeerStatus {
                peer: *peer,
                role: standing.role,
                heads: heads.collect(),
                terms: standing.terms,
                acknowledged: on_disk.collect(),
                agrees,
                trouble: session.and_then(|session| session.troubles.get(id)).copied(),
            }
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
        pulled_from: log.pull.asked_peers().into_iter().collect(),
    }
}

//! A thread in memory: always its keys and edge; its logs only while they are in use.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use cid::Cid;

use super::{
    effect::{Effect, RequestId},
    engine::Context,
    follow::Following,
    input::Input,
    limits::MAX_LOGS,
    log::{Log, Writer},
    state::{LogState, ThreadState},
    timers::Timer,
};
use crate::{
    PeerId,
    id::{LogId, ThreadId, TopicId},
    keys::{AccessKey, EdgeEntry, EdgeFork},
    wire::Digest,
};

/// A thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) id: ThreadId,
    pub(super) state: Arc<ThreadState>,
    pub(super) memory: Memory,
    /// Connected peers that have proven access, and we to them.
    pub(super) peers: BTreeSet<PeerId>,
    /// Whether its gossip topic is joined.
    pub(super) subscribed: bool,
    /// Last use; decides what cools and which topics are left.
    pub(super) used: Duration,
    /// How long to wait before peers are looked for again.
    pub(super) discover_wait: Duration,
    /// Peers are looked for though there are some: one of few has gone.
    pub(super) wants_peers: bool,
    /// A caller waits for all peers.
    pub(super) sync: Option<SyncRun>,
    /// Logs that got new durable records while they were read from disk, and whether they are this node's own.
    pub(super) missed: BTreeMap<LogId, bool>,
    /// The terms on which it is followed for others.
    pub(super) following: Option<Following>,
    /// When its edge last changed, or may have.
    pub(super) changed: Duration,
    /// Blocks are missing that nobody had when the thread went cold: a new peer may have them.
    pub(super) incomplete: bool,
    edge: Option<Digest>,
}

/// How much of a thread is in memory.
#[derive(Debug)]
pub(super) enum Memory {
    /// Edge and keys only.
    Cold,
    /// Its logs are being read.
    Loading(Loading),
    /// All of it.
    Hot(Box<Hot>),
}

/// A thread whose logs are on their way from disk.
#[derive(Debug, Default)]
pub(super) struct Loading {
    /// Inputs that wait for them.
    pub(super) parked: Vec<Input>,
    /// How many times they were asked for: only the last answer counts, the others may be older than the keys.
    pub(super) asked: usize,
}

/// The logs of a thread in use.
#[derive(Debug, Default)]
pub(super) struct Hot {
    pub(super) logs: BTreeMap<LogId, Log>,
    /// Logs with records that no own event has cited yet. Where several logs are written here, each cites for itself, and none is taken out.
    pub(super) fresh: BTreeSet<LogId>,
    /// How many logs are written here.
    pub(super) written: usize,
    pub(super) wants: Wants,
}

/// A block that is missing; of a manifest with the log whose key opens it.
pub(super) type Want = (Cid, Option<LogId>);

/// Blocks that are missing.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// In the order in which to ask; of a manifest with its log.
    pub(super) queue: VecDeque<Want>,
    pub(super) in_flight: BTreeMap<RequestId, (PeerId, Vec<Want>)>,
    /// Who was asked in vain for which.
    pub(super) vain: BTreeMap<Cid, BTreeSet<PeerId>>,
    /// Requests whose blocks are being verified and committed.
    pub(super) settling: usize,
    /// The store is being asked for more.
    pub(super) loading: bool,
    /// The store may want more by now.
    pub(super) more: bool,
    /// The store's list was longer than what is here.
    pub(super) truncated: bool,
}

impl Wants {
    /// Nothing is on its way, so that the store's list is what is really missing.
    pub(super) fn is_quiet(&self) -> bool {
        !self.loading && self.in_flight.is_empty() && self.settling == 0
    }

    /// The store has to be asked what is wanted.
    pub(super) fn is_stale(&self) -> bool {
        self.more || (self.truncated && self.queue.is_empty())
    }

    /// The store may want blocks that are not listed here.
    pub(super) fn is_partial(&self) -> bool {
        self.loading || self.more || self.truncated
    }

    /// Whether a block is known to be wanted.
    pub(super) fn lists(&self, cid: &Cid) -> bool {
        let asked = self.in_flight.values().flat_map(|(_, wanted)| wanted);
        self.queue.iter().chain(asked).any(|(wanted, _)| wanted == cid)
    }

    /// For all that memory knows no block is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_empty() && !self.is_partial()
    }
}

/// A caller waits until all peers were asked and all they had is here.
#[derive(Debug)]
pub(super) struct SyncRun {
    pub(super) since: Duration,
    pub(super) requests: Vec<RequestId>,
    pub(super) waiting: BTreeSet<PeerId>,
    pub(super) answered: usize,
    pub(super) failed: usize,
}

impl Hot {
    /// A log is written here from now on.
    pub(super) fn write(&mut self, writer: Writer) {
        let log = self.logs.entry(writer.log).or_default();
        self.written += usize::from(log.writer.is_none());
        log.rolled_back = log.state.rolled_back;
        log.writer = Some(Box::new(writer));
    }

    /// Whether a log is known or may become so; logs of which nothing has come make way.
    pub(super) fn has_room(&mut self, log: &LogId) -> bool {
        if self.logs.len() >= MAX_LOGS && !self.logs.contains_key(log) {
            self.logs.retain(|_, log| !log.is_empty());
        }
        self.logs.len() < MAX_LOGS || self.logs.contains_key(log)
    }
}

impl Thread {
    pub(super) fn new(id: ThreadId, state: Arc<ThreadState>, now: Duration) -> Self {
        Self {
            id,
            state,
            memory: Memory::Cold,
            peers: BTreeSet::new(),
            subscribed: false,
            used: now,
            discover_wait: super::limits::DISCOVER_INTERVAL,
            wants_peers: false,
            sync: None,
            missed: BTreeMap::new(),
            following: None,
            changed: now,
            incomplete: false,
            edge: None,
        }
    }

    pub(super) fn access(&self) -> &AccessKey {
        self.state.keys.access()
    }

    pub(super) fn topic(&self) -> TopicId {
        self.access().topic()
    }

    pub(super) fn hot(&mut self) -> Option<&mut Hot> {
        match &mut self.memory {
            Memory::Hot(hot) => Some(hot),
            Memory::Cold | Memory::Loading(_) => None,
        }
    }

    /// The edge over what is durable; from memory or as computed before the thread went cold.
    pub(super) fn edge(&mut self) -> Digest {
        if let Some(edge) = self.edge {
            return edge;
        }
        let edge = match &self.memory {
            Memory::Hot(hot) => {
                self.access().edge(hot.logs.iter().filter_map(|(id, log)| entry(*id, &log.state, log.durable)))
            }
            Memory::Cold | Memory::Loading(_) => self.access().edge([]),
        };
        self.edge = Some(edge);
        edge
    }

    /// Computes the edge from stored logs, without keeping them.
    pub(super) fn set_edge(&mut self, logs: &[(LogId, LogState)]) {
        let logs: BTreeMap<_, _> = logs.iter().map(|(id, state)| (*id, state)).collect();
        let entries = logs.into_iter().filter_map(|(id, state)| entry(id, state, state.active_head()));
        self.edge = Some(self.access().edge(entries));
    }

    /// Nothing durable is here: whoever is connected may be as new to the thread as this node.
    pub(super) fn is_empty(&mut self) -> bool {
        self.edge() == self.access().edge([])
    }

    /// Starts looking for peers over again, `wait` from now.
    pub(super) fn look_for_peers(&mut self, wait: Duration, context: &mut Context<'_>) {
        self.wants_peers = true;
        self.discover_wait = super::limits::DISCOVER_INTERVAL;
        context.after(wait, Timer::Discover(self.id.clone()));
    }

    /// To be called when anything changed that the edge covers. What is not in memory keeps its edge.
    pub(super) fn edge_changed(&mut self, context: &mut Context<'_>) {
        self.changed = context.time();
        context.shared.edge_changes += 1;
        if let Memory::Hot(_) = self.memory {
            self.edge = None;
        }
    }

    /// Reads the logs from disk, again if they are here.
    pub(super) fn load(&mut self, context: &mut Context<'_>) {
        self.edge();
        if let Memory::Cold | Memory::Hot(_) = self.memory {
            self.memory = Memory::Loading(Loading::default());
        }
        if let Memory::Loading(loading) = &mut self.memory {
            loading.asked += 1;
        }
        context.push(Effect::Load { thread: self.id.clone() });
    }
}

/// What the edge says of a log: nothing while it has no durable record.
fn entry(log: LogId, state: &LogState, durable: Option<super::state::Head>) -> Option<EdgeEntry> {
    let fork = state.fork.map(|fork| EdgeFork { inert: fork.inert, hashes: fork.digest });
    if durable.is_none() && fork.is_none() {
        return None;
    }
    Some(EdgeEntry { log, counter: durable.map_or(0, |head| head.counter), head: durable.map(|head| head.cid), fork })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn log(number: usize) -> LogId {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        LogId::from(&SigningKey::from_bytes(&seed))
    }

    #[test]
    fn there_is_room_for_so_many_logs_and_those_of_which_nothing_came_make_way() {
        let mut hot = Hot::default();
        for number in 0..MAX_LOGS {
            assert!(hot.has_room(&log(number)));
            hot.logs.entry(log(number)).or_default().uncommitted = 1;
        }
        assert!(!hot.has_room(&log(MAX_LOGS)), "one more");
        assert!(hot.has_room(&log(0)), "one that is there");
        hot.logs.entry(log(1)).or_default().uncommitted = 0;
        assert!(hot.has_room(&log(MAX_LOGS)));
        assert!(!hot.logs.contains_key(&log(1)));
    }
}

//! One log in memory: its chain position, what is durable of it, who has more of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use ed25519_dalek::SigningKey;

use super::{
    limits::{MAX_RECENT_BYTES, SOURCE_BACKOFF},
    pull::Pull,
    state::{Head, LogState},
};
use crate::{
    PeerId,
    id::{KeyId, LogId},
    keys::{LogKeys, ThreadKeys},
    owner::Owner,
    record::VerifiedRecord,
};

/// What it takes to write a log.
#[derive(Clone)]
pub struct Writer {
    /// The log.
    pub log: LogId,
    /// Its key.
    pub signer: SigningKey,
    /// Whose it is; goes into the first record.
    pub owner: Owner,
    /// The admission key's signature; goes into the first record.
    pub admission: Option<[u8; 64]>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Writer").field("log", &self.log).finish_non_exhaustive()
    }
}

/// A peer that has records of a log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Source {
    /// The highest counter that it is thought to have.
    pub(super) counter: u64,
    /// The highest counter that it has said itself to have.
    pub(super) claimed: u64,
    /// The highest counter that it is known to have on disk: it said so, or sent the record.
    pub(super) acknowledged: u64,
    /// Not asked before this time.
    pub(super) not_before: Duration,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Pages in a row that it did not have though it had said so. One may be due to a fork that it has found meanwhile.
    pub(super) denied: u32,
}

impl Source {
    pub(super) fn failed(&mut self, now: Duration) {
        let wait = SOURCE_BACKOFF.saturating_mul(1 << self.failures.min(6)).min(super::limits::MAX_SOURCE_BACKOFF);
        self.failures += 1;
        self.not_before = now + wait;
    }
}

/// A record that may yet be pushed, with its blocks.
#[derive(Debug)]
struct Recent {
    record: Arc<VerifiedRecord>,
    blocks: Vec<Bytes>,
}

impl Recent {
    fn bytes(&self) -> usize {
        self.record.sealed().bytes.len() + self.blocks.iter().map(Bytes::len).sum::<usize>()
    }
}

/// A log in memory.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The chain as it will be once all batches are committed.
    pub(super) state: Arc<LogState>,
    /// The newest record that counts and survives a power cut: what peers are told.
    pub(super) durable: Option<Head>,
    /// Set on own logs.
    pub(super) writer: Option<Box<Writer>>,
    /// Own log: a peer has a record that was never written here.
    pub(super) rolled_back: Option<u64>,
    /// Batches with records of this log that are not committed yet.
    pub(super) uncommitted: usize,
    /// Who has how much.
    pub(super) sources: BTreeMap<PeerId, Source>,
    /// The peer that last pushed or published something new: more may be on its way from there.
    pub(super) pusher: Option<PeerId>,
    /// Missing records.
    pub(super) pull: Pull,
    /// How far this log has cited others, as far as seen since the thread was loaded.
    pub(super) cites: BTreeMap<LogId, u64>,
    /// When the log was last published, and whether something newer waits.
    pub(super) announced: Option<Duration>,
    pub(super) announce_due: bool,
    /// How far the log was published.
    pub(super) published: u64,
    /// Inert records: a count is under way, another one is due.
    pub(super) counting: bool,
    pub(super) count_due: bool,
    keys: Vec<(KeyId, Arc<LogKeys>)>,
    recent: VecDeque<Recent>,
    recent_bytes: usize,
}

impl Log {
    pub(super) fn new(state: LogState) -> Self {
        let mut log = Self { state: Arc::new(state), ..Self::default() };
        log.set_durable(log.state.head);
        log
    }

    /// Nothing of it has ever been here: peers have spoken of it.
    pub(super) fn is_empty(&self) -> bool {
        let untouched = self.state.head.is_none() && self.state.fork.is_none() && self.writer.is_none();
        untouched && self.uncommitted == 0 && !self.pull.is_busy()
    }

    /// The main chain is durable up to `head`; what is told of it ends before a fork.
    pub(super) fn set_durable(&mut self, head: Option<Head>) {
        if head.map(|head| head.counter) > self.durable.map(|durable| durable.counter) {
            self.durable = head;
        }
        if let Some(fork) = self.state.fork
            && self.durable_counter() >= fork.counter
        {
            self.durable = self.state.before_fork.filter(|head| head.counter == fork.counter - 1);
        }
    }

    /// A fork is known, but not the record before it, which is on disk.
    pub(super) fn lacks_before_fork(&self) -> bool {
        self.state.fork.is_some_and(|fork| fork.counter > 1 && self.state.counter() >= fork.counter)
            && self.state.active_head().is_none()
    }

    /// The durable head's counter; 0 for none.
    pub(super) fn durable_counter(&self) -> u64 {
        self.durable.map_or(0, |head| head.counter)
    }

    /// The log's keys of one epoch, derived once.
    pub(super) fn keys(&mut self, id: &LogId, thread: &ThreadKeys, key: &KeyId) -> Option<Arc<LogKeys>> {
        if let Some((_, keys)) = self.keys.iter().find(|(known, _)| known == key) {
            return Some(keys.clone());
        }
        let keys = Arc::new(thread.log_keys(key, id)?);
        self.keys.push((*key, keys.clone()));
        Some(keys)
    }

    /// Remembers a record, and its blocks if they are small, for pushing.
    pub(super) fn remember(&mut self, record: Arc<VerifiedRecord>, blocks: Vec<Bytes>) {
        let recent = Recent { record, blocks };
        self.recent_bytes += recent.bytes();
        self.recent.push_back(recent);
        while self.recent_bytes > MAX_RECENT_BYTES && self.recent.len() > 1 {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.bytes();
        }
    }

    fn recent(&self, counter: u64) -> Option<&Recent> {
        let first = self.recent.front()?.record.counter();
        let index = usize::try_from(counter.checked_sub(first)?).ok()?;
        self.recent.get(index)
    }

    /// The CID at `counter`, if the record is among the newest.
    pub(super) fn recent_cid(&self, counter: u64) -> Option<&Cid> {
        self.recent(counter).map(|recent| recent.record.cid())
    }

    /// The blocks at hand of the record at `counter`.
    pub(super) fn recent_blocks(&self, counter: u64) -> &[Bytes] {
        self.recent(counter).map_or(&[], |recent| &recent.blocks)
    }

    /// Whether one of the newest records links to a block.
    pub(super) fn recently_links(&self, cid: &Cid) -> bool {
        self.recent.iter().any(|recent| recent.record.links().as_slice().contains(cid))
    }

    /// The durable records after `counter`, if all of them are still at hand.
    pub(super) fn recent_after(&self, counter: u64) -> Option<impl Iterator<Item = &Arc<VerifiedRecord>>> {
        let first = self.recent.front()?.record.counter();
        let skip = usize::try_from(counter.checked_add(1)?.checked_sub(first)?).ok()?;
        let durable = self.durable_counter();
        let records = self.recent.iter().skip(skip).map(|recent| &recent.record);
        Some(records.take_while(move |record| record.counter() <= durable))
    }

    /// The counter before the oldest record that is still at hand.
    pub(super) fn before_recent(&self) -> u64 {
        self.recent.front().map_or(0, |recent| recent.record.counter() - 1)
    }

    /// Notes that `peer` has records up to `counter`.
    pub(super) fn note_source(&mut self, peer: PeerId, counter: u64) {
        let source = self.sources.entry(peer).or_default();
        source.counter = source.counter.max(counter);
    }

    /// Notes that `peer` has records up to `counter` on disk.
    pub(super) fn note_acknowledged(&mut self, peer: PeerId, counter: u64) {
        let source = self.sources.entry(peer).or_default();
        source.acknowledged = source.acknowledged.max(counter);
    }

    /// The highest counter that any source has.
    pub(super) fn target(&self) -> u64 {
        self.sources.values().map(|source| source.counter).max().unwrap_or(0)
    }
}

//! The contents of a disk, as the store's vocabulary of writes leaves them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use sha2::{Digest, Sha256};

use super::super::{
    effect::Write,
    state::{Head, LogState, ThreadState},
};
use crate::{
    id::{LogId, ThreadId},
    record::{Links, VerifiedRecord},
};

/// All threads of a node.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// By id.
    pub threads: BTreeMap<ThreadId, ThreadImage>,
}

/// One thread.
#[derive(Debug, Clone)]
pub struct ThreadImage {
    /// Its keys.
    pub state: Arc<ThreadState>,
    /// Its logs.
    pub logs: BTreeMap<LogId, LogImage>,
    /// Blocks that are here.
    pub blocks: BTreeMap<Cid, Bytes>,
    /// Blocks that are missing; of a manifest with its log.
    pub wants: BTreeMap<Cid, Option<LogId>>,
}

/// One log.
#[derive(Debug, Clone, Default)]
pub struct LogImage {
    /// What the engine keeps of it.
    pub state: Arc<LogState>,
    /// The main chain, from counter 1.
    pub main: Vec<Arc<VerifiedRecord>>,
    /// Records kept beside it.
    pub inert: BTreeMap<(u64, Cid), Arc<VerifiedRecord>>,
}

impl Image {
    /// Applies one write.
    ///
    /// # Panics
    ///
    /// If the write contradicts what is here: a record that is not next, or a log of a thread that is gone.
    pub(super) fn apply(&mut self, write: &Write) {
        match write {
            Write::Thread { thread, state } => match self.threads.get_mut(thread) {
                Some(image) => image.state = state.clone(),
                None => {
                    self.threads.insert(thread.clone(), ThreadImage::new(state.clone()));
                }
            },
            Write::RemoveThread { thread } => {
                self.threads.remove(thread);
            }
            Write::Log { thread, log, state } => self.log(thread, log).state = state.clone(),
            Write::Record { record } => {
                let log = self.log(record.thread(), record.log());
                assert_eq!(
                    record.counter(),
                    log.main.len() as u64 + 1,
                    "each record enters the main chain once, in order"
                );
                assert_eq!(record.prev(), log.main.last().map(|last| last.cid()), "the chain is linked");
                log.main.push(record.clone());
                self.thread(record.thread()).want(record);
            }
            Write::Inert { record } => {
                let log = self.log(record.thread(), record.log());
                log.inert.insert((record.counter(), *record.cid()), record.clone());
            }
            Write::Block { thread, cid, bytes, links } => {
                let thread = self.thread(thread);
                thread.blocks.insert(*cid, bytes.clone());
                thread.wants.remove(cid);
                for link in links.iter().filter(|link| !thread.blocks.contains_key(*link)) {
                    thread.wants.entry(*link).or_insert(None);
                }
            }
            Write::DropBlocks { thread, cids } => {
                let thread = self.thread(thread);
                thread.blocks.retain(|cid, _| !cids.contains(cid));
                thread.wants.retain(|cid, _| !cids.contains(cid));
            }
        }
    }

    fn thread(&mut self, thread: &ThreadId) -> &mut ThreadImage {
        self.threads.get_mut(thread).expect("nothing is written to a thread that is not here")
    }

    fn log(&mut self, thread: &ThreadId, log: &LogId) -> &mut LogImage {
        self.thread(thread).logs.entry(*log).or_default()
    }

    /// A log, if it is here.
    pub fn find(&self, thread: &ThreadId, log: &LogId) -> Option<&LogImage> {
        self.threads.get(thread)?.logs.get(log)
    }
}

impl ThreadImage {
    fn new(state: Arc<ThreadState>) -> Self {
        Self { state, logs: BTreeMap::new(), blocks: BTreeMap::new(), wants: BTreeMap::new() }
    }

    fn want(&mut self, record: &VerifiedRecord) {
        let log = matches!(record.links(), Links::Manifests(_)).then(|| *record.log());
        for cid in record.links().as_slice() {
            if !self.blocks.contains_key(cid) {
                self.wants.insert(*cid, log);
            }
        }
    }

    /// The logs as the engine is given them.
    pub(super) fn states(&self) -> Vec<(LogId, LogState)> {
        self.logs.iter().map(|(id, log)| (*id, LogState::clone(&log.state))).collect()
    }
}

impl LogImage {
    /// The position of the main chain at `counter`.
    pub fn at(&self, counter: u64) -> Option<Head> {
        let record = self.main.get(usize::try_from(counter.checked_sub(1)?).ok()?)?;
        Some(Head { counter, cid: *record.cid() })
    }

    /// The counter of the newest record that counts.
    pub fn active(&self) -> u64 {
        let length = self.main.len() as u64;
        self.state.fork.map_or(length, |fork| length.min(fork.counter - 1))
    }

    /// All records that are inert because of a fork at `fork`, in the order (counter, CID).
    pub fn inert_from(&self, fork: u64) -> BTreeMap<(u64, Cid), &Arc<VerifiedRecord>> {
        let main = self.main.iter().filter(|record| record.counter() >= fork);
        let main = main.map(|record| ((record.counter(), *record.cid()), record));
        main.chain(self.inert.iter().filter(|((counter, _), _)| *counter >= fork).map(|(key, record)| (*key, record)))
            .collect()
    }

    /// Count of the inert records, and XOR of the hashes of their CIDs.
    pub fn inert_digest(&self, fork: u64) -> (u64, [u8; 32]) {
        let inert = self.inert_from(fork);
        let mut digest = [0; 32];
        for (_, cid) in inert.keys() {
            let hash = Sha256::digest(cid.to_bytes());
            digest.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
        }
        (inert.len() as u64, digest)
    }
}

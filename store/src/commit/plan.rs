//! From writes to one batch.

use std::{collections::HashMap, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use spool_proto::{
    Cid, LogId, ThreadId, block,
    record::{Links, SealedRecord, VerifiedRecord},
    sync::{LogState, Write},
};

use zeroize::Zeroizing;

use super::{Error, staging::Staging};
use crate::{
    keys::{self, KEY_ID_BYTES, LogNumber, Place, ThreadNumber},
    kv::{Batch, Kv, Space},
    secrets::Secrets,
    store::{self, Numbers},
};

/// The numbers that the next new thread and log get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    thread: u32,
    log: u32,
}

impl Counters {
    pub(super) fn load(kv: &dyn Kv) -> Result<Self, store::Error> {
        let Some(value) = kv.get(Space::Meta, keys::NEXT_NUMBERS)? else { return Ok(Self { thread: 1, log: 1 }) };
        let counters = value.split_first_chunk::<4>().and_then(|(thread, log)| {
            Some(Self { thread: u32::from_be_bytes(*thread), log: u32::from_be_bytes(log.try_into().ok()?) })
        });
        counters.ok_or(store::Error::Malformed("next numbers"))
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.thread.to_be_bytes(), self.log.to_be_bytes()].concat()
    }
}

/// The changes that a group of commits makes.
///
/// Later writes see earlier ones of the same group. Nothing is remembered elsewhere until the batch has been written, so a plan that fails
/// can be dropped.
pub(super) struct Plan<'a> {
    staging: Staging<'a>,
    numbers: &'a Numbers,
    secrets: &'a Secrets,
    counters: Counters,
    first: Counters,
    threads: HashMap<ThreadId, Option<ThreadNumber>>,
    logs: HashMap<(ThreadNumber, LogId), LogNumber>,
    states: HashMap<(ThreadNumber, LogNumber), Arc<LogState>>,
    removed: Vec<ThreadNumber>,
}

/// A finished plan.
pub(super) struct Planned {
    pub(super) batch: Batch,
    /// To go on from once the batch is written.
    pub(super) counters: Counters,
    /// Threads to purge once the batch is written.
    pub(super) removed: Vec<ThreadNumber>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(kv: &'a dyn Kv, numbers: &'a Numbers, secrets: &'a Secrets, counters: Counters) -> Self {
        Self {
            staging: Staging::new(kv),
            numbers,
            secrets,
            counters,
            first: counters,
            threads: HashMap::new(),
            logs: HashMap::new(),
            states: HashMap::new(),
            removed: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, write: &Write) -> Result<(), Error> {
        match write {
            Write::Thread { thread, state } => self.thread(thread, &state.to_bytes()),
            Write::RemoveThread { thread } => self.remove_thread(thread),
            Write::Log { thread, log, state } => {
                let thread = self.known_thread(thread)?;
                let log = self.log_number(thread, log)?;
                self.states.insert((thread, log), state.clone());
                Ok(())
            }
            Write::Record { record } => self.record(record),
            Write::Inert { record } => self.inert(record),
            Write::DropBlocks { thread, cids } => {
                let thread = self.known_thread(thread)?;
                cids.iter().try_for_each(|cid| self.drop_block(thread, cid))
            }
            Write::Block { thread, cid, bytes, links } => {
                let thread = self.known_thread(thread)?;
                self.block(thread, cid, bytes)?;
                self.links(thread, links, None)
            }
        }
    }

    pub(super) fn finish(mut self) -> Planned {
        for ((thread, log), state) in std::mem::take(&mut self.states) {
            self.staging.put(Space::Logs, keys::logs::state(thread, log), state.to_bytes());
        }
        if self.counters != self.first {
            self.staging.put(Space::Meta, keys::NEXT_NUMBERS.to_vec(), self.counters.to_bytes());
        }
        Planned { batch: self.staging.into_batch(), counters: self.counters, removed: self.removed }
    }

    fn thread(&mut self, id: &ThreadId, state: &[u8]) -> Result<(), Error> {
        let number = match self.thread_number(id)? {
            Some(number) => number,
            None => {
                let number = ThreadNumber(self.counters.thread);
                self.counters.thread = self.counters.thread.checked_add(1).ok_or(Error::NumbersExhausted)?;
                self.threads.insert(id.clone(), Some(number));
                self.staging.put(Space::Threads, keys::threads::by_number(number), id.as_bytes().to_vec());
                number
            }
        };
        let key = keys::threads::by_id(id.as_bytes());
        let value = Zeroizing::new([&number.bytes(), state].concat());
        let value = self.secrets.seal_thread(&key, &value);
        self.staging.put(Space::Threads, key, value);
        Ok(())
    }

    /// Marks the thread as removed: from here on it is unknown, and [purging](super::purge) deletes what it had. No error if it is unknown already.
    fn remove_thread(&mut self, id: &ThreadId) -> Result<(), Error> {
        let Some(number) = self.thread_number(id)? else { return Ok(()) };
        self.staging.delete(Space::Threads, keys::threads::by_id(id.as_bytes()));
        self.staging.delete(Space::Threads, keys::threads::by_number(number));
        self.staging.put(Space::Threads, keys::threads::removal(number), id.as_bytes().to_vec());
        self.threads.insert(id.clone(), None);
        self.removed.push(number);
        Ok(())
    }

    fn record(&mut self, record: &VerifiedRecord) -> Result<(), Error> {
        let thread = self.known_thread(record.thread())?;
        let log = self.log_number(thread, record.log())?;
        let counter = record.counter();
        self.staging.put(Space::Records, keys::records::main(thread, log, counter), value(record.sealed()));
        self.index(record.cid(), Place { inert: false, thread, log, counter })?;
        let manifest_of = matches!(record.links(), Links::Manifests(_)).then_some(log);
        self.links(thread, record.links().as_slice(), manifest_of)
    }

    fn inert(&mut self, record: &VerifiedRecord) -> Result<(), Error> {
        let thread = self.known_thread(record.thread())?;
        let log = self.log_number(thread, record.log())?;
        let counter = record.counter();
        let key = keys::records::inert(thread, log, counter, &block::digest(record.cid())?);
        self.staging.put(Space::Inert, key, value(record.sealed()));
        self.index(record.cid(), Place { inert: true, thread, log, counter })
    }

    fn index(&mut self, cid: &Cid, place: Place) -> Result<(), Error> {
        self.staging.put(Space::Index, keys::index::record(&block::digest(cid)?), place.to_bytes());
        Ok(())
    }

    /// Keeps a block once, notes that the thread refers to it, and clears what any thread wanted of it.
    fn block(&mut self, thread: ThreadNumber, cid: &Cid, bytes: &Bytes) -> Result<(), Error> {
        let digest = block::digest(cid)?;
        if !self.staging.contains(Space::Index, &keys::index::block(&digest))? {
            let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.staging.put(Space::Index, keys::index::block(&digest), size.to_be_bytes().to_vec());
            self.staging.put(Space::Blocks, digest.to_vec(), bytes.clone());
            for reference in self.staging.keys(Space::References, &keys::references::of_block(&digest))? {
                let other = keys::number_at_end(&reference).ok_or(store::Error::Malformed("reference"))?;
                self.staging.delete(Space::References, keys::references::want(ThreadNumber(other), &digest));
            }
        }
        self.refer(thread, &digest);
        Ok(())
    }

    /// The thread does not refer to a block any more; the last one to do so takes it along.
    fn drop_block(&mut self, thread: ThreadNumber, cid: &Cid) -> Result<(), Error> {
        let digest = block::digest(cid)?;
        self.staging.delete(Space::References, keys::references::by_block(&digest, thread));
        self.staging.delete(Space::References, keys::references::by_thread(thread, &digest));
        self.staging.delete(Space::References, keys::references::want(thread, &digest));
        if self.staging.keys(Space::References, &keys::references::of_block(&digest))?.is_empty() {
            self.staging.delete(Space::Index, keys::index::block(&digest));
            self.staging.delete(Space::Blocks, digest.to_vec());
        }
        Ok(())
    }

    /// The thread refers to these blocks, and wants those that are not here.
    fn links(&mut self, thread: ThreadNumber, links: &[Cid], manifest_of: Option<LogNumber>) -> Result<(), Error> {
        for link in links {
            let digest = block::digest(link)?;
            self.refer(thread, &digest);
            if !self.staging.contains(Space::Index, &keys::index::block(&digest))? {
                let log = manifest_of.map_or(Vec::new(), |log| log.bytes().to_vec());
                self.staging.put(Space::References, keys::references::want(thread, &digest), log);
            }
        }
        Ok(())
    }

    fn refer(&mut self, thread: ThreadNumber, digest: &keys::Digest) {
        self.staging.put(Space::References, keys::references::by_block(digest, thread), Bytes::new());
        self.staging.put(Space::References, keys::references::by_thread(thread, digest), Bytes::new());
    }

    fn known_thread(&mut self, id: &ThreadId) -> Result<ThreadNumber, Error> {
        self.thread_number(id)?.ok_or_else(|| Error::UnknownThread(id.clone()))
    }

    fn thread_number(&mut self, id: &ThreadId) -> Result<Option<ThreadNumber>, Error> {
        if let Some(number) = self.threads.get(id) {
            return Ok(*number);
        }
        let number = self.numbers.thread(self.staging.kv(), id)?;
        self.threads.insert(id.clone(), number);
        Ok(number)
    }

    fn log_number(&mut self, thread: ThreadNumber, id: &LogId) -> Result<LogNumber, Error> {
        if let Some(number) = self.logs.get(&(thread, *id)) {
            return Ok(*number);
        }
        let number = match self.numbers.log(self.staging.kv(), thread, id)? {
            Some(number) => number,
            None => {
                let number = LogNumber(self.counters.log);
                self.counters.log = self.counters.log.checked_add(1).ok_or(Error::NumbersExhausted)?;
                let public_key = id.public_key();
                self.staging.put(Space::Logs, keys::logs::number(thread, public_key), number.bytes().to_vec());
                self.staging.put(Space::Logs, keys::logs::public_key(thread, number), public_key.to_vec());
                number
            }
        };
        self.logs.insert((thread, *id), number);
        Ok(number)
    }
}

fn value(sealed: &SealedRecord) -> Bytes {
    let mut value = BytesMut::with_capacity(KEY_ID_BYTES + sealed.bytes.len());
    value.put_slice(sealed.key_id.as_bytes());
    value.put_slice(&sealed.bytes);
    value.freeze()
}

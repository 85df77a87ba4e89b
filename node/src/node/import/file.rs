//! An archive as something that a peer could have: checked from beginning to end, then asked for pages.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Seek as _, SeekFrom},
};

use bytes::Bytes;
use spool_proto::{
    Cid, KeyId, LogId, ThreadId, TopicId, block,
    record::{SealedRecord, VerifiedRecord},
    sync::{Job, Verified},
    wire::{self, limits},
};
use spool_store::store::InertDigest;

use super::super::{
    archive::{Index, KeyRun, total},
    keyring::Keys,
    limits::{ARCHIVE_BLOCKS, ARCHIVE_MARK, READ_RECORDS},
};
use crate::{
    car::{self, Reader},
    model::Error,
};

/// An archive that was found good.
pub(super) struct Archive {
    file: File,
    pub(super) topic: TopicId,
    pub(super) logs: BTreeMap<LogId, Log>,
    /// Digest and place of each block of a body, sorted.
    blocks: Vec<([u8; 32], u64)>,
}

/// One log in it.
pub(super) struct Log {
    /// Counter and CID of the newest record that counts.
    pub(super) head: Option<(u64, Cid)>,
    runs: Vec<KeyRun>,
    /// Where every so many records one begins.
    marks: Vec<u64>,
    pub(super) fork: Option<Fork>,
}

/// What is inert in it.
pub(super) struct Fork {
    pub(super) counter: u64,
    pub(super) digest: InertDigest,
    /// Counter, CID, key and place of each, in the order of the archive.
    records: Vec<(u64, Cid, KeyId, u64)>,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::Archive(car::Error::Content(what.into()))
}

/// Reads an archive in order.
struct Check<'a> {
    reader: Reader<BufReader<&'a File>>,
    keys: &'a Keys,
    thread: &'a ThreadId,
    /// Told how far it is, in bytes.
    on_progress: &'a mut dyn FnMut(u64),
}

impl Archive {
    /// Checks all of `file`: form, hashes, and of every record seal, encoding, signature, links and admission. Nothing is believed of one that is not good to its end.
    pub(super) fn open(file: File, keys: &Keys, on_progress: &mut dyn FnMut(u64)) -> Result<Self, Error> {
        (&file).seek(SeekFrom::Start(0)).map_err(|error| Error::Archive(car::Error::Io(error)))?;
        let (logs, blocks) = {
            let reader = Reader::new(BufReader::new(&file), 0);
            Check { reader, keys, thread: &keys.thread, on_progress }.run()?
        };
        let topic = keys.state.keys.access().topic();
        Ok(Self { file, topic, logs, blocks })
    }

    /// Whether a block is in it.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        block::digest(cid).is_ok_and(|digest| self.blocks.binary_search_by_key(&digest, |(found, _)| *found).is_ok())
    }

    pub(super) fn block_count(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// A page of heads after a log.
    pub(super) fn heads(&self, after: Option<LogId>) -> (Vec<wire::Head>, bool) {
        let mut heads =
            self.logs.iter().filter(|(log, _)| after.is_none_or(|after| **log > after)).map(|(log, part)| {
                let fork = part.fork.as_ref().map(|fork| wire::Fork {
                    counter: fork.counter,
                    inert: fork.digest.count,
                    inert_digest: fork.digest.xor,
                });
                wire::Head { log: *log, counter: part.counter(), cid: part.head.map(|(_, cid)| cid), fork }
            });
        let page: Vec<_> = heads.by_ref().take(limits::MAX_HEADS).collect();
        let more = heads.next().is_some();
        (page, more)
    }

    /// Consecutive records of a log after a counter under one key, as many as make a page; and whether others follow.
    pub(super) fn records(
        &self,
        log: &LogId,
        after: u64,
        until: u64,
    ) -> Result<Option<(KeyId, Vec<Bytes>, bool)>, Error> {
        let Some(part) = self.logs.get(log) else { return Ok(None) };
        let until = until.min(part.counter());
        let Some((key, in_run)) = part.key_after(after).filter(|_| after < until) else { return Ok(None) };
        let wanted = in_run.min(until - after).min(limits::MAX_ENVELOPE_RECORDS as u64);
        let mark = after / ARCHIVE_MARK;
        let Some(begin) = part.marks.get(mark as usize) else { return Ok(None) };
        let mut reader = self.read_from(*begin)?;
        let (mut records, mut size) = (Vec::new(), 0);
        for counter in mark * ARCHIVE_MARK.. {
            if records.len() as u64 >= wanted {
                break;
            }
            let Some(found) = reader.next().map_err(Error::Archive)? else { break };
            if counter < after {
                continue;
            }
            if size + found.bytes.len() > limits::PAGE_BYTES && !records.is_empty() {
                break;
            }
            size += found.bytes.len();
            records.push(found.bytes);
        }
        let more = after + (records.len() as u64) < until;
        Ok(Some((key, records, more)).filter(|(_, records, _)| !records.is_empty()))
    }

    /// A page of inert records after one of them.
    pub(super) fn inert(
        &self,
        log: &LogId,
        after: Option<(u64, Cid)>,
    ) -> Result<(Vec<wire::InertRecord>, bool), Error> {
        let Some(fork) = self.logs.get(log).and_then(|part| part.fork.as_ref()) else { return Ok((Vec::new(), false)) };
        let (mut records, mut size) = (Vec::new(), 0);
        for (counter, cid, key_id, at) in &fork.records {
            if after.is_some_and(|(last, last_cid)| order(*counter, cid) <= order(last, &last_cid)) {
                continue;
            }
            let Some(found) = self.read_from(*at)?.next().map_err(Error::Archive)? else { break };
            if (size + found.bytes.len() > limits::PAGE_BYTES && !records.is_empty())
                || records.len() >= limits::MAX_INERT_RECORDS
            {
                return Ok((records, true));
            }
            size += found.bytes.len();
            records.push(wire::InertRecord { key_id: *key_id, record: found.bytes });
        }
        Ok((records, false))
    }

    /// Those of the blocks that are in it, as many as make a page; and whether there are others.
    pub(super) fn some_blocks(&self, cids: &[Cid]) -> Result<(Vec<Bytes>, bool), Error> {
        let (mut blocks, mut size) = (Vec::new(), 0);
        for cid in cids {
            let Ok(digest) = block::digest(cid) else { continue };
            let Ok(index) = self.blocks.binary_search_by_key(&digest, |(found, _)| *found) else { continue };
            let Some((_, at)) = self.blocks.get(index) else { continue };
            let Some(found) = self.read_from(*at)?.next().map_err(Error::Archive)? else { continue };
            if size + found.bytes.len() > limits::PAGE_BYTES && !blocks.is_empty() {
                return Ok((blocks, true));
            }
            size += found.bytes.len();
            blocks.push(found.bytes);
        }
        Ok((blocks, false))
    }

    fn read_from(&self, at: u64) -> Result<Reader<BufReader<&File>>, Error> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at)).map_err(|error| Error::Archive(car::Error::Io(error)))?;
        Ok(Reader::new(BufReader::new(file), at))
    }
}

/// As the protocol orders inert records.
fn order(counter: u64, cid: &Cid) -> (u64, Vec<u8>) {
    (counter, cid.hash().digest().to_vec())
}

impl Log {
    /// Of the newest record that counts; 0 for none.
    pub(super) fn counter(&self) -> u64 {
        self.head.map_or(0, |(counter, _)| counter)
    }

    /// The key of the record after a counter, and how many records from there on have it.
    fn key_after(&self, after: u64) -> Option<(KeyId, u64)> {
        let mut begin = 0;
        for (count, key) in &self.runs {
            if after < begin + count {
                return Some((*key, begin + count - after));
            }
            begin += count;
        }
        None
    }
}

type Checked = (BTreeMap<LogId, Log>, Vec<([u8; 32], u64)>);

impl Check<'_> {
    fn run(&mut self) -> Result<Checked, Error> {
        let roots = self.reader.header().map_err(Error::Archive)?;
        let first = self.next()?;
        if roots.first() != Some(&first.cid) || first.cid.codec() != car::DAG_CBOR {
            return Err(wrong("its first block is not the index of a thread"));
        }
        let index = Index::decode(&first.bytes).map_err(wrong)?;
        if index.thread != *self.thread {
            return Err(wrong(format!("it is of thread {}, not of {}", index.thread, self.thread)));
        }
        if index.blocks > ARCHIVE_BLOCKS as u64 {
            return Err(wrong(format!("it has {} blocks, at most {ARCHIVE_BLOCKS} are taken", index.blocks)));
        }
        let mut logs = BTreeMap::new();
        let mut heads = Vec::new();
        for part in index.logs {
            let log = self.log(&part.log, part.records, part.fork, &part.inert)?;
            heads.extend(log.head.map(|(_, cid)| cid));
            logs.insert(part.log, log);
        }
        if roots.get(1..) != Some(&heads) {
            return Err(wrong("its roots are not the heads of its logs"));
        }
        let mut blocks: Vec<([u8; 32], u64)> = Vec::new();
        for _ in 0..index.blocks {
            let found = self.next()?;
            let Ok(digest) = block::digest(&found.cid) else {
                return Err(wrong(format!("the block at byte {} is none of a body", found.at)));
            };
            if found.bytes.len() > limits::MAX_BLOCK_BYTES {
                return Err(wrong(format!("the block at byte {} is larger than any may be", found.at)));
            }
            if blocks.last().is_some_and(|(last, _)| *last >= digest) {
                return Err(wrong(format!("the block at byte {} is not in order", found.at)));
            }
            blocks.push((digest, found.at));
        }
        if let Some(more) = self.reader.next().map_err(Error::Archive)? {
            return Err(wrong(format!("something follows at byte {} that its index does not have", more.at)));
        }
        Ok((logs, blocks))
    }

    fn next(&mut self) -> Result<car::Block, Error> {
        let found = self.reader.next().map_err(Error::Archive)?;
        let found = found.ok_or(Error::Archive(car::Error::Truncated { at: self.reader.at() }))?;
        (self.on_progress)(self.reader.at());
        Ok(found)
    }

    fn log(&mut self, log: &LogId, runs: Vec<KeyRun>, fork: u64, inert: &[KeyRun]) -> Result<Log, Error> {
        let (mut head, mut marks) = (None::<(u64, Cid)>, Vec::new());
        for (count, key) in &runs {
            let mut left = *count;
            while left > 0 {
                let batch = left.min(READ_RECORDS as u64);
                let before = head.map_or(0, |(counter, _)| counter);
                let places = self.records(log, *key, batch)?;
                marks.extend(
                    places
                        .iter()
                        .zip(before..)
                        .filter(|(_, counter)| counter % ARCHIVE_MARK == 0)
                        .map(|((_, at), _)| *at),
                );
                for (record, at) in places {
                    let fits = record.counter() == head.map_or(1, |(counter, _)| counter + 1)
                        && record.prev() == head.as_ref().map(|(_, cid)| cid);
                    if !fits {
                        return Err(wrong(format!(
                            "the record at byte {at} does not follow the one before it in log {log}"
                        )));
                    }
                    head = Some((record.counter(), *record.cid()));
                }
                left -= batch;
            }
        }
        let counter = head.map_or(0, |(counter, _)| counter);
        let fork = match (fork, inert) {
            (0, []) => None,
            (fork, [_, ..]) if fork == counter + 1 => Some(self.fork(log, fork, inert)?),
            _ => return Err(wrong(format!("the fork of log {log} is not where its records end"))),
        };
        Ok(Log { head, runs, marks, fork })
    }

    fn fork(&mut self, log: &LogId, counter: u64, runs: &[KeyRun]) -> Result<Fork, Error> {
        let mut fork = Fork { counter, digest: InertDigest::default(), records: Vec::new() };
        if total(runs).is_none_or(|total| total > ARCHIVE_BLOCKS as u64) {
            return Err(wrong(format!("log {log} has too many inert records")));
        }
        for (count, key) in runs {
            for _ in 0..*count {
                for (record, at) in self.records(log, *key, 1)? {
                    let (place, cid) = (record.counter(), *record.cid());
                    let follows =
                        fork.records.last().is_none_or(|(last, before, ..)| order(*last, before) < order(place, &cid));
                    if place < counter || !follows {
                        return Err(wrong(format!("the inert record at byte {at} is not in its place")));
                    }
                    fork.digest.add(&cid);
                    fork.records.push((place, cid, *key, at));
                }
            }
        }
        // Two with the lowest counter prove it.
        match fork.records.get(..2) {
            Some([one, two]) if one.0 == counter && two.0 == counter => Ok(fork),
            Some(_) | None => Err(wrong(format!("the fork of log {log} is not proven"))),
        }
    }

    /// The next records, verified.
    fn records(
        &mut self,
        log: &LogId,
        key_id: KeyId,
        count: u64,
    ) -> Result<Vec<(std::sync::Arc<VerifiedRecord>, u64)>, Error> {
        let Some(keys) = self.keys.log(&key_id, log) else {
            return Err(wrong(
                "it has records under a key that this node was not given; join the thread again with a ticket of somebody who has it",
            ));
        };
        let (mut sealed, mut places) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let found = self.next()?;
            if found.cid.codec() != block::RAW || found.bytes.len() > limits::MAX_RECORD_BYTES {
                return Err(wrong(format!("the block at byte {} is no record", found.at)));
            }
            places.push(found.at);
            sealed.push((SealedRecord { key_id, bytes: found.bytes }, keys.clone()));
        }
        let job =
            Job::Records { thread: self.thread.clone(), log: *log, records: sealed, blocks: Vec::new(), sender: None };
        // A job and its result are of one kind.
        let Verified::Records { records, invalid, admitted, .. } = job.run() else { return Ok(Vec::new()) };
        if let Some(error) = invalid {
            let at = places.get(records.len()).copied().unwrap_or_default();
            return Err(wrong(format!("the record at byte {at} is not valid: {}", crate::chain(&error))));
        }
        if admitted == Some(false) {
            return Err(wrong(format!("nobody has admitted log {log} to the thread")));
        }
        Ok(records.into_iter().zip(places).collect())
    }
}

use std::ops::ControlFlow;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use spool_proto::{Cid, LogId, ThreadId, block, record::SealedRecord};

use super::{Error, Page, Store, records::sealed};
use crate::{
    keys::{self, LogNumber, ThreadNumber},
    kv::Space,
};

/// A record that does not count because its log is forked at or before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InertRecord {
    /// Its position in the log; others may share it.
    pub counter: u64,
    /// Its CID.
    pub cid: Cid,
    /// The record.
    pub sealed: SealedRecord,
}

/// Inert records in the order (counter, CID).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InertPage {
    /// The records; empty only if there are no more.
    pub records: Vec<InertRecord>,
    /// Whether others follow.
    pub more: bool,
}

/// What all inert records of a log come to: equal on two nodes exactly if they keep the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InertDigest {
    /// How many.
    pub count: u64,
    /// XOR of the SHA-256 of their CIDs (binary form).
    pub xor: [u8; 32],
}

impl InertDigest {
    /// Adds a record; adding it twice takes its digest out again, so count each once.
    pub fn add(&mut self, cid: &Cid) {
        self.count += 1;
        let digest: [u8; 32] = Sha256::digest(cid.to_bytes()).into();
        for (sum, byte) in self.xor.iter_mut().zip(digest) {
            *sum ^= byte;
        }
    }
}

impl Store {
    /// The records of a log forked at counter `fork` that are inert: those of the main chain from there on, and those kept beside it. Begins
    /// after the given one; without, with the first.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn inert(
        &self,
        thread: &ThreadId,
        log: &LogId,
        fork: u64,
        after: Option<(u64, Cid)>,
        page: Page,
    ) -> Result<InertPage, Error> {
        let Some((thread, log)) = self.shared().numbers.both(self.kv(), thread, log)? else {
            return Ok(InertPage::default());
        };
        let (from, after) = match &after {
            Some((counter, cid)) => ((*counter).max(fork), Some((*counter, block::digest(cid)?))),
            None => (fork, None),
        };
        // Each source yields a full page and one more, or all that it has: enough to cut the merged page exactly.
        let mut merged = Vec::new();
        for space in [Space::Records, Space::Inert] {
            let (mut count, mut sum) = (0, 0);
            self.scan_records(space, thread, log, from, |counter, cid, value| {
                if after.is_some_and(|after| (counter, *cid) <= after) {
                    return Ok(ControlFlow::Continue(()));
                }
                let (key_id, bytes) = sealed(value)?;
                let beyond = page.exceeded_by(bytes.len(), count, sum);
                count += 1;
                sum += bytes.len();
                merged.push((counter, *cid, SealedRecord { key_id, bytes: Bytes::copy_from_slice(bytes) }));
                Ok(if beyond { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        merged.sort_unstable_by_key(|(counter, digest, _)| (*counter, *digest));
        merged.dedup_by_key(|(counter, digest, _)| (*counter, *digest));
        let mut result = InertPage::default();
        let mut sum = 0;
        for (counter, digest, sealed) in merged {
            if page.exceeded_by(sealed.bytes.len(), result.records.len(), sum) {
                result.more = true;
                break;
            }
            sum += sealed.bytes.len();
            result.records.push(InertRecord { counter, cid: block::from_digest(digest), sealed });
        }
        Ok(result)
    }

    /// Count and digest of what [`Store::inert`] lists from the beginning. Reads all of it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn inert_digest(&self, thread: &ThreadId, log: &LogId, fork: u64) -> Result<InertDigest, Error> {
        let mut result = InertDigest::default();
        let Some((thread, log)) = self.shared().numbers.both(self.kv(), thread, log)? else { return Ok(result) };
        self.scan_records(Space::Records, thread, log, fork, |_, digest, _| {
            result.add(&block::from_digest(*digest));
            Ok(ControlFlow::Continue(()))
        })?;
        self.scan_records(Space::Inert, thread, log, fork, |counter, digest, _| {
            // One that is on the main chain as well was counted above.
            let main = self.kv().get(Space::Records, &keys::records::main(thread, log, counter))?;
            let twice = main.is_some_and(|main| sealed(&main).is_ok_and(|(_, bytes)| digest_of(bytes) == *digest));
            if !twice {
                result.add(&block::from_digest(*digest));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(result)
    }

    /// Visits the records of one space from a counter on, with their digests.
    fn scan_records(
        &self,
        space: Space,
        thread: ThreadNumber,
        log: LogNumber,
        counter: u64,
        mut visit: impl FnMut(u64, &keys::Digest, &[u8]) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        let from = keys::records::main(thread, log, counter);
        let until = keys::after_prefix(&keys::records::log(thread, log));
        self.collect(space, &from, &until, |key, value| {
            let counter = keys::records::counter(key).ok_or(Error::Malformed("key of a record"))?;
            let digest = match space {
                Space::Inert => keys::digest_at_end(key).ok_or(Error::Malformed("key of a record"))?,
                _ => digest_of(sealed(value)?.1),
            };
            visit(counter, &digest, value)
        })
    }
}

fn digest_of(sealed: &[u8]) -> keys::Digest {
    Sha256::digest(sealed).into()
}

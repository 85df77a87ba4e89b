use std::ops::ControlFlow;

use bytes::Bytes;
use spool_proto::{Cid, LogId, ThreadId, block};

use super::{Error, Store};
use crate::{
    keys::{self, Digest, LogNumber, ThreadNumber},
    kv::Space,
};

impl Store {
    /// A block, whichever thread has it. What a peer asks for must go through [`Store::block_in_thread`].
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let Ok(digest) = block::digest(cid) else { return Ok(None) };
        Ok(self.kv().get(Space::Blocks, &digest)?)
    }

    /// Whether a block is here, whichever thread has it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn has_block(&self, cid: &Cid) -> Result<bool, Error> {
        let Ok(digest) = block::digest(cid) else { return Ok(false) };
        Ok(self.kv().contains(Space::Index, &keys::index::block(&digest))?)
    }

    /// Bytes of a block; 0 if it is not here.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn block_size(&self, cid: &Cid) -> Result<u64, Error> {
        let Ok(digest) = block::digest(cid) else { return Ok(0) };
        let size = self.kv().get(Space::Index, &keys::index::block(&digest))?;
        Ok(size.and_then(|size| keys::number_at_end(&size)).map_or(0, u64::from))
    }

    /// A block that a record or manifest of this thread links to.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn block_in_thread(&self, thread: &ThreadId, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let Ok(digest) = block::digest(cid) else { return Ok(None) };
        let Some(thread) = self.shared().numbers.thread(self.kv(), thread)? else { return Ok(None) };
        if !self.kv().contains(Space::References, &keys::references::by_thread(thread, &digest))? {
            return Ok(None);
        }
        Ok(self.kv().get(Space::Blocks, &digest)?)
    }

    /// Up to `count` blocks that the thread refers to and that are here, in the order of their CIDs.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn blocks_of(&self, thread: &ThreadId, count: usize) -> Result<Vec<Cid>, Error> {
        let Some(thread) = self.shared().numbers.thread(self.kv(), thread)? else { return Ok(Vec::new()) };
        let prefix = keys::references::of_thread(thread);
        let mut found = Vec::new();
        self.collect(Space::References, &prefix, &keys::after_prefix(&prefix), |key, _| {
            let digest = keys::digest_at_end(key).ok_or(Error::Malformed("reference"))?;
            if self.kv().contains(Space::Index, &keys::index::block(&digest))? {
                found.push(block::from_digest(digest));
            }
            Ok(if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }

    /// Up to `count` blocks that the thread refers to and that are not here, in the order of their CIDs, after the given one. A manifest comes with
    /// the log whose key opens it.
    ///
    /// Going on after the last one is cheaper than beginning anew while blocks arrive: what has been deleted in front is passed over
    /// key by key until RocksDB has compacted it away.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn wants(
        &self,
        thread: &ThreadId,
        after: Option<&Cid>,
        count: usize,
    ) -> Result<Vec<(Cid, Option<LogId>)>, Error> {
        let Some(thread) = self.shared().numbers.thread(self.kv(), thread)? else { return Ok(Vec::new()) };
        let prefix = keys::references::wants(thread);
        let from = match after {
            Some(cid) => keys::after(&keys::references::want(thread, &block::digest(cid)?)),
            None => prefix.clone(),
        };
        let mut found: Vec<(Digest, Option<LogNumber>)> = Vec::new();
        self.collect(Space::References, &from, &keys::after_prefix(&prefix), |key, value| {
            if found.len() >= count {
                return Ok(ControlFlow::Break(()));
            }
            let digest = keys::digest_at_end(key).ok_or(Error::Malformed("want"))?;
            found.push((digest, keys::number_at_end(value).map(LogNumber)));
            Ok(ControlFlow::Continue(()))
        })?;
        found
            .into_iter()
            .map(|(digest, log)| Ok((block::from_digest(digest), self.manifest_log(thread, log)?)))
            .collect()
    }

    fn manifest_log(&self, thread: ThreadNumber, log: Option<LogNumber>) -> Result<Option<LogId>, Error> {
        log.map_or(Ok(None), |log| self.log_id(thread, log))
    }
}

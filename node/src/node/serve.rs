//! Answers to peers that are read from the store: pages of records, inert records, blocks.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use spool_proto::{
    Cid, LogId, ThreadId, TopicId,
    envelope::Run,
    sync::Serve,
    wire::{InertRecord, Refusal, Response, limits},
};
use spool_store::{Error, Store, store::Page};

use super::keyring::Keyring;

/// Everything that answering takes.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) store: Store,
    pub(super) keyring: std::sync::Arc<Keyring>,
    pub(super) node_key: SigningKey,
}

impl Server {
    pub(super) fn answer(&self, query: Serve) -> Response {
        let answer = match query {
            Serve::Records { thread, topic, log, after, until } => self.records(&thread, topic, log, after, until),
            Serve::Inert { thread, log, fork, after } => self.inert(&thread, &log, fork, after),
            Serve::Blocks { thread, cids } => self.blocks(&thread, &cids),
        };
        answer.unwrap_or_else(|error| {
            tracing::error!(error = crate::chain(&error), "serve");
            Response::Refusal(Refusal::Internal)
        })
    }

    /// A page of records, with the blocks that they link to while there is room.
    fn records(
        &self,
        thread: &ThreadId,
        topic: TopicId,
        log: LogId,
        after: u64,
        until: u64,
    ) -> Result<Response, Error> {
        let page = Page { bytes: limits::PAGE_BYTES, count: limits::MAX_ENVELOPE_RECORDS };
        let Some(run) = self.store.records(thread, &log, after, until, page)? else {
            return Ok(Response::Records { envelope: None, more: false });
        };
        let (records, blocks, cut) = self.with_blocks(thread, &log, &run)?;
        let more = run.more || cut;
        let run = Run { log, counter: run.first, key_id: run.key_id, records, blocks };
        let envelope = Some(Box::new(run.sign(topic, &self.node_key)));
        Ok(Response::Records { envelope, more })
    }

    /// As many of the records as fit together with their bodies, at least one; a manifest's chunks are asked for separately.
    fn with_blocks(
        &self,
        thread: &ThreadId,
        log: &LogId,
        run: &spool_store::store::Run,
    ) -> Result<(Vec<Bytes>, Vec<Bytes>, bool), Error> {
        let keys = self.keyring.get(thread).and_then(|keys| keys.log(&run.key_id, log));
        let (mut records, mut blocks, mut size) = (Vec::with_capacity(run.records.len()), Vec::new(), 0);
        for record in &run.records {
            let sealed = spool_proto::record::SealedRecord { key_id: run.key_id, bytes: record.clone() };
            let links = keys.as_ref().and_then(|keys| spool_proto::record::links(thread, log, keys, &sealed).ok());
            let mut own = Vec::new();
            for cid in links.iter().flat_map(|links| links.as_slice()) {
                own.extend(self.store.block_in_thread(thread, cid)?);
            }
            let bytes = record.len() + own.iter().map(Bytes::len).sum::<usize>();
            let full = size + bytes > limits::PAGE_BYTES || blocks.len() + own.len() > limits::MAX_ENVELOPE_BLOCKS;
            if full && !records.is_empty() {
                return Ok((records, blocks, true));
            }
            size += bytes;
            records.push(record.clone());
            if !full {
                blocks.append(&mut own);
            }
        }
        Ok((records, blocks, false))
    }

    fn inert(&self, thread: &ThreadId, log: &LogId, fork: u64, after: Option<(u64, Cid)>) -> Result<Response, Error> {
        let page = Page { bytes: limits::PAGE_BYTES, count: limits::MAX_INERT_RECORDS };
        let page = self.store.inert(thread, log, fork, after, page)?;
        let records = page
            .records
            .into_iter()
            .map(|record| InertRecord { key_id: record.sealed.key_id, record: record.sealed.bytes })
            .collect();
        Ok(Response::Inert { records, more: page.more })
    }

    fn blocks(&self, thread: &ThreadId, cids: &[Cid]) -> Result<Response, Error> {
        let (mut blocks, mut size) = (Vec::new(), 0);
        for cid in cids {
            let Some(block) = self.store.block_in_thread(thread, cid)? else { continue };
            if size + block.len() > limits::PAGE_BYTES && !blocks.is_empty() {
                return Ok(Response::Blocks { blocks, more: true });
            }
            size += block.len();
            blocks.push(block);
        }
        Ok(Response::Blocks { blocks, more: false })
    }
}

//! Writers of real records, for tests and benches. Everything follows from small numbers.

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use spool_proto::{
    Cid, LogId, ThreadId, block,
    clock::Time,
    event::{Body, Event, Kind},
    id::Variant,
    keys::{Epoch, LogKeys, ThreadKeys},
    record::{Draft, VerifiedRecord},
    sync::{LogState, ThreadState, Write},
};

/// A thread, its keys, and one log of it that grows.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) thread: ThreadId,
    pub(crate) log: LogId,
    pub(crate) state: LogState,
    pub(crate) keys: ThreadKeys,
    log_keys: LogKeys,
    signer: SigningKey,
}

impl Author {
    /// Log number `log` of thread number `thread`.
    pub(crate) fn new(thread: u8, log: u8) -> Self {
        let signer = SigningKey::from_bytes(&[log; 32]);
        let log = LogId::from(&signer);
        let epoch = Epoch::generate([thread; 64]);
        Self {
            thread: ThreadId::new(Variant::Raw, [thread; 32]),
            log,
            state: LogState::default(),
            log_keys: LogKeys::derive(&epoch, &log),
            keys: ThreadKeys::new(vec![epoch]).unwrap(),
            signer,
        }
    }

    /// Goes on under a new thread key.
    pub(crate) fn rekey(&mut self, entropy: u8) {
        let epoch = Epoch::generate([entropy; 64]);
        self.log_keys = LogKeys::derive(&epoch, &self.log);
        self.keys.advance(epoch).unwrap();
    }

    /// The next record, with an inline body of `size` bytes that depends on `content`.
    pub(crate) fn append(&mut self, size: usize, content: u8) -> Arc<VerifiedRecord> {
        self.append_body(Body::Inline(Bytes::from(vec![content; size])))
    }

    /// The next record, with a block for a body.
    pub(crate) fn append_block(&mut self, block: &[u8]) -> Arc<VerifiedRecord> {
        self.append_body(Body::Block { cid: block::cid(block), size: block.len() as u64 })
    }

    /// The next record, with manifests for a body.
    pub(crate) fn append_manifests(&mut self, manifests: &[Cid]) -> Arc<VerifiedRecord> {
        self.append_body(Body::Chunks { manifests: manifests.to_vec(), size: 0 })
    }

    fn append_body(&mut self, body: Body) -> Arc<VerifiedRecord> {
        let (prev, skip) = self.state.next_links();
        let counter = self.state.counter() + 1;
        let event = Event {
            time: Time::from_u64(counter),
            kind: Kind::Application,
            content: None,
            heads: Vec::new(),
            owner: None,
            body: Some(body),
        };
        let draft = Draft { counter, prev, skip, event, control: None };
        let record = draft.seal(&self.thread, &self.log, &self.log_keys, &self.signer).unwrap();
        self.state.advance(&record);
        Arc::new(record)
    }

    /// Writes the thread's entry.
    pub(crate) fn write_thread(&self) -> Write {
        let state = ThreadState {
            keys: self.keys.clone(),
            name: Some("fixture".to_owned()),
            joined_millis: 1,
            addresses: Vec::new(),
        };
        Write::Thread { thread: self.thread.clone(), state: Arc::new(state) }
    }

    /// Writes the log's state as it is now.
    pub(crate) fn write_log(&self) -> Write {
        Write::Log { thread: self.thread.clone(), log: self.log, state: Arc::new(self.state.clone()) }
    }

    /// Writes a block of the thread that links to others.
    pub(crate) fn write_block(&self, block: &[u8], links: Vec<Cid>) -> Write {
        let bytes = Bytes::copy_from_slice(block);
        Write::Block { thread: self.thread.clone(), cid: block::cid(block), bytes, links }
    }

    /// Appends a record and writes it with the new head.
    pub(crate) fn write_next(&mut self, size: usize) -> Vec<Write> {
        let content = self.state.counter() as u8;
        let record = self.append(size, content);
        vec![Write::Record { record }, self.write_log()]
    }
}

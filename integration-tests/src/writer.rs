//! A log that is written by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use spool_proto::{
    Cid, DeviceId, Identity, KeyId, LogId, ThreadId, ThreadKeys,
    body::{Protection, seal_body},
    clock::Time,
    envelope::Run,
    event::{Event, Kind},
    keys::{Epoch, LogKeys},
    lipmaa::lipmaa,
    record::{Control, Draft, VerifiedRecord},
    wire::Head,
};

use crate::Setup;

/// A writer and its log, with all that it has written.
#[derive(Clone)]
pub struct Writer {
    /// The thread.
    pub thread: ThreadId,
    /// The log.
    pub log: LogId,
    /// The log's keys.
    pub keys: LogKeys,
    /// The records, oldest first.
    pub records: Vec<VerifiedRecord>,
    epoch: Epoch,
    identity: Identity,
    signer: SigningKey,
    time: Time,
}

impl Writer {
    /// A writer with keys of its own in a thread whose read key it has.
    ///
    /// # Panics
    ///
    /// If there are no keys of the whole thread.
    pub fn new(seed: u64, thread: &ThreadId, keys: &ThreadKeys) -> Self {
        Self::in_epoch(seed, thread, keys.current().expect("keys of the whole thread").clone())
    }

    /// A writer that seals and admits itself with the keys of this epoch, whether they are the thread's or not.
    pub fn in_epoch(seed: u64, thread: &ThreadId, epoch: Epoch) -> Self {
        let setup = Setup::new(seed);
        let identity = Identity::from_seed(setup.identity);
        let signer = identity.log_key(thread, &DeviceId::new(setup.device));
        let log = LogId::from(&signer);
        let keys = LogKeys::derive(&epoch, &log);
        let time = Time::default();
        Self { thread: thread.clone(), log, keys, records: Vec::new(), epoch, identity, signer, time }
    }

    /// The same log with the same keys, as if it were one of another thread.
    #[must_use]
    pub fn in_thread(self, thread: &ThreadId) -> Self {
        Self { thread: thread.clone(), ..self }
    }

    /// The thread key that its records name.
    pub fn key_id(&self) -> KeyId {
        self.keys.key_id()
    }

    fn cid(&self, counter: u64) -> Option<Cid> {
        let index = usize::try_from(counter.checked_sub(1)?).ok()?;
        self.records.get(index).map(|record| *record.cid())
    }

    /// What its next record would say, with an inline body.
    ///
    /// # Panics
    ///
    /// If the body is too large.
    pub fn draft(&mut self, body: &[u8]) -> Draft {
        let (draft, blocks) = self.draft_of_any_size(body);
        assert!(blocks.is_empty(), "a body of {} bytes is a block of its own", body.len());
        draft
    }

    /// The same, and the blocks of the body if it is not inline.
    fn draft_of_any_size(&mut self, body: &[u8]) -> (Draft, Vec<Bytes>) {
        let counter = self.records.len() as u64 + 1;
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        self.time = Time::after(self.time, millis);
        let mut key = [7; 32];
        key[..8].copy_from_slice(&counter.to_be_bytes());
        let sealed =
            seal_body(body, &Protection::Thread { key }, &self.keys, &self.thread).expect("a body of one block");
        let first = counter == 1;
        let admission = self.epoch.admit(&self.thread, &self.log).filter(|_| first);
        let draft = Draft {
            counter,
            prev: self.cid(counter - 1),
            skip: self.cid(lipmaa(counter)).filter(|_| !first && lipmaa(counter) != counter - 1),
            event: Event {
                time: self.time,
                kind: Kind::Application,
                content: sealed.content,
                heads: Vec::new(),
                owner: first.then(|| self.identity.bind(&self.thread, &self.log)),
                body: Some(sealed.body),
            },
            control: admission.map(Control::Admission),
        };
        (draft, sealed.blocks.into_iter().map(|(_, bytes, _)| bytes).collect())
    }

    /// Seals and signs, whatever the draft says.
    ///
    /// # Panics
    ///
    /// If it is too large for a record.
    pub fn seal(&self, draft: Draft) -> VerifiedRecord {
        draft.seal(&self.thread, &self.log, &self.keys, &self.signer).expect("small, and the keys are there")
    }

    /// Writes one more record.
    pub fn append(&mut self, body: &[u8]) -> VerifiedRecord {
        let draft = self.draft(body);
        let record = self.seal(draft);
        self.records.push(record.clone());
        record
    }

    /// Writes one more record with a body of up to a block, at a time that nobody checks, by the clock if there is none. Returns it as it is sent, with its block.
    ///
    /// # Panics
    ///
    /// If the body is too large.
    pub fn append_at(&mut self, time: Option<Time>, body: &[u8]) -> Run {
        let (mut draft, blocks) = self.draft_of_any_size(body);
        draft.event.time = time.unwrap_or(draft.event.time);
        let record = self.seal(draft);
        self.records.push(record);
        let counter = self.records.len() as u64;
        Run { blocks, ..self.run(counter - 1, counter) }
    }

    /// Writes `count` more records.
    pub fn append_many(&mut self, count: u64) {
        for number in 0..count {
            self.append(format!("by hand, number {number}").as_bytes());
        }
    }

    /// The records after one counter up to another, ready to be signed by whoever sends them.
    pub fn run(&self, after: u64, until: u64) -> Run {
        let records = self.records.iter().skip(after as usize).take((until - after) as usize);
        self.run_of(after + 1, records.map(|record| record.sealed().bytes.clone()).collect())
    }

    /// A run of any bytes as records of this log.
    pub fn run_of(&self, counter: u64, records: Vec<Bytes>) -> Run {
        Run { log: self.log, counter, key_id: self.key_id(), records, blocks: Vec::new() }
    }

    /// The head, as peers announce it.
    pub fn head(&self) -> Head {
        let counter = self.records.len() as u64;
        Head { log: self.log, counter, cid: self.cid(counter), fork: None }
    }
}

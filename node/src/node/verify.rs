//! Checks a whole thread as it is on disk, against nothing but itself and its keys.

use std::{collections::BTreeSet, time::Instant};

use futures::{StreamExt as _, stream::BoxStream};
use rayon::prelude::*;
use spool_proto::{
    Cid, LogId, block,
    body::{Manifest, content_key, open_body, open_chunk},
    clock::Time,
    event::{self, Opened},
    record::{self, Control, SealedRecord, VerifiedRecord},
    sync::LogState,
};
use spool_store::{Store, store::Page};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Node,
    keyring::Keys,
    limits::{PROGRESS_INTERVAL, READ_BYTES},
    threads::storage,
};
use crate::model::{Error, Fault, FaultKind, VerifyEvent, VerifyOptions, VerifyProgress, VerifyReport};

type Step = Result<VerifyEvent, Error>;

impl Node {
    /// Checks every record of a thread (hash, seal, encoding, signature, links, counter, admission) if asked every block of every body, and what the
    /// database has folded. A fault is
    /// an event of the stream, not an error.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub async fn verify(&self, options: VerifyOptions) -> Result<BoxStream<'static, Step>, Error> {
        let keys = self.thread_keys(&options.thread)?;
        let (sender, steps) = mpsc::channel(64);
        let node = self.clone();
        tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            let mut check = Check {
                node: &node,
                keys: &keys,
                bodies: options.bodies,
                sender: &sender,
                report: VerifyReport::default(),
                progress: VerifyProgress::default(),
                reported: start,
            };
            let result = check.run();
            check.report.elapsed = start.elapsed();
            let last = result.map(|()| VerifyEvent::Done(check.report));
            // The caller may have gone.
            let _ = sender.blocking_send(last);
        });
        Ok(ReceiverStream::new(steps).boxed())
    }
}

struct Check<'a> {
    node: &'a Node,
    keys: &'a Keys,
    bodies: bool,
    sender: &'a mpsc::Sender<Step>,
    report: VerifyReport,
    progress: VerifyProgress,
    reported: Instant,
}

/// Where the walk through one log stands.
struct Walk {
    log: LogId,
    /// The chain as the records themselves give it.
    state: LogState,
    last_time: Time,
}

impl Check<'_> {
    fn store(&self) -> &Store {
        self.node.store()
    }

    fn run(&mut self) -> Result<(), Error> {
        let states = self.store().log_states(&self.keys.thread).map_err(storage)?;
        self.progress.total_records = states.iter().map(|(_, state)| state.counter()).sum();
        for (log, state) in states {
            self.report.logs += 1;
            self.log(log, &state)?;
        }
        self.database()
    }

    /// What the database has folded against the events.
    fn database(&mut self) -> Result<(), Error> {
        let Some(found) = self.node.verify_database(&self.keys.thread)? else { return Ok(()) };
        self.report.documents = found.documents;
        let listed = found.faults.len() as u64;
        for fault in found.faults {
            let subject = match fault.id.as_str() {
                "" => format!("collection {}", fault.collection),
                id => format!("document {id:?} of collection {}", fault.collection),
            };
            self.view_fault(format!("{subject}: {}; fold it anew with `spool db rebuild`", fault.detail));
        }
        if found.found > listed {
            self.view_fault(format!("and {} faults more of this kind", found.found - listed));
        }
        Ok(())
    }

    fn view_fault(&mut self, detail: String) {
        self.report.faults += 1;
        let fault = Fault { kind: FaultKind::View, log: None, counter: None, cid: None, detail };
        // The caller may have gone.
        let _ = self.sender.blocking_send(Ok(VerifyEvent::Fault(fault)));
    }

    fn log(&mut self, log: LogId, stored: &LogState) -> Result<(), Error> {
        let mut walk = Walk { log, state: LogState::default(), last_time: Time::default() };
        while walk.state.counter() < stored.counter() {
            let page = Page { bytes: READ_BYTES, count: usize::MAX };
            let after = walk.state.counter();
            let run = self.store().records(&self.keys.thread, &log, after, stored.counter(), page).map_err(storage)?;
            let Some(run) = run else {
                let detail = format!("record {} is missing, the log has {}", after + 1, stored.counter());
                self.fault(FaultKind::RecordMissing, &walk, after + 1, None, detail);
                return Ok(());
            };
            let Some(keys) = self.keys.log(&run.key_id, &log) else {
                let detail = format!("no key {} is held", run.key_id);
                self.fault(FaultKind::Seal, &walk, after + 1, None, detail);
                return Ok(());
            };
            let sealed = run.records.into_par_iter().map(|bytes| SealedRecord { key_id: run.key_id, bytes });
            let checked: Vec<_> = sealed
                .map(|sealed| {
                    let (cid, size) = (sealed.cid(), sealed.bytes.len());
                    (cid, size, record::verify(&self.keys.thread, &log, &keys, sealed))
                })
                .collect();
            for (cid, size, result) in checked {
                self.report.records += 1;
                self.progress.records += 1;
                self.count(size);
                match result {
                    Ok(record) => self.record(&mut walk, &record, &keys)?,
                    Err(error) => {
                        let counter = walk.state.counter() + 1;
                        self.fault(kind_of(&error), &walk, counter, Some(cid), error.to_string());
                        // What follows cannot be linked to a record that is not valid.
                        return Ok(());
                    }
                }
            }
        }
        if walk.state.head != stored.head {
            let detail = "the stored head is not the last record of the chain".to_owned();
            self.fault(FaultKind::Index, &walk, stored.counter(), stored.head.map(|head| head.cid), detail);
        }
        if let Some(fork) = stored.fork {
            self.inert(&walk, fork.counter)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        walk: &mut Walk,
        record: &VerifiedRecord,
        keys: &spool_proto::keys::LogKeys,
    ) -> Result<(), Error> {
        let counter = walk.state.counter() + 1;
        let cid = Some(*record.cid());
        if record.counter() != counter {
            let detail = format!("record {counter} says that it is record {}", record.counter());
            self.fault(FaultKind::Counter, walk, counter, cid, detail);
        }
        let (prev, skip) = walk.state.next_links();
        if (record.prev(), record.skip()) != (prev.as_ref(), skip.as_ref()) {
            let detail = "prev or skip is not the record that it should be".to_owned();
            self.fault(FaultKind::Link, walk, counter, cid, detail);
        }
        if counter == 1 {
            let admitted = match record.control() {
                Some(Control::Admission(signature)) => keys.admits(&self.keys.thread, signature),
                _ => keys.admission().map(|_| false),
            };
            if admitted == Some(false) {
                self.fault(FaultKind::Admission, walk, 1, cid, "nobody admitted the log to the thread".to_owned());
            }
        }
        let index = self.store().locate(record.cid()).map_err(storage)?;
        let right = index.is_some_and(|place| {
            (&place.thread, place.log, place.counter, place.beside) == (&self.keys.thread, walk.log, counter, false)
        });
        if !right {
            self.fault(FaultKind::Index, walk, counter, cid, "the index does not lead to this record".to_owned());
        }
        match record.opened() {
            Opened::Sealed => {}
            Opened::Event(event) => {
                self.report.events += 1;
                walk.last_time = walk.last_time.max(event.time);
            }
            Opened::Inert(error) => self.fault(FaultKind::Seal, walk, counter, cid, error.to_string()),
        }
        if self.bodies {
            self.body(walk, record, keys)?;
        }
        walk.state.advance(record);
        Ok(())
    }

    /// The blocks that a record links to.
    fn body(&mut self, walk: &Walk, record: &VerifiedRecord, keys: &spool_proto::keys::LogKeys) -> Result<(), Error> {
        let event = record.opened().event();
        let mut whole = event.is_some_and(|event| event.body.is_some());
        let mut manifests = Vec::new();
        let mut plain_ok = true;
        for cid in record.links().as_slice() {
            match self.block(walk, record, cid)? {
                Some(block) if matches!(record.links(), record::Links::Manifests(_)) => {
                    match Manifest::open(keys, &self.keys.thread, &block) {
                        Ok(manifest) => manifests.push(manifest),
                        Err(error) => {
                            plain_ok = false;
                            self.fault(FaultKind::Body, walk, record.counter(), Some(*cid), error.to_string());
                        }
                    }
                }
                Some(block) => plain_ok &= self.open_block(walk, record, keys, cid, &block),
                None => whole = false,
            }
        }
        for manifest in manifests {
            let secret = self.chunk_opening(record, keys, &manifest);
            for (index, chunk) in manifest.chunks().iter().enumerate() {
                let Some(block) = self.block(walk, record, &chunk.cid)? else {
                    whole = false;
                    continue;
                };
                if let Some((secret, hashes)) = &secret
                    && let Some(hash) = hashes.get(index)
                    && let Err(error) = open_chunk(&block, hash, secret, &self.keys.thread)
                {
                    plain_ok = false;
                    self.fault(FaultKind::Body, walk, record.counter(), Some(chunk.cid), error.to_string());
                }
            }
        }
        if let Some(event::Event { body: Some(event::Body::Inline(sealed)), content, .. }) = event
            && let Ok(key) = content_key(content.as_ref(), keys, Some(self.node.keyring().identity()))
            && let Err(error) = open_body(sealed, &key, keys, &self.keys.thread)
        {
            plain_ok = false;
            self.fault(FaultKind::Body, walk, record.counter(), Some(*record.cid()), error.to_string());
        }
        self.report.bodies += u64::from(whole && plain_ok);
        Ok(())
    }

    fn open_block(
        &mut self,
        walk: &Walk,
        record: &VerifiedRecord,
        keys: &spool_proto::keys::LogKeys,
        cid: &Cid,
        block: &[u8],
    ) -> bool {
        let Some(event) = record.opened().event() else { return true };
        let Ok(key) = content_key(event.content.as_ref(), keys, Some(self.node.keyring().identity())) else {
            return true;
        };
        let opened = open_body(block, &key, keys, &self.keys.thread);
        if let Err(error) = &opened {
            self.fault(FaultKind::Body, walk, record.counter(), Some(*cid), error.to_string());
        }
        opened.is_ok()
    }

    /// What opens the chunks of a manifest, if this node can.
    fn chunk_opening(
        &self,
        record: &VerifiedRecord,
        keys: &spool_proto::keys::LogKeys,
        manifest: &Manifest,
    ) -> Option<(spool_proto::keys::ChunkSecret, Vec<[u8; 32]>)> {
        let event = record.opened().event()?;
        let key = content_key(event.content.as_ref(), keys, Some(self.node.keyring().identity())).ok()?;
        let epoch = self.keys.state.keys.epoch(&keys.key_id())?;
        let secret = epoch.chunk_secret(event.content.is_none())?;
        let hashes = manifest.hashes(&key, keys, &self.keys.thread).ok()?;
        Some((secret, hashes))
    }

    /// Reads a block and checks its hash.
    fn block(&mut self, walk: &Walk, record: &VerifiedRecord, cid: &Cid) -> Result<Option<bytes::Bytes>, Error> {
        let Some(bytes) = self.store().block_in_thread(&self.keys.thread, cid).map_err(storage)? else {
            // What was dropped on purpose is not missing.
            let is_dropped = self.node.is_dropped(&self.keys.thread, &walk.log, record.counter())?;
            self.report.missing_blocks += u64::from(!is_dropped);
            return Ok(None);
        };
        self.report.blocks += 1;
        self.progress.blocks += 1;
        self.count(bytes.len());
        if block::cid(&bytes) != *cid {
            let detail = format!("the block's bytes have the CID {}", block::cid(&bytes));
            self.fault(FaultKind::Body, walk, record.counter(), Some(*cid), detail);
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Records that are kept beside a forked log: each for itself.
    fn inert(&mut self, walk: &Walk, fork: u64) -> Result<(), Error> {
        let mut after = None;
        let mut counters = BTreeSet::new();
        loop {
            let page = Page { bytes: READ_BYTES, count: usize::MAX };
            let page = self.store().inert(&self.keys.thread, &walk.log, fork, after, page).map_err(storage)?;
            for inert in &page.records {
                self.report.inert += 1;
                counters.insert(inert.counter);
                let Some(keys) = self.keys.log(&inert.sealed.key_id, &walk.log) else { continue };
                if let Err(error) = record::verify(&self.keys.thread, &walk.log, &keys, inert.sealed.clone()) {
                    self.fault(kind_of(&error), walk, inert.counter, Some(inert.cid), error.to_string());
                }
            }
            after = page.records.last().map(|record| (record.counter, record.cid));
            if !page.more {
                return Ok(());
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        self.report.bytes += bytes as u64;
        self.progress.bytes += bytes as u64;
        if self.reported.elapsed() >= PROGRESS_INTERVAL {
            self.reported = Instant::now();
            // Progress may be dropped when the reader is slow.
            let _ = self.sender.try_send(Ok(VerifyEvent::Progress(self.progress)));
        }
    }

    fn fault(&mut self, kind: FaultKind, walk: &Walk, counter: u64, cid: Option<Cid>, detail: String) {
        self.report.faults += 1;
        let fault = Fault { kind, log: Some(walk.log), counter: Some(counter), cid, detail };
        // The caller may have gone.
        let _ = self.sender.blocking_send(Ok(VerifyEvent::Fault(fault)));
    }
}

fn kind_of(error: &record::Error) -> FaultKind {
    match error {
        record::Error::Seal(_) | record::Error::KeyId { .. } => FaultKind::Seal,
        record::Error::Encoding(_) | record::Error::Version(_) | record::Error::TooLarge(_) => FaultKind::Encoding,
        record::Error::Malformed(_) => FaultKind::Link,
        record::Error::Signature => FaultKind::Signature,
    }
}

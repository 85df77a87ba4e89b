//! Objects by CID: records, blocks, and the bodies that they stand for.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::{
    Cid, KeyId, LogId,
    body::{self, Manifest, content_key, open_body},
    event,
    keys::{Epoch, LogKeys},
    record::{self, SealedRecord, VerifiedRecord},
};
use spool_store::store::{Page, Place};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Node, bodies,
    entry::{LogView, Reader},
    keyring::Keys,
    limits::{PIECES, READ_BYTES, READ_RECORDS},
    threads::storage,
};
use crate::model::{Content, Entry, Error, Object};

/// A record, and its body as far as it shows here.
struct Found {
    keys: Arc<Keys>,
    log_keys: Arc<LogKeys>,
    content: Option<event::Content>,
    body: Option<event::Body>,
    record: (LogId, u64, Cid),
}

impl Node {
    /// The bytes as they are stored and sent: a sealed record or a sealed block.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectNotFound`].
    pub async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        let (node, cid) = (self.clone(), *cid);
        self.blocking(move || {
            if let Some((_, sealed)) = node.stored_record(&cid)? {
                return Ok(sealed.bytes);
            }
            node.store().block(&cid).map_err(storage)?.ok_or(Error::ObjectNotFound(cid))
        })
        .await
    }

    /// What a CID names. The event's body is opened up to `max_body` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectNotFound`], [`Error::Damaged`].
    pub async fn get(&self, cid: &Cid, max_body: usize) -> Result<Object, Error> {
        let (node, cid) = (self.clone(), *cid);
        self.blocking(move || node.object(&cid, max_body)).await
    }

    fn object(&self, cid: &Cid, max_body: usize) -> Result<Object, Error> {
        if let Some((place, sealed)) = self.stored_record(cid)? {
            let entry = Box::new(self.entry_at(&place, sealed, max_body)?);
            return Ok(Object::Record { thread: place.thread, entry });
        }
        let Some(block) = self.store().block(cid).map_err(storage)? else { return Err(Error::ObjectNotFound(*cid)) };
        if spool_proto::block::cid(&block) != *cid {
            return Err(Error::Damaged(*cid));
        }
        let size = block.len() as u64;
        for keys in self.keyring().all() {
            if self.store().block_in_thread(&keys.thread, cid).map_err(storage)?.is_none() {
                continue;
            }
            let found = match self.find_linking(&keys, cid) {
                // What it is a part of has not all come: no reason not to say what is here.
                Err(Error::BodyMissing(_)) => None,
                found => found?,
            };
            let body = found.as_ref().filter(|found| can_open(self, found)).and_then(|found| found.body.as_ref());
            return Ok(Object::Block {
                thread: keys.thread.clone(),
                record: found.as_ref().map(|found| found.record),
                size,
                body: body.map(event::Body::size),
            });
        }
        Err(Error::ObjectNotFound(*cid))
    }

    fn entry_at(&self, place: &Place, sealed: SealedRecord, max_body: usize) -> Result<Entry, Error> {
        let keys = self.thread_keys(&place.thread)?;
        let state = self.store().log_state(&place.thread, &place.log).map_err(storage)?.unwrap_or_default();
        let mut view = LogView::new(&place.thread, place.log, &state);
        let reader = Reader { store: self.store().clone(), keyring: self.keyring().clone(), keys, max_body };
        reader.entry(&mut view, sealed)
    }

    fn stored_record(&self, cid: &Cid) -> Result<Option<(Place, SealedRecord)>, Error> {
        let Some(place) = self.store().locate(cid).map_err(storage)? else { return Ok(None) };
        let sealed = if place.beside {
            let state = self.store().log_state(&place.thread, &place.log).map_err(storage)?.unwrap_or_default();
            let fork = state.fork.map_or(place.counter, |fork| fork.counter);
            let before = spool_proto::block::from_digest([0; 32]);
            let page = Page { bytes: READ_BYTES, count: READ_RECORDS };
            let after = Some((place.counter, before));
            let inert = self.store().inert(&place.thread, &place.log, fork, after, page).map_err(storage)?;
            inert.records.into_iter().find(|record| record.cid == *cid).map(|record| record.sealed)
        } else {
            self.store().record(&place.thread, &place.log, place.counter).map_err(storage)?
        };
        let sealed = sealed.ok_or(Error::Damaged(*cid))?;
        if sealed.cid() != *cid {
            return Err(Error::Damaged(*cid));
        }
        Ok(Some((place, sealed)))
    }

    /// The body of a record: by its event or, for followers, if it is public. `None` where neither shows.
    fn found(&self, keys: Arc<Keys>, log_keys: Arc<LogKeys>, record: &VerifiedRecord) -> Result<Option<Found>, Error> {
        let at = (*record.log(), record.counter(), *record.cid());
        let (content, body) = match record.opened().event() {
            Some(event) => (event.content.clone(), event.body.clone()),
            None => match bodies::public(self.store(), &keys.thread, &log_keys, record.links())? {
                Some(body) => (None, Some(body)),
                None => return Ok(None),
            },
        };
        Ok(Some(Found { keys, log_keys, content, body, record: at }))
    }

    /// The record in a thread that links to a block. Reads the logs from their newest end: what is asked for is mostly new.
    fn find_linking(&self, keys: &Arc<Keys>, cid: &Cid) -> Result<Option<Found>, Error> {
        for (log, state) in self.store().log_states(&keys.thread).map_err(storage)? {
            let mut until = state.counter();
            while until > 0 {
                let after = until.saturating_sub(READ_RECORDS as u64);
                let mut at = after;
                while at < until {
                    let page = Page { bytes: READ_BYTES, count: READ_RECORDS };
                    let run = self.store().records(&keys.thread, &log, at, until, page).map_err(storage)?;
                    let Some(run) = run else { break };
                    at += run.records.len() as u64;
                    for bytes in run.records {
                        let Some((log_keys, record)) = linking(keys, &log, run.key_id, bytes, cid) else { continue };
                        if let Some(found) = self.found(keys.clone(), log_keys, &record)? {
                            return Ok(Some(found));
                        }
                    }
                }
                until = after;
            }
        }
        Ok(None)
    }

    /// The opened body that a CID stands for: of a record, or of a body's block or first manifest.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectNotFound`], [`Error::BodyMissing`], [`Error::NoReadKey`], [`Error::SealedToOther`].
    pub async fn cat(&self, cid: &Cid) -> Result<Content, Error> {
        let (node, cid) = (self.clone(), *cid);
        let found = self.blocking(move || node.body_of(&cid)).await?;
        let Some(body) = found.body.clone() else {
            return Err(Error::Invalid(format!("the event of record {} has no body", found.record.2)));
        };
        if !can_open(self, &found) {
            return Err(Error::SealedToOther(cid));
        }
        let (sender, pieces) = mpsc::channel(PIECES);
        let size = body.size();
        let node = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = node.read_body(&found, &body, &cid, &sender) {
                // The reader may have gone.
                let _ = sender.blocking_send(Err(error));
            }
        });
        let pieces: BoxStream<'static, Result<Bytes, Error>> = ReceiverStream::new(pieces).boxed();
        Ok(Content { size, pieces })
    }

    fn body_of(&self, cid: &Cid) -> Result<Found, Error> {
        if let Some((place, sealed)) = self.stored_record(cid)? {
            let keys = self.thread_keys(&place.thread)?;
            let log_keys =
                keys.log(&sealed.key_id, &place.log).ok_or_else(|| Error::NoReadKey(place.thread.clone()))?;
            let record =
                record::reopen(&place.thread, &place.log, &log_keys, sealed).map_err(|_| Error::Damaged(*cid))?;
            return self.found(keys, log_keys, &record)?.ok_or(Error::NoReadKey(place.thread));
        }
        let mut follows = None;
        for keys in self.keyring().all() {
            if self.store().block_in_thread(&keys.thread, cid).map_err(storage)?.is_none() {
                continue;
            }
            if let Some(found) = self.find_linking(&keys, cid)? {
                return Ok(found);
            }
            follows = Some(keys.thread.clone());
        }
        match follows {
            Some(thread) if self.keyring().get(&thread).is_some_and(|keys| !keys.state.keys.can_read()) => {
                Err(Error::NoReadKey(thread))
            }
            Some(_) => Err(Error::Invalid(format!(
                "{cid} is a part of a body; name the body's first block or its record, see `spool get {cid}`"
            ))),
            None => Err(Error::ObjectNotFound(*cid)),
        }
    }

    fn read_body(
        &self,
        found: &Found,
        body: &event::Body,
        asked: &Cid,
        sender: &mpsc::Sender<Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        let (keys, log_keys) = (&found.keys, &found.log_keys);
        let thread = &keys.thread;
        let key = content_key(found.content.as_ref(), log_keys, Some(self.keyring().identity()))
            .map_err(|_| Error::SealedToOther(*asked))?;
        let stored = |cid: &Cid| {
            let block = self.store().block_in_thread(thread, cid).map_err(storage)?.ok_or(Error::BodyMissing(*cid))?;
            if spool_proto::block::cid(&block) == *cid { Ok(block) } else { Err(Error::Damaged(*cid)) }
        };
        let send = |plain: Vec<u8>| sender.blocking_send(Ok(Bytes::from(plain))).is_ok();
        match body {
            event::Body::Inline(sealed) => {
                send(open_body(sealed, &key, log_keys, thread).map_err(|_| Error::Damaged(*asked))?);
            }
            event::Body::Block { cid, .. } => {
                send(open_body(&stored(cid)?, &key, log_keys, thread).map_err(|_| Error::Damaged(*cid))?);
            }
            event::Body::Chunks { manifests, .. } => {
                let public = found.content.is_none();
                let epoch = keys.state.keys.epoch(&log_keys.key_id());
                let secret = epoch.and_then(|epoch: &Epoch| epoch.chunk_secret(public));
                let secret = secret.ok_or_else(|| Error::NoReadKey(thread.clone()))?;
                for cid in manifests {
                    let damaged = |_| Error::Damaged(*cid);
                    let manifest = Manifest::open(log_keys, thread, &stored(cid)?).map_err(damaged)?;
                    let hashes = manifest.hashes(&key, log_keys, thread).map_err(damaged)?;
                    for (chunk, hash) in manifest.chunks().iter().zip(&hashes) {
                        let sealed = stored(&chunk.cid)?;
                        let plain =
                            body::open_chunk(&sealed, hash, &secret, thread).map_err(|_| Error::Damaged(chunk.cid))?;
                        if !send(plain) {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn linking(keys: &Keys, log: &LogId, key_id: KeyId, bytes: Bytes, cid: &Cid) -> Option<(Arc<LogKeys>, VerifiedRecord)> {
    let log_keys = keys.log(&key_id, log)?;
    let sealed = SealedRecord { key_id, bytes };
    let record = record::reopen(&keys.thread, log, &log_keys, sealed).ok()?;
    record.links().as_slice().contains(cid).then_some((log_keys, record))
}

fn can_open(node: &Node, found: &Found) -> bool {
    match &found.content {
        Some(event::Content::Recipient { to, .. }) => *to == node.keyring().identity().public(),
        Some(event::Content::Key(_)) | None => true,
    }
}

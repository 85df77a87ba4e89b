//! Records opened, wherever they are kept.

use bytes::Bytes;
use spool_proto::{
    Cid, KeyId, ThreadKeys,
    body::{Manifest, content_key, open_body, open_chunk},
    event::{self, Content, Opened},
    keys::{LogKeys, SealKey},
    limits::MIN_CHUNK_BYTES,
    record::VerifiedRecord,
};

use super::{Body, Error, Event, Record};
use crate::limits::MAX_TRANSACTION_BYTES;

impl Record {
    /// What a database sees of a record, with the keys of its thread and of its log. `block` finds the blocks of its thread that are here.
    ///
    /// # Errors
    ///
    /// Those of `block`.
    pub fn open(
        record: &VerifiedRecord,
        thread: &ThreadKeys,
        keys: &LogKeys,
        block: impl FnMut(&Cid) -> Result<Option<Bytes>, Error>,
    ) -> Result<Self, Error> {
        let event = match record.opened() {
            Opened::Sealed => Event::Sealed,
            Opened::Inert(_) => Event::Broken,
            Opened::Event(event) => {
                let body = Bodies { record, thread, keys, block }.open(event)?;
                Event::Open { time: event.time, heads: event.heads.clone(), body }
            }
        };
        Ok(Self { counter: record.counter(), cid: *record.cid(), event })
    }
}

/// Opens the bodies of one record's event.
struct Bodies<'a, B> {
    record: &'a VerifiedRecord,
    thread: &'a ThreadKeys,
    keys: &'a LogKeys,
    block: B,
}

impl<B: FnMut(&Cid) -> Result<Option<Bytes>, Error>> Bodies<'_, B> {
    /// What only some readers can open is nothing to all of them: a database must not depend on who looks.
    fn open(mut self, event: &event::Event) -> Result<Body, Error> {
        let Some(body) = &event.body else { return Ok(Body::None) };
        if matches!(event.content, Some(Content::Recipient { .. })) || body.size() > MAX_TRANSACTION_BYTES as u64 {
            return Ok(Body::None);
        }
        let Ok(key) = content_key(event.content.as_ref(), self.keys, None) else { return Ok(Body::None) };
        let sealed = match body {
            event::Body::Inline(sealed) => sealed.clone(),
            event::Body::Block { cid, .. } => match (self.block)(cid)? {
                Some(block) => block,
                None => return Ok(Body::Missing),
            },
            event::Body::Chunks { manifests, size } => {
                let is_public = event.content.is_none();
                return self.join(manifests, *size, &key, is_public);
            }
        };
        let plain = open_body(&sealed, &key, self.keys, self.record.thread());
        Ok(plain.map_or(Body::None, |plain| Body::Here(plain.into())))
    }

    /// Puts a body together that is more than one block.
    fn join(&mut self, manifests: &[Cid], size: u64, key: &SealKey, is_public: bool) -> Result<Body, Error> {
        let epoch = self.thread.epoch(&self.key_id());
        // Who has the keys of single logs only cannot open the thread's chunks, and waits for the key.
        let Some(secret) = epoch.and_then(|epoch| epoch.chunk_secret(is_public)) else { return Ok(Body::Missing) };
        let (thread, mut plain) = (self.record.thread(), Vec::new());
        for (at, cid) in manifests.iter().enumerate() {
            let Some(sealed) = (self.block)(cid)? else { return Ok(Body::Missing) };
            let Ok(manifest) = Manifest::open(self.keys, thread, &sealed) else { return Ok(Body::None) };
            let Ok(hashes) = manifest.hashes(key, self.keys, thread) else { return Ok(Body::None) };
            let count = hashes.len();
            for (index, (link, hash)) in manifest.chunks().iter().zip(hashes).enumerate() {
                let is_last = at + 1 == manifests.len() && index + 1 == count;
                let fits = plain.len() as u64 + link.size <= size;
                // Whoever cuts smaller wants to make work.
                if !fits || (link.size < MIN_CHUNK_BYTES as u64 && !is_last) {
                    return Ok(Body::None);
                }
                let Some(sealed) = (self.block)(&link.cid)? else { return Ok(Body::Missing) };
                match open_chunk(&sealed, &hash, &secret, thread) {
                    Ok(chunk) if chunk.len() as u64 == link.size => plain.extend_from_slice(&chunk),
                    Ok(_) | Err(_) => return Ok(Body::None),
                }
            }
        }
        Ok(if plain.len() as u64 == size { Body::Here(plain.into()) } else { Body::None })
    }

    fn key_id(&self) -> KeyId {
        self.record.sealed().key_id
    }
}

//! Records opened, wherever they are kept.

use bytes::Bytes;
use spool_proto::{
    Cid,
    body::{content_key, open_body},
    event::{self, Content, Opened},
    keys::LogKeys,
    record::VerifiedRecord,
};

use super::{Body, Error, Event, Record};
use crate::limits::MAX_TRANSACTION_BYTES;

impl Record {
    /// What a database sees of a record, with the keys of its log. `block` finds the blocks of its thread that are here.
    ///
    /// # Errors
    ///
    /// Those of `block`.
    pub fn open(
        record: &VerifiedRecord,
        keys: &LogKeys,
        block: impl FnOnce(&Cid) -> Result<Option<Bytes>, Error>,
    ) -> Result<Self, Error> {
        let event = match record.opened() {
            Opened::Sealed => Event::Sealed,
            Opened::Inert(_) => Event::Broken,
            Opened::Event(event) => {
                let body = open(event, record, keys, block)?;
                Event::Open { time: event.time, heads: event.heads.clone(), body }
            }
        };
        Ok(Self { counter: record.counter(), cid: *record.cid(), event })
    }
}

/// What only some readers can open is nothing to all of them: a database must not depend on who looks.
fn open(
    event: &event::Event,
    record: &VerifiedRecord,
    keys: &LogKeys,
    block: impl FnOnce(&Cid) -> Result<Option<Bytes>, Error>,
) -> Result<Body, Error> {
    let Some(body) = &event.body else { return Ok(Body::None) };
    if matches!(event.content, Some(Content::Recipient { .. })) || body.size() > MAX_TRANSACTION_BYTES as u64 {
        return Ok(Body::None);
    }
    let sealed = match body {
        event::Body::Inline(sealed) => sealed.clone(),
        event::Body::Block { cid, .. } => match block(cid)? {
            Some(block) => block,
            None => return Ok(Body::Missing),
        },
        event::Body::Chunks { .. } => return Ok(Body::None),
    };
    let Ok(key) = content_key(event.content.as_ref(), keys, None) else { return Ok(Body::None) };
    Ok(open_body(&sealed, &key, keys, record.thread()).map_or(Body::None, |plain| Body::Here(plain.into())))
}

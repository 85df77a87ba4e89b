//! Bodies of stored records, opened as far as blocks and keys are here.

use bytes::Bytes;
use spool_proto::{
    Cid,
    body::{self, content_key, open_body},
    event::{self, Content},
    keys::LogKeys,
};
use spool_store::Store;

use super::keyring::{Keyring, Keys};
use crate::model::Body;

/// Opens the body of an event if it has at most `limit` bytes.
pub(super) fn open(
    store: &Store,
    keyring: &Keyring,
    keys: &Keys,
    log: &LogKeys,
    event: &event::Event,
    limit: usize,
) -> Body {
    let Some(body) = &event.body else { return Body::None };
    let (cid, size) = (cid(body), body.size());
    if size > limit as u64 || matches!(body, event::Body::Chunks { .. }) {
        return Body::Large { cid, size };
    }
    if let Some(Content::Recipient { to, .. }) = &event.content
        && *to != keyring.identity().public()
    {
        return Body::SealedTo { recipient: *to, cid, size };
    }
    let Ok(key) = content_key(event.content.as_ref(), log, Some(keyring.identity())) else {
        return Body::Broken { cid };
    };
    let sealed = match body {
        event::Body::Inline(sealed) => Some(sealed.clone()),
        event::Body::Block { cid, .. } => store.block_in_thread(&keys.thread, cid).ok().flatten(),
        event::Body::Chunks { .. } => None,
    };
    let Some(sealed) = sealed else {
        return cid.map_or(Body::Broken { cid }, |cid| Body::Missing { cid, size });
    };
    match open_body(&sealed, &key, log, &keys.thread) {
        Ok(plain) => Body::Open { cid, bytes: Bytes::from(plain) },
        Err(_) => Body::Broken { cid },
    }
}

/// The block of a body, or its first manifest.
pub(super) fn cid(body: &event::Body) -> Option<Cid> {
    match body {
        event::Body::Inline(_) => None,
        event::Body::Block { cid, .. } => Some(*cid),
        event::Body::Chunks { manifests, .. } => manifests.first().copied(),
    }
}

/// Who can open a body of these options, with the randomness that it takes.
pub(super) fn protection(audience: crate::model::Audience) -> body::Protection {
    use crate::model::Audience;
    match audience {
        Audience::Readers => body::Protection::Thread { key: rand::random() },
        Audience::Recipient(to) => {
            body::Protection::Recipient { to, key: rand::random(), entropy: rand::random() }
        }
        Audience::Public => body::Protection::Public,
    }
}

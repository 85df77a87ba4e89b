//! Bodies of stored records, opened as far as blocks and keys are here.

use bytes::Bytes;
use spool_proto::{
    Cid, ThreadId,
    body::{self, Manifest, content_key, open_body},
    event::{self, Content},
    keys::LogKeys,
    record::Links,
};
use spool_store::Store;

use super::{
    keyring::{Keyring, Keys},
    threads::storage,
};
use crate::model::{Body, Error};

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

/// The body behind a record's links, as far as it shows without the event; `None` where it is not public.
///
/// Whoever follows a thread can open its public bodies, and learns from their blocks what the event says of them.
pub(super) fn public(
    store: &Store,
    thread: &ThreadId,
    log: &LogKeys,
    links: &Links,
) -> Result<Option<event::Body>, Error> {
    let stored = |cid: &Cid| store.block_in_thread(thread, cid).map_err(storage)?.ok_or(Error::BodyMissing(*cid));
    Ok(match links {
        Links::None => None,
        Links::Block(cid) => {
            let plain = open_body(&stored(cid)?, log.public(), log, thread);
            plain.ok().map(|plain| event::Body::Block { cid: *cid, size: plain.len() as u64 })
        }
        Links::Manifests(manifests) => {
            let mut size = 0;
            for cid in manifests {
                let manifest = Manifest::open(log, thread, &stored(cid)?).map_err(|_| Error::Damaged(*cid))?;
                if manifest.hashes(log.public(), log, thread).is_err() {
                    return Ok(None);
                }
                size += manifest.chunks().iter().map(|chunk| chunk.size).sum::<u64>();
            }
            Some(event::Body::Chunks { manifests: manifests.clone(), size })
        }
    })
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
        Audience::Recipient(to) => body::Protection::Recipient { to, key: rand::random(), entropy: rand::random() },
        Audience::Public => body::Protection::Public,
    }
}

//! Records: the signed links of a log. Specified in `docs/protocol.md`, section 5.
//!
//! A record moves through types that state trust: [`SealedRecord`] (bytes from anywhere) becomes a [`VerifiedRecord`] only by
//! [`verify`], and only a verified record can be stored.

use bytes::Bytes;
use cid::Cid;
use ed25519_dalek::{Signature, Signer, SigningKey};
use serde::{Deserialize, Serialize, Serializer};
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};

use crate::{
    block, cbor,
    event::{Event, Opened},
    id::{KeyId, LogId, ThreadId},
    keys::LogKeys,
    limits::{MAX_LINKS, MAX_RECORD_BYTES},
    lipmaa::lipmaa,
    seal::{self, Layer, Place},
};

mod control;
#[cfg(test)]
mod tests;

pub use control::{Control, Rekey};

const VERSION: u64 = 1;

/// The blocks of a record's body, as far as a follower has to know them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Links {
    /// No body, or inline.
    #[default]
    None,
    /// One block.
    Block(Cid),
    /// Manifests, whose chunks count as linked too.
    Manifests(Vec<Cid>),
}

impl Links {
    /// The linked CIDs.
    pub fn as_slice(&self) -> &[Cid] {
        match self {
            Links::None => &[],
            Links::Block(cid) => std::slice::from_ref(cid),
            Links::Manifests(cids) => cids,
        }
    }
}

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Links::None => serializer.serialize_none(),
            Links::Block(cid) => (0u64, cid).serialize(serializer),
            Links::Manifests(cids) => (1u64, cids).serialize(serializer),
        }
    }
}

struct SomeLinks(Links);

cbor::deserialize_tagged!(SomeLinks, "links", |fields, kind| match kind {
    0 => SomeLinks(Links::Block(cbor::field(&mut fields, "cid")?)),
    1 => SomeLinks(Links::Manifests(cbor::field(&mut fields, "cids")?)),
    other => return Err(cbor::unknown("links kind", other)),
});

impl<'de> Deserialize<'de> for Links {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<SomeLinks>::deserialize(deserializer)?.map_or(Links::None, |links| links.0))
    }
}

/// A record as it is stored and sent: opaque to whoever lacks the log follow key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord {
    /// Which thread key it is sealed under.
    pub key_id: KeyId,
    /// Nonce, ciphertext and tag.
    pub bytes: Bytes,
}

impl SealedRecord {
    /// The record's CID.
    pub fn cid(&self) -> Cid {
        block::cid(&self.bytes)
    }
}

/// Why a record is invalid. There is one rule on every road: opens, canonical, well-formed, own signature strictly valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than a record may be.
    #[error("record of {0} bytes, at most {MAX_RECORD_BYTES} are permitted")]
    TooLarge(usize),
    /// Does not open, or is sealed under a nonce that its plaintext does not have.
    #[error("record: {0}")]
    Seal(#[from] seal::Error),
    /// Not the canonical encoding of a record.
    #[error("record: {0}")]
    Encoding(String),
    /// A version that this program does not know.
    #[error("record version {0} is not known (only {VERSION})")]
    Version(u64),
    /// Counter, prev, skip, links or control break a rule of the format.
    #[error("malformed record: {0}")]
    Malformed(&'static str),
    /// Names another key than the one that opened it.
    #[error("record names key {named}, but was sent as sealed under {sent}")]
    KeyId {
        /// In the record.
        named: KeyId,
        /// Beside the record.
        sent: KeyId,
    },
    /// The log's signature does not verify.
    #[error("signature does not verify")]
    Signature,
}

/// The plaintext, in the order of its fields.
#[derive(Serialize, Deserialize)]
struct Plain(u64, u64, Option<Cid>, Option<Cid>, KeyId, ByteBuf, Links, Option<Control>, ByteArray<64>);

/// What the signature covers.
#[derive(Serialize)]
struct Signed<'a>(
    &'static str,
    &'a ThreadId,
    &'a LogId,
    u64,
    &'a Option<Cid>,
    &'a Option<Cid>,
    &'a KeyId,
    ByteArray<32>,
    &'a Links,
    &'a Option<Control>,
);

/// A record that is being written: everything but the signature.
#[derive(Debug, Clone)]
pub struct Draft {
    /// 1-based position in the log.
    pub counter: u64,
    /// CID of the record before; none in the first.
    pub prev: Option<Cid>,
    /// CID of the record number `lipmaa(counter)`; none where that is the record before.
    pub skip: Option<Cid>,
    /// The event, not yet sealed.
    pub event: Event,
    /// One item that followers need too.
    pub control: Option<Control>,
}

impl Draft {
    /// Seals and signs; the result is a verified record, since this is the one place where an own record is made.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the record exceeds its limit, [`Error::Malformed`] without the log's read key or where nobody else would
    /// take the record, so that no log can be ended by its own writer's mistake.
    pub fn seal(
        self,
        thread: &ThreadId,
        log: &LogId,
        keys: &LogKeys,
        signer: &SigningKey,
    ) -> Result<VerifiedRecord, Error> {
        let Some(read) = keys.read() else { return Err(Error::Malformed("writing needs the read key")) };
        let links = self.event.body.as_ref().map_or(Links::None, crate::event::Body::links);
        check_form(self.counter, &self.prev, &self.skip, &links, &self.control)?;
        let event = self.event.seal(read, thread, log);
        let key_id = keys.key_id();
        let signed = Signed(
            "spool/1 record",
            thread,
            log,
            self.counter,
            &self.prev,
            &self.skip,
            &key_id,
            ByteArray::new(Sha256::digest(&event).into()),
            &links,
            &self.control,
        );
        let signature = signer.sign(&cbor::to_vec(&signed)).to_bytes();
        let plain = Plain(
            VERSION,
            self.counter,
            self.prev,
            self.skip,
            key_id,
            ByteBuf::from(event),
            links,
            self.control,
            ByteArray::new(signature),
        );
        let bytes = Bytes::from(seal::seal(keys.follow(), place(thread, &log.to_bytes()), &cbor::to_vec(&plain)));
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Error::TooLarge(bytes.len()));
        }
        let Plain(_, counter, prev, skip, _, _, links, control, _) = plain;
        let cid = block::cid(&bytes);
        let opened = Opened::Event(Box::new(self.event));
        let sealed = SealedRecord { key_id, bytes };
        Ok(VerifiedRecord {
            cid,
            thread: thread.clone(),
            log: *log,
            counter,
            prev,
            skip,
            links,
            control,
            opened,
            sealed,
        })
    }
}

/// A record whose seal, encoding, form and signature have been checked. Whether it is *next* in its log is the engine's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    cid: Cid,
    thread: ThreadId,
    log: LogId,
    counter: u64,
    prev: Option<Cid>,
    skip: Option<Cid>,
    links: Links,
    control: Option<Control>,
    opened: Opened,
    sealed: SealedRecord,
}

impl VerifiedRecord {
    /// CID of the sealed bytes.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }
    /// The thread it belongs to.
    pub fn thread(&self) -> &ThreadId {
        &self.thread
    }
    /// The log it belongs to.
    pub fn log(&self) -> &LogId {
        &self.log
    }
    /// 1-based position in the log.
    pub fn counter(&self) -> u64 {
        self.counter
    }
    /// CID of the record before.
    pub fn prev(&self) -> Option<&Cid> {
        self.prev.as_ref()
    }
    /// CID of the record that the skip link names.
    pub fn skip(&self) -> Option<&Cid> {
        self.skip.as_ref()
    }
    /// The blocks of its body.
    pub fn links(&self) -> &Links {
        &self.links
    }
    /// The item for followers.
    pub fn control(&self) -> Option<&Control> {
        self.control.as_ref()
    }
    /// The event, as far as it could be opened.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }
    /// The bytes that are stored and sent, with their key id.
    pub fn sealed(&self) -> &SealedRecord {
        &self.sealed
    }
}

/// Checks one record of `log`; the only way from foreign bytes to a [`VerifiedRecord`]. Pure, about 50 µs, nearly all of it the
/// signature.
///
/// # Errors
///
/// [`Error`] says which rule the record breaks.
pub fn verify(thread: &ThreadId, log: &LogId, keys: &LogKeys, sealed: SealedRecord) -> Result<VerifiedRecord, Error> {
    let plain = open_plain(thread, log, keys, &sealed)?;
    let Plain(_, counter, prev, skip, key_id, event, links, control, signature) = &plain;
    check_form(*counter, prev, skip, links, control)?;
    let signed = Signed(
        "spool/1 record",
        thread,
        log,
        *counter,
        prev,
        skip,
        key_id,
        ByteArray::new(Sha256::digest(event).into()),
        links,
        control,
    );
    let signature = Signature::from_bytes(&signature.into_array());
    keys.verifying_key().verify_strict(&cbor::to_vec(&signed), &signature).map_err(|_| Error::Signature)?;
    Ok(assemble(thread, log, keys, sealed, plain))
}

/// Opens a record that this node verified before it stored it: everything but the signature is checked again.
///
/// # Errors
///
/// [`Error`]: the store is damaged.
pub fn reopen(thread: &ThreadId, log: &LogId, keys: &LogKeys, sealed: SealedRecord) -> Result<VerifiedRecord, Error> {
    let plain = open_plain(thread, log, keys, &sealed)?;
    check_form(plain.1, &plain.2, &plain.3, &plain.6, &plain.7)?;
    Ok(assemble(thread, log, keys, sealed, plain))
}

/// The links of a stored record.
///
/// # Errors
///
/// [`Error`]: the store is damaged.
pub fn links(thread: &ThreadId, log: &LogId, keys: &LogKeys, sealed: &SealedRecord) -> Result<Links, Error> {
    Ok(open_plain(thread, log, keys, sealed)?.6)
}

fn open_plain(thread: &ThreadId, log: &LogId, keys: &LogKeys, sealed: &SealedRecord) -> Result<Plain, Error> {
    if sealed.bytes.len() > MAX_RECORD_BYTES {
        return Err(Error::TooLarge(sealed.bytes.len()));
    }
    let plain = seal::open(keys.follow(), place(thread, &log.to_bytes()), &sealed.bytes)?;
    let plain: Plain =
        cbor::from_slice(&plain, MAX_RECORD_BYTES).map_err(|error| Error::Encoding(error.to_string()))?;
    if plain.0 != VERSION {
        return Err(Error::Version(plain.0));
    }
    if plain.4 != sealed.key_id {
        return Err(Error::KeyId { named: plain.4, sent: sealed.key_id });
    }
    Ok(plain)
}

fn assemble(thread: &ThreadId, log: &LogId, keys: &LogKeys, sealed: SealedRecord, plain: Plain) -> VerifiedRecord {
    let Plain(_, counter, prev, skip, _, event, links, control, _) = plain;
    let cid = sealed.cid();
    let opened = Opened::open(keys, thread, log, counter, &links, &event);
    VerifiedRecord { cid, thread: thread.clone(), log: *log, counter, prev, skip, links, control, opened, sealed }
}

fn check_form(
    counter: u64,
    prev: &Option<Cid>,
    skip: &Option<Cid>,
    links: &Links,
    control: &Option<Control>,
) -> Result<(), Error> {
    if counter == 0 {
        return Err(Error::Malformed("counters start at 1"));
    }
    if prev.is_some() != (counter > 1) {
        return Err(Error::Malformed("prev must be absent in the first record and nowhere else"));
    }
    let skips = counter > 1 && lipmaa(counter) != counter - 1;
    if skip.is_some() != skips {
        return Err(Error::Malformed("skip must be there exactly where it differs from prev"));
    }
    if let Links::Manifests(manifests) = links
        && (manifests.is_empty() || manifests.len() > MAX_LINKS)
    {
        return Err(Error::Malformed("number of links"));
    }
    let mut cids = prev.iter().chain(skip).chain(links.as_slice());
    if cids.any(|cid| block::digest(cid).is_err()) {
        return Err(Error::Malformed("a cid of another kind than v1, raw, sha2-256"));
    }
    match control {
        Some(Control::Admission(_)) if counter != 1 => Err(Error::Malformed("admission after the first record")),
        Some(control) => control.check().map_err(Error::Malformed),
        None => Ok(()),
    }
}

fn place<'a>(thread: &'a ThreadId, log: &'a [u8]) -> Place<'a> {
    Place { layer: Layer::Record, thread: thread.as_bytes(), log }
}

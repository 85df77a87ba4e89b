//! Events: what records carry for readers. Specified in `docs/protocol.md`, section 6.

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeTuple};
use serde_bytes::{ByteArray, ByteBuf};

use crate::{
    block, cbor,
    clock::Time,
    id::{LogId, ThreadId},
    identity::IdentityKey,
    keys::{LogKeys, SealKey},
    limits::{MAX_CITED_HEADS, MAX_INLINE_BODY_BYTES, MAX_LINKS, MAX_RECORD_BYTES},
    owner::Owner,
    record::Links,
    seal::{self, Layer, Place},
};

#[cfg(test)]
mod tests;

const VERSION: u64 = 1;
/// Bytes of a content key sealed to a recipient: encapsulated key, key, tag.
const SEALED_CONTENT_KEY_BYTES: usize = 32 + 32 + 16;

/// What an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Data of an application or of the database.
    Application,
    /// An invitation.
    Invite,
    /// Somebody joined.
    Join,
    /// A change of who may do what.
    AccessControl,
    /// A snapshot of state.
    Snapshot,
    /// Nothing for readers: the record's control item is what matters.
    Control,
}

impl Kind {
    const ALL: [Kind; 6] =
        [Kind::Application, Kind::Invite, Kind::Join, Kind::AccessControl, Kind::Snapshot, Kind::Control];

    fn code(self) -> u64 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(0, |code| code as u64)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.code())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u64::deserialize(deserializer)?;
        let known = usize::try_from(code).ok().and_then(|code| Self::ALL.get(code));
        known.copied().ok_or_else(|| cbor::unknown("event kind", code))
    }
}

/// The key of a body, if it has one of its own.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A single-use key; every reader of the thread has it.
    Key([u8; 32]),
    /// A single-use key sealed to one recipient (HPKE).
    Recipient {
        /// Who can open it.
        to: IdentityKey,
        /// Encapsulated key and ciphertext.
        sealed: Vec<u8>,
    },
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Key(_) => formatter.write_str("Key(..)"),
            Content::Recipient { to, .. } => {
                formatter.debug_struct("Recipient").field("to", to).finish_non_exhaustive()
            }
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Key(key) => {
                let mut tuple = serializer.serialize_tuple(2)?;
                tuple.serialize_element(&0u64)?;
                tuple.serialize_element(&ByteArray::new(*key))?;
                tuple.end()
            }
            Content::Recipient { to, sealed } => {
                let mut tuple = serializer.serialize_tuple(3)?;
                tuple.serialize_element(&1u64)?;
                tuple.serialize_element(to)?;
                tuple.serialize_element(serde_bytes::Bytes::new(sealed))?;
                tuple.end()
            }
        }
    }
}

cbor::deserialize_tagged!(Content, "content key", |fields, kind| match kind {
    0 => Content::Key(cbor::field::<_, ByteArray<32>>(&mut fields, "key")?.into_array()),
    1 => {
        let to = cbor::field(&mut fields, "recipient")?;
        let sealed = cbor::field::<_, ByteBuf>(&mut fields, "sealed key")?.into_vec();
        if sealed.len() != SEALED_CONTENT_KEY_BYTES {
            return Err(serde::de::Error::custom("sealed content key must have 80 bytes"));
        }
        Content::Recipient { to, sealed }
    }
    other => return Err(cbor::unknown("content key kind", other)),
});

/// Where a body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Sealed, within the event.
    Inline(Bytes),
    /// One block.
    Block {
        /// CID of the sealed block.
        cid: Cid,
        /// Bytes before sealing.
        size: u64,
    },
    /// Chunks under manifests.
    Chunks {
        /// CIDs of the manifests, in order.
        manifests: Vec<Cid>,
        /// Bytes before sealing, of all chunks.
        size: u64,
    },
}

impl Body {
    /// What the record must link to for this body.
    pub fn links(&self) -> Links {
        match self {
            Body::Inline(_) => Links::None,
            Body::Block { cid, .. } => Links::Block(*cid),
            Body::Chunks { manifests, .. } => Links::Manifests(manifests.clone()),
        }
    }

    /// Bytes of the body before sealing.
    pub fn size(&self) -> u64 {
        match self {
            Body::Inline(sealed) => sealed.len().saturating_sub(seal::OVERHEAD_BYTES) as u64,
            Body::Block { size, .. } | Body::Chunks { size, .. } => *size,
        }
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Body::Inline(sealed) => (0u64, serde_bytes::Bytes::new(sealed)).serialize(serializer),
            Body::Block { cid, size } => (1u64, cid, size).serialize(serializer),
            Body::Chunks { manifests, size } => (2u64, manifests, size).serialize(serializer),
        }
    }
}

cbor::deserialize_tagged!(Body, "body", |fields, kind| match kind {
    0 => Body::Inline(cbor::field::<_, ByteBuf>(&mut fields, "sealed body")?.into_vec().into()),
    1 => Body::Block { cid: cbor::field(&mut fields, "cid")?, size: cbor::field(&mut fields, "size")? },
    2 => Body::Chunks { manifests: cbor::field(&mut fields, "manifests")?, size: cbor::field(&mut fields, "size")? },
    other => return Err(cbor::unknown("body kind", other)),
});

/// A record of another log that this event's writer had seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitedHead {
    /// The other log.
    pub log: LogId,
    /// Counter of the record.
    pub counter: u64,
    /// Its CID.
    pub cid: Cid,
}

/// An event, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, in hybrid logical time.
    pub time: Time,
    /// What for.
    pub kind: Kind,
    /// The key of the body; none for a public body or no body.
    pub content: Option<Content>,
    /// Records of other logs newly seen, sorted by log.
    pub heads: Vec<CitedHead>,
    /// Whose log this is; in its first record.
    pub owner: Option<Owner>,
    /// Where the body is.
    pub body: Option<Body>,
}

#[derive(Serialize, Deserialize)]
struct Plain(u64, Time, Kind, Option<Content>, Vec<(LogId, u64, Cid)>, Option<Owner>, Option<Body>);

/// Why an event cannot be used though its record is valid. Such an event is inert for readers; it never makes the record invalid, because
/// followers, who cannot look inside, have to agree about the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Does not open under the log read key.
    #[error("event: {0}")]
    Seal(#[from] seal::Error),
    /// Not the canonical encoding of an event.
    #[error("event: {0}")]
    Encoding(String),
    /// A version that this program does not know.
    #[error("event version {0} is not known (only {VERSION})")]
    Version(u64),
    /// More cited heads than permitted, or unsorted, or of its own log.
    #[error("cited heads must be at most {MAX_CITED_HEADS}, sorted by log, each log once, and of other logs")]
    Heads,
    /// The owner is missing in the first record, or given again later.
    #[error("the owner must be named in the first record of a log and nowhere else")]
    Owner,
    /// The owner's signatures do not hold.
    #[error("owner: {0}")]
    OwnerSignature(String),
    /// An inline body is too large or public, or the links differ from the record's.
    #[error("the body does not fit the event: {0}")]
    Body(&'static str),
}

impl Event {
    /// Seals this under a log's read key.
    pub fn seal(&self, key: &SealKey, thread: &ThreadId, log: &LogId) -> Vec<u8> {
        let heads = self.heads.iter().map(|head| (head.log, head.counter, head.cid)).collect();
        let plain =
            Plain(VERSION, self.time, self.kind, self.content.clone(), heads, self.owner.clone(), self.body.clone());
        seal::seal(key, place(thread, &log.to_bytes()), &cbor::to_vec(&plain))
    }

    /// Opens the event of record number `counter` and checks all that concerns this event alone.
    ///
    /// # Errors
    ///
    /// [`Error`]; the event is then inert, its record stays valid.
    pub fn open(
        key: &SealKey,
        thread: &ThreadId,
        log: &LogId,
        counter: u64,
        links: &Links,
        sealed: &[u8],
    ) -> Result<Self, Error> {
        let plain = seal::open(key, place(thread, &log.to_bytes()), sealed)?;
        let Plain(version, time, kind, content, heads, owner, body) =
            cbor::from_slice(&plain, MAX_RECORD_BYTES).map_err(|error| Error::Encoding(error.to_string()))?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let heads: Vec<_> = heads.into_iter().map(|(log, counter, cid)| CitedHead { log, counter, cid }).collect();
        let event = Self { time, kind, content, heads, owner, body };
        event.check(thread, log, counter, links)?;
        Ok(event)
    }

    fn check(&self, thread: &ThreadId, log: &LogId, counter: u64, links: &Links) -> Result<(), Error> {
        let sorted = self.heads.windows(2).all(|pair| pair[0].log < pair[1].log);
        let own = self.heads.iter().any(|head| head.log == *log || head.counter == 0);
        if self.heads.len() > MAX_CITED_HEADS || !sorted || own {
            return Err(Error::Heads);
        }
        if self.heads.iter().any(|head| block::digest(&head.cid).is_err()) {
            return Err(Error::Heads);
        }
        if self.owner.is_some() != (counter == 1) {
            return Err(Error::Owner);
        }
        if let Some(owner) = &self.owner {
            owner.verify(thread, log).map_err(|error| Error::OwnerSignature(error.to_string()))?;
        }
        match &self.body {
            None if self.content.is_some() => return Err(Error::Body("a content key without a body")),
            Some(Body::Inline(_)) if self.content.is_none() => {
                return Err(Error::Body("a public body is never inline"));
            }
            Some(Body::Inline(sealed)) if sealed.len() > MAX_INLINE_BODY_BYTES + seal::OVERHEAD_BYTES => {
                return Err(Error::Body("inline body too large"));
            }
            Some(Body::Chunks { manifests, .. }) if manifests.is_empty() || manifests.len() > MAX_LINKS => {
                return Err(Error::Body("number of manifests"));
            }
            Some(_) | None => {}
        }
        let expected = self.body.as_ref().map_or(Links::None, Body::links);
        if expected != *links {
            return Err(Error::Body("the record links to other blocks than the event"));
        }
        Ok(())
    }
}

/// The event of a record, as far as its holder can look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The read key is not here.
    Sealed,
    /// Opened.
    Event(Box<Event>),
    /// Opens not, or breaks the rules of events: inert.
    Inert(Error),
}

impl Opened {
    /// Opens with what keys there are.
    pub fn open(keys: &LogKeys, thread: &ThreadId, log: &LogId, counter: u64, links: &Links, sealed: &[u8]) -> Self {
        let Some(key) = keys.read() else { return Opened::Sealed };
        match Event::open(key, thread, log, counter, links, sealed) {
            Ok(event) => Opened::Event(Box::new(event)),
            Err(error) => Opened::Inert(error),
        }
    }

    /// The event, if it opened.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Opened::Event(event) => Some(event),
            Opened::Sealed | Opened::Inert(_) => None,
        }
    }
}

fn place<'a>(thread: &'a ThreadId, log: &'a [u8]) -> Place<'a> {
    Place { layer: Layer::Event, thread: thread.as_bytes(), log }
}

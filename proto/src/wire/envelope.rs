use std::fmt;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use super::{
    Error, Head,
    error::check_size,
    field,
    limits::{MAX_ENVELOPE_BLOCKS, MAX_ENVELOPE_RECORDS, MAX_GOSSIP_BYTES, MAX_HEADS},
    pb, shape,
};
use crate::{KeyId, LogId, PeerId, TopicId};

/// The version of envelopes.
pub const VERSION: u32 = 1;

/// A run of consecutive sealed records of one log, signed by the node that sends it. The same bytes on every road.
///
/// The signature is read, not checked: [`signing_hash`](Self::signing_hash) is what it must sign.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The thread's topic.
    pub topic: TopicId,
    /// The log.
    pub log: LogId,
    /// Counter of the first record, from 1.
    pub counter: u64,
    /// The thread key under which all of them are sealed.
    pub key_id: KeyId,
    /// Sealed records, at least one.
    pub records: Vec<Bytes>,
    /// Blocks that the records link to: all, some or none.
    pub blocks: Vec<Bytes>,
    /// The node that sends it, which need not be the writer.
    pub sender: PeerId,
    /// The sender's signature over [`signing_hash`](Self::signing_hash).
    pub signature: [u8; 64],
}

impl Envelope {
    /// The hash that the sender signs. Blocks are not part of it: their CIDs bind them.
    pub fn signing_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"spool/1 envelope");
        part(&mut hash, self.topic.as_bytes().as_ref());
        part(&mut hash, &self.log.to_bytes());
        hash.update(self.counter.to_be_bytes());
        part(&mut hash, self.key_id.as_bytes().as_ref());
        for record in &self.records {
            part(&mut hash, record);
        }
        hash.finalize().into()
    }

    /// Counter of the last record.
    pub fn last_counter(&self) -> u64 {
        self.counter.saturating_add((self.records.len() as u64).saturating_sub(1))
    }
}

fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u32).to_be_bytes());
    hash.update(bytes);
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("topic", &self.topic)
            .field("log", &self.log)
            .field("counter", &self.counter)
            .field("key_id", &self.key_id)
            .field("records", &self.records.len())
            .field("blocks", &self.blocks.len())
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

impl TryFrom<pb::Envelope> for Envelope {
    type Error = Error;

    fn try_from(envelope: pb::Envelope) -> Result<Self, Error> {
        if envelope.version != VERSION {
            return Err(Error::Version(envelope.version));
        }
        field::count("Envelope.records", &envelope.records, MAX_ENVELOPE_RECORDS)?;
        field::records("Envelope.records", &envelope.records)?;
        if envelope.records.is_empty() {
            return Err(Error::Missing { field: "Envelope.records" });
        }
        field::count("Envelope.blocks", &envelope.blocks, MAX_ENVELOPE_BLOCKS)?;
        field::blocks("Envelope.blocks", &envelope.blocks)?;
        let counter = field::counter("Envelope.counter", envelope.counter)?;
        if counter.checked_add(envelope.records.len() as u64).is_none() {
            return Err(Error::Invalid { field: "Envelope.counter", reason: "the run goes beyond 64 bits" });
        }
        Ok(Self {
            topic: field::topic("Envelope.topic", &envelope.topic)?,
            log: field::log("Envelope.log", &envelope.log)?,
            counter,
            key_id: field::key("Envelope.key_id", &envelope.key_id)?,
            records: envelope.records,
            blocks: envelope.blocks,
            sender: field::peer("Envelope.sender", &envelope.sender)?,
            signature: field::array("Envelope.signature", &envelope.signature)?,
        })
    }
}

impl From<Envelope> for pb::Envelope {
    fn from(envelope: Envelope) -> Self {
        Self {
            version: VERSION,
            topic: field::bytes(envelope.topic.as_bytes()),
            log: field::bytes(envelope.log.to_bytes()),
            counter: envelope.counter,
            key_id: field::bytes(envelope.key_id.as_bytes()),
            records: envelope.records,
            blocks: envelope.blocks,
            sender: envelope.sender.to_bytes().into(),
            signature: field::bytes(envelope.signature),
        }
    }
}

/// What is published on a thread's topic, before it is sealed under the gossip key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gossip {
    /// New records themselves.
    Envelope(Box<Envelope>),
    /// Only that there are some: pull what is missing.
    Heads(Vec<Head>),
}

impl Gossip {
    /// The message's bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond [`MAX_GOSSIP_BYTES`]: announce heads instead.
    pub fn encode(self) -> Result<Bytes, Error> {
        let message = pb::Gossip::from(self);
        check_size(message.encoded_len(), MAX_GOSSIP_BYTES)?;
        Ok(message.encode_to_vec().into())
    }

    /// Reads a message; its byte fields are slices of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error`] names the field and what is wrong with it.
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        check_size(bytes.len(), MAX_GOSSIP_BYTES)?;
        shape::check(&shape::GOSSIP, &bytes)?;
        pb::Gossip::decode(bytes).map_err(|source| Error::Protobuf(Some(source)))?.try_into()
    }
}

impl TryFrom<pb::Gossip> for Gossip {
    type Error = Error;

    fn try_from(gossip: pb::Gossip) -> Result<Self, Error> {
        match gossip.kind {
            None => Err(Error::Missing { field: "Gossip.kind" }),
            Some(pb::gossip::Kind::Envelope(envelope)) => Ok(Self::Envelope(Box::new(envelope.try_into()?))),
            Some(pb::gossip::Kind::Heads(heads)) => {
                Ok(Self::Heads(field::items("Heads.heads", heads.heads, MAX_HEADS)?))
            }
        }
    }
}

impl From<Gossip> for pb::Gossip {
    fn from(gossip: Gossip) -> Self {
        let kind = match gossip {
            Gossip::Envelope(envelope) => pb::gossip::Kind::Envelope((*envelope).into()),
            Gossip::Heads(heads) => {
                pb::gossip::Kind::Heads(pb::Heads { heads: heads.into_iter().map(Into::into).collect() })
            }
        };
        Self { kind: Some(kind) }
    }
}

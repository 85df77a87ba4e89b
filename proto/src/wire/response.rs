use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::{Envelope, Error, Head, InviteAnswer, Opened, Proof, error::check_frame, field, limits, pb, shape};
use crate::{KeyId, LogId, TopicId};

/// The answer to a [`Request`](super::Request): its counterpart, or a refusal.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// The responder's proofs, for those topics whose proofs it accepts.
    Proofs(Vec<Proof>),
    /// The nodes that differ, each opened one level.
    Edges(Vec<Opened>),
    /// One page of heads, sorted by log.
    Heads {
        /// The heads.
        heads: Vec<Head>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// One page of records.
    Records {
        /// Consecutive records under one key; `None` if there are none after that counter.
        envelope: Option<Box<Envelope>>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// One page of inert records in the order (counter, CID).
    Inert {
        /// The records.
        records: Vec<InertRecord>,
        /// Whether there are more after the last.
        more: bool,
    },
    /// For every pushed log, how far it is durable.
    Push(Vec<Ack>),
    /// Those blocks that are at hand, in the order asked.
    Blocks {
        /// The blocks.
        blocks: Vec<Bytes>,
        /// Whether asking again for the rest makes sense.
        more: bool,
    },
    /// What became of an invitation.
    Invite(InviteAnswer),
    /// No answer, and why.
    Refusal(Refusal),
}

/// A sealed record that is kept beside a forked log.
#[derive(Clone, PartialEq, Eq)]
pub struct InertRecord {
    /// The thread key under which it is sealed.
    pub key_id: KeyId,
    /// The sealed record.
    pub record: Bytes,
}

/// What became of a pushed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The thread's topic.
    pub topic: TopicId,
    /// The log.
    pub log: LogId,
    /// Counter of the log's durable head at the responder; 0 if it has none.
    pub counter: u64,
    /// Whether the responder took nothing because it has no room now.
    pub busy: bool,
}

/// Why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such thread, or no proof of access to it: these two cannot be told apart.
    Unknown,
    /// Try again later.
    Busy,
    /// The request does not decode.
    Malformed,
    /// The responder's own failure, e.g. its disk.
    Internal,
    /// Nothing more of the thread is taken: what it may use there is used up.
    Full,
    /// More records than the responder takes in this time; it asks for them later.
    TooFast,
}

impl Response {
    /// The response's bytes, without a length before them.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it does not fit into a frame. Counts are the caller's care: a peer refuses too many items.
    pub fn encode(self) -> Result<Bytes, Error> {
        let message = pb::Response::from(self);
        check_frame(message.encoded_len())?;
        Ok(message.encode_to_vec().into())
    }

    /// Reads a response; its byte fields are slices of `frame`.
    ///
    /// # Errors
    ///
    /// [`Error`] names the field and what is wrong with it.
    pub fn decode(frame: Bytes) -> Result<Self, Error> {
        check_frame(frame.len())?;
        shape::check(&shape::RESPONSE, &frame)?;
        pb::Response::decode(frame).map_err(|source| Error::Protobuf(Some(source)))?.try_into()
    }

    /// The kind's name, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Proofs(_) => "proofs",
            Self::Edges(_) => "edges",
            Self::Heads { .. } => "heads",
            Self::Records { .. } => "records",
            Self::Inert { .. } => "inert",
            Self::Push(_) => "push",
            Self::Blocks { .. } => "blocks",
            Self::Invite(_) => "invite",
            Self::Refusal(_) => "refusal",
        }
    }
}

// By hand, because of the blocks: contents do not belong into logs, sealed or not.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proofs(proofs) => f.debug_tuple("Proofs").field(proofs).finish(),
            Self::Edges(opened) => f.debug_tuple("Edges").field(opened).finish(),
            Self::Heads { heads, more } => f.debug_struct("Heads").field("heads", heads).field("more", more).finish(),
            Self::Records { envelope, more } => {
                f.debug_struct("Records").field("envelope", envelope).field("more", more).finish()
            }
            Self::Inert { records, more } => {
                f.debug_struct("Inert").field("records", &records.len()).field("more", more).finish()
            }
            Self::Push(acks) => f.debug_tuple("Push").field(acks).finish(),
            Self::Blocks { blocks, more } => {
                f.debug_struct("Blocks").field("blocks", &blocks.len()).field("more", more).finish()
            }
            Self::Invite(answer) => f.debug_tuple("Invite").field(answer).finish(),
            Self::Refusal(refusal) => f.debug_tuple("Refusal").field(refusal).finish(),
        }
    }
}

impl fmt::Debug for InertRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InertRecord").field("key_id", &self.key_id).field("bytes", &self.record.len()).finish()
    }
}

impl TryFrom<pb::Response> for Response {
    type Error = Error;

    fn try_from(response: pb::Response) -> Result<Self, Error> {
        use pb::response::Kind;
        Ok(match response.kind.ok_or(Error::Missing { field: "Response.kind" })? {
            Kind::Proofs(proofs) => Self::Proofs(field::items("Proofs.proofs", proofs.proofs, limits::MAX_PROOFS)?),
            Kind::Edges(edges) => {
                Self::Edges(field::items("EdgesResponse.opened", edges.opened, limits::MAX_EDGE_NODES)?)
            }
            Kind::Heads(heads) => Self::Heads {
                heads: field::items("HeadsResponse.heads", heads.heads, limits::MAX_HEADS)?,
                more: heads.more,
            },
            Kind::Records(records) => Self::Records {
                envelope: records.envelope.map(|envelope| envelope.try_into().map(Box::new)).transpose()?,
                more: records.more,
            },
            Kind::Inert(inert) => Self::Inert {
                records: field::items("InertResponse.records", inert.records, limits::MAX_INERT_RECORDS)?,
                more: inert.more,
            },
            Kind::Push(push) => Self::Push(field::items("PushResponse.acks", push.acks, limits::MAX_PUSH_ENVELOPES)?),
            Kind::Blocks(blocks) => {
                field::count("BlocksResponse.blocks", &blocks.blocks, limits::MAX_BLOCK_CIDS)?;
                field::blocks("BlocksResponse.blocks", &blocks.blocks)?;
                Self::Blocks { blocks: blocks.blocks, more: blocks.more }
            }
            Kind::Invite(invite) => Self::Invite(invite.try_into()?),
            Kind::Refusal(refusal) => Self::Refusal(refusal.try_into()?),
        })
    }
}

impl From<Response> for pb::Response {
    fn from(response: Response) -> Self {
        use pb::response::Kind;
        let kind = match response {
            Response::Proofs(proofs) => {
                Kind::Proofs(pb::Proofs { proofs: proofs.into_iter().map(Into::into).collect() })
            }
            Response::Edges(opened) => {
                Kind::Edges(pb::EdgesResponse { opened: opened.into_iter().map(Into::into).collect() })
            }
            Response::Heads { heads, more } => {
                Kind::Heads(pb::HeadsResponse { heads: heads.into_iter().map(Into::into).collect(), more })
            }
            Response::Records { envelope, more } => {
                Kind::Records(pb::RecordsResponse { envelope: envelope.map(|envelope| (*envelope).into()), more })
            }
            Response::Inert { records, more } => {
                Kind::Inert(pb::InertResponse { records: records.into_iter().map(Into::into).collect(), more })
            }
            Response::Push(acks) => Kind::Push(pb::PushResponse { acks: acks.into_iter().map(Into::into).collect() }),
            Response::Blocks { blocks, more } => Kind::Blocks(pb::BlocksResponse { blocks, more }),
            Response::Invite(answer) => Kind::Invite(answer.into()),
            Response::Refusal(refusal) => Kind::Refusal(refusal.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::inert_response::Record> for InertRecord {
    type Error = Error;

    fn try_from(inert: pb::inert_response::Record) -> Result<Self, Error> {
        field::length("Record.record", &inert.record, limits::MIN_SEALED_BYTES, limits::MAX_RECORD_BYTES)?;
        Ok(Self { key_id: field::key("Record.key_id", &inert.key_id)?, record: inert.record })
    }
}

impl From<InertRecord> for pb::inert_response::Record {
    fn from(inert: InertRecord) -> Self {
        Self { key_id: field::bytes(inert.key_id.as_bytes()), record: inert.record }
    }
}

impl TryFrom<pb::push_response::Ack> for Ack {
    type Error = Error;

    fn try_from(ack: pb::push_response::Ack) -> Result<Self, Error> {
        Ok(Self {
            topic: field::topic("Ack.topic", &ack.topic)?,
            log: field::log("Ack.log", &ack.log)?,
            counter: ack.counter,
            busy: ack.busy,
        })
    }
}

impl From<Ack> for pb::push_response::Ack {
    fn from(ack: Ack) -> Self {
        Self {
            topic: field::bytes(ack.topic.as_bytes()),
            log: field::bytes(ack.log.to_bytes()),
            counter: ack.counter,
            busy: ack.busy,
        }
    }
}

impl TryFrom<pb::Refusal> for Refusal {
    type Error = Error;

    fn try_from(refusal: pb::Refusal) -> Result<Self, Error> {
        use pb::refusal::Code;
        match Code::try_from(refusal.code) {
            Ok(Code::Unknown) => Ok(Self::Unknown),
            Ok(Code::Busy) => Ok(Self::Busy),
            Ok(Code::Malformed) => Ok(Self::Malformed),
            Ok(Code::Internal) => Ok(Self::Internal),
            Ok(Code::Full) => Ok(Self::Full),
            Ok(Code::TooFast) => Ok(Self::TooFast),
            Ok(Code::Unspecified) | Err(_) => Err(Error::Unknown { field: "Refusal.code", value: refusal.code.into() }),
        }
    }
}

impl From<Refusal> for pb::Refusal {
    fn from(refusal: Refusal) -> Self {
        use pb::refusal::Code;
        let code = match refusal {
            Refusal::Unknown => Code::Unknown,
            Refusal::Busy => Code::Busy,
            Refusal::Malformed => Code::Malformed,
            Refusal::Internal => Code::Internal,
            Refusal::Full => Code::Full,
            Refusal::TooFast => Code::TooFast,
        };
        Self { code: code.into() }
    }
}

use std::fmt;

use bytes::Bytes;
use prost::Message;

use super::{Envelope, Error, Node, Proof, error::check_frame, field, limits, pb, shape};
use crate::{Cid, LogId, TopicId};

/// What one node asks another; each has its counterpart in [`Response`](super::Response).
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Proofs of access to many threads at once.
    Proofs(Vec<Proof>),
    /// Which of the threads that both have proven differ.
    Edges(Vec<Node>),
    /// The heads of a thread's logs.
    Heads {
        /// The thread's topic.
        topic: TopicId,
        /// Last log of the page before.
        after: Option<LogId>,
    },
    /// Records of a log.
    Records {
        /// The thread's topic.
        topic: TopicId,
        /// The log.
        log: LogId,
        /// Counter after which they begin; 0 from the start.
        after: u64,
        /// Last counter that is wanted; above `after`.
        until: u64,
    },
    /// Inert records of a forked log.
    Inert {
        /// The thread's topic.
        topic: TopicId,
        /// The log.
        log: LogId,
        /// Counter and CID of the last record of the page before.
        after: Option<(u64, Cid)>,
    },
    /// New records, unasked.
    Push(Vec<Envelope>),
    /// Blocks of a thread.
    Blocks {
        /// The thread's topic.
        topic: TopicId,
        /// Which, in the order in which they are wanted.
        cids: Vec<Cid>,
    },
    /// An invitation to follow a thread, or what is said of one afterwards.
    Invite {
        /// An [`Invitation`](crate::invitation::Invitation), sealed to the recipient's node key.
        sealed: Bytes,
    },
}

impl Request {
    /// The request's bytes, without a length before them.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if it does not fit into a frame. Counts are the caller's care: a peer refuses too many items.
    pub fn encode(self) -> Result<Bytes, Error> {
        let message = pb::Request::from(self);
        check_frame(message.encoded_len())?;
        Ok(message.encode_to_vec().into())
    }

    /// Reads a request; its byte fields are slices of `frame`.
    ///
    /// # Errors
    ///
    /// [`Error`] names the field and what is wrong with it.
    pub fn decode(frame: Bytes) -> Result<Self, Error> {
        check_frame(frame.len())?;
        shape::check(&shape::REQUEST, &frame)?;
        pb::Request::decode(frame).map_err(|source| Error::Protobuf(Some(source)))?.try_into()
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
            Self::Invite { .. } => "invite",
        }
    }
}

// By hand, because of the invite: contents do not belong into logs, sealed or not.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proofs(proofs) => f.debug_tuple("Proofs").field(proofs).finish(),
            Self::Edges(nodes) => f.debug_tuple("Edges").field(nodes).finish(),
            Self::Heads { topic, after } => {
                f.debug_struct("Heads").field("topic", topic).field("after", after).finish()
            }
            Self::Records { topic, log, after, until } => f
                .debug_struct("Records")
                .field("topic", topic)
                .field("log", log)
                .field("after", after)
                .field("until", until)
                .finish(),
            Self::Inert { topic, log, after } => {
                f.debug_struct("Inert").field("topic", topic).field("log", log).field("after", after).finish()
            }
            Self::Push(envelopes) => f.debug_tuple("Push").field(envelopes).finish(),
            Self::Blocks { topic, cids } => f.debug_struct("Blocks").field("topic", topic).field("cids", cids).finish(),
            Self::Invite { sealed } => f.debug_struct("Invite").field("bytes", &sealed.len()).finish(),
        }
    }
}

impl TryFrom<pb::Request> for Request {
    type Error = Error;

    fn try_from(request: pb::Request) -> Result<Self, Error> {
        use pb::request::Kind;
        Ok(match request.kind.ok_or(Error::Missing { field: "Request.kind" })? {
            Kind::Proofs(proofs) => Self::Proofs(field::items("Proofs.proofs", proofs.proofs, limits::MAX_PROOFS)?),
            Kind::Edges(edges) => Self::Edges(field::items("EdgesRequest.nodes", edges.nodes, limits::MAX_EDGE_NODES)?),
            Kind::Heads(heads) => heads.try_into()?,
            Kind::Records(records) => records.try_into()?,
            Kind::Inert(inert) => inert.try_into()?,
            Kind::Push(push) => {
                Self::Push(field::items("PushRequest.envelopes", push.envelopes, limits::MAX_PUSH_ENVELOPES)?)
            }
            Kind::Blocks(blocks) => blocks.try_into()?,
            Kind::Invite(invite) => {
                field::length("InviteRequest.sealed", &invite.sealed, 1, limits::MAX_INVITE_BYTES)?;
                Self::Invite { sealed: invite.sealed }
            }
        })
    }
}

impl TryFrom<pb::HeadsRequest> for Request {
    type Error = Error;

    fn try_from(request: pb::HeadsRequest) -> Result<Self, Error> {
        let after = match request.after.is_empty() {
            true => None,
            false => Some(field::log("HeadsRequest.after", &request.after)?),
        };
        Ok(Self::Heads { topic: field::topic("HeadsRequest.topic", &request.topic)?, after })
    }
}

impl TryFrom<pb::RecordsRequest> for Request {
    type Error = Error;

    fn try_from(request: pb::RecordsRequest) -> Result<Self, Error> {
        if request.until <= request.after {
            return Err(Error::Invalid { field: "RecordsRequest.until", reason: "not above `after`" });
        }
        Ok(Self::Records {
            topic: field::topic("RecordsRequest.topic", &request.topic)?,
            log: field::log("RecordsRequest.log", &request.log)?,
            after: request.after,
            until: request.until,
        })
    }
}

impl TryFrom<pb::InertRequest> for Request {
    type Error = Error;

    fn try_from(request: pb::InertRequest) -> Result<Self, Error> {
        let after = match (request.after_counter, request.after_cid.is_empty()) {
            (0, true) => None,
            (counter, _) => Some((
                field::counter("InertRequest.after_counter", counter)?,
                field::cid("InertRequest.after_cid", &request.after_cid)?,
            )),
        };
        Ok(Self::Inert {
            topic: field::topic("InertRequest.topic", &request.topic)?,
            log: field::log("InertRequest.log", &request.log)?,
            after,
        })
    }
}

impl TryFrom<pb::BlocksRequest> for Request {
    type Error = Error;

    fn try_from(request: pb::BlocksRequest) -> Result<Self, Error> {
        field::count("BlocksRequest.cids", &request.cids, limits::MAX_BLOCK_CIDS)?;
        let cids = request.cids.iter().map(|cid| field::cid("BlocksRequest.cids", cid)).collect::<Result<_, _>>()?;
        Ok(Self::Blocks { topic: field::topic("BlocksRequest.topic", &request.topic)?, cids })
    }
}

impl From<Request> for pb::Request {
    fn from(request: Request) -> Self {
        use pb::request::Kind;
        let kind = match request {
            Request::Proofs(proofs) => {
                Kind::Proofs(pb::Proofs { proofs: proofs.into_iter().map(Into::into).collect() })
            }
            Request::Edges(nodes) => {
                Kind::Edges(pb::EdgesRequest { nodes: nodes.into_iter().map(Into::into).collect() })
            }
            Request::Heads { topic, after } => Kind::Heads(pb::HeadsRequest {
                topic: field::bytes(topic.as_bytes()),
                after: after.map(|log| field::bytes(log.to_bytes())).unwrap_or_default(),
            }),
            Request::Records { topic, log, after, until } => Kind::Records(pb::RecordsRequest {
                topic: field::bytes(topic.as_bytes()),
                log: field::bytes(log.to_bytes()),
                after,
                until,
            }),
            Request::Inert { topic, log, after } => Kind::Inert(pb::InertRequest {
                topic: field::bytes(topic.as_bytes()),
                log: field::bytes(log.to_bytes()),
                after_counter: after.map(|(counter, _)| counter).unwrap_or_default(),
                after_cid: after.map(|(_, cid)| cid.to_bytes().into()).unwrap_or_default(),
            }),
            Request::Push(envelopes) => {
                Kind::Push(pb::PushRequest { envelopes: envelopes.into_iter().map(Into::into).collect() })
            }
            Request::Blocks { topic, cids } => Kind::Blocks(pb::BlocksRequest {
                topic: field::bytes(topic.as_bytes()),
                cids: cids.iter().map(|cid| cid.to_bytes().into()).collect(),
            }),
            Request::Invite { sealed } => Kind::Invite(pb::InviteRequest { sealed }),
        };
        Self { kind: Some(kind) }
    }
}

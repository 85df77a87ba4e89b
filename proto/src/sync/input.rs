//! All that can happen to the engine.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cid::Cid;

use super::{
    effect::{BatchId, Durability, GossipId, InboundId, RequestId},
    follow::Following,
    log::Writer,
    state::{Head, LogState, ThreadState},
    verify::{Ticket, Verified},
};
use crate::{
    PeerId,
    body::SealedBody,
    event::Kind,
    id::{LogId, ThreadId, TopicId},
    record::Control,
    wire::{Request, Response},
};

/// The time at which something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since some start; never runs back. Deadlines are in this time.
    pub monotonic: Duration,
    /// Wall clock, milliseconds since 1970.
    pub wall_millis: u64,
}

/// An event to be appended to an own log.
#[derive(Debug)]
pub struct Append {
    /// Names the request in its answer; 0 wants none.
    pub request: RequestId,
    /// The thread.
    pub thread: ThreadId,
    /// The own log; the first one if none is named.
    pub log: Option<LogId>,
    /// What for.
    pub kind: Kind,
    /// The sealed body; none for control events.
    pub body: Option<SealedBody>,
    /// An item for followers.
    pub control: Option<Control>,
    /// When to answer.
    pub durability: Durability,
}

/// Why a request to a peer got no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection, or it broke.
    Disconnected,
    /// No answer in time.
    Timeout,
    /// The answer did not decode; the peer has been scored for it.
    Malformed,
    /// The own network had no room for the request.
    Busy,
}

/// What the store found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// CIDs of the main chain, by counter.
    Cids(Vec<Head>),
    /// Count of inert records, and XOR of the SHA-256 of their CIDs.
    Inert {
        /// How many.
        count: u64,
        /// The digest.
        digest: [u8; 32],
    },
    /// Wanted blocks; for a manifest the log whose key opens it.
    Wants(Vec<(Cid, Option<LogId>)>),
    /// The store failed.
    Failed(String),
}

/// Something that happens.
#[derive(Debug)]
pub enum Input {
    /// A thread that the store holds, at start.
    Known {
        /// The thread.
        thread: ThreadId,
        /// Its state.
        state: Arc<ThreadState>,
        /// Its logs, to compute the edge from; they are not kept in memory until needed.
        logs: Vec<(LogId, LogState)>,
    },
    /// Create or join a thread, or add keys to one that is here.
    Join {
        /// Names the request.
        request: RequestId,
        /// The thread.
        thread: ThreadId,
        /// Its state.
        state: ThreadState,
    },
    /// Remove a thread.
    Leave {
        /// Names the request.
        request: RequestId,
        /// The thread.
        thread: ThreadId,
    },
    /// One more log of a thread is written here.
    Writer {
        /// The thread.
        thread: ThreadId,
        /// What it takes to write it.
        writer: Box<Writer>,
    },
    /// Append an event.
    Append(Box<Append>),
    /// Store the blocks of a large body before its event is appended.
    Store {
        /// Names the request.
        request: RequestId,
        /// The thread.
        thread: ThreadId,
        /// CIDs and sealed blocks, each with the chunks that it lists.
        blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
    },
    /// Drop blocks of a thread that no record needs any more, as somebody has found out who saw the logs at these counters. Refused as busy where they have moved
    /// since: a newer record may link to one of the blocks.
    DropBlocks {
        /// Names the request.
        request: RequestId,
        /// The thread.
        thread: ThreadId,
        /// Which.
        cids: Vec<Cid>,
        /// The logs that have records, by id, and their heads.
        heads: Vec<(LogId, u64)>,
    },
    /// Ask all peers of a thread now, and answer when done.
    Sync {
        /// Names the request.
        request: RequestId,
        /// The thread.
        thread: ThreadId,
    },
    /// A thread's logs were read.
    Loaded {
        /// The thread.
        thread: ThreadId,
        /// Its logs, or why they could not be read.
        logs: Result<Vec<(LogId, LogState)>, String>,
        /// The logs that this node may write, if it has the keys for it.
        writers: Vec<Writer>,
    },
    /// All batches up to this one are written, or even synced.
    Committed {
        /// The newest.
        through: BatchId,
        /// Whether they survive a power cut.
        synced: bool,
    },
    /// This batch and all after it were not applied.
    CommitFailed {
        /// The oldest that failed.
        from: BatchId,
        /// What the store says.
        error: String,
    },
    /// The answer to a lookup.
    Found {
        /// Which.
        request: RequestId,
        /// What was found.
        found: Found,
    },
    /// A verification is done.
    Verified {
        /// Which.
        ticket: Ticket,
        /// The result.
        result: Verified,
    },
    /// A thread is followed for others on these terms, or not any more.
    Following {
        /// The thread.
        thread: ThreadId,
        /// The terms.
        following: Option<Following>,
    },
    /// Deliver an invitation to a peer.
    Invite {
        /// Names the request.
        request: RequestId,
        /// To whom.
        peer: PeerId,
        /// The sealed invitation.
        sealed: Bytes,
    },
    /// The first connection to a peer is up.
    PeerConnected {
        /// Who.
        peer: PeerId,
    },
    /// The last connection to a peer is down.
    PeerGone {
        /// Who.
        peer: PeerId,
    },
    /// A peer asks.
    Request {
        /// Who.
        peer: PeerId,
        /// Names the request in its answer.
        inbound: InboundId,
        /// What.
        body: Request,
    },
    /// A peer answers, or does not.
    Response {
        /// Which request.
        request: RequestId,
        /// What came.
        result: Result<Response, Failure>,
    },
    /// Something was published.
    Gossip {
        /// Names the message in its verdict.
        gossip: GossipId,
        /// Who forwarded it.
        source: PeerId,
        /// The topic.
        topic: TopicId,
        /// Sealed bytes.
        data: Bytes,
    },
    /// A deadline has passed.
    Tick,
}

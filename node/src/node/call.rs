//! What the engine's task is asked by the rest of the node.

use bytes::Bytes;
use spool_proto::{
    Cid, LogId, PeerId, ThreadId,
    sync::{
        Append, AppendError, Engine, Following, Found, Input, LogState, Outcome, RequestId, ThreadState, Ticket,
        Verified, Writer,
    },
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// The answer to a call.
pub(super) type Answer = Result<Outcome, AppendError>;

/// A call of a handle.
pub(super) enum Call {
    /// Append an event. The permit is for its bytes, and is given back with the answer.
    Append { append: Box<Append>, permit: OwnedSemaphorePermit, answer: oneshot::Sender<Answer> },
    /// Join, create or upgrade a thread.
    Join { thread: ThreadId, state: Box<ThreadState>, answer: oneshot::Sender<Answer> },
    /// One more log is written here.
    Writer { thread: ThreadId, writer: Box<Writer> },
    /// Remove a thread.
    Leave { thread: ThreadId, answer: oneshot::Sender<Answer> },
    /// Store blocks of a large body.
    Store { thread: ThreadId, blocks: Vec<(Cid, Bytes, Vec<Cid>)>, answer: oneshot::Sender<Answer> },
    /// A thread is followed for others on these terms, or not any more.
    Following { thread: ThreadId, following: Option<Following> },
    /// Deliver an invitation.
    Invite { peer: PeerId, sealed: Bytes, answer: oneshot::Sender<Answer> },
    /// Drop blocks of a thread, if its logs are where they were.
    DropBlocks { thread: ThreadId, cids: Vec<Cid>, heads: Vec<(LogId, u64)>, answer: oneshot::Sender<Answer> },
    /// Ask all peers of a thread.
    Sync { thread: ThreadId, answer: oneshot::Sender<Answer> },
    /// Look at the engine.
    Inspect(Box<dyn FnOnce(&mut Engine) + Send>),
    /// What somebody in this process says as a peer.
    Input(Box<Input>),
    /// The device id has changed: logs that were opened with the old one are no longer written.
    NewDevice,
    /// End.
    Stop(oneshot::Sender<()>),
}

/// What was worked out elsewhere for the engine.
pub(super) enum Done {
    Verified { ticket: Ticket, result: Verified },
    Found { request: RequestId, found: Found },
    Loaded { thread: ThreadId, logs: Result<Vec<(LogId, LogState)>, String>, writers: Vec<Writer> },
}

/// News of a thread, for subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) thread: ThreadId,
    pub(super) what: Arrived,
}

/// What has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Records of a log, or a fork of it.
    Records(LogId),
    /// Blocks.
    Blocks,
}

/// A peer's points for each kind of misbehaviour: 100 are a ban.
pub(super) fn points(what: spool_proto::sync::Misbehaviour) -> (u32, &'static str) {
    use spool_proto::sync::Misbehaviour as M;
    match what {
        M::InvalidRecord => (40, "sent an invalid record"),
        M::BrokenChain => (40, "sent a record whose links do not fit its log"),
        M::UnadmittedLog => (25, "sent a log that nobody admitted"),
        M::InvalidData => (25, "sent data that does not decode or was not asked for"),
        M::InvalidEnvelope => (40, "sent an envelope with a false signature"),
        M::FalseHeads => (5, "announced records that it does not have"),
        M::NoProof => (5, "asked for a thread without proof of access"),
        M::WrongProof => (10, "showed a wrong proof of access"),
        M::WrongAnswer => (15, "answered something else than was asked"),
    }
}

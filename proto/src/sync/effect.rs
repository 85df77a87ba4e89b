//! All that the engine can ask for, as one ordered list.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use super::{
    input::Failure,
    state::{Head, LogState, ThreadState},
    verify::{Job, Ticket},
};
use crate::{
    PeerId,
    clock::Time,
    id::{LogId, ThreadId, TopicId},
    record::VerifiedRecord,
    wire::{InviteAnswer, Request, Response, Role},
};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);
    };
}
number!(
    /// Position of a batch of writes in the engine's order.
    BatchId
);
number!(
    /// Names a request: of the caller of the API, or to a peer.
    RequestId
);
number!(
    /// Names a peer's request that waits for its response.
    InboundId
);
number!(
    /// Names a gossip message that waits for its verdict.
    GossipId
);

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// After it was synced to disk.
    #[default]
    Sync,
    /// After it was written; a power cut may lose it, a crash of the process does not. It leaves the node only once it is synced.
    Relaxed,
}

/// One change of the store. Those of one effect are committed together or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// Create or replace a thread's entry.
    Thread {
        /// The thread.
        thread: ThreadId,
        /// Its state.
        state: Arc<ThreadState>,
    },
    /// Remove a thread with its logs and the blocks that no other thread has.
    RemoveThread {
        /// The thread.
        thread: ThreadId,
    },
    /// Replace a log's state; of several in one commit the last counts.
    Log {
        /// The thread.
        thread: ThreadId,
        /// The log.
        log: LogId,
        /// Its state.
        state: Arc<LogState>,
    },
    /// Append a record to its log's main chain, index it by CID, and want those of its links that are not here.
    Record {
        /// The record; it names thread and log.
        record: Arc<VerifiedRecord>,
    },
    /// Keep a record beside the main chain of its forked log.
    Inert {
        /// The record; it names thread and log.
        record: Arc<VerifiedRecord>,
    },
    /// Keep a block for a thread. It is no longer wanted; the blocks that it links to are, unless they are here.
    Block {
        /// The thread.
        thread: ThreadId,
        /// Its CID.
        cid: Cid,
        /// The sealed block.
        bytes: Bytes,
        /// Chunks that it lists, if it is a manifest.
        links: Vec<Cid>,
    },
    /// Let go of blocks of a thread: it neither has nor wants them any more. They are deleted unless another thread has them.
    DropBlocks {
        /// The thread.
        thread: ThreadId,
        /// Which.
        cids: Vec<Cid>,
    },
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The log that it went to.
    pub log: LogId,
    /// Counter and CID of the record.
    pub head: Head,
    /// Time of the event.
    pub time: Time,
}

/// The answer to a request of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The event is in the log.
    Appended(Receipt),
    /// The thread is there, with these keys.
    Joined,
    /// The thread is gone.
    Left,
    /// The blocks are stored.
    Stored,
    /// The peer has answered an invitation, or could not.
    Invited(Result<InviteAnswer, Failure>),
    /// All peers at hand were asked, and what they had is here or failed.
    Synced {
        /// How many peers answered.
        peers: usize,
        /// How many could not be asked or failed.
        failed: usize,
    },
}

/// Why the engine refuses a request of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such thread here.
    #[error("thread not found")]
    ThreadNotFound,
    /// The node holds no key to write with.
    #[error(
        "this node holds no read key of the thread, so it cannot write; join with a ticket made by `thread share --read`"
    )]
    CannotWrite,
    /// Somebody else, or a copy of this repo, wrote to the log too.
    #[error(
        "the log was forked at record {0}: another installation wrote with the same keys (a restored backup or a copied repo); \
         take a new device id with `spool id --new-device`, then append again"
    )]
    Forked(u64),
    /// Peers have records of this log that are not here.
    #[error(
        "peers hold record {0} of this log, which this node never wrote: it was restored from an older copy; \
         take a new device id with `spool id --new-device`, then append again"
    )]
    RolledBack(u64),
    /// The log was ended.
    #[error("the log was retired")]
    Retired,
    /// The record would exceed its limit.
    #[error("{0}")]
    TooLarge(String),
    /// Keys that contradict those here.
    #[error("{0}")]
    Keys(String),
    /// Too much is under way.
    #[error("the node is busy: too many appends are waiting for the disk; try again")]
    Busy,
    /// The store failed; nothing was acknowledged.
    #[error("the store failed: {0}")]
    Store(String),
}

/// What happens to a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Forward it.
    Accept,
    /// Drop it; whoever sent it is scored.
    Reject,
    /// Drop it; nobody is to blame.
    Ignore,
}

/// What a peer did that no correct peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Misbehaviour {
    /// Sent a record that is invalid on its own: seal, encoding, form or signature.
    InvalidRecord,
    /// Sent a record whose links do not fit the log.
    BrokenChain,
    /// Sent a log that nobody admitted.
    UnadmittedLog,
    /// Sent bytes that do not have the CID asked for, or do not decode.
    InvalidData,
    /// The signature of an envelope is not its sender's.
    InvalidEnvelope,
    /// Announced records that it then did not have.
    FalseHeads,
    /// Asked for a thread without having proven access.
    NoProof,
    /// Showed a proof that is wrong.
    WrongProof,
    /// Answered with something that was not asked.
    WrongAnswer,
}

/// What the store is asked to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The CIDs of a log's main chain from one counter to another, both included.
    Cids {
        /// The log.
        log: LogId,
        /// First counter.
        from: u64,
        /// Last counter.
        until: u64,
    },
    /// Count and digest of the inert records of a log that is forked at this counter.
    Inert {
        /// The log.
        log: LogId,
        /// The fork's counter.
        fork: u64,
    },
    /// Blocks that the thread wants, the first few.
    Wants,
}

/// What the node reads from its store and sends to a peer without troubling the engine again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    /// A page of records, as one signed envelope.
    Records {
        /// The thread.
        thread: ThreadId,
        /// Its topic.
        topic: TopicId,
        /// The log.
        log: LogId,
        /// Counter after which to begin.
        after: u64,
        /// Last counter to send.
        until: u64,
    },
    /// A page of inert records.
    Inert {
        /// The thread.
        thread: ThreadId,
        /// The log.
        log: LogId,
        /// The fork's counter.
        fork: u64,
        /// Last of the page before.
        after: Option<(u64, Cid)>,
    },
    /// Blocks of the thread, as many as fit.
    Blocks {
        /// The thread.
        thread: ThreadId,
        /// Which.
        cids: Vec<Cid>,
    },
}

/// Something that the engine asks for.
#[derive(Debug)]
pub enum Effect {
    /// Commit these writes together, after all earlier batches; report with `Committed` or `CommitFailed`.
    Persist {
        /// Position in the order.
        batch: BatchId,
        /// When it may be acknowledged.
        durability: Durability,
        /// The changes.
        writes: Vec<Write>,
    },
    /// Take commits again after a failed one. What came after the failed batch was dropped by the store.
    Resume,
    /// Answer a request of the API.
    Reply {
        /// Which.
        request: RequestId,
        /// The answer.
        result: Result<Outcome, AppendError>,
    },
    /// Check signatures and seals in the pool; report with `Verified`.
    Verify {
        /// Names the job.
        ticket: Ticket,
        /// The job.
        job: Box<Job>,
    },
    /// Send a request to a connected peer; report with `Response`.
    Send {
        /// To whom.
        peer: PeerId,
        /// Names the request.
        request: RequestId,
        /// What.
        body: Request,
    },
    /// Answer a peer's request.
    Respond {
        /// Which.
        inbound: InboundId,
        /// The answer.
        response: Response,
    },
    /// Read from the store and answer a peer's request with it.
    Serve {
        /// Which.
        inbound: InboundId,
        /// What to read.
        query: Serve,
    },
    /// Publish to a topic.
    Publish {
        /// The topic.
        topic: TopicId,
        /// Sealed bytes.
        data: Bytes,
    },
    /// Tell gossip what to do with a message; exactly once for each.
    Judge {
        /// Which.
        gossip: GossipId,
        /// The verdict.
        verdict: Verdict,
    },
    /// A peer misbehaved.
    Penalize {
        /// Who.
        peer: PeerId,
        /// How.
        what: Misbehaviour,
    },
    /// Find something in the store; report with `Found`.
    Lookup {
        /// The thread.
        thread: ThreadId,
        /// What.
        lookup: Lookup,
        /// Names the question.
        request: RequestId,
    },
    /// Read a thread's logs from the store, after all earlier batches; report with `Loaded`.
    Load {
        /// The thread.
        thread: ThreadId,
    },
    /// Join a gossip topic.
    Subscribe {
        /// The topic.
        topic: TopicId,
    },
    /// Leave a gossip topic.
    Unsubscribe {
        /// The topic.
        topic: TopicId,
    },
    /// Tell the DHT that this node has the thread.
    Provide {
        /// The DHT key.
        key: [u8; 32],
    },
    /// More peers of the thread are wanted: dial known addresses, ask the DHT.
    FindPeers {
        /// The thread.
        thread: ThreadId,
        /// The DHT key.
        key: [u8; 32],
    },
    /// A log has new durable records, or its records became inert: subscribers and the database may look.
    Wake {
        /// The thread.
        thread: ThreadId,
        /// The log.
        log: LogId,
        /// The newest record that counts.
        counter: u64,
    },
    /// Blocks that a thread wanted have arrived.
    BlocksArrived {
        /// The thread.
        thread: ThreadId,
    },
    /// A writer announced where it can be reached.
    Addresses {
        /// The thread.
        thread: ThreadId,
        /// The writer's log.
        log: LogId,
        /// Binary multiaddrs.
        addresses: Vec<serde_bytes::ByteBuf>,
    },
    /// Two valid records of one log with one counter were found.
    ForkFound {
        /// The thread.
        thread: ThreadId,
        /// The log.
        log: LogId,
        /// The lowest such counter.
        counter: u64,
    },
    /// An invitation has arrived: answer it with [`Response::Invite`].
    Invited {
        /// From which node.
        peer: PeerId,
        /// The request that waits for the answer.
        inbound: InboundId,
        /// The sealed invitation.
        sealed: Bytes,
    },
    /// A connected peer shares a thread: it was not known to since it connected.
    Met {
        /// The thread.
        thread: ThreadId,
        /// Who.
        peer: PeerId,
        /// The part that it says it plays.
        role: Role,
    },
    /// A peer has said itself how far it has logs of a thread. Whoever says so has them on disk.
    Acknowledged {
        /// The thread.
        thread: ThreadId,
        /// Who.
        peer: PeerId,
        /// Logs and the counters of their newest records there.
        heads: Vec<(LogId, u64)>,
    },
}

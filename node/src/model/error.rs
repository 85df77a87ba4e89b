//! What can go wrong in a node, by who has to act.

use spool_db::transaction::Kind;
use spool_proto::id::Variant;
use spool_proto::wire::Declined;
use spool_proto::{Cid, LogId, Multiaddr, PeerId, ThreadId};

/// The source of a failure of the node's own parts.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a node did not do what it was asked.
///
/// Messages say what was wrong and what to do; [`Error::kind`] says who should act, and [`Error::reason`] is the stable name for
/// programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such thread in this node.
    #[error("no thread {0} here; `spool thread ls` lists those that are, `spool thread join` adds one")]
    ThreadNotFound(ThreadId),
    /// The thread has no such log, or none is known here yet.
    #[error("no log {log} in thread {thread}; `spool thread show` lists its logs, `spool sync` asks for new ones")]
    LogNotFound {
        /// The thread.
        thread: ThreadId,
        /// The log that was asked for.
        log: LogId,
    },
    /// Neither a record nor a block with this CID is stored here.
    #[error("{0} is neither a record nor a body of a thread in this node")]
    ObjectNotFound(Cid),
    /// The record is here and its body is not (yet): no peer that has it was reachable so far.
    #[error("the body {0} has not arrived yet; run `spool sync` while a peer that has it is online")]
    BodyMissing(Cid),
    /// The thread is here already.
    #[error("thread {0} is here already, with the same keys or more")]
    ThreadExists(ThreadId),
    /// The node lacks the read key: it follows the thread only.
    #[error(
        "this node only follows thread {0}: it has no read key; ask a reader for a ticket made with `spool thread share --read`"
    )]
    NoReadKey(ThreadId),
    /// The body is sealed to somebody else's identity.
    #[error("the body {0} is sealed to another identity and cannot be opened here")]
    SealedToOther(Cid),
    /// A variant that this version does not create or join.
    #[error("{} threads are refused until access control is enforced; use a raw thread, where whoever can read may write", variant_name(*.0))]
    VariantRefused(Variant),
    /// The own log can take no append: it was forked or retired.
    #[error("this node's log in thread {thread} takes no more appends: {why}; `spool id --new-device` opens a new log")]
    LogClosed {
        /// The thread.
        thread: ThreadId,
        /// What happened to it, such as "it was retired".
        why: String,
    },
    /// The caller's input does not make sense; the message is complete.
    #[error("{0}")]
    Invalid(String),
    /// A ticket does not decode, or cannot be opened by this identity.
    #[error("the ticket is not valid; check that it is whole, or ask for a new one")]
    Ticket(#[source] BoxError),
    /// Larger than a limit.
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// What was too large, with its article: "the event".
        what: &'static str,
        /// Bytes given.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A bounded queue is full; nothing was done.
    #[error("the node is busy ({0}); nothing was done, try again")]
    Busy(&'static str),
    /// No peer of the thread could be reached.
    #[error("no peer of thread {0} is reachable; check `spool peers` and the addresses in `spool thread show`")]
    Unreachable(ThreadId),
    /// A peer that something was to be asked of could not be reached, or did not answer.
    #[error("peer {peer} cannot be asked: {why}")]
    PeerUnreachable {
        /// The peer.
        peer: PeerId,
        /// What was tried.
        why: String,
    },
    /// A peer does not follow a thread that it was asked to follow.
    #[error("peer {peer} does not take the invitation: {why}")]
    Declined {
        /// The peer.
        peer: PeerId,
        /// Its reason.
        why: Declined,
    },
    /// The peer was not asked to follow the thread, or not by this node.
    #[error("peer {0} is no follower of the thread that this node has asked; `spool follower ls` lists them")]
    NotAFollower(PeerId),
    /// A record is in the log, and not yet at as many followers as were waited for.
    #[error(
        "durable on {durable} of {followers} followers, {wanted} were waited for; the event is in the log all the same, and followers get it when they can: \
         see `spool thread status`"
    )]
    NotInTime {
        /// So many have it.
        durable: u32,
        /// Of so many that are known.
        followers: u32,
        /// So many were waited for.
        wanted: u32,
    },
    /// No peer has the home thread of this identity, or none was found.
    #[error(
        "no peer that has your home thread was found within {0} s; name one that follows it: `spool recover --from ADDRESS`"
    )]
    HomeUnreachable(u64),
    /// What is stored here contradicts its own hash or signature.
    #[error("{0} is damaged on this node's disk; `spool verify` finds the extent")]
    Damaged(Cid),
    /// A write or its fsync failed; it is unknown whether it will survive. The node still reads.
    #[error(
        "the disk refused a write, nothing more is written until it works again; free space or check the disk, reading goes on"
    )]
    Storage(#[source] BoxError),
    /// The database refused it, or could not be read.
    #[error(transparent)]
    Database(spool_db::transaction::Error),
    /// A transaction that was open step by step is not any more.
    #[error("the transaction was open for too long and is discarded: begin it again")]
    TransactionEnded,
    /// Whoever asked took so long to read an answer that the rest of it was given up.
    #[error(
        "the answer was read too slowly and is not whole: ask again, and read it at once or in parts (with a limit)"
    )]
    ReadTooSlowly,
    /// An archive of a thread is not taken.
    #[error(transparent)]
    Archive(crate::car::Error),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] crate::repo::Error),
    /// An address at which other nodes were to reach this one is not to be had.
    #[error(
        "the node cannot listen on {address}; another program may have the port, or this machine has no such address: choose another with --listen"
    )]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system says.
        #[source]
        source: BoxError,
    },
    /// The node is shutting down.
    #[error("the node is stopping")]
    Stopping,
    /// A failure of the node's own that no caller can mend.
    #[error("internal failure: {context}")]
    Internal {
        /// What the node was doing.
        context: &'static str,
        /// Why it failed.
        #[source]
        source: BoxError,
    },
}

/// Who has to act on an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller: the input is wrong.
    Invalid,
    /// The caller: it names what is not here.
    NotFound,
    /// The caller: it is here already.
    Exists,
    /// Somebody else: this node may not do it (no key, wrong variant, closed log).
    Refused,
    /// The caller: others have changed what it relies on; it has to read again.
    Conflict,
    /// Time: trying again can help.
    Unavailable,
    /// The operator: stored data is damaged.
    Damaged,
    /// The operator: the disk or the node itself failed.
    Failed,
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ThreadNotFound(_) | Self::LogNotFound { .. } | Self::ObjectNotFound(_) | Self::NotAFollower(_) => {
                ErrorKind::NotFound
            }
            Self::Declined { why: Declined::Busy, .. } | Self::PeerUnreachable { .. } | Self::NotInTime { .. } => {
                ErrorKind::Unavailable
            }
            Self::Declined { .. } => ErrorKind::Refused,
            Self::ThreadExists(_) => ErrorKind::Exists,
            Self::NoReadKey(_) | Self::SealedToOther(_) | Self::VariantRefused(_) | Self::LogClosed { .. } => {
                ErrorKind::Refused
            }
            Self::Invalid(_) | Self::Ticket(_) | Self::TooLarge { .. } => ErrorKind::Invalid,
            Self::BodyMissing(_)
            | Self::Busy(_)
            | Self::Unreachable(_)
            | Self::HomeUnreachable(_)
            | Self::ReadTooSlowly
            | Self::Stopping => ErrorKind::Unavailable,
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::Storage(_) | Self::Listen { .. } | Self::Internal { .. } => ErrorKind::Failed,
            Self::TransactionEnded => ErrorKind::Refused,
            Self::Repository(error) => error.kind(),
            Self::Archive(crate::car::Error::Io(_)) => ErrorKind::Failed,
            Self::Archive(_) => ErrorKind::Invalid,
            Self::Database(error) => match error.kind() {
                Kind::Invalid => ErrorKind::Invalid,
                Kind::NotFound => ErrorKind::NotFound,
                Kind::Exists => ErrorKind::Exists,
                Kind::Conflict | Kind::Stale => ErrorKind::Conflict,
                Kind::Refused => ErrorKind::Refused,
                Kind::Failed => ErrorKind::Failed,
            },
        }
    }

    /// A stable name for programs, in kebab case.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ThreadNotFound(_) => "thread-not-found",
            Self::LogNotFound { .. } => "log-not-found",
            Self::ObjectNotFound(_) => "object-not-found",
            Self::BodyMissing(_) => "body-missing",
            Self::ThreadExists(_) => "thread-exists",
            Self::NoReadKey(_) => "no-read-key",
            Self::SealedToOther(_) => "sealed-to-other",
            Self::VariantRefused(_) => "variant-refused",
            Self::LogClosed { .. } => "log-closed",
            Self::Invalid(_) => "invalid",
            Self::Ticket(_) => "invalid-ticket",
            Self::TooLarge { .. } => "too-large",
            Self::Busy(_) => "busy",
            Self::Unreachable(_) => "unreachable",
            Self::PeerUnreachable { .. } => "peer-unreachable",
            Self::Declined { why, .. } => why.name(),
            Self::NotAFollower(_) => "follower-not-found",
            Self::NotInTime { .. } => "not-in-time",
            Self::HomeUnreachable(_) => "home-unreachable",
            Self::Damaged(_) => "damaged",
            Self::Storage(_) => "storage",
            Self::Database(error) => error.reason(),
            Self::TransactionEnded => "transaction-ended",
            Self::ReadTooSlowly => "read-too-slowly",
            Self::Repository(error) => error.reason(),
            Self::Archive(_) => "invalid-archive",
            Self::Listen { .. } => "listen",
            Self::Stopping => "stopping",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the node cannot go on and should end with a failure.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Internal { .. })
    }
}

impl From<spool_db::transaction::Error> for Error {
    /// What the node itself had refused is told as such.
    fn from(error: spool_db::transaction::Error) -> Self {
        match error {
            spool_db::transaction::Error::Append(source) => match source.downcast::<Self>() {
                Ok(error) => *error,
                Err(source) => Self::Database(spool_db::transaction::Error::Append(source)),
            },
            error => Self::Database(error),
        }
    }
}

fn variant_name(variant: Variant) -> &'static str {
    match variant {
        Variant::Raw => "raw",
        Variant::AccessControlled => "access-controlled",
    }
}

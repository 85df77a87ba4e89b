//! Reading logs.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
pub use spool_proto::clock::Time;
pub use spool_proto::event::Kind as EventKind;
pub use spool_proto::owner::Author;
use spool_proto::{Cid, IdentityKey, KeyId, LogId, Multiaddr, ThreadId};

/// Which entries of a thread are wanted.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// The thread.
    pub thread: ThreadId,
    /// Only these logs; empty means all. A log that is unknown here is [`Error::LogNotFound`](super::Error::LogNotFound).
    pub logs: Vec<LogId>,
    /// Per log, the last counter that the caller has already; logs that are not named start at their first record.
    pub after: BTreeMap<LogId, u64>,
    /// At most so many entries before the stream ends; never ends a stream that follows.
    pub limit: Option<u64>,
    /// Go on with new entries after those that are stored.
    pub follow: bool,
    /// Open bodies up to so many bytes and put them into the entries; larger ones come as [`Body::Large`]. 0: none.
    pub max_body: usize,
}

/// One step of a log stream.
#[derive(Debug, Clone)]
pub enum LogItem {
    /// An entry. Stored ones come in the order (time, log, counter) as far as they can be read, else (log, counter); live ones as they
    /// arrive. Within one log always by counter.
    Entry(Box<Entry>),
    /// Everything that was stored when the query began has been sent. Once, also when not following.
    CaughtUp,
}

/// One record, and the event in it where the node can read it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The log.
    pub log: LogId,
    /// Place in the log, from 1.
    pub counter: u64,
    /// The record's CID.
    pub cid: Cid,
    /// The record before.
    pub prev: Option<Cid>,
    /// The thread key that seals it.
    pub key_id: KeyId,
    /// Bytes of the sealed record.
    pub size: u64,
    /// Blocks of the body.
    pub links: Vec<Cid>,
    /// What followers need to see as well.
    pub control: Option<Control>,
    /// After a proven fork of its log, or at a time that is not above its predecessor's: kept and listed, without effect.
    pub inert: bool,
    /// `None`: sealed, this node lacks the read key of its epoch.
    pub event: Option<Event>,
}

/// What a reader sees of a record.
#[derive(Debug, Clone)]
pub struct Event {
    /// Hybrid time.
    pub time: Time,
    /// What it is for.
    pub kind: EventKind,
    /// Who proved to have written it.
    pub author: Option<Author>,
    /// The body.
    pub body: Body,
}

/// The body of an event, as far as it is here and opens. `Debug` shows its size only.
#[derive(Clone)]
pub enum Body {
    /// The event has none.
    None,
    /// Opened and whole.
    Open {
        /// The block or first manifest; `None` where it was inline.
        cid: Option<Cid>,
        /// The plaintext.
        bytes: Bytes,
    },
    /// Larger than the query asked for: read it with `cat`.
    Large {
        /// The block or first manifest; `None` where it is inline.
        cid: Option<Cid>,
        /// Bytes of the plaintext.
        size: u64,
    },
    /// Its blocks have not arrived yet.
    Missing {
        /// The block or first manifest.
        cid: Cid,
        /// Bytes of the plaintext.
        size: u64,
    },
    /// Sealed to this identity, which is not this node's.
    SealedTo {
        /// Who can open it.
        recipient: IdentityKey,
        /// The block or first manifest; `None` where it is inline.
        cid: Option<Cid>,
        /// Bytes of the plaintext.
        size: u64,
    },
    /// Here, and it does not open: the writer sealed something else, or the disk is damaged.
    Broken {
        /// The block or first manifest; `None` where it is inline.
        cid: Option<Cid>,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Open { cid, bytes } => {
                f.debug_struct("Open").field("cid", cid).field("size", &bytes.len()).finish_non_exhaustive()
            }
            Self::Large { cid, size } => f.debug_struct("Large").field("cid", cid).field("size", size).finish(),
            Self::Missing { cid, size } => f.debug_struct("Missing").field("cid", cid).field("size", size).finish(),
            Self::SealedTo { recipient, cid, size } => {
                f.debug_struct("SealedTo").field("recipient", recipient).field("cid", cid).field("size", size).finish()
            }
            Self::Broken { cid } => f.debug_struct("Broken").field("cid", cid).finish(),
        }
    }
}

/// A control item: the part of a record that followers act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The log was admitted to the thread.
    Admission,
    /// Where the log's writer and its followers can be reached.
    Addresses(Vec<Multiaddr>),
    /// A change of key.
    Rekey {
        /// The new epoch's key id.
        key_id: KeyId,
        /// To how many identities it was sealed in this record.
        recipients: u32,
    },
    /// The log ends here.
    Retire,
}

//! Appending.

use spool_proto::{Cid, IdentityKey, LogId, ThreadId};

use super::Time;

/// When an append is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// After fsync: a receipt survives a power cut.
    #[default]
    Sync,
    /// Before fsync: faster, and a power cut can take the last events with it. They never left the node either.
    Relaxed,
}

/// Who can open a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Audience {
    /// Whoever has the thread's read key.
    #[default]
    Readers,
    /// Whoever has the thread's follow key: followers can read this body.
    Public,
    /// The owner of one identity, who also needs the read key to see the event.
    Recipient(IdentityKey),
}

/// How one event is appended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// `None`: what the node's configuration says.
    pub durability: Option<Durability>,
    /// Who can open the body.
    pub audience: Audience,
    /// The client of this node in whose name it is written; `None`: the node's owner.
    pub client: Option<IdentityKey>,
}

/// Proof that an event was appended: where it is now, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The thread.
    pub thread: ThreadId,
    /// This node's log in the thread.
    pub log: LogId,
    /// The record's place in the log, from 1.
    pub counter: u64,
    /// The record's CID.
    pub cid: Cid,
    /// The event's time.
    pub time: Time,
    /// The body's block, or its first manifest; `None` where the body is inline.
    pub body: Option<Cid>,
    /// Bytes of the body before sealing.
    pub size: u64,
}

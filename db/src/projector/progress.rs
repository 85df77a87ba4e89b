//! What a step tells of itself.

use spool_proto::{LogId, clock::Time};

/// How far a view is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// There is more to do at once.
    pub more: bool,
    /// Events that were folded in or taken back.
    pub events: usize,
    /// What is not folded in, and why.
    pub held: Vec<Held>,
    /// Records that are folded in or passed over for good, and records that are here and count.
    pub folded: (u64, u64),
}

/// Records of a log that are not folded in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The log.
    pub log: LogId,
    /// The first of them.
    pub counter: u64,
    /// What they wait for.
    pub why: Why,
}

/// What an event waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its time is too far ahead of the clock here; all later events of the log wait with it.
    Ahead(Time),
    /// The key that opens it; all later events of the log wait with it.
    Key,
    /// Its body has not arrived.
    Body,
}

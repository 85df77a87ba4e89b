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
    /// Records that are folded in, passed over for good or waiting to be judged, and records that are here and count.
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
    /// It is to be judged, and something that its writer had seen is not here, or is not folded in. All later events of the log that are to be judged wait with it.
    Past {
        /// Until when, milliseconds since 1970; then it is judged without that.
        until_millis: u64,
    },
    /// It is to be judged, and nothing here runs rules, or what does has failed; and so is what comes after it.
    Judge,
}

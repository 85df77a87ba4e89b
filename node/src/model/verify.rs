//! Verifying a whole thread.

use std::time::Duration;

use spool_proto::{Cid, LogId, ThreadId};

/// What is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The thread.
    pub thread: ThreadId,
    /// Hash every block of every body as well, and open those that can be opened.
    pub bodies: bool,
}

/// One step of a verification. The stream ends after [`VerifyEvent::Done`]; a fault does not end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyEvent {
    /// Where it stands, at most ten times a second.
    Progress(VerifyProgress),
    /// Something is not as it must be.
    Fault(Fault),
    /// The end.
    Done(VerifyReport),
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Records checked.
    pub records: u64,
    /// Records to check.
    pub total_records: u64,
    /// Blocks checked.
    pub blocks: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The log, where it belongs to one.
    pub log: Option<LogId>,
    /// The record's counter, where it belongs to one.
    pub counter: Option<u64>,
    /// The record or block.
    pub cid: Option<Cid>,
    /// What was found and what was expected, for the user.
    pub detail: String,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The bytes do not hash to their CID.
    Hash,
    /// A record is not there.
    RecordMissing,
    /// A record or event does not open under the key it names, or its nonce is not that of its plaintext.
    Seal,
    /// A plaintext is not canonical or of an unknown version.
    Encoding,
    /// The signature does not verify strictly.
    Signature,
    /// `prev` or `skip` is not the record that it should be.
    Link,
    /// The counter is not one above its predecessor's.
    Counter,
    /// The log is not admitted, or its owner binding is wrong.
    Admission,
    /// The stored head, or an index, is not what the records say.
    Index,
    /// A body's block is there and wrong: hash, size, manifest or seal.
    Body,
    /// What the database has folded is not what the events come to. Folding it anew mends that.
    View,
}

/// What was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Logs.
    pub logs: u64,
    /// Records: each hashed, opened, re-encoded, linked, counted and its signature verified.
    pub records: u64,
    /// Inert records among them.
    pub inert: u64,
    /// Events opened with the read key; 0 for a follower.
    pub events: u64,
    /// Bodies opened whole.
    pub bodies: u64,
    /// Blocks hashed.
    pub blocks: u64,
    /// Blocks that have not arrived: not a fault.
    pub missing_blocks: u64,
    /// Documents, existing or not, that were compared with what their events come to; 0 where no database was asked for.
    pub documents: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Faults found.
    pub faults: u64,
    /// How long it took.
    pub elapsed: Duration,
}

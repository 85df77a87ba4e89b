//! What a projector keeps in its view. All of it begins with a zero; the rest is the reducer's.
//!
//! | key | value |
//! |---|---|
//! | 0 0 | version of the reducer, 8 bytes |
//! | 0 1 ‖ log | cursor |
//! | 0 2 ‖ cited log ‖ counter ‖ digest ‖ citing stamp | nothing; the cited record is not here yet |
//! | 0 3 ‖ stamp | the cited log ‖ counter; the event cites that record, which is later. Nothing: it is not later than the event before it |
//! | 0 4 ‖ log ‖ counter | since when, milliseconds since 1970; the body of the event is not here yet |
//! | 0 5 ‖ log ‖ counter | time ‖ see [`super::rules`]; the event is judged |
//! | 0 6 ‖ log | how far the log's events are judged |
//! | 0 7 ‖ log ‖ counter | what the past of the record has that the one before it has not, see [`super::rules`] |
//! | 0 8 ‖ cited log ‖ counter ‖ log ‖ counter | nothing; the record was judged without what it cites |
//! | 0 9 ‖ log ‖ counter | why the event is denied |

use spool_proto::LogId;

use super::Error;
use crate::Stamp;

pub(super) const VERSION: &[u8] = &[0, 0];
pub(super) const CURSORS: &[u8] = &[0, 1];
pub(super) const AWAITED: &[u8] = &[0, 2];
pub(super) const VOID: &[u8] = &[0, 3];
pub(super) const MISSING: &[u8] = &[0, 4];
pub(super) const JUDGED: &[u8] = &[0, 5];
pub(super) const LOGS: &[u8] = &[0, 6];
pub(super) const PASTS: &[u8] = &[0, 7];
pub(super) const SKIPPED: &[u8] = &[0, 8];
pub(crate) const DENIED: &[u8] = &[0, 9];

pub(super) fn cursor(log: &LogId) -> Vec<u8> {
    [CURSORS, log.public_key()].concat()
}

pub(super) fn awaited_record(log: &[u8; 32], counter: u64, digest: &[u8; 32]) -> Vec<u8> {
    [AWAITED, log, &counter.to_be_bytes(), digest].concat()
}

pub(super) fn awaited(log: &[u8; 32], counter: u64, digest: &[u8; 32], citing: &Stamp) -> Vec<u8> {
    [&awaited_record(log, counter, digest)[..], &citing.to_bytes()].concat()
}

pub(super) fn void(stamp: &Stamp) -> Vec<u8> {
    [VOID, &stamp.to_bytes()].concat()
}

/// What made an event void.
pub(super) fn cited(log: &[u8; 32], counter: u64) -> Vec<u8> {
    [&log[..], &counter.to_be_bytes()].concat()
}

pub(super) fn missing(log: &LogId, counter: u64) -> Vec<u8> {
    [MISSING, log.public_key(), &counter.to_be_bytes()].concat()
}

/// A record in one of the spaces that are sorted by records.
pub(super) fn record(space: &[u8], log: &LogId, counter: u64) -> Vec<u8> {
    [space, log.public_key(), &counter.to_be_bytes()].concat()
}

/// All records of a log in such a space.
pub(super) fn records(space: &[u8], log: &LogId) -> Vec<u8> {
    [space, log.public_key()].concat()
}

pub(super) fn skipped((cited, until): (&LogId, u64), (citing, counter): (&LogId, u64)) -> Vec<u8> {
    [&record(SKIPPED, cited, until)[..], citing.public_key(), &counter.to_be_bytes()].concat()
}

/// The log in the key of a cursor.
pub(super) fn log(key: &[u8]) -> Option<LogId> {
    LogId::from_public_key(key.get(2..34)?.try_into().ok()?).ok()
}

pub(super) fn log_and_counter(key: &[u8]) -> Option<(LogId, u64)> {
    Some((log(key)?, counter(key)?))
}

/// The counter at the end of a key.
pub(super) fn counter(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|counter| u64::from_be_bytes(*counter))
}

/// The stamp at the end of a key.
pub(super) fn stamp(key: &[u8]) -> Option<Stamp> {
    key.last_chunk().map(Stamp::from_bytes)
}

pub(super) fn number(bytes: &[u8]) -> Result<u64, Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged("a number"))
}

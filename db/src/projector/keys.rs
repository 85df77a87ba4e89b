//! What a projector keeps in its view. All of it begins with a zero; the rest is the reducer's.
//!
//! | key | value |
//! |---|---|
//! | 0 0 | version of the reducer, 8 bytes |
//! | 0 1 ‖ log | cursor |
//! | 0 2 ‖ cited log ‖ counter ‖ digest ‖ citing stamp | nothing; the cited record is not here yet |
//! | 0 3 ‖ stamp | the cited log ‖ counter; the event cites that record, which is later. Nothing: it is not later than the event before it |
//! | 0 4 ‖ log ‖ counter | nothing; the body of the event is not here yet |

use spool_proto::LogId;

use super::Error;
use crate::Stamp;

pub(super) const VERSION: &[u8] = &[0, 0];
pub(super) const CURSORS: &[u8] = &[0, 1];
pub(super) const AWAITED: &[u8] = &[0, 2];
pub(super) const VOID: &[u8] = &[0, 3];
pub(super) const MISSING: &[u8] = &[0, 4];

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

/// The log in the key of a cursor.
pub(super) fn log(key: &[u8]) -> Option<LogId> {
    LogId::from_public_key(key.get(2..34)?.try_into().ok()?).ok()
}

pub(super) fn log_and_counter(key: &[u8]) -> Option<(LogId, u64)> {
    Some((log(key)?, u64::from_be_bytes(key.get(34..)?.try_into().ok()?)))
}

/// The stamp at the end of a key.
pub(super) fn stamp(key: &[u8]) -> Option<Stamp> {
    key.last_chunk().map(Stamp::from_bytes)
}

pub(super) fn number(bytes: &[u8]) -> Result<u64, Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged("a number"))
}

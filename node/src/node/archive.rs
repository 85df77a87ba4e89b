//! What an archive of a thread says of itself: which records of which logs follow, and how many blocks of bodies.
//!
//! The file is a CAR of version 1. Its first block is the index (DAG-CBOR), which is its first root; the other roots are the heads of the logs. Then come, log by log in the order of
//! their ids, the records of the log from the first to the head, behind them those that a fork made inert, ordered by counter and CID; then the blocks of bodies, ordered by CID. So
//! two nodes that have the same write the same bytes. No key is in it: key ids say which keys it takes.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use spool_proto::{KeyId, LogId, ThreadId};

use super::limits::ARCHIVE_LOGS;

/// Version of the index.
const VERSION: u32 = 1;

/// So many records one behind the other are sealed under this key.
pub(super) type KeyRun = (u64, KeyId);

/// The index of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) thread: ThreadId,
    /// Sorted by id.
    pub(super) logs: Vec<IndexedLog>,
    /// Blocks of bodies.
    pub(super) blocks: u64,
}

/// What an archive has of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexedLog {
    pub(super) log: LogId,
    /// Of the records that count.
    pub(super) records: Vec<KeyRun>,
    /// Where the log forked; 0 if it did not.
    pub(super) fork: u64,
    /// Of the records that do not.
    pub(super) inert: Vec<KeyRun>,
}

/// Adds a record to runs.
pub(super) fn count(runs: &mut Vec<KeyRun>, key: KeyId, records: u64) {
    match runs.last_mut() {
        Some((count, last)) if *last == key => *count += records,
        Some(_) | None => runs.push((records, key)),
    }
}

/// Records in runs; none if there are more than can be.
pub(super) fn total(runs: &[KeyRun]) -> Option<u64> {
    runs.iter().try_fold(0u64, |sum, (count, _)| sum.checked_add(*count))
}

type Runs = Vec<(u64, ByteBuf)>;

/// On disk everything is an array: there is one order.
#[derive(Serialize, Deserialize)]
struct Stored(u32, ByteBuf, Vec<(ByteBuf, Runs, u64, Runs)>, u64);

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
        let runs = |runs: &[KeyRun]| {
            runs.iter().map(|(count, key)| (*count, ByteBuf::from(key.as_bytes().to_vec()))).collect::<Runs>()
        };
        let log =
            |log: &IndexedLog| (ByteBuf::from(log.log.to_bytes()), runs(&log.records), log.fork, runs(&log.inert));
        let logs = self.logs.iter().map(log).collect();
        let stored = Stored(VERSION, ByteBuf::from(self.thread.as_bytes().to_vec()), logs, self.blocks);
        serde_ipld_dagcbor::to_vec(&stored).expect("numbers and bytes always encode")
    }

    /// Reads an index; what is wrong with it in words.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Stored(version, thread, logs, blocks) =
            serde_ipld_dagcbor::from_slice(bytes).map_err(|_| "it has no index of a thread".to_owned())?;
        if version != VERSION {
            return Err(format!("its index has version {version}, this version of spool knows {VERSION}"));
        }
        if logs.len() > ARCHIVE_LOGS {
            return Err(format!("it has {} logs, at most {ARCHIVE_LOGS} are taken", logs.len()));
        }
        let thread = ThreadId::from_bytes(&thread).map_err(|_| "its thread id is malformed".to_owned())?;
        let runs = |runs: Runs| {
            let run = |(count, key): (u64, ByteBuf)| {
                let key: [u8; 16] = key.as_slice().try_into().ok()?;
                (count > 0).then(|| (count, KeyId::new(key)))
            };
            let runs: Option<Vec<KeyRun>> = runs.into_iter().map(run).collect();
            runs.filter(|runs| total(runs).is_some()).ok_or_else(|| "a run of records is malformed".to_owned())
        };
        let mut index = Self { thread, logs: Vec::with_capacity(logs.len()), blocks };
        for (log, records, fork, inert) in logs {
            let log = LogId::from_bytes(&log).map_err(|_| "a log id is malformed".to_owned())?;
            index.logs.push(IndexedLog { log, records: runs(records)?, fork, inert: runs(inert)? });
        }
        if !index.logs.is_sorted_by(|one, next| one.log < next.log) {
            return Err("its logs are not in order".into());
        }
        if index.encode() != bytes {
            return Err("its index is not in the canonical form".into());
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use spool_proto::id::Variant;

    use super::*;

    fn index() -> Index {
        let log = |seed: u8| {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
            LogId::from_public_key(key.verifying_key().as_bytes()).unwrap()
        };
        let mut logs: Vec<_> = (1..4).map(log).collect();
        logs.sort_unstable();
        let keys = [KeyId::new([1; 16]), KeyId::new([2; 16])];
        let log =
            |log| IndexedLog { log, records: vec![(3, keys[0]), (4, keys[1])], fork: 8, inert: vec![(2, keys[1])] };
        Index { thread: ThreadId::new(Variant::Raw, [7; 32]), logs: logs.into_iter().map(log).collect(), blocks: 5 }
    }

    #[test]
    fn an_index_round_trips_in_one_form_only() {
        let bytes = index().encode();
        assert_eq!(Index::decode(&bytes), Ok(index()));
        assert!(Index::decode(&[&bytes[..], &[0]].concat()).is_err());
        let mut disordered = index();
        disordered.logs.reverse();
        assert!(Index::decode(&disordered.encode()).unwrap_err().contains("order"));
        let mut empty = index();
        empty.logs[0].records[0].0 = 0;
        assert!(Index::decode(&empty.encode()).is_err());
        let mut many = index();
        many.logs[0].records = vec![(u64::MAX, KeyId::new([1; 16])), (1, KeyId::new([2; 16]))];
        assert!(Index::decode(&many.encode()).is_err());
        for end in 0..bytes.len() {
            assert!(Index::decode(&bytes[..end]).is_err(), "{end}");
        }
    }
}

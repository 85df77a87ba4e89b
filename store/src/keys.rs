//! What keys and values look like. Integers are big-endian, so that bytes sort as numbers do.
//!
//! Thread ids have up to 66 bytes and log ids 38; both get a local number of 4 bytes (`t`, `l`) when they are first written, so that a
//! record's key has 16 bytes. Numbers are never used again: what is left of a removed thread cannot be taken for a part of another.
//! A CID of ours is its SHA-256 digest (`d`, 32 bytes). A counter (`c`) has 8 bytes.
//!
//! | space | key | value |
//! |---|---|---|
//! | meta | `s` | schema version, 4 bytes |
//! | | `n` | next thread's number ‖ next log's number |
//! | | `p` ‖ name | a setting |
//! | | `k` | name of the key under which threads' states and views' values are sealed, 16 bytes; without it they are not |
//! | | `r` | how far sealing or unsealing them has come: 1 or 0 ‖ name of the key ‖ number of the space ‖ first key that is not done |
//! | threads | 1 ‖ thread id | `t` ‖ thread state |
//! | | 2 ‖ `t` | thread id |
//! | | 3 ‖ `t` | thread id; its removal is under way |
//! | logs | `t` ‖ 1 ‖ public key of the log | `l` |
//! | | `t` ‖ 2 ‖ `l` | public key of the log |
//! | | `t` ‖ 3 ‖ `l` | log state |
//! | records | `t` ‖ `l` ‖ `c` | key id (16 bytes) ‖ sealed record |
//! | inert | `t` ‖ `l` ‖ `c` ‖ `d` | key id ‖ sealed record |
//! | index | 1 ‖ `d` | 0 (main chain) or 1 (beside it) ‖ `t` ‖ `l` ‖ `c` |
//! | | 2 ‖ `d` | size of the block, 4 bytes |
//! | blocks | `d` | the block |
//! | references | 1 ‖ `d` ‖ `t` | nothing; the thread refers to the block |
//! | | 2 ‖ `t` ‖ `d` | nothing; the same, found by thread |
//! | | 3 ‖ `t` ‖ `d` | nothing; the block is not here yet |
//! | addresses | peer id | its addresses, see [`crate::addresses`] |
//! | views | `t` ‖ number of the view ‖ whatever the view likes | see [`crate::view`] |
//!
//! Records and blocks are indexed apart: a hostile writer may link to a record's CID as if it were a block, and must not hide the
//! record by that.

/// SHA-256, in place of the CID.
pub(crate) type Digest = [u8; 32];

/// Key of the schema version.
pub(crate) const SCHEMA: &[u8] = b"s";
/// Key of the next numbers.
pub(crate) const NEXT_NUMBERS: &[u8] = b"n";
/// Key of the name of the key that seals.
pub(crate) const SEALED_UNDER: &[u8] = b"k";
/// Key of how far sealing or unsealing has come.
pub(crate) const RESEALING: &[u8] = b"r";
/// Bytes of the key id before a sealed record.
pub(crate) const KEY_ID_BYTES: usize = 16;

/// Local number of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ThreadNumber(pub(crate) u32);

/// Local number of a log, unique in the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogNumber(pub(crate) u32);

/// Where a record is, in local numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) inert: bool,
    pub(crate) thread: ThreadNumber,
    pub(crate) log: LogNumber,
    pub(crate) counter: u64,
}

impl Place {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        concat(&[&[u8::from(self.inert)], &self.thread.bytes(), &self.log.bytes(), &self.counter.to_be_bytes()])
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (inert, rest) = bytes.split_first()?;
        let (thread, rest) = rest.split_first_chunk()?;
        let (log, counter) = rest.split_first_chunk()?;
        Some(Self {
            inert: match inert {
                0 => false,
                1 => true,
                _ => return None,
            },
            thread: ThreadNumber(u32::from_be_bytes(*thread)),
            log: LogNumber(u32::from_be_bytes(*log)),
            counter: u64::from_be_bytes(counter.try_into().ok()?),
        })
    }
}

impl ThreadNumber {
    pub(crate) fn bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl LogNumber {
    pub(crate) fn bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The first key after all that begin with `prefix`; empty (no bound) if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    end
}

/// The first key after `key`.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    concat(&[key, &[0]])
}

/// What all keys of a thread's view begin with.
pub(crate) fn view(thread: ThreadNumber, view: u8) -> Vec<u8> {
    concat(&[&thread.bytes(), &[view]])
}

/// The four bytes at the end of a key or value.
pub(crate) fn number_at_end(bytes: &[u8]) -> Option<u32> {
    bytes.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The digest at the end of a key.
pub(crate) fn digest_at_end(key: &[u8]) -> Option<Digest> {
    key.last_chunk().copied()
}

pub(crate) fn setting(name: &str) -> Vec<u8> {
    concat(&[b"p", name.as_bytes()])
}

pub(crate) mod threads {
    use super::{ThreadNumber, concat};

    pub(crate) const BY_ID: &[u8] = &[1];
    pub(crate) const REMOVALS: &[u8] = &[3];

    pub(crate) fn by_id(id: &[u8]) -> Vec<u8> {
        concat(&[BY_ID, id])
    }

    pub(crate) fn by_number(thread: ThreadNumber) -> Vec<u8> {
        concat(&[&[2], &thread.bytes()])
    }

    pub(crate) fn removal(thread: ThreadNumber) -> Vec<u8> {
        concat(&[REMOVALS, &thread.bytes()])
    }
}

pub(crate) mod logs {
    use super::{LogNumber, ThreadNumber, concat};

    pub(crate) fn number(thread: ThreadNumber, public_key: &[u8; 32]) -> Vec<u8> {
        concat(&[&thread.bytes(), &[1], public_key])
    }

    pub(crate) fn public_keys(thread: ThreadNumber) -> Vec<u8> {
        concat(&[&thread.bytes(), &[2]])
    }

    pub(crate) fn public_key(thread: ThreadNumber, log: LogNumber) -> Vec<u8> {
        concat(&[&thread.bytes(), &[2], &log.bytes()])
    }

    pub(crate) fn states(thread: ThreadNumber) -> Vec<u8> {
        concat(&[&thread.bytes(), &[3]])
    }

    /// Whether a key of the space is that of a log's state.
    pub(crate) fn is_state(key: &[u8]) -> bool {
        key.get(4) == Some(&3)
    }

    pub(crate) fn state(thread: ThreadNumber, log: LogNumber) -> Vec<u8> {
        concat(&[&thread.bytes(), &[3], &log.bytes()])
    }
}

pub(crate) mod records {
    use super::{Digest, LogNumber, ThreadNumber, concat};

    pub(crate) fn log(thread: ThreadNumber, log: LogNumber) -> Vec<u8> {
        concat(&[&thread.bytes(), &log.bytes()])
    }

    pub(crate) fn main(thread: ThreadNumber, log: LogNumber, counter: u64) -> Vec<u8> {
        concat(&[&thread.bytes(), &log.bytes(), &counter.to_be_bytes()])
    }

    pub(crate) fn inert(thread: ThreadNumber, log: LogNumber, counter: u64, digest: &Digest) -> Vec<u8> {
        concat(&[&thread.bytes(), &log.bytes(), &counter.to_be_bytes(), digest])
    }

    /// The counter in a key of either kind.
    pub(crate) fn counter(key: &[u8]) -> Option<u64> {
        key.get(8..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }
}

pub(crate) mod index {
    use super::{Digest, concat};

    pub(crate) fn record(digest: &Digest) -> Vec<u8> {
        concat(&[&[1], digest])
    }

    pub(crate) fn block(digest: &Digest) -> Vec<u8> {
        concat(&[&[2], digest])
    }
}

pub(crate) mod references {
    use super::{Digest, ThreadNumber, concat};

    pub(crate) fn of_block(digest: &Digest) -> Vec<u8> {
        concat(&[&[1], digest])
    }

    pub(crate) fn by_block(digest: &Digest, thread: ThreadNumber) -> Vec<u8> {
        concat(&[&[1], digest, &thread.bytes()])
    }

    pub(crate) fn of_thread(thread: ThreadNumber) -> Vec<u8> {
        concat(&[&[2], &thread.bytes()])
    }

    pub(crate) fn by_thread(thread: ThreadNumber, digest: &Digest) -> Vec<u8> {
        concat(&[&[2], &thread.bytes(), digest])
    }

    /// What all keys of blocks that are wanted begin with.
    pub(crate) const WANTS: &[u8] = &[3];

    pub(crate) fn wants(thread: ThreadNumber) -> Vec<u8> {
        concat(&[&[3], &thread.bytes()])
    }

    pub(crate) fn want(thread: ThreadNumber, digest: &Digest) -> Vec<u8> {
        concat(&[&[3], &thread.bytes(), digest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(after_prefix(&[1, 2]), [1, 3]);
        assert_eq!(after_prefix(&[1, 0xff]), [2]);
        assert!(after_prefix(&[0xff, 0xff]).is_empty());
    }

    #[test]
    fn places_round_trip_and_damaged_ones_are_refused() {
        let place = Place { inert: true, thread: ThreadNumber(7), log: LogNumber(9), counter: u64::MAX };
        let bytes = place.to_bytes();
        assert_eq!(Place::from_bytes(&bytes), Some(place));
        assert_eq!(Place::from_bytes(&bytes[1..]), None);
        assert_eq!(Place::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Place::from_bytes(&[]), None);
    }

    #[test]
    fn keys_of_records_sort_by_counter() {
        let (thread, log) = (ThreadNumber(1), LogNumber(2));
        let keys: Vec<_> = [1, 255, 256, u64::MAX].map(|counter| records::main(thread, log, counter)).to_vec();
        assert!(keys.is_sorted());
        assert_eq!(records::counter(&keys[2]), Some(256));
        assert_eq!(records::counter(&records::inert(thread, log, 5, &[0; 32])), Some(5));
        assert_eq!(keys[0].len(), 16);
    }
}

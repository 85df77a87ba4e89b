//! The total order of all writes of a thread.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use spool_proto::{LogId, clock::Time};

/// Where an event stands among all events of its thread: by hybrid time, then log, then counter. The same on every peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// When.
    pub time: Time,
    /// Which log: its public key.
    pub log: [u8; 32],
    /// Which record of it.
    pub counter: u64,
}

impl Stamp {
    /// Bytes of its sortable form.
    pub const BYTES: usize = 48;

    /// A form that sorts, byte by byte, as stamps do.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.time.as_u64().to_be_bytes());
        bytes[8..40].copy_from_slice(&self.log);
        bytes[40..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    /// From its sortable form.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
        };
        let mut log = [0; 32];
        log.copy_from_slice(&bytes[8..40]);
        Self { time: Time::from_u64(number(0..8)), log, counter: number(40..48) }
    }

    /// The log's id; `None` if no log can have this key.
    pub fn log_id(&self) -> Option<LogId> {
        LogId::from_public_key(&self.log).ok()
    }

    /// The time as documents show it in `_mod`: unix nanoseconds, milliseconds × 10⁶ + counter; times after the year 2554 show as the greatest.
    pub fn modified(&self) -> u64 {
        self.time.millis().saturating_mul(1_000_000).saturating_add(u64::from(self.time.counter()))
    }
}

/// One operation, wherever it is ordered: what a later operation says that its writer had seen.
///
/// An operation that names one of its own event has the counter zero there, since its own is not known before it is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot(ByteArray<32>, u64, u32);

impl Dot {
    /// Operation number `index` of the event at `stamp`.
    pub fn new(stamp: &Stamp, index: u32) -> Self {
        Self(ByteArray::new(stamp.log), stamp.counter, index)
    }

    /// Where an event names its own operations until it has its place.
    pub const HERE: Stamp = Stamp { time: Time::MAX, log: [0; 32], counter: 0 };

    /// This operation, named by an event at `stamp`.
    #[must_use]
    pub fn named_by(self, stamp: &Stamp) -> Self {
        if self.1 == 0 { Self::new(stamp, self.2) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamps() -> impl Strategy<Value = Stamp> {
        let number = || prop_oneof![0u64..3, any::<u64>()];
        (number(), 0u8..3, number()).prop_map(|(time, log, counter)| Stamp {
            time: Time::from_u64(time),
            log: [log; 32],
            counter,
        })
    }

    proptest! {
        #[test]
        fn bytes_sort_as_stamps_do(one in stamps(), two in stamps()) {
            prop_assert_eq!(one.cmp(&two), one.to_bytes().cmp(&two.to_bytes()));
            prop_assert_eq!(Stamp::from_bytes(&one.to_bytes()), one);
        }
    }

    #[test]
    fn modification_times_count_nanoseconds() {
        let stamp = Stamp { time: Time::new(1_700_000_000_123, 7), log: [0; 32], counter: 1 };
        assert_eq!(stamp.modified(), 1_700_000_000_123_000_007);
    }
}

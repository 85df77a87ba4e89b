//! Hybrid logical time: wall-clock milliseconds that never run backwards along cause and effect.

use serde::{Deserialize, Serialize};

/// 64 bits: milliseconds since 1970 in the upper 48, a counter in the lower 16, so that plain comparison is the order.
///
/// The counter lets 65,536 events share a millisecond; beyond, the time runs ahead of the wall clock by one.
/// Source: Kulkarni et al., "Logical Physical Clocks" (2014).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The greatest of all.
    pub const MAX: Self = Self(u64::MAX);

    /// The time of `millis` milliseconds since 1970 and `counter`; milliseconds beyond 48 bits are cut to the greatest.
    pub fn new(millis: u64, counter: u16) -> Self {
        Self((millis.min((1 << 48) - 1) << 16) | u64::from(counter))
    }

    /// From its 64-bit form.
    pub fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// Its 64-bit form.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// Position within the millisecond.
    pub fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The time for a new event: the wall clock if it is ahead of everything seen, else just above `floor`.
    pub fn after(floor: Time, now_millis: u64) -> Time {
        Self::new(now_millis, 0).max(Self(floor.0.saturating_add(1)))
    }

    /// Whether this lies more than [`MAX_CLOCK_AHEAD_MILLIS`](crate::limits::MAX_CLOCK_AHEAD_MILLIS) ahead of the wall
    /// clock, so that the event is held back and not cited.
    pub fn is_ahead_of(self, now_millis: u64) -> bool {
        self.millis() > now_millis.saturating_add(crate::limits::MAX_CLOCK_AHEAD_MILLIS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_wall_clock_and_never_runs_back() {
        let first = Time::after(Time::default(), 1_000);
        assert_eq!((first.millis(), first.counter()), (1_000, 0));
        let second = Time::after(first, 900);
        assert_eq!((second.millis(), second.counter()), (1_000, 1));
        assert!(Time::after(second, 2_000) > second);
    }

    #[test]
    fn a_full_counter_carries_into_the_next_millisecond() {
        let full = Time::new(7, u16::MAX);
        assert_eq!(Time::after(full, 7), Time::new(8, 0));
        assert_eq!(Time::after(Time::from_u64(u64::MAX), 0).as_u64(), u64::MAX);
    }
}

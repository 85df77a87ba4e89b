//! Random moments, from a seed that is printed: `SPOOL_CRASH_SEED` repeats a run, as far as the machine lets it.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Where the random moments come from.
pub(super) struct Moments(StdRng);

impl Moments {
    pub(super) fn new(test: &str) -> Self {
        let given = std::env::var("SPOOL_CRASH_SEED").ok();
        let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("SPOOL_CRASH_SEED is a number"));
        println!("{test}: SPOOL_CRASH_SEED={seed}");
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// One in so many times.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A time span below this one.
    pub(super) fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(span.as_micros() as u64))
    }
}

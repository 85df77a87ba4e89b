//! Any order, one state: databases on simulated nodes, with the real sync engine between them.
//!
//! The seeds are printed. `SPOOL_SIM_SEED=n` replays one; `SPOOL_SIM_SEEDS=k` runs a fifth of k random ones (default 2, rounded up), since one takes
//! a while.

#![expect(clippy::print_stdout, reason = "the seeds are printed")]

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

mod counts;
mod member;
mod rogue;
mod source;
mod story;

use story::Story;

/// How long things go wrong.
const TIME: Duration = Duration::from_secs(200);
/// One random seed for so many of the simulator without databases.
const SHARE: u64 = 5;
/// Seeds that have failed once, and one that has everything happen.
const SEEDS: [u64; 1] = [1];

fn run(seed: u64) -> Story {
    println!("seed {seed}: replay with SPOOL_SIM_SEED={seed}");
    let mut story = Story::new(seed);
    story.run(TIME);
    story.end();
    println!("  {}", story.counts);
    story
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

#[test]
fn all_databases_of_honest_members_are_the_same_in_the_end() {
    if let Some(seed) = from_environment("SPOOL_SIM_SEED") {
        run(seed);
        return;
    }
    for seed in SEEDS {
        let counts = run(seed).counts;
        assert!(counts.everything_happened(), "seed {seed} is a poor one: {counts}");
    }
    let seeds = from_environment("SPOOL_SIM_SEEDS").unwrap_or(2).div_ceil(SHARE);
    let base = RandomState::new().build_hasher().finish() >> 32;
    (0..seeds).for_each(|offset| drop(run(base + offset)));
}

/// The same seed is the same story, to the last byte.
#[test]
fn a_seed_can_be_replayed() {
    let ends = |seed| {
        let mut story = Story::new(seed);
        story.run(Duration::from_secs(10));
        story.end();
        story.ends()
    };
    assert_eq!(ends(7), ends(7));
    assert_ne!(ends(7), ends(8));
}

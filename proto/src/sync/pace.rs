//! How much is asked of a peer at once: less where answers do not come in time, so that a slow link carries something rather than many things in vain.

use std::time::Duration;

use super::{
    input::Failure,
    limits::{FIRST_RANGE_RECORDS, MAX_BLOCKS_PER_REQUEST, MAX_SLOWNESS, QUICK_ANSWER},
};
use crate::{limits::AVERAGE_CHUNK_BYTES, wire::limits::PAGE_BYTES};

/// What the answers of a peer tell about the way to it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How often what is asked for at once was halved.
    slowness: u32,
}

impl Pace {
    /// An answer with records or blocks has come after a time, or not. One that took long is no reason to ask for more.
    pub(super) fn answered<T>(&mut self, result: &Result<T, Failure>, took: Duration) {
        match result {
            Ok(_) if took < QUICK_ANSWER => self.slowness = self.slowness.saturating_sub(1),
            Err(Failure::Timeout) => self.slowness = (self.slowness + 1).min(MAX_SLOWNESS),
            Ok(_) | Err(Failure::Disconnected | Failure::Malformed | Failure::Busy) => {}
        }
    }

    /// Requests of one kind that may be in flight, of `most`.
    pub(super) fn at_once(&self, most: usize) -> usize {
        if self.slowness == 0 { most } else { 1 }
    }

    /// Bytes of records to ask for in one page.
    pub(super) fn page_bytes(&self) -> usize {
        PAGE_BYTES >> self.slowness
    }

    /// Records to ask for in one page while nobody knows how large they are: a few bytes, or a body with each.
    pub(super) fn first_records(&self) -> u64 {
        (FIRST_RANGE_RECORDS >> (3 * self.slowness)).max(1)
    }

    /// Blocks to ask for in one request; nobody knows how large they are.
    pub(super) fn blocks(&self) -> usize {
        if self.slowness == 0 { MAX_BLOCKS_PER_REQUEST } else { (self.page_bytes() / AVERAGE_CHUNK_BYTES).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Result<(), Failure> = Err(Failure::Timeout);

    #[test]
    fn who_is_late_is_asked_for_less_and_who_is_quick_again_for_more() {
        let mut pace = Pace::default();
        assert_eq!((pace.at_once(4), pace.page_bytes(), pace.blocks()), (4, PAGE_BYTES, MAX_BLOCKS_PER_REQUEST));
        pace.answered(&LATE, QUICK_ANSWER * 6);
        assert_eq!((pace.at_once(4), pace.page_bytes(), pace.blocks()), (1, PAGE_BYTES / 2, 2));
        for _ in 0..100 {
            pace.answered(&LATE, QUICK_ANSWER * 6);
        }
        assert_eq!((pace.page_bytes(), pace.blocks()), (PAGE_BYTES >> MAX_SLOWNESS, 1));
        assert_eq!(pace.first_records(), 1);
        pace.answered(&Ok(()), QUICK_ANSWER);
        assert_eq!(pace.page_bytes(), PAGE_BYTES >> MAX_SLOWNESS, "it came, but slowly");
        for _ in 0..MAX_SLOWNESS {
            pace.answered(&Ok(()), Duration::ZERO);
        }
        assert_eq!(pace.at_once(4), 4);
    }

    #[test]
    fn what_is_refused_says_nothing_about_the_way() {
        let mut pace = Pace::default();
        pace.answered::<()>(&Err(Failure::Busy), Duration::ZERO);
        pace.answered::<()>(&Err(Failure::Disconnected), Duration::ZERO);
        assert_eq!(pace.at_once(4), 4);
    }
}

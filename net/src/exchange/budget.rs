//! How many bytes of frames may be in memory, over all connections together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::limits::{MAX_FRAMES_BYTES, SMALL_FRAME_BYTES};

/// Bytes that may still be taken.
#[derive(Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MAX_FRAMES_BYTES)))
    }
}

impl Budget {
    /// A claim of nothing yet.
    pub(super) fn claim(&self) -> Claim {
        Claim { budget: self.clone(), taken: 0, asked: 0 }
    }
}

/// Bytes taken from a [`Budget`]; they go back when it is dropped.
pub(super) struct Claim {
    budget: Budget,
    taken: usize,
    asked: usize,
}

impl Claim {
    /// Takes `bytes` more. `false`: they are not there, and nothing was taken.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.asked += bytes;
        let wanted = if self.asked > SMALL_FRAME_BYTES { self.asked - self.taken } else { 0 };
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(wanted));
        if taken.is_err() {
            return false;
        }
        self.taken += wanted;
        true
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_free_and_large_ones_are_given_back() {
        let budget = Budget::default();
        let mut large = budget.claim();
        assert!(large.take(MAX_FRAMES_BYTES));
        let mut small = budget.claim();
        assert!(small.take(SMALL_FRAME_BYTES));
        assert!(!small.take(1), "a frame that grows above the small size needs all of its bytes");
        drop(large);
        assert!(budget.claim().take(MAX_FRAMES_BYTES));
        drop(small);
        assert_eq!(budget.0.load(Ordering::Relaxed), MAX_FRAMES_BYTES);
    }
}

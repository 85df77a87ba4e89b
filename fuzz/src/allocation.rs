//! Counts live heap bytes, so that a decoder which can be made to allocate much by little input fails its target.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator as it came; only sizes are noted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that any decoder may take, whatever its input: error messages and the first growth of small vectors.
const BASE_BYTES: usize = 16 * 1024;
/// Bytes that serde sets aside for one list before it has seen more of it than its announced length.
pub const LIST_BYTES: usize = 1024 * 1024;

/// What a decoder may allocate.
#[derive(Clone, Copy)]
pub struct Budget {
    limit: usize,
    factor: usize,
    besides: usize,
}

impl Budget {
    /// For a decoder that reads at most `limit` bytes and holds at most `factor` bytes for each of them. Input beyond the limit must be
    /// refused before anything is allocated for it.
    pub const fn new(limit: usize, factor: usize) -> Self {
        Self { limit, factor, besides: 0 }
    }

    /// Takes `besides` more bytes, whatever the input's length: [`LIST_BYTES`] for each list that is open at once, for one.
    pub const fn and(self, besides: usize) -> Self {
        Self { besides, ..self }
    }

    /// Runs `decode` on an input of `input` bytes.
    ///
    /// # Panics
    ///
    /// If at any moment it held more than this budget.
    pub fn run<T>(self, input: usize, decode: impl FnOnce() -> T) -> T {
        let before = LIVE.load(Relaxed);
        PEAK.store(before, Relaxed);
        let result = decode();
        let held = PEAK.load(Relaxed).saturating_sub(before);
        let content = if input > self.limit { 0 } else { input * self.factor + self.besides };
        let allowed = BASE_BYTES + content;
        assert!(held <= allowed, "{held} bytes allocated for {input} bytes of input; {allowed} are allowed");
        result
    }
}

//! The engine's states as they lie in the store: a damaged disk is no reason to panic either.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES};
use spool_proto::sync::{LogState, ThreadState};

fuzz_target!(|data: &[u8]| {
    if let Ok(state) = Budget::new(1024 * 1024, 24).and(4 * LIST_BYTES).run(data.len(), || LogState::from_bytes(data)) {
        assert_eq!(state.to_bytes(), data);
    }
    if let Ok(state) =
        Budget::new(1024 * 1024, 24).and(4 * LIST_BYTES).run(data.len(), || ThreadState::from_bytes(data))
    {
        assert_eq!(state.to_bytes().as_slice(), data);
    }
});

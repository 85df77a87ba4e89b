//! Key sets as invites and tickets carry them, and Textile's keys.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES};
use spool_proto::{ThreadKeys, key_set::KeySet, limits::MAX_SEALED_KEY_SET_BYTES};

fuzz_target!(|data: &[u8]| {
    if let Ok(set) =
        Budget::new(MAX_SEALED_KEY_SET_BYTES, 24).and(LIST_BYTES).run(data.len(), || KeySet::from_bytes(data))
    {
        assert_eq!(set.to_bytes().as_slice(), data, "one key set has one form");
        set.scope();
        set.into_keys();
    }
    let _ = Budget::new(64, 4).run(data.len(), || ThreadKeys::from_textile(data).is_ok());
});

//! Manifests of chunked bodies: the input as sealed bytes, and as a plaintext behind a seal that opens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES, log, log_keys, thread};
use spool_proto::{
    body::Manifest,
    keys::SealKey,
    limits::{MAX_BLOCK_BYTES, MAX_MANIFEST_CHUNKS},
    seal::{self, Layer, Place},
};

fuzz_target!(|data: &[u8]| {
    let (thread, keys) = (thread(), log_keys());
    let check = |sealed: &[u8]| {
        let budget = Budget::new(MAX_BLOCK_BYTES, 24).and(LIST_BYTES);
        let Ok(manifest) = budget.run(sealed.len(), || Manifest::open(keys, &thread, sealed)) else { return };
        assert!(manifest.chunks().len() <= MAX_MANIFEST_CHUNKS);
        // The key of the valid inputs to begin with.
        if let Ok(hashes) = manifest.hashes(&SealKey::new([1; 32]), keys, &thread) {
            assert_eq!(hashes.len(), manifest.chunks().len());
        }
    };
    check(data);

    let id = log().to_bytes();
    let place = Place { layer: Layer::Manifest, thread: thread.as_bytes(), log: &id };
    check(&seal::seal(keys.manifest(), place, data));
});

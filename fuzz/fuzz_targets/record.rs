//! Records: the input as sealed bytes, and as a plaintext behind a seal that opens.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES, log, log_keys, thread};
use spool_proto::{
    limits::MAX_RECORD_BYTES,
    record::{SealedRecord, verify},
    seal::{self, Layer, Place},
};

fuzz_target!(|data: &[u8]| {
    let (thread, log, keys) = (thread(), log(), log_keys());
    let check = |bytes: Bytes| {
        let sealed = SealedRecord { key_id: keys.key_id(), bytes };
        Budget::new(MAX_RECORD_BYTES, 24)
            .and(2 * LIST_BYTES)
            .run(sealed.bytes.len(), || verify(&thread, &log, keys, sealed.clone()))
            .ok()
    };
    check(Bytes::copy_from_slice(data));

    let id = log.to_bytes();
    let place = Place { layer: Layer::Record, thread: thread.as_bytes(), log: &id };
    if let Some(record) = check(seal::seal(keys.follow(), place, data).into()) {
        assert!(record.counter() > 0);
    }
});

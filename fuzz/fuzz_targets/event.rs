//! Events: the input as sealed bytes, and as a plaintext behind a seal that opens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES, log, log_keys, thread};
use spool_proto::{
    event::Event,
    limits::MAX_RECORD_BYTES,
    record::Links,
    seal::{self, Layer, Place},
};

fuzz_target!(|data: &[u8]| {
    let Some((&counter, data)) = data.split_first() else { return };
    let (thread, log) = (thread(), log());
    let key = log_keys().read().expect("the fixture can read");
    let counter = u64::from(counter);
    let open = |sealed: &[u8]| {
        Budget::new(MAX_RECORD_BYTES, 24)
            .and(2 * LIST_BYTES)
            .run(sealed.len(), || Event::open(key, &thread, &log, counter, &Links::None, sealed))
            .ok()
    };
    open(data);

    let id = log.to_bytes();
    let place = Place { layer: Layer::Event, thread: thread.as_bytes(), log: &id };
    let sealed = seal::seal(key, place, data);
    if let Some(event) = open(&sealed) {
        assert_eq!(event.seal(key, &thread, &log), sealed, "one event has one form");
    }
});

//! Requests of the exchange protocol, one frame each.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;
use spool_proto::wire::{Request, limits::MAX_FRAME_BYTES};

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    if let Ok(request) = Budget::new(MAX_FRAME_BYTES, 24).run(data.len(), || Request::decode(frame.clone())) {
        let again = request.clone().encode().expect("it came in one frame");
        assert_eq!(Request::decode(again).ok(), Some(request));
    }
});

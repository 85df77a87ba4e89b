//! What is published on a thread's topic, after its seal was opened.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;
use spool_proto::wire::{Gossip, limits::MAX_GOSSIP_BYTES};

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    if let Ok(gossip) = Budget::new(MAX_GOSSIP_BYTES, 24).run(data.len(), || Gossip::decode(frame.clone())) {
        let again = gossip.clone().encode().expect("it came in one frame");
        assert_eq!(Gossip::decode(again).ok(), Some(gossip));
    }
});

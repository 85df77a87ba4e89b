//! Envelopes, which carry records on every road: as what is published when records are.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use spool_fuzz::Budget;
use spool_proto::wire::{Envelope, Gossip, limits::MAX_GOSSIP_BYTES, pb};

fuzz_target!(|data: &[u8]| {
    // The envelope's own bytes behind the message that holds it, so that no input is wasted on finding the tag.
    let mut framed = vec![0x0a];
    prost::encoding::encode_varint(data.len() as u64, &mut framed);
    framed.extend_from_slice(data);
    let framed = Bytes::from(framed);
    let decoded = Budget::new(MAX_GOSSIP_BYTES, 24).run(framed.len(), || Gossip::decode(framed.clone()));
    let Ok(Gossip::Envelope(envelope)) = decoded else { return };

    let again = pb::Envelope::from(Envelope::clone(&envelope)).encode_to_vec();
    let again = pb::Envelope::decode(again.as_slice()).expect("just encoded");
    assert_eq!(Envelope::try_from(again).as_ref().ok(), Some(&*envelope));
});

//! Tickets: the input as text, and as contents behind the prefix and a checksum that is right.

#![no_main]

use data_encoding::BASE32_NOPAD;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use spool_fuzz::{Budget, LIST_BYTES};
use spool_proto::{Ticket, limits::MAX_TICKET_CHARACTERS};

fuzz_target!(|data: &[u8]| {
    let check = |text: &str| {
        let ticket = Budget::new(MAX_TICKET_CHARACTERS, 24)
            .and(2 * LIST_BYTES)
            .run(text.len(), || text.parse::<Ticket>())
            .ok()?;
        assert_eq!(ticket.to_string().parse::<Ticket>().ok().as_ref(), Some(&ticket));
        Some(())
    };
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    let checked = [data, &Sha256::digest(data)[..4]].concat();
    check(&format!("spool1{}", BASE32_NOPAD.encode(&checked).to_ascii_lowercase()));
});

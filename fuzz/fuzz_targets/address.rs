//! Addresses in text and in bytes: multiaddrs with `/thread` or `/ipel` at their end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;
use spool_proto::{Address, limits::MAX_ADDRESS_BYTES};

fuzz_target!(|data: &[u8]| {
    if let Ok(address) = Budget::new(MAX_ADDRESS_BYTES, 24).run(data.len(), || Address::from_bytes(data)) {
        assert_eq!(address.to_bytes(), data, "one address has one binary form");
        assert_eq!(address.to_string().parse::<Address>().ok().as_ref(), Some(&address));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = Budget::new(10 * MAX_ADDRESS_BYTES, 24).run(text.len(), || text.parse::<Address>()) {
        assert_eq!(Address::from_bytes(&address.to_bytes()).ok().as_ref(), Some(&address));
        address.peer();
    }
});

//! What identities are read from: recovery phrases, public keys, delegations, and what is sealed to one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;
use spool_proto::{Identity, IdentityKey, limits::MAX_STATEMENT_BYTES, owner::Statement};

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = Budget::new(64, 4).run(data.len(), || IdentityKey::from_bytes(data)) {
        assert_eq!(key.to_string().parse::<IdentityKey>().ok(), Some(key));
    }
    if let Ok(statement) = Budget::new(MAX_STATEMENT_BYTES, 8).run(data.len(), || Statement::from_bytes(data)) {
        assert_eq!(statement.to_bytes(), data, "one statement has one form");
    }
    let identity = Identity::from_seed([5; 32]);
    assert!(identity.open("key set", data).is_err(), "nobody seals to a key without knowing it");

    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = Budget::new(1024, 4).run(text.len(), || text.parse::<IdentityKey>()) {
        assert_eq!(key.to_string().parse::<IdentityKey>().ok(), Some(key));
    }
    if let Ok(identity) = Budget::new(2048, 24).run(text.len(), || Identity::from_phrase(text)) {
        let again = Identity::from_phrase(&identity.phrase()).expect("its own phrase");
        assert_eq!(again.seed(), identity.seed());
    }
});

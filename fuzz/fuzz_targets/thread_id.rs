//! Thread ids in text, any multibase, and in bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;
use spool_proto::ThreadId;

fuzz_target!(|data: &[u8]| {
    if let Ok(thread) = Budget::new(128, 1).run(data.len(), || ThreadId::from_bytes(data)) {
        assert_eq!(thread.as_bytes(), data, "one id has one binary form");
        assert_eq!(thread.to_string().parse().as_ref(), Ok(&thread));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(thread) = Budget::new(1024, 4).run(text.len(), || text.parse::<ThreadId>()) {
        assert_eq!(ThreadId::from_bytes(thread.as_bytes()).as_ref(), Ok(&thread));
    }
});

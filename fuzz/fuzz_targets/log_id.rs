//! Log ids, and the other ids of fixed length, in text and in bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;
use spool_proto::{DeviceId, KeyId, LogId, TopicId};

fuzz_target!(|data: &[u8]| {
    if let Ok(log) = Budget::new(64, 4).run(data.len(), || LogId::from_bytes(data)) {
        assert_eq!(log.to_bytes(), data, "one id has one binary form");
        assert_eq!(log.to_string().parse::<LogId>().as_ref(), Ok(&log));
        // A log id is a usable key: whoever holds one need not check again.
        log.verifying_key();
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    Budget::new(1024, 4).run(text.len(), || {
        if let Ok(log) = text.parse::<LogId>() {
            assert_eq!(LogId::from_bytes(&log.to_bytes()).as_ref(), Ok(&log));
        }
        if let Ok(key) = text.parse::<KeyId>() {
            assert_eq!(key.to_string().parse().as_ref(), Ok(&key));
        }
        if let Ok(topic) = text.parse::<TopicId>() {
            assert_eq!(topic.to_string().parse().as_ref(), Ok(&topic));
        }
        if let Ok(device) = text.parse::<DeviceId>() {
            assert_eq!(device.to_string().parse().as_ref(), Ok(&device));
        }
    });
});

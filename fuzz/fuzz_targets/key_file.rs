//! The file with a repository's key: a damaged disk, or a file from elsewhere. Opening it takes a passphrase and time, and is no part of this.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::{Budget, LIST_BYTES};
use spool_proto::{limits::MAX_KEY_FILE_BYTES, vault::KeyFile};

fuzz_target!(|data: &[u8]| {
    let read = || KeyFile::from_bytes(data);
    if let Ok(file) = Budget::new(MAX_KEY_FILE_BYTES, 24).and(4 * LIST_BYTES).run(data.len(), read) {
        assert_eq!(file.to_bytes(), data);
    }
});

//! The configuration file. It is compiled in here by itself: the node's crate would bring RocksDB along.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_fuzz::Budget;

#[path = "../../node/src"]
#[expect(dead_code, unreachable_pub, unused_imports, reason = "the node uses more of it")]
mod node {
    pub mod config;
}

mod model {
    /// As in the node's model, which needs all of the node.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub enum Durability {
        #[default]
        Sync,
        Relaxed,
    }
}

/// Bytes of the largest configuration that is read.
const MAX_FILE_BYTES: usize = 64 * 1024;
/// A TOML table of short keys takes a map entry and a string for every few bytes.
const BYTES_EACH: usize = 256;
/// What the log filter's regular expressions take.
const FILTER_BYTES: usize = 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let read = || node::config::Layers::default().file_bytes(data).and_then(node::config::Layers::resolve);
    match Budget::new(MAX_FILE_BYTES, BYTES_EACH).and(FILTER_BYTES).run(data.len(), read) {
        Ok(effective) => drop(effective),
        Err(error) => assert!(error.to_string().len() < 16 * 1024, "a short message about a long file"),
    }
});

//! Queries as JSON: what is written of one is read as the same query.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_db::{limits::MAX_QUERY_BYTES, query::json};
use spool_fuzz::Budget;

/// JSON takes a node of a tree for the few bytes of a map, and a condition the path and value of it once more.
const BYTES_EACH: usize = 800;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Budget::new(MAX_QUERY_BYTES, BYTES_EACH).run(text.len(), || json::parse(text)) {
        Ok(query) => assert_eq!(json::read(&json::write(&query)).as_ref(), Ok(&query), "{query:?}"),
        Err(error) => drop(error.to_string()),
    }
});

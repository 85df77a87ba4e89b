//! Filters as people write them: what one says of itself is read as the same filter.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use spool_db::{
    limits::MAX_QUERY_BYTES,
    query::{Filter, filter},
};
use spool_fuzz::Budget;

/// A value of JSON may be a map for a few bytes; an error shows a part of the text.
const BYTES_EACH: usize = 400;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Budget::new(MAX_QUERY_BYTES, BYTES_EACH).run(text.len(), || Filter::parse(text)) {
        Ok(read) => {
            let said = read.to_string();
            // What is written out, with escapes and all digits, may be longer than what may be read.
            if said.len() <= MAX_QUERY_BYTES {
                assert_eq!(Filter::parse(&said).as_ref(), Ok(&read), "{said}");
            }
            let document =
                Map::from_iter([("a".to_owned(), Value::from(1)), ("b".to_owned(), Value::from(vec![1, 2]))]);
            filter::matches(&read, &document);
        }
        Err(error) => {
            assert!(error.at <= text.len() && text.is_char_boundary(error.at));
            assert!(error.to_string().len() < 16 * 1024 + 8 * text.len());
        }
    }
});

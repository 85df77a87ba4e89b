//! Documents as they lie in a view: a damaged disk is no reason to panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_db::{Document, limits::MAX_DOCUMENT_BYTES};
use spool_fuzz::{Budget, LIST_BYTES};

/// The smallest map takes a node of a tree for its three bytes.
const BYTES_EACH: usize = 400;
/// A list of marks, in it one of elements, in it one of dots.
const BUDGET: Budget = Budget::new(MAX_DOCUMENT_BYTES, BYTES_EACH).and(3 * LIST_BYTES);

fuzz_target!(|data: &[u8]| {
    let read = BUDGET.run(data.len(), || Document::from_bytes(data));
    let Ok(document) = read else { return };
    let again = Document::from_bytes(&document.to_bytes());
    assert_eq!(again.ok().as_ref(), Some(&document));
    // What it is asked for by those who change it.
    let conflicts: Vec<_> = document.conflicts().map(|(path, _)| path.clone()).collect();
    assert!(conflicts.iter().all(|path| document.seen(path).len() > 1));
});

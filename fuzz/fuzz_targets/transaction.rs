//! Transactions: the input as the body of an event, and as its operations behind the beginning that all transactions have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spool_db::{Transaction, limits::MAX_TRANSACTION_BYTES, operation::Decoded};
use spool_fuzz::{Budget, LIST_BYTES};

/// An array of four, the name, the version, and that nothing is reverted.
const HEAD: &[u8] = b"\x84\x68spool/db\x01\xf6";
/// The smallest map takes a node of a tree for its three bytes.
const BYTES_EACH: usize = 400;
/// Of the lists that say how long they are, paths and operations that are named, one is open at a time.
const BUDGET: Budget = Budget::new(MAX_TRANSACTION_BYTES, BYTES_EACH).and(LIST_BYTES);

fuzz_target!(|data: &[u8]| {
    let check = |body: &[u8]| {
        let read = BUDGET.run(body.len(), || Transaction::decode(body));
        let Ok(Decoded::Transaction(transaction)) = read else { return };
        if transaction.has_unknown() {
            assert!(transaction.encode().is_err(), "what is not understood cannot be said");
        } else {
            assert_eq!(transaction.encode().as_deref(), Ok(body), "one transaction has one form");
        }
    };
    check(data);
    check(&[HEAD, data].concat());
});

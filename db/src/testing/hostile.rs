//! Bodies that only somebody makes who means harm, or whose program is broken. Some have an effect, most have none; on every peer the same.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{body, drafts::path};
use crate::{
    Change, Operation, Target, Transaction,
    limits::{MAX_DOCUMENT_BYTES, MAX_OPERATIONS, PACKED_TRANSACTION_BYTES},
};

/// How deep things are that are too deep.
const DEPTH: usize = 10_000;

fn encoded(value: impl Serialize) -> Bytes {
    serde_ipld_dagcbor::to_vec(&value).expect("a Vec takes every write").into()
}

/// A transaction of these operations, whatever they are.
fn of(operations: impl Serialize) -> Bytes {
    encoded(("spool/db", 1, Value::Null, operations))
}

/// Sets a field of a document of this collection to what these bytes say, whatever they say.
fn with_value(collection: &str, value: &[u8]) -> Bytes {
    let sets = of([(1, collection, "1", ["a"], 0)]);
    [&sets[..sets.len() - 1], value].concat().into()
}

/// A body of each kind, with its name.
pub fn bodies(collection: &str) -> Vec<(&'static str, Bytes)> {
    let target = || Target::new(collection, "1");
    let text = vec![
        Operation::Change(target(), Change::Set(path("s"), "text".into())),
        Operation::Change(target(), Change::Increment(path("s"), 1.into())),
        Operation::Change(target(), Change::Increment(path("s.deeper"), 1.into())),
    ];
    let good = (8, collection, "2");
    let many: Vec<_> = vec![good; MAX_OPERATIONS + 1];
    vec![
        ("an application's own", Bytes::from_static(b"by hand")),
        ("nothing", Bytes::new()),
        ("not CBOR", [&of([good])[..10], &[0xff; 64]].concat().into()),
        ("cut off", of([good]).slice(..of([good]).len() - 3)),
        ("more than one item", [of([good]), of([good])].concat().into()),
        ("a text for the operations", of("operations")),
        ("a number for the collection", of([(0, 7, "1", json!({}))])),
        ("a field too few", of([(1, collection, "1")])),
        ("a field too many", of([(8, collection, "1", 1)])),
        ("a text for the fields", of([(0, collection, "1", "fields")])),
        ("an operation of tomorrow", of((good, (99, "anything", [1, 2])))),
        ("a version of tomorrow", encoded(("spool/db", 2, Value::Null, "anything"))),
        ("reverts in a third way", encoded(("spool/db", 1, (7, 1), [good]))),
        ("a path too deep", of([(1, collection, "1", vec!["a"; DEPTH], 1)])),
        ("an array too deep", with_value(collection, &[&[0x81; DEPTH][..], &[0x80]].concat())),
        ("a map too deep", with_value(collection, &[&[0xa1, 0x61, b'a'].repeat(DEPTH)[..], &[0xa0]].concat())),
        (
            "an array of a length that is not there",
            with_value(collection, &[0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
        ),
        (
            "a link",
            with_value(collection, &[&[0xd8, 0x2a, 0x58, 0x25, 0][..], &[1, 0x55, 0x12, 0x20], &[7; 32]].concat()),
        ),
        ("bytes", with_value(collection, &[0x42, 1, 2])),
        ("an integer below all others", with_value(collection, &[0x3b, 255, 255, 255, 255, 255, 255, 255, 255])),
        ("not a number", with_value(collection, &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0])),
        ("the same name twice", with_value(collection, &[0xa2, 0x61, b'a', 1, 0x61, b'a', 2])),
        ("an increment by a text", of([(4, collection, "1", ["n"], "1")])),
        ("increments of a text", body(&Transaction { reverts: None, operations: text })),
        ("a document that is no map", of([(2, collection, "1", [""; 0], 1)])),
        ("a field that is not for writing", of([(1, collection, "1", ["_mod"], 1)])),
        ("a name that no collection has", of([(8, "-", "1")])),
        ("an id with a zero", of([(8, collection, "1\0")])),
        ("too many operations", of(many)),
    ]
}

/// Events that together would make a document larger than permitted; the last has no effect.
pub fn too_large(target: &Target) -> Vec<Bytes> {
    const PART: usize = PACKED_TRANSACTION_BYTES - 1_024;
    let part = |number: usize| {
        let set = Change::Set(path(&format!("part-{number}")), "x".repeat(PART).into());
        body(&Transaction { reverts: None, operations: vec![Operation::Change(target.clone(), set)] })
    };
    (0..=MAX_DOCUMENT_BYTES / PART).map(part).collect()
}

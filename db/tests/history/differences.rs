//! The changes between two documents.

use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Document, Stamp,
    document::Size,
    history::changes_between,
    limits::MAX_DIFFERENCES,
    testing::drafts::{Draft, apart, path},
};
use spool_proto::clock::Time;

fn document(drafts: &[Draft]) -> Document {
    let mut document = Document::default();
    for (counter, draft) in (1..).zip(drafts) {
        let change = draft.change(&document);
        document.apply(stamp(counter), [(0, &change)], &mut Size::default());
    }
    document
}

fn stamp(counter: u64) -> Stamp {
    Stamp { time: Time::from_u64(counter), log: [1; 32], counter }
}

fn applied(from: &Document, changes: &[Change]) -> Document {
    let mut document = from.clone();
    document.apply(stamp(1_000), (0..).zip(changes), &mut Size::default());
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn differences_make_one_document_out_of_the_other(
        one in prop::collection::vec(apart(), 0..12),
        two in prop::collection::vec(apart(), 0..12),
        common in prop::collection::vec(apart(), 0..6),
    ) {
        let from = document(&[&common[..], &one].concat());
        let to = document(&[&common[..], &two].concat());
        let changes = changes_between(&from, &to);
        let result = applied(&from, &changes);
        prop_assert_eq!(result.is_alive(), to.is_alive());
        if to.is_alive() {
            prop_assert_eq!(&result.fields, &to.fields);
        }
        prop_assert!(changes_between(&result, &to).is_empty());
        // None of them can be left out.
        for left_out in 0..changes.len() {
            let mut fewer = changes.clone();
            fewer.remove(left_out);
            let result = applied(&from, &fewer);
            prop_assert!(result.is_alive() != to.is_alive() || result.fields != to.fields, "{:?}", changes[left_out]);
        }
    }
}

fn alive(fields: Value) -> Document {
    document(&[Draft::Create(fields)])
}

#[test]
fn only_what_differs_is_written() {
    let from = alive(json!({"same": {"x": 1}, "a": {"b": 1, "c": 2}, "gone": 1, "list": [1, 2], "s": 5}));
    let to = alive(json!({"same": {"x": 1}, "a": {"b": 1, "c": 3}, "list": [1], "s": {"t": 1}, "new": {"u": {}}}));
    assert_eq!(
        changes_between(&from, &to),
        [
            Change::Unset(path("gone")),
            Change::Set(path("a.c"), json!(3)),
            Change::Set(path("list"), json!([1])),
            Change::Set(path("new"), json!({"u": {}})),
            Change::Replace(path("s"), json!({"t": 1})),
        ]
    );
}

#[test]
fn existence_is_a_difference() {
    let unborn = Document::default();
    let born = alive(json!({"a": 1}));
    let deleted = applied(&born, &[Change::Delete]);
    assert_eq!(changes_between(&unborn, &born), [Change::Create(born.fields.clone())]);
    assert_eq!(changes_between(&born, &unborn), [Change::Delete]);
    assert_eq!(changes_between(&born, &deleted), [Change::Delete]);
    assert_eq!(changes_between(&deleted, &unborn), []);
    assert_eq!(
        changes_between(&deleted, &alive(json!({"a": 2}))),
        [Change::Undelete, Change::Set(path("a"), json!(2))]
    );
    assert_eq!(changes_between(&unborn, &deleted), []);
}

#[test]
fn very_many_differences_are_one() {
    let fields = |by: usize| json!({"deep": (0..=MAX_DIFFERENCES).map(|n| (n.to_string(), json!(n + by))).collect::<serde_json::Map<_, _>>()});
    let (from, to) = (alive(fields(0)), alive(fields(1)));
    let changes = changes_between(&from, &to);
    assert_eq!(changes.len(), 1);
    assert_eq!(applied(&from, &changes).fields, to.fields);
}

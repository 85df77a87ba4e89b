//! Changes at random, drawn before their writer has looked at the documents.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Change, Document, Operation, Path, Target, Transaction};

/// A change before its writer has looked at the document.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the change of its name")]
pub enum Draft {
    Create(Value),
    Set(&'static str, Value),
    Replace(&'static str, Value),
    Unset(&'static str),
    Increment(&'static str, i8),
    Add(&'static str, u8),
    Remove(&'static str, u8),
    Keep(&'static str, u8),
    Delete,
    Undelete,
}

impl Draft {
    /// What it is for whoever sees the document like this.
    ///
    /// # Panics
    ///
    /// If it creates something that is no map.
    pub fn change(&self, document: &Document) -> Change {
        match self.clone() {
            Draft::Create(value) => Change::Create(value.as_object().expect("a document is a map").clone()),
            Draft::Set(at, value) => Change::Set(path(at), value),
            Draft::Replace(at, value) => Change::Replace(path(at), value),
            Draft::Unset(at) => Change::Unset(path(at)),
            Draft::Increment(at, by) => Change::Increment(path(at), by.into()),
            Draft::Add(at, value) => Change::Add(path(at), value.into()),
            Draft::Remove(at, value) => remove(document, at, &value.into()),
            Draft::Keep(at, value) => Change::Keep(path(at), value.into(), document.seen(&path(at))),
            Draft::Delete => Change::Delete,
            Draft::Undelete => Change::Undelete,
        }
    }
}

/// A path from its text.
///
/// # Panics
///
/// If it is none.
pub fn path(text: &str) -> Path {
    Path::parse(text).expect("a path written by hand")
}

/// Takes an element out of a set by whoever sees the document like this.
pub fn remove(document: &Document, at: &str, value: &Value) -> Change {
    Change::Remove(path(at), value.clone(), document.observed(&path(at), value))
}

/// The transaction of a writer: each draft with the number of its document.
pub fn transaction(
    drafts: &[(u8, Draft)],
    target: impl Fn(u8) -> Target,
    document: impl Fn(&Target) -> Document,
) -> Transaction {
    let operations = drafts.iter().map(|(number, draft)| {
        let target = target(*number);
        let change = draft.change(&document(&target));
        Operation::Change(target, change)
    });
    Transaction { reverts: None, operations: operations.collect() }
}

/// Values of every kind that merges in its own way.
pub fn values() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(1),
        json!("x"),
        json!([1, 2]),
        json!({"b": 2}),
        json!({"b": {"c": 3}, "d": 1}),
        json!(null),
    ])
}

/// Changes of every kind at the same few paths, so that all kinds meet.
pub fn meeting() -> impl Strategy<Value = Draft> {
    let anywhere = || prop::sample::select(vec!["a", "a.b", "a.b.c", "n", "s", "m"]);
    prop_oneof![
        3 => values().prop_map(|value| Draft::Create(json!({"a": value, "n": 0}))),
        3 => (anywhere(), values()).prop_map(|(at, value)| Draft::Set(at, value)),
        1 => (anywhere(), values()).prop_map(|(at, value)| Draft::Replace(at, value)),
        1 => anywhere().prop_map(Draft::Unset),
        2 => (anywhere(), any::<i8>()).prop_map(|(at, by)| Draft::Increment(at, by)),
        2 => (anywhere(), 0u8..3).prop_map(|(at, value)| Draft::Add(at, value)),
        2 => (anywhere(), 0u8..3).prop_map(|(at, value)| Draft::Remove(at, value)),
        1 => (anywhere(), any::<u8>()).prop_map(|(at, value)| Draft::Keep(at, value)),
        1 => Just(Draft::Delete),
        1 => Just(Draft::Undelete),
    ]
}

/// Counters at `n`, sets at `s`, anything at `a`; so that what was undone leaves nothing but zeros and empty sets behind.
pub fn apart() -> impl Strategy<Value = Draft> {
    let anywhere = || prop::sample::select(vec!["a", "a.b", "a.b.c", "a.d", "m"]);
    prop_oneof![
        3 => values().prop_map(|value| Draft::Create(json!({"a": value, "n": 3}))),
        4 => (anywhere(), values()).prop_map(|(at, value)| Draft::Set(at, value)),
        1 => Just(Draft::Set("n", json!(7))),
        1 => Just(Draft::Set("s", json!([2, 0]))),
        2 => (anywhere(), values()).prop_map(|(at, value)| Draft::Replace(at, value)),
        1 => Just(Draft::Replace("", json!({"a": {"z": 1}, "s": [1]}))),
        2 => prop::sample::select(vec!["a", "a.b", "m", "n", "s"]).prop_map(Draft::Unset),
        2 => any::<i8>().prop_map(|by| Draft::Increment("n", by)),
        2 => (0u8..3).prop_map(|value| Draft::Add("s", value)),
        2 => (0u8..3).prop_map(|value| Draft::Remove("s", value)),
        1 => (prop::sample::select(vec!["a", "m"]), any::<u8>()).prop_map(|(at, value)| Draft::Keep(at, value)),
        1 => Just(Draft::Delete),
        1 => Just(Draft::Undelete),
    ]
}

//! How large a document may have become, without encoding it.

use serde_json::{Map, Value};

use super::Document;
use crate::{Path, operation::Change};

/// More than the last event can add: its time, log and counter where there was none.
pub(super) const STAMP: usize = 64;
/// A dot, and the heads of the arrays around it.
const DOT: usize = 64;
/// What a set says of an element beside the element itself and the dots: the head and the names of its three fields.
const ELEMENT: usize = 16;

/// An upper bound of a document's stored size, so that it is encoded only when it may have become too large.
///
/// It must never fall short: which events have been folded in one batch must not decide which of them has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub(super) usize);

impl Size {
    /// Of a document that was stored with this many bytes.
    pub fn stored(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The bound.
    pub(crate) fn bytes(self) -> usize {
        self.0
    }
}

impl Default for Size {
    fn default() -> Self {
        Self(Document::default().to_bytes().len())
    }
}

/// More than a change can add to a document's stored size, but for what becomes of an array that was there before; see [`of_mark`].
pub(super) fn bound(change: &Change) -> usize {
    let path = |path: &Path| path.names().iter().map(|name| name.len() + 9).sum::<usize>() + 18;
    // Marks repeat the value that shows and the path; sets and numbers may change their form.
    2 * match change {
        Change::Create(fields) => fields.iter().map(|(name, value)| name.len() + 9 + of_mark(value)).sum(),
        Change::Set(at, value) | Change::Replace(at, value) | Change::Add(at, value) => path(at) + of_mark(value) + DOT,
        Change::Keep(at, value, _) | Change::Remove(at, value, _) => path(at) + of_mark(value) + DOT,
        Change::Increment(at, _) => path(at) + 9,
        Change::Unset(_) | Change::Delete | Change::Undelete => 0,
    }
}

/// More than a value takes in a mark, as an element of a set or as the elements of one.
pub(super) fn of_mark(value: &Value) -> usize {
    ELEMENT
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => of_value(value),
            Value::Array(items) => 9 + items.iter().map(of_mark).sum::<usize>(),
            Value::Object(fields) => {
                9 + fields.iter().map(|(name, value)| name.len() + 9 + of_mark(value)).sum::<usize>()
            }
        }
}

/// About the memory that fields take.
pub(crate) fn size_of(fields: &Map<String, Value>) -> usize {
    fields.iter().map(|(name, value)| name.len() + 9 + of_value(value)).sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => text.len() + 9,
        Value::Array(items) => 9 + items.iter().map(of_value).sum::<usize>(),
        Value::Object(fields) => 9 + size_of(fields),
    }
}

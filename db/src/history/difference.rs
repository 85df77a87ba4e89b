//! What makes one document out of another one.

use serde_json::{Map, Value};

use crate::{Document, Path, document::Existence, limits::MAX_DIFFERENCES, operation::Change};

/// The changes that turn what shows of `from` into what shows of `to`: whether it exists and, if it does, its fields. Nothing, if nothing differs.
///
/// They are as small as they can be, so that what others write to other fields meanwhile stays: fields of maps one by one, down to the scalar or array that differs. Where more than
/// [`MAX_DIFFERENCES`] do, all fields are replaced at once.
///
/// - A document that is to exist again is undeleted, not created: its fields are then those of before, with their sets and their values side by side, and the
///   differences. A create would hide them only if the document is still deleted where the event comes to stand, and merge with them otherwise.
/// - The fields of a document that is not to exist stay as they are. They do not show, and are there for when it is undeleted.
/// - Whether a document is deleted or was never created does not show. Nothing makes one unborn that was created: it is deleted.
pub fn changes_between(from: &Document, to: &Document) -> Vec<Change> {
    match (from.existence, to.existence) {
        (Existence::Alive, Existence::Unborn | Existence::Deleted) => vec![Change::Delete],
        (Existence::Unborn | Existence::Deleted, Existence::Unborn | Existence::Deleted) => Vec::new(),
        (Existence::Unborn, Existence::Alive) if from.fields.is_empty() => vec![Change::Create(to.fields.clone())],
        (Existence::Unborn, Existence::Alive) => {
            before(Change::Create(Map::new()), fields_between(&from.fields, &to.fields))
        }
        (Existence::Deleted, Existence::Alive) => before(Change::Undelete, fields_between(&from.fields, &to.fields)),
        (Existence::Alive, Existence::Alive) => fields_between(&from.fields, &to.fields),
    }
}

fn before(first: Change, rest: Vec<Change>) -> Vec<Change> {
    std::iter::once(first).chain(rest).collect()
}

fn fields_between(from: &Map<String, Value>, to: &Map<String, Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&Path::default(), from, to, &mut changes);
    if changes.len() > MAX_DIFFERENCES {
        return vec![Change::Replace(Path::default(), Value::Object(to.clone()))];
    }
    changes
}

/// The differences of two maps at a path; maps within both of them are compared field by field.
pub(super) fn compare(at: &Path, from: &Map<String, Value>, to: &Map<String, Value>, changes: &mut Vec<Change>) {
    let removed = from.keys().filter(|name| !to.contains_key(*name));
    changes.extend(removed.map(|name| Change::Unset(at.child(name))));
    for (name, value) in to {
        match (from.get(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => compare(&at.child(name), old, new, changes),
            (Some(old), new) if old == new => {}
            (Some(_), Value::Object(_)) => changes.push(Change::Replace(at.child(name), value.clone())),
            (Some(_) | None, _) => changes.push(Change::Set(at.child(name), value.clone())),
        }
    }
}

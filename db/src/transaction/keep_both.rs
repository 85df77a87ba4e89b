//! Writes where a collection keeps both of two concurrent values.

use serde_json::Value;

use super::{Error, Write};
use crate::{Change, Document, Path, Target, stamp::Dot};

impl Write<'_> {
    /// The changes, but what they put at, around or within a field that keeps both values is kept beside those that are not known here. For that the document
    /// counts as read.
    pub(super) fn keeping_both(&mut self, target: &Target, changes: Vec<Change>) -> Result<(), Error> {
        let definition = self.current_definition(&target.collection)?;
        let fields = definition.map(|definition| definition.keep_both).unwrap_or_default();
        if fields.is_empty() {
            return self.changes(target, changes);
        }
        let before = self.peek(target)?;
        let changes = keeping(&fields, &before, changes);
        if changes.iter().any(|change| matches!(change, Change::Keep(..))) {
            self.rely(target)?;
        }
        self.changes(target, changes)
    }
}

fn keeping(fields: &[Path], before: &Document, mut changes: Vec<Change>) -> Vec<Change> {
    let mut after = before.clone();
    for change in &changes {
        after.apply_unbounded(Dot::HERE, change);
    }
    let mut keeps = Vec::new();
    for field in fields {
        let mut is_written = false;
        changes.retain_mut(|change| {
            let taken = take(change, field);
            is_written |= taken != Taken::Nothing;
            taken != Taken::All
        });
        if is_written && let Some(value) = field.get(&after.fields) {
            keeps.push(Change::Keep(field.clone(), value.clone(), before.seen(field)));
        }
    }
    changes.extend(keeps);
    changes
}

#[derive(PartialEq)]
enum Taken {
    /// The change has nothing to do with the field.
    Nothing,
    /// It writes more.
    Part,
    /// It writes nothing else.
    All,
}

/// Takes what is written at a field out of a change.
fn take(change: &mut Change, field: &Path) -> Taken {
    let (path, value) = match change {
        Change::Create(fields) => {
            return if take_from(fields, field.names()) { Taken::Part } else { Taken::Nothing };
        }
        Change::Set(path, value) | Change::Replace(path, value) => (path, value),
        // What takes a part of a field away writes the rest.
        Change::Unset(path) if field.contains(path) && path != field => return Taken::All,
        Change::Unset(_)
        | Change::Increment(..)
        | Change::Add(..)
        | Change::Remove(..)
        | Change::Keep(..)
        | Change::Delete
        | Change::Undelete => return Taken::Nothing,
    };
    if field.contains(path) {
        return Taken::All;
    }
    let Some(within) = field.names().strip_prefix(path.names()) else { return Taken::Nothing };
    let Value::Object(fields) = value else { return Taken::Nothing };
    match take_from(fields, within) {
        false => Taken::Nothing,
        true if path.is_root() && fields.is_empty() => Taken::All,
        true => Taken::Part,
    }
}

/// Whether there was something.
fn take_from(fields: &mut serde_json::Map<String, Value>, names: &[String]) -> bool {
    match names {
        [] => false,
        [name] => fields.remove(name).is_some(),
        [name, rest @ ..] => match fields.get_mut(name) {
            Some(Value::Object(inner)) => take_from(inner, rest),
            Some(_) | None => false,
        },
    }
}

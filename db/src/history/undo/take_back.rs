//! What takes back what an event has done to one document.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::{
    chains::Void,
    own::Own,
    refold::{Refolded, refold},
};
use crate::{
    Document, Path, Stamp,
    document::Size,
    documents,
    history::{difference::compare, past::Past},
    limits::MAX_DIFFERENCES,
    operation::{Change, Observed, Target},
    projector::Error,
    stamp::Dot,
};

/// The event to be taken back, and the document with and without it.
struct Case<'a> {
    stamp: Stamp,
    changes: Vec<&'a Change>,
    present: Document,
    folded: Refolded,
}

/// The changes of a document that take back those of an event; `void` is what counts for nothing then.
pub(super) fn changes(past: &mut Past<'_>, target: &Target, event: &Own, void: &Void) -> Result<Vec<Change>, Error> {
    let folded = refold(past, target, event, void)?;
    let present = documents::document(past.reader, target)?.unwrap_or_default();
    let changes = event.transaction.changes(target).map(|(_, change)| change).collect();
    Ok(Case { stamp: event.stamp, changes, present, folded }.take_back())
}

impl Case<'_> {
    fn take_back(mut self) -> Vec<Change> {
        let existence = self.existence();
        let mut changes = self.merging();
        let mut now = self.present.clone();
        // Whose operations these are does not matter: they are thrown away again.
        let stamp = Stamp { counter: u64::MAX, ..self.stamp };
        now.apply(stamp, (0..).zip(&changes), &mut Size::default());
        changes.extend(self.overwriting(&now));
        match existence {
            Some(Change::Undelete) => changes.insert(0, Change::Undelete),
            existence => changes.extend(existence),
        }
        changes
    }

    fn existence(&self) -> Option<Change> {
        if !self.folded.own.existence || self.folded.later.existence {
            return None;
        }
        match (self.present.is_alive(), self.folded.without.is_alive()) {
            (true, false) => Some(Change::Delete),
            (false, true) => Some(Change::Undelete),
            (true, true) | (false, false) => None,
        }
    }

    /// What can be taken back beside whatever else happens to the field.
    fn merging(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut kept = BTreeSet::new();
        for change in self.changes.clone().into_iter().rev() {
            match change {
                Change::Increment(path, by) if !self.folded.own.overlap(path) => {
                    changes.extend(self.decrement(path, by));
                }
                Change::Add(path, value) if !self.folded.own.overlap(path) => {
                    changes.extend(self.removal(path, value));
                }
                Change::Remove(path, value, _) if !self.folded.own.overlap(path) => {
                    let (had, has) = (self.folded.without.observed(path, value), self.present.observed(path, value));
                    if had.dots.iter().any(|dot| !has.dots.contains(dot)) || (had.plain && !has.plain) {
                        changes.push(Change::Add(path.clone(), value.clone()));
                    }
                }
                Change::Keep(path, _, _) if !self.folded.later.overlap(path) && kept.insert(path) => {
                    changes.extend(self.side_by_side(path));
                }
                Change::Create(_)
                | Change::Set(..)
                | Change::Replace(..)
                | Change::Unset(_)
                | Change::Increment(..)
                | Change::Add(..)
                | Change::Remove(..)
                | Change::Keep(..)
                | Change::Delete
                | Change::Undelete => {}
            }
        }
        // An addition has put a set in place of what was none.
        for change in &self.changes {
            if let Change::Add(path, _) = change
                && is_in_the_way(&self.folded.without.fields, path)
            {
                self.folded.own.insert(path);
            }
        }
        changes
    }

    /// Nothing, if the increment has no effect any more: somebody has set the number since.
    fn decrement(&self, path: &Path, by: &Number) -> Option<Change> {
        let (now, then) = (path.get(&self.present.fields), path.get(&self.folded.without.fields));
        let is_counter = now.is_none_or(|now| now.is_number() || now.is_null());
        let is_left = now != then && is_counter;
        is_left.then(|| negative(by)).flatten().map(|by| Change::Increment(path.clone(), by))
    }

    /// Names those additions only that are to be taken back: others keep the element.
    fn removal(&self, path: &Path, value: &Value) -> Option<Change> {
        let (has, had) = (self.present.observed(path, value), self.folded.without.observed(path, value));
        let is_own = |dot: &Dot| self.folded.additions.contain(path, value, dot);
        // An undo that has set all of a set back has made the addition part of it.
        let plain = has.plain && !had.plain;
        let dots: Vec<_> = has.dots.iter().copied().filter(is_own).collect();
        let has_others = dots.len() < has.dots.len() || (has.plain && !plain);
        let is_to_stay = had != Observed::default();
        if (dots.is_empty() && !plain) || (is_to_stay && !has_others) {
            return None;
        }
        Some(Change::Remove(path.clone(), value.clone(), Observed { dots, plain }))
    }

    /// The values that stood side by side, in their order, in place of those that do now.
    fn side_by_side(&self, path: &Path) -> Vec<Change> {
        if self.folded.without.seen(path).is_empty() || self.folded.without.seen(path) == self.present.seen(path) {
            return Vec::new();
        }
        let conflict = self.folded.without.conflicts().find(|(at, _)| *at == path);
        let values: Vec<Value> = match conflict {
            Some((_, values)) => values.iter().map(|(_, value)| value.clone()).collect(),
            None => path.get(&self.folded.without.fields).cloned().into_iter().collect(),
        };
        let mut seen = self.present.seen(path);
        values.into_iter().map(|value| Change::Keep(path.clone(), value, std::mem::take(&mut seen))).collect()
    }

    /// What the event put in place of something else, and nobody has written since.
    fn overwriting(&self, now: &Document) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(&Path::default(), &now.fields, &self.folded.without.fields, &mut changes);
        if changes.len() > MAX_DIFFERENCES && self.folded.own.is_whole() && self.folded.later.has_no_fields() {
            return vec![Change::Replace(Path::default(), Value::Object(self.folded.without.fields.clone()))];
        }
        changes.retain(|change| match change {
            Change::Set(path, _) | Change::Replace(path, _) | Change::Unset(path) => {
                self.folded.own.overlap(path) && !self.folded.later.overlap(path)
            }
            Change::Create(_)
            | Change::Increment(..)
            | Change::Add(..)
            | Change::Remove(..)
            | Change::Keep(..)
            | Change::Delete
            | Change::Undelete => false,
        });
        changes
    }
}

/// Whether there is something at a path, or on the way to it, that a set takes the place of.
fn is_in_the_way(fields: &Map<String, Value>, path: &Path) -> bool {
    let mut map = fields;
    for (depth, name) in path.names().iter().enumerate() {
        match map.get(name) {
            None => return false,
            Some(Value::Object(inner)) if depth + 1 < path.names().len() => map = inner,
            Some(Value::Array(_)) => return depth + 1 < path.names().len(),
            Some(_) => return true,
        }
    }
    false
}

fn negative(number: &Number) -> Option<Number> {
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let negative = integer.and_then(|integer| Number::from_i128(-integer));
    negative.or_else(|| Number::from_f64(-number.as_f64()?))
}

//! Where events write to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Path, document::Existence, operation::Change};

/// What was written of a document.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// What got a value, each as deep as can be told from the changes.
    paths: BTreeSet<Path>,
    /// It was created, deleted or undeleted.
    pub(super) existence: bool,
}

impl Writes {
    /// Notes a change that puts something in place of what was there, in a document of this existence. Increments and sets do not.
    pub(super) fn note(&mut self, change: &Change, existence: &mut Existence) {
        match change {
            Change::Create(fields) => {
                if *existence == Existence::Deleted {
                    self.paths.insert(Path::default());
                }
                *existence = Existence::Alive;
                self.existence = true;
                fields.iter().for_each(|(name, value)| self.note_value(Path::new([name.as_str()]), value));
            }
            Change::Set(path, value) => self.note_value(path.clone(), value),
            Change::Replace(path, _) | Change::Unset(path) | Change::Keep(path, _, _) => self.insert(path),
            Change::Delete => {
                *existence = Existence::Deleted;
                self.existence = true;
            }
            Change::Undelete => {
                if *existence == Existence::Deleted {
                    *existence = Existence::Alive;
                }
                self.existence = true;
            }
            Change::Increment(..) | Change::Add(..) | Change::Remove(..) => {}
        }
    }

    /// As [`note`](Self::note), for increments and sets too.
    pub(super) fn note_all(&mut self, change: &Change, existence: &mut Existence) {
        self.note(change, existence);
        if let Change::Increment(path, _) | Change::Add(path, _) | Change::Remove(path, _, _) = change {
            self.insert(path);
        }
    }

    pub(super) fn insert(&mut self, path: &Path) {
        self.paths.insert(path.clone());
    }

    /// A map is merged, so that only what it holds is written.
    fn note_value(&mut self, path: Path, value: &Value) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, value)| self.note_value(path.child(name), value));
            }
            _ if path.is_root() => {}
            _ => {
                self.paths.insert(path);
            }
        }
    }

    /// Whether something was written at a path, within it, or around it.
    pub(super) fn overlap(&self, path: &Path) -> bool {
        // What lies within a path follows it in the order of paths.
        let within = self.paths.range(path.clone()..).next().is_some_and(|next| path.contains(next));
        let names = path.names();
        within || (0..names.len()).any(|depth| self.paths.contains(&Path::new(&names[..depth])))
    }

    /// Whether every field was written.
    pub(super) fn is_whole(&self) -> bool {
        self.paths.contains(&Path::default())
    }

    pub(super) fn has_no_fields(&self) -> bool {
        self.paths.is_empty()
    }
}

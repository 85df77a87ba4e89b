//! Writes of whole documents, and of one value in place of several.

use serde_json::{Map, Value};

use super::{Error, Write};
use crate::{
    Change, Document, Path, Target,
    document::Existence,
    history::changes_between,
    query::{ID, MODIFIED},
};

impl Write<'_> {
    /// Makes a document have exactly these fields; it is created if it does not exist. `_mod` says nothing, and neither does an `_id` that is the document's own.
    ///
    /// What is written are the smallest changes that lead there, so that what other peers write to other fields at the same time is merged. Here, where there is an
    /// order, the document counts as read. Where the collection keeps both of two concurrent values, what differs is kept beside those that are not known here.
    ///
    /// # Errors
    ///
    /// [`Error::OtherId`], and as [`change`](Self::change).
    pub fn save(&mut self, target: &Target, fields: Map<String, Value>) -> Result<(), Error> {
        let fields = without_own(target, fields)?;
        let before = self.document(target)?;
        self.has_saved = true;
        if before.existence == Existence::Deleted {
            // Hides what it was.
            return self.keeping_both(target, vec![Change::Create(fields)]);
        }
        let changes = changes_between(&before, &alive(fields));
        if changes.is_empty() { Ok(()) } else { self.keeping_both(target, changes) }
    }

    /// As [`save`](Self::save) by somebody who has seen the document with the fields `seen`, perhaps a while ago: only what differs from that is written, so what
    /// others have written to other fields since stays. Nothing of the document counts as read but whether it exists; if it does not, it is created.
    ///
    /// # Errors
    ///
    /// [`Error::OtherId`], and as [`change`](Self::change).
    pub fn save_seen(
        &mut self,
        target: &Target,
        seen: Map<String, Value>,
        fields: Map<String, Value>,
    ) -> Result<(), Error> {
        let (seen, fields) = (without_own(target, seen)?, without_own(target, fields)?);
        if !self.exists(target)? {
            return self.keeping_both(target, vec![Change::Create(fields)]);
        }
        let changes = changes_between(&alive(seen), &alive(fields));
        if changes.is_empty() { Ok(()) } else { self.keeping_both(target, changes) }
    }

    /// Sets all these fields of a document that exists, as [`set`](Self::set) does each of them; all others stay. `_id` and `_mod` are as for
    /// [`save`](Self::save).
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::OtherId`], and as [`change`](Self::change).
    pub fn merge(&mut self, target: &Target, fields: Map<String, Value>) -> Result<(), Error> {
        let fields = without_own(target, fields)?;
        self.must_exist(target)?;
        if fields.is_empty() {
            return Ok(());
        }
        self.keeping_both(target, vec![Change::Set(Path::default(), Value::Object(fields))])
    }

    /// Puts one value in place of all that stand side by side at a path, as far as they are known here. For that the document counts as read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Misfit`], and as [`change`](Self::change).
    pub fn resolve(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        self.must_exist(target)?;
        let seen = self.document(target)?.seen(&path);
        let is_kept = !seen.is_empty();
        let change = if is_kept { Change::Keep(path, value, seen) } else { Change::Replace(path, value) };
        self.must_fit(target, std::slice::from_ref(&change))?;
        // Without such values it is an ordinary field, unless the collection says otherwise.
        if is_kept { self.changes(target, vec![change]) } else { self.keeping_both(target, vec![change]) }
    }
}

/// A document that has these fields and nothing else.
fn alive(fields: Map<String, Value>) -> Document {
    let mut document = Document::default();
    (document.existence, document.fields) = (Existence::Alive, fields);
    document
}

fn without_own(target: &Target, mut fields: Map<String, Value>) -> Result<Map<String, Value>, Error> {
    fields.remove(MODIFIED);
    match fields.remove(ID) {
        Some(Value::String(id)) if id == target.id => Ok(fields),
        None => Ok(fields),
        Some(found) => Err(Error::OtherId { target: target.clone(), found: found.to_string() }),
    }
}

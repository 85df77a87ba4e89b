//! Writes on top of the reads of one state.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use spool_store::view::Reader;

use super::{Draft, Error, Read, Seen};
use crate::{
    Change, Document, Operation, Path, Target, Transaction,
    collection::{self, COLLECTIONS, Definition},
    document::Size,
    documents,
    history::VersionId,
    limits::MAX_OPERATIONS,
    operation,
    stamp::Dot,
};

/// Reads and writes; its reads see its own writes.
pub struct Write<'a> {
    read: Read<'a>,
    written: BTreeMap<Target, (Document, Size)>,
    seen: BTreeMap<Target, Seen>,
    operations: Vec<Operation>,
    /// Definitions of the collections that are written to.
    definitions: BTreeMap<String, Definition>,
}

impl<'a> Write<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>) -> Self {
        Self {
            read: Read::new(reader),
            written: BTreeMap::new(),
            seen: BTreeMap::new(),
            operations: Vec::new(),
            definitions: BTreeMap::new(),
        }
    }

    pub(crate) fn into_draft(self, reverts: Option<operation::Reverts>) -> Draft {
        Draft {
            transaction: Transaction { reverts, operations: self.operations },
            seen: self.seen,
            written: self.written.into_iter().map(|(target, (document, _))| (target, document)).collect(),
            definitions: self.definitions,
        }
    }

    /// A document with `_id` and `_mod`, as this transaction leaves it so far; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn get(&mut self, target: &Target) -> Result<Option<Map<String, Value>>, Error> {
        Ok(self.document(target)?.shown(&target.id))
    }

    /// A document with all that is known of it, as this transaction leaves it so far.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn document(&mut self, target: &Target) -> Result<Document, Error> {
        if let Some((document, _)) = self.written.get(target) {
            let document = document.clone();
            return Ok(document);
        }
        let document = self.read.document(target)?;
        self.seen.insert(target.clone(), Seen::Version(document.version()));
        Ok(document)
    }

    /// Goes on only if the document is in this version.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] has the current version.
    pub fn expect(&mut self, target: &Target, version: VersionId) -> Result<(), Error> {
        let current = self.read.document(target)?.version();
        if current != version {
            return Err(Error::Stale { target: target.clone(), expected: version, current });
        }
        self.seen.insert(target.clone(), Seen::Version(current));
        Ok(())
    }

    /// Defines a collection, or changes what is defined for it.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn define(&mut self, definition: &Definition) -> Result<(), Error> {
        let target = Target::new(COLLECTIONS, definition.name.as_str());
        let before = self.document(&target)?;
        let before = before.is_alive().then(|| Definition::from_fields(&definition.name, &before.fields));
        let changes = collection::changes(before.as_ref(), definition);
        changes.into_iter().try_for_each(|change| self.change(&target, change))
    }

    /// What is defined for a collection, as this transaction leaves it so far.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn definition(&mut self, collection: &str) -> Result<Option<Definition>, Error> {
        let document = self.peek(&Target::new(COLLECTIONS, collection))?;
        Ok(document.is_alive().then(|| Definition::from_fields(collection, &document.fields)))
    }

    /// Makes a document.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`].
    pub fn create(&mut self, target: &Target, fields: Map<String, Value>) -> Result<(), Error> {
        if self.exists(target)? {
            return Err(Error::Exists(target.clone()));
        }
        self.change(target, Change::Create(fields))
    }

    /// Changes a document that exists. Nothing of it counts as read: what others change in it at the same time is merged.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn update(&mut self, target: &Target, changes: impl IntoIterator<Item = Change>) -> Result<(), Error> {
        if !self.exists(target)? {
            return Err(Error::NotFound(target.clone()));
        }
        changes.into_iter().try_for_each(|change| self.change(target, change))
    }

    /// Merges a value in at a path. Where the collection keeps both of two concurrent values, it is kept beside those that are not known here.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn set(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        let definition = self.definition(&target.collection)?;
        if definition.is_some_and(|definition| definition.keep_both.contains(&path)) {
            return self.keep(target, path, value);
        }
        self.update(target, [Change::Set(path, value)])
    }

    /// Adds to a number.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn increment(&mut self, target: &Target, path: Path, by: Number) -> Result<(), Error> {
        self.update(target, [Change::Increment(path, by)])
    }

    /// Adds an element to a set.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn add(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        self.update(target, [Change::Add(path, value)])
    }

    /// Removes an element from a set, as far as its additions are known here.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn remove(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        let observed = self.peek(target)?.observed(&path, &value);
        self.update(target, [Change::Remove(path, value, observed)])
    }

    /// Sets a value that is kept beside those that others set without knowing of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn keep(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        let seen = self.peek(target)?.seen(&path);
        self.update(target, [Change::Keep(path, value, seen)])
    }

    /// Makes a document not exist.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn delete(&mut self, target: &Target) -> Result<(), Error> {
        self.update(target, [Change::Delete])
    }

    /// Makes a deleted document exist again.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if it was not deleted, [`Error::NotFound`] if it never existed.
    pub fn undelete(&mut self, target: &Target) -> Result<(), Error> {
        match self.peek(target)?.existence {
            crate::document::Existence::Deleted => {
                self.see_existence(target, false);
                self.change(target, Change::Undelete)
            }
            crate::document::Existence::Alive => Err(Error::Exists(target.clone())),
            crate::document::Existence::Unborn => Err(Error::NotFound(target.clone())),
        }
    }

    /// Whether a document exists; the transaction relies on that, and on nothing else of it.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn exists(&mut self, target: &Target) -> Result<bool, Error> {
        let alive = match self.written.get(target) {
            Some((document, _)) => document.is_alive(),
            None => documents::is_alive(self.read.reader, target)?,
        };
        self.see_existence(target, alive);
        Ok(alive)
    }

    fn see_existence(&mut self, target: &Target, alive: bool) {
        if !self.written.contains_key(target) {
            self.seen.entry(target.clone()).or_insert(Seen::Existence(alive));
        }
    }

    /// Looks without relying on it.
    fn peek(&self, target: &Target) -> Result<Document, Error> {
        match self.written.get(target) {
            Some((document, _)) => Ok(document.clone()),
            None => self.read.document(target),
        }
    }

    /// Documents are written to collections that are defined, or that are Spool's own.
    fn check_collection(&mut self, name: &str) -> Result<(), Error> {
        if name.starts_with('_') {
            // What was found of a collection may be another from now on.
            self.definitions.clear();
            return Ok(());
        }
        if !self.definitions.contains_key(name) {
            let definition = self.definition(name)?.ok_or_else(|| Error::NoCollection(name.to_owned()))?;
            self.definitions.insert(name.to_owned(), definition);
        }
        Ok(())
    }

    /// One change more, on whatever the document is.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`], [`Error::TooLarge`], [`Error::DocumentTooLarge`].
    pub fn change(&mut self, target: &Target, change: Change) -> Result<(), Error> {
        let broken = |source| Error::Operation { target: target.clone(), source };
        let operation = Operation::Change(target.clone(), change);
        operation.check().map_err(broken)?;
        if self.operations.len() >= MAX_OPERATIONS {
            return Err(Error::TooLarge);
        }
        let Operation::Change(_, change) = &operation else { return Ok(()) };
        self.check_collection(&target.collection)?;
        if !self.written.contains_key(target) {
            let stored = documents::stored::read(self.read.reader, target)?;
            let working = stored.map(|entry| (entry.document, Size::stored(entry.bytes))).unwrap_or_default();
            self.written.insert(target.clone(), working);
        }
        let index = u32::try_from(self.operations.len()).map_err(|_| Error::TooLarge)?;
        if let Some((document, size)) = self.written.get_mut(target)
            && !document.apply(Dot::HERE, [(index, change)], size)
        {
            return Err(Error::DocumentTooLarge(target.clone()));
        }
        self.operations.push(operation);
        Ok(())
    }
}

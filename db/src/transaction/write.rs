//! Writes on top of the reads of one state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use super::{Draft, Error, Read, Seen};
use crate::{
    Change, Document, Operation, Path, Target, Transaction,
    collection::{self, COLLECTIONS, Definition},
    database::Limit,
    document::{Existence, Size},
    documents,
    history::VersionId,
    limits::{MAX_SEEN, TRANSACTION_HEAD_BYTES},
    operation::{self, Observed},
    stamp::Dot,
};

/// More bytes than the name of an operation's own event takes once it has its place: until then it is shorter.
const PLACE_BYTES: usize = 8;

/// Reads and writes; its reads see its own writes.
///
/// A write that is refused has changed nothing, and the transaction can go on. It may stay open for as long as it takes: it holds up nobody, and the longer it
/// takes the likelier is somebody faster.
pub struct Write<'a> {
    pub(super) read: Read<'a>,
    pub(super) written: BTreeMap<Target, Working>,
    seen: BTreeMap<Target, Seen>,
    operations: Vec<Operation>,
    /// Of their encodings.
    bytes: usize,
    /// Bytes that the documents in `written` had to begin with.
    held: usize,
    /// Definitions of the collections that are written to.
    definitions: BTreeMap<String, Definition>,
    /// The document that was looked at last and is not written yet: whoever looks at one is most likely about to write it.
    looked_at: Option<(Target, Working)>,
    /// What is gone by where nothing is defined.
    provided: BTreeMap<String, Definition>,
    pub(super) has_saved: bool,
}

/// A document as a transaction leaves it so far.
#[derive(Default)]
pub(super) struct Working {
    pub(super) document: Document,
    size: Size,
    /// Bytes that it had to begin with.
    stored: usize,
    /// Operations of this transaction that it names.
    named: usize,
}

impl<'a> Write<'a> {
    pub(crate) fn new(read: Read<'a>) -> Self {
        Self {
            read,
            written: BTreeMap::new(),
            seen: BTreeMap::new(),
            operations: Vec::new(),
            bytes: 0,
            held: 0,
            definitions: BTreeMap::new(),
            looked_at: None,
            provided: BTreeMap::new(),
            has_saved: false,
        }
    }

    pub(crate) fn into_draft(mut self, reverts: Option<operation::Reverts>) -> Result<Draft, Error> {
        let collections: BTreeSet<String> = self.written.keys().map(|target| target.collection.clone()).collect();
        for name in collections {
            // As the transaction leaves it: it may have been defined after its documents were written.
            if let Some(definition) = self.current_definition(&name)? {
                self.definitions.insert(name, definition);
            }
        }
        Ok(Draft {
            client: None,
            transaction: Transaction { reverts, operations: self.operations },
            seen: self.seen,
            written: self.written.into_iter().map(|(target, working)| (target, working.document)).collect(),
            touched: BTreeSet::new(),
            definitions: self.definitions,
            has_saved: self.has_saved,
        })
    }

    /// The state that the transaction has begun with, without what it has written. Nothing that is read there counts as read.
    pub fn state(&self) -> &Read<'a> {
        &self.read
    }

    /// A document with `_id` and `_mod`, as this transaction leaves it so far; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::View`], [`Error::TooLarge`].
    pub fn get(&mut self, target: &Target) -> Result<Option<Map<String, Value>>, Error> {
        Ok(self.document(target)?.shown(&target.id))
    }

    /// A document with all that is known of it, as this transaction leaves it so far.
    ///
    /// # Errors
    ///
    /// [`Error::View`], [`Error::TooLarge`].
    pub fn document(&mut self, target: &Target) -> Result<Document, Error> {
        self.rely(target)?;
        self.peek(target)
    }

    /// Goes on only if the document is in this version.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] has the current version.
    pub fn expect(&mut self, target: &Target, version: VersionId) -> Result<(), Error> {
        let current = documents::version(self.read.reader, target)?;
        if current != version {
            return Err(Error::Stale { target: target.clone(), expected: version, current });
        }
        self.rely(target)
    }

    /// Defines a collection, or changes what is defined for it.
    ///
    /// # Errors
    ///
    /// [`Error::View`], [`Error::TooLarge`].
    pub fn define(&mut self, definition: &Definition) -> Result<(), Error> {
        let target = Target::new(COLLECTIONS, definition.name.as_str());
        let before = self.document(&target)?;
        let before = before.is_alive().then(|| Definition::from_fields(&definition.name, &before.fields));
        // Also that nothing is to be changed was found by reading.
        self.has_saved = true;
        self.changes(&target, collection::changes(before.as_ref(), definition))
    }

    /// Goes by this definition where none has arrived yet. Nothing of it is written.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn provide(&mut self, definition: Definition) -> Result<(), Error> {
        if self.definition(&definition.name)?.is_none() {
            self.provided.insert(definition.name.clone(), definition);
        }
        Ok(())
    }

    /// What is defined for a collection, as this transaction leaves it so far.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn definition(&mut self, collection: &str) -> Result<Option<Definition>, Error> {
        let document = self.peek(&Target::new(COLLECTIONS, collection))?;
        if document.is_alive() {
            return Ok(Some(Definition::from_fields(collection, &document.fields)));
        }
        Ok(self.provided.get(collection).cloned())
    }

    /// The same, looked up once. Spool's own collections have none.
    pub(super) fn current_definition(&mut self, collection: &str) -> Result<Option<Definition>, Error> {
        if collection.starts_with('_') {
            return Ok(None);
        }
        match self.definitions.get(collection) {
            Some(known) => Ok(Some(known.clone())),
            None => self.definition(collection),
        }
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
        self.keeping_both(target, vec![Change::Create(fields)])
    }

    /// Changes a document that exists. Nothing of it counts as read: what others change in it at the same time is merged.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Misfit`] if a change would do nothing to what is there, or take away what it does not name.
    pub fn update(&mut self, target: &Target, changes: impl IntoIterator<Item = Change>) -> Result<(), Error> {
        self.must_exist(target)?;
        let changes: Vec<_> = changes.into_iter().collect();
        self.must_fit(target, &changes)?;
        self.changes(target, changes)
    }

    /// Merges a value in at a path. Where the collection keeps both of two concurrent values, it is kept beside those that are not known here.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Misfit`] if the path lies within what is no map.
    pub fn set(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        self.must_exist(target)?;
        let changes = vec![Change::Set(path, value)];
        self.must_fit(target, &changes)?;
        self.keeping_both(target, changes)
    }

    /// Removes what is at a path. Where there is nothing, nothing is written, and the document counts as read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Misfit`] if the path lies within what is no map.
    pub fn unset(&mut self, target: &Target, path: Path) -> Result<(), Error> {
        self.must_exist(target)?;
        let is_there = path.get(&self.look(target)?.fields).is_some();
        let changes = vec![Change::Unset(path)];
        self.must_fit(target, &changes)?;
        if is_there { self.changes(target, changes) } else { self.leave(target) }
    }

    /// Adds to a number; nothing there, or null, counts as zero.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Misfit`] if something else is there, or the sum would not be finite.
    pub fn increment(&mut self, target: &Target, path: Path, by: Number) -> Result<(), Error> {
        self.update(target, [Change::Increment(path, by)])
    }

    /// Adds an element to a set, or to a list, which becomes one by that; nothing there, or null, counts as an empty one.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Misfit`] if something else is there.
    pub fn add(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        self.update(target, [Change::Add(path, value)])
    }

    /// Removes an element from a set, as far as its additions are known here. For that the document counts as read. Where there is no such element, nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Misfit`] if what is there has no elements.
    pub fn remove(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        self.must_exist(target)?;
        self.rely(target)?;
        let observed = self.look(target)?.observed(&path, &value);
        let is_there = observed != Observed::default();
        let changes = vec![Change::Remove(path, value, observed)];
        self.must_fit(target, &changes)?;
        if is_there { self.changes(target, changes) } else { self.leave(target) }
    }

    /// Nothing is to be changed, which was found by reading.
    fn leave(&mut self, target: &Target) -> Result<(), Error> {
        self.has_saved = true;
        self.rely(target)
    }

    /// Sets a value that is kept beside those that others set without knowing of it. For that the document counts as read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn keep(&mut self, target: &Target, path: Path, value: Value) -> Result<(), Error> {
        let seen = self.document(target)?.seen(&path);
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
            Existence::Deleted => {
                self.see_existence(target, false)?;
                self.change(target, Change::Undelete)
            }
            Existence::Alive => Err(Error::Exists(target.clone())),
            Existence::Unborn => Err(Error::NotFound(target.clone())),
        }
    }

    /// Whether a document exists; the transaction relies on that, and on nothing else of it.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn exists(&mut self, target: &Target) -> Result<bool, Error> {
        let alive = match self.written.get(target) {
            Some(working) => working.document.is_alive(),
            None => documents::is_alive(self.read.reader, target)?,
        };
        self.see_existence(target, alive)?;
        Ok(alive)
    }

    pub(super) fn must_exist(&mut self, target: &Target) -> Result<(), Error> {
        if self.exists(target)? { Ok(()) } else { Err(Error::NotFound(target.clone())) }
    }

    fn see_existence(&mut self, target: &Target, alive: bool) -> Result<(), Error> {
        if self.written.contains_key(target) || self.seen.contains_key(target) {
            return Ok(());
        }
        self.see(target, Seen::Existence(alive))
    }

    /// Whatever the document is in the state that is read, the transaction is void if it is another one by then.
    pub(crate) fn rely(&mut self, target: &Target) -> Result<(), Error> {
        if matches!(self.seen.get(target), Some(Seen::Version(_))) {
            return Ok(());
        }
        self.see(target, Seen::Version(documents::version(self.read.reader, target)?))
    }

    fn see(&mut self, target: &Target, seen: Seen) -> Result<(), Error> {
        if self.seen.len() >= MAX_SEEN && !self.seen.contains_key(target) {
            return Err(Error::TooLarge { target: target.clone(), limit: Limit::Seen, permitted: MAX_SEEN });
        }
        self.seen.insert(target.clone(), seen);
        Ok(())
    }

    /// Looks without relying on it.
    pub(super) fn peek(&self, target: &Target) -> Result<Document, Error> {
        match self.written.get(target) {
            Some(working) => Ok(working.document.clone()),
            None => self.read.document(target),
        }
    }

    /// The same, without a copy: for what is looked at with each write.
    pub(super) fn look(&mut self, target: &Target) -> Result<&Document, Error> {
        if let Some(working) = self.written.get(target) {
            return Ok(&working.document);
        }
        let working = match self.looked_at.take_if(|(known, _)| known == target) {
            Some((_, working)) => working,
            None => self.stored(target)?,
        };
        Ok(&self.looked_at.insert((target.clone(), working)).1.document)
    }

    /// Documents are written to collections that are defined, or that are Spool's own.
    fn check_collection(&mut self, name: &str) -> Result<(), Error> {
        if !name.starts_with('_') && !self.definitions.contains_key(name) {
            let definition = self.definition(name)?.ok_or_else(|| Error::NoCollection(name.to_owned()))?;
            self.definitions.insert(name.to_owned(), definition);
        }
        Ok(())
    }

    /// One change more, on whatever the document is.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`], [`Error::TooLarge`].
    pub fn change(&mut self, target: &Target, change: Change) -> Result<(), Error> {
        self.changes(target, vec![change])
    }

    /// Several changes of a document: all of them or, if one is refused, none.
    pub(super) fn changes(&mut self, target: &Target, changes: Vec<Change>) -> Result<(), Error> {
        let changes: Vec<_> = changes.into_iter().map(|change| Operation::Change(target.clone(), change)).collect();
        let bytes = self.check(target, &changes)?;
        self.check_collection(&target.collection)?;
        self.apply(target, changes, bytes)
    }

    /// Changes that put back what has been, whatever is defined by now.
    pub(crate) fn put_back(&mut self, operations: Vec<Operation>) -> Result<(), Error> {
        for operation in operations {
            let Operation::Change(target, _) = &operation else { continue };
            let target = target.clone();
            self.rely(&target)?;
            let bytes = self.check(&target, std::slice::from_ref(&operation))?;
            self.apply(&target, vec![operation], bytes)?;
        }
        Ok(())
    }

    /// Whether operations keep to the rules, and to what is permitted here. Returns their bytes.
    fn check(&self, target: &Target, operations: &[Operation]) -> Result<usize, Error> {
        let too_large = |limit, permitted| Error::TooLarge { target: target.clone(), limit, permitted };
        let limits = self.read.limits;
        let mut bytes = 0;
        for operation in operations {
            operation.check().map_err(|source| Error::Operation { target: target.clone(), source })?;
            let Operation::Change(_, change) = operation else { continue };
            if change.depth() > limits.depth {
                return Err(too_large(Limit::Depth, limits.depth));
            }
            bytes += operation.bytes();
        }
        if self.operations.len() + operations.len() > limits.transaction_operations {
            return Err(too_large(Limit::TransactionOperations, limits.transaction_operations));
        }
        if self.bytes + bytes + TRANSACTION_HEAD_BYTES > limits.transaction_bytes {
            return Err(too_large(Limit::TransactionBytes, limits.transaction_bytes));
        }
        Ok(bytes)
    }

    fn apply(&mut self, target: &Target, operations: Vec<Operation>, bytes: usize) -> Result<(), Error> {
        let too_large = |limit, permitted| Err(Error::TooLarge { target: target.clone(), limit, permitted });
        let limits = self.read.limits;
        let is_new = !self.written.contains_key(target);
        let looked_at = self.looked_at.take_if(|(known, _)| known == target).map(|(_, working)| working);
        let mut working = match self.written.remove(target).or(looked_at) {
            Some(working) => working,
            None => self.stored(target)?,
        };
        let held = if is_new { self.held + working.stored } else { self.held };
        if held > limits.transaction_memory {
            return too_large(Limit::TransactionMemory, limits.transaction_memory);
        }
        let before = (target.collection == COLLECTIONS).then(|| working.document.clone());
        let (last, named) = (working.document.last, working.named);
        let changes: Vec<_> = (self.operations.len()..)
            .zip(&operations)
            .filter_map(|(index, operation)| match operation {
                Operation::Change(_, change) => Some((u32::try_from(index).ok()?, change)),
                Operation::Unknown(_) => None,
            })
            .collect();
        working.named += changes.iter().filter(|(_, change)| is_named(change)).count();
        let room = limits.document_bytes.max(working.stored).saturating_sub((working.named + 1) * PLACE_BYTES);
        let fits = working.document.apply_within(Dot::HERE, changes, &mut working.size, room);
        let indexes = before.as_ref().map(|before| (indexes(target, before), indexes(target, &working.document)));
        let result = match indexes {
            _ if !fits => too_large(Limit::DocumentBytes, limits.document_bytes),
            Some((before, after)) if after > before && after > limits.indexes => {
                too_large(Limit::Indexes, limits.indexes)
            }
            Some(_) | None => Ok(()),
        };
        if result.is_ok() {
            self.operations.extend(operations);
            (self.bytes, self.held) = (self.bytes + bytes, held);
            if target.collection == COLLECTIONS {
                // What was found of a collection may be another from now on.
                self.definitions.remove(&target.id);
            }
        } else {
            working.document = before.unwrap_or(working.document);
            (working.document.last, working.named) = (last, named);
        }
        if result.is_ok() || !is_new {
            self.written.insert(target.clone(), working);
        }
        result
    }

    fn stored(&self, target: &Target) -> Result<Working, Error> {
        let stored = documents::stored::read(self.read.reader, target)?;
        Ok(stored.map_or_else(Working::default, |entry| Working {
            document: entry.document,
            size: Size::stored(entry.bytes),
            stored: entry.bytes,
            named: 0,
        }))
    }
}

/// Whether the document keeps the name of the operation.
fn is_named(change: &Change) -> bool {
    matches!(change, Change::Add(..) | Change::Keep(..))
}

/// How many indexes a definition has.
fn indexes(target: &Target, document: &Document) -> usize {
    if document.is_alive() { Definition::from_fields(&target.id, &document.fields).indexes.len() } else { 0 }
}

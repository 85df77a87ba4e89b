//! Transactions: reads of one state, and writes that become one event or nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use spool_store::view::Reader;

use crate::{
    Change, Document, Operation, Path, Target, Transaction,
    collection::{
        self, COLLECTIONS, Definition,
        schema::{self, Violation},
    },
    document::Size,
    documents::{self, Collection},
    history::VersionId,
    limits::{MAX_OPERATIONS, MAX_TRANSACTION_BYTES},
    operation, projector,
    query::{self, Options, Plan, Query},
    stamp::Dot,
};

/// Why a transaction is refused. Nothing of it has happened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such document.
    #[error("there is no document {id:?} in the collection {collection:?}", collection = .0.collection, id = .0.id)]
    NotFound(Target),
    /// There is one already.
    #[error("there is a document {id:?} in the collection {collection:?} already", collection = .0.collection, id = .0.id)]
    Exists(Target),
    /// The document is not in the version that was expected.
    #[error("the document {id:?} in the collection {collection:?} is in version {current}, not {expected}: read it again", collection = .target.collection, id = .target.id)]
    Stale {
        /// Which one.
        target: Target,
        /// What was expected.
        expected: VersionId,
        /// What it is in.
        current: VersionId,
    },
    /// The collection is not defined.
    #[error("there is no collection {0:?} here: define it first")]
    NoCollection(String),
    /// A document is not as the schema of its collection says.
    #[error("the document {id:?} is not as the schema of the collection {collection:?} says: {}", list(violations), collection = .target.collection, id = .target.id)]
    Schema {
        /// Which one.
        target: Target,
        /// Where, and how.
        violations: Vec<Violation>,
    },
    /// The schema of a collection, as merged from several peers, cannot be used.
    #[error("the schema of the collection {collection:?} cannot be used: {source}; define it anew")]
    BrokenSchema {
        /// Which collection.
        collection: String,
        /// Why.
        source: schema::Error,
    },
    /// Another document has a value that no two may have.
    #[error("the document {id:?} in the collection {collection:?} has the same {path} as the document {other:?}, and no two may", collection = .target.collection, id = .target.id)]
    Duplicate {
        /// The document that was to be written.
        target: Target,
        /// Where the value is.
        path: Path,
        /// The id of the other.
        other: String,
    },
    /// Another transaction was faster.
    #[error("the document {id:?} in the collection {collection:?} was changed by another transaction meanwhile: try again", collection = .0.collection, id = .0.id)]
    Conflict(Target),
    /// It is more than an event may hold.
    #[error(
        "a transaction has at most {MAX_OPERATIONS} operations of {MAX_TRANSACTION_BYTES} bytes together: split it"
    )]
    TooLarge,
    /// The document would be larger than permitted.
    #[error("the document {id:?} in the collection {collection:?} would become larger than {limit} bytes", collection = .0.collection, id = .0.id, limit = crate::limits::MAX_DOCUMENT_BYTES)]
    DocumentTooLarge(Target),
    /// An operation breaks a rule.
    #[error("document {id:?} in the collection {collection:?}: {source}", collection = .target.collection, id = .target.id)]
    Operation {
        /// Of which document.
        target: Target,
        /// Which rule.
        source: operation::Error,
    },
    /// Documents cannot be read.
    #[error(transparent)]
    View(#[from] projector::Error),
    /// The query cannot be answered.
    #[error(transparent)]
    Query(#[from] query::Error<projector::Error>),
    /// The event was not appended.
    #[error("append the event")]
    Append(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn list(violations: &[Violation]) -> String {
    let texts = violations.iter().map(|violation| match violation.path.as_str() {
        "" => violation.message.clone(),
        path => format!("{path}: {}", violation.message),
    });
    texts.collect::<Vec<_>>().join("; ")
}

impl Error {
    /// Whether the same transaction may succeed if it is run again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Conflict(_))
    }
}

/// Reads of one state.
pub struct Read<'a> {
    reader: &'a Reader<'a>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>) -> Self {
        Self { reader }
    }

    /// A document with `_id` and `_mod`; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn get(&self, target: &Target) -> Result<Option<Map<String, Value>>, Error> {
        Ok(self.document(target)?.shown(&target.id))
    }

    /// The documents of a collection that answer a query.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn find(&self, collection: &str, query: Query, options: Options) -> Result<Vec<query::Document>, Error> {
        let indexes = documents::indexes::list(self.reader, collection)?;
        Ok(query::find(query, &indexes, &Collection::new(self.reader, collection), options)?)
    }

    /// A collection, for reading as queries do.
    pub fn collection<'b>(&'b self, name: &'b str) -> Collection<'b> {
        Collection::new(self.reader, name)
    }

    /// How a query would be answered.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn plan(&self, collection: &str, query: Query) -> Result<Plan, Error> {
        let indexes = documents::indexes::list(self.reader, collection)?;
        Ok(Plan::new(query, &indexes, &Collection::new(self.reader, collection))?)
    }

    /// What is defined for a collection; `None` if it is not defined.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn definition(&self, collection: &str) -> Result<Option<Definition>, Error> {
        Ok(documents::indexes::definition(self.reader, collection)?)
    }

    /// The indexes of a collection, with how far they are.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn indexes(&self, collection: &str) -> Result<Vec<query::Index>, Error> {
        Ok(documents::indexes::list(self.reader, collection)?)
    }

    /// A document with all that is known of it, existing or not.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn document(&self, target: &Target) -> Result<Document, Error> {
        Ok(documents::document(self.reader, target)?.unwrap_or_default())
    }
}

/// What a transaction has relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Only whether the document exists.
    Existence(bool),
    /// All of it.
    Version(VersionId),
}

impl Seen {
    /// Whether that still holds.
    pub(crate) fn holds(&self, target: &Target, reader: &Reader<'_>) -> Result<bool, projector::Error> {
        Ok(match self {
            Seen::Existence(alive) => *alive == documents::is_alive(reader, target)?,
            Seen::Version(version) => *version == documents::version(reader, target)?,
        })
    }
}

/// Reads and writes; its reads see its own writes.
pub struct Write<'a> {
    read: Read<'a>,
    written: BTreeMap<Target, (Document, Size)>,
    seen: BTreeMap<Target, Seen>,
    operations: Vec<Operation>,
    /// Definitions of the collections that are written to.
    definitions: BTreeMap<String, Definition>,
}

/// What a transaction wants to happen.
pub(crate) struct Draft {
    pub(crate) transaction: Transaction,
    pub(crate) seen: BTreeMap<Target, Seen>,
    pub(crate) written: BTreeMap<Target, Document>,
    pub(crate) definitions: BTreeMap<String, Definition>,
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

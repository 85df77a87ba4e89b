//! What merging has left for people to decide.
//!
//! Nothing is dropped when writers have not known of each other. So values stand side by side where a collection keeps both, and documents may not be as
//! their schema says, or have the same value where no two may. Such conflicts are not stored: they are read off the documents, and are gone when an ordinary transaction
//! has decided them.

use std::ops::ControlFlow;

use serde_json::Value;
use spool_store::view::Reader;

use crate::{
    Document, Target,
    collection::{COLLECTIONS, Definition, Schema},
    documents::{self, keys},
    history::Present,
    limits::MAX_CONFLICT_OTHERS,
    path::Path,
    query::bytes_of,
    transaction::Error,
};

mod duplicates;

/// Something to decide about a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Which document.
    pub target: Target,
    /// What it is.
    pub kind: ConflictKind,
}

/// What there is to decide.
#[derive(Debug, Clone, PartialEq)]
pub enum ConflictKind {
    /// Values stand side by side, because none of their writers knew of the others.
    KeptBoth {
        /// Where.
        path: Path,
        /// The values; the first one shows.
        values: Vec<Value>,
    },
    /// The document is not as the schema of its collection says; or, in the collection of definitions, the schema itself cannot be used.
    Schema {
        /// The text of the path.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// Other documents have the same value, and no two may.
    Duplicate {
        /// Where.
        path: Path,
        /// The value.
        value: Value,
        /// The ids of others that have it: at most [`MAX_CONFLICT_OTHERS`], each of which has a conflict of its own.
        others: Vec<String>,
    },
}

impl Conflict {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let path = |path: &Path| path.names().iter().map(String::len).sum::<usize>();
        let own = match &self.kind {
            ConflictKind::KeptBoth { path: at, values } => path(at) + values.iter().map(bytes_of).sum::<usize>(),
            ConflictKind::Schema { path, message } => path.len() + message.len(),
            ConflictKind::Duplicate { path: at, value, others } => {
                path(at) + bytes_of(value) + others.iter().map(String::len).sum::<usize>()
            }
        };
        size_of::<Self>() + self.target.collection.len() + self.target.id.len() + own
    }
}

/// Compiles the schema of a definition; they are kept elsewhere.
pub(crate) type Compile<'a> = &'a dyn Fn(&Definition) -> Result<Option<Schema>, Error>;

type Visit<'a> = &'a mut dyn FnMut(Conflict) -> ControlFlow<()>;

/// What one collection demands of its documents.
struct Demands {
    definition: Option<Definition>,
    schema: Option<Schema>,
    /// Why there is a schema that cannot be used.
    broken: Option<String>,
}

impl Demands {
    fn of(reader: &Reader<'_>, collection: &str, compile: Compile<'_>) -> Result<Self, Error> {
        let definition = match collection.starts_with('_') {
            true => None,
            false => documents::indexes::definition(reader, collection)?,
        };
        let compiled = definition.as_ref().map_or(Ok(None), compile);
        let (schema, broken) = match compiled {
            Ok(schema) => (schema, None),
            Err(Error::BrokenSchema { source, .. }) => (None, Some(source.to_string())),
            Err(error) => return Err(error),
        };
        Ok(Self { definition, schema, broken })
    }

    fn unique(&self) -> impl Iterator<Item = &Path> {
        let indexes = self.definition.iter().flat_map(|definition| &definition.indexes);
        indexes.filter(|index| index.unique).map(|index| &index.path)
    }

    /// What one document says against them by itself.
    fn conflicts(&self, target: &Target, document: &Document) -> Vec<Conflict> {
        let conflict = |kind| Conflict { target: target.clone(), kind };
        let kept = document.conflicts().map(|(path, values)| {
            // The last one shows.
            let values = values.iter().rev().map(|(_, value)| value.clone()).collect();
            conflict(ConflictKind::KeptBoth { path: path.clone(), values })
        });
        let mut conflicts: Vec<_> = kept.collect();
        if let Some(schema) = &self.schema
            && let Err(violations) = schema.validate(&target.id, None, &document.fields)
        {
            let told = violations.into_iter();
            conflicts.extend(told.map(|it| conflict(ConflictKind::Schema { path: it.path, message: it.message })));
        }
        conflicts
    }
}

/// Hands over all conflicts of a collection, or of all collections, until told to stop. Holds no more than a page of documents at a time.
pub(crate) fn each(
    reader: &Reader<'_>,
    collection: Option<&str>,
    compile: Compile<'_>,
    visit: Visit<'_>,
) -> Result<(), Error> {
    let prefix = collection.map_or_else(|| keys::DOCUMENTS.to_vec(), keys::collection);
    let mut documents = Present::new(&prefix);
    let mut current: Option<(String, Demands)> = None;
    while let Some((target, document)) = documents.next(reader)? {
        if current.as_ref().is_none_or(|(name, _)| *name != target.collection) {
            let demands = Demands::of(reader, &target.collection, compile)?;
            let before = current.replace((target.collection.clone(), demands));
            if let Some((name, demands)) = before
                && end(reader, &name, &demands, visit)?.is_break()
            {
                return Ok(());
            }
        }
        let Some((_, demands)) = current.as_ref().filter(|_| document.is_alive()) else { continue };
        for conflict in demands.conflicts(&target, &document) {
            if visit(conflict).is_break() {
                return Ok(());
            }
        }
    }
    if let Some((name, demands)) = current {
        let _ = end(reader, &name, &demands, visit)?;
    }
    Ok(())
}

/// What shows only when a collection is looked at as a whole.
fn end(reader: &Reader<'_>, name: &str, demands: &Demands, visit: Visit<'_>) -> Result<ControlFlow<()>, Error> {
    if let Some(message) = &demands.broken {
        let kind = ConflictKind::Schema { path: "schema".to_owned(), message: message.clone() };
        if visit(Conflict { target: Target::new(COLLECTIONS, name), kind }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    for path in demands.unique() {
        if duplicates::each(reader, name, path, visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The conflicts of one document.
pub(crate) fn of(reader: &Reader<'_>, target: &Target, compile: Compile<'_>) -> Result<Vec<Conflict>, Error> {
    let document = documents::document(reader, target)?.unwrap_or_default();
    if !document.is_alive() {
        return Ok(Vec::new());
    }
    let demands = Demands::of(reader, &target.collection, compile)?;
    let mut conflicts = demands.conflicts(target, &document);
    for path in demands.unique() {
        let value = documents::indexes::value(&target.id, &document, path).filter(|value| !value.is_null());
        let Some(value) = value else { continue };
        let others = duplicates::others(reader, target, path, &value)?;
        if !others.is_empty() {
            let kind = ConflictKind::Duplicate { path: path.clone(), value: value.into_owned(), others };
            conflicts.push(Conflict { target: target.clone(), kind });
        }
    }
    Ok(conflicts)
}

const _: () = assert!(MAX_CONFLICT_OTHERS > 0, "a duplicate has another");

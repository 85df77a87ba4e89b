//! What an event of the database says: one transaction, a list of operations. Specified in `docs/data-model.md`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::{
    Path,
    limits::{MAX_DEPTH, MAX_ID_BYTES, MAX_NAME_BYTES, MAX_OBSERVED, MAX_OPERATIONS, MAX_TRANSACTION_BYTES},
    stamp::Dot,
};

#[cfg(test)]
mod tests;
mod wire;

/// What the body of an event begins with that is a transaction; other bodies are none of the database's business.
const MAGIC: &str = "spool/db";
const VERSION: u64 = 1;

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Name of its collection.
    pub collection: String,
    /// Its id.
    pub id: String,
}

/// A change of one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Makes the document exist, with these fields merged in; after a deletion with these fields only.
    Create(Map<String, Value>),
    /// Merges a value in at a path: maps field by field, anything else in place of what was there.
    Set(Path, Value),
    /// Puts a value in place of all that was at a path.
    Replace(Path, Value),
    /// Removes what is at a path.
    Unset(Path),
    /// Adds to the number at a path; nothing there counts as zero.
    Increment(Path, Number),
    /// Adds an element to the set at a path.
    Add(Path, Value),
    /// Removes an element from the set at a path, as far as its additions had been seen.
    Remove(Path, Value, Observed),
    /// Sets a value beside those at the path that had not been seen.
    Keep(Path, Value, Vec<Dot>),
    /// Makes the document not exist.
    Delete,
    /// Makes a deleted document exist again, with the fields that it has had since.
    Undelete,
}

/// The additions of an element that whoever removes it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// By operations that add.
    pub dots: Vec<Dot>,
    /// As an element of an array that was set as a whole.
    pub plain: bool,
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A change of a document.
    Change(Target, Change),
    /// A kind that a newer program knows. Skipped here, and applied after an upgrade.
    Unknown(u64),
}

/// Which event a transaction undoes or redoes: its record in the writer's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reverts {
    /// The transaction takes back that of the record with this counter.
    Undo(u64),
    /// The transaction takes back the undoing by the record with this counter.
    Redo(u64),
}

/// Operations that take effect together, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transaction {
    /// Set where it was made by undo or redo.
    pub reverts: Option<Reverts>,
    /// The operations.
    pub operations: Vec<Operation>,
}

/// What the body of an event is to the database.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A transaction.
    Transaction(Transaction),
    /// A transaction of a version that a newer program knows.
    Newer(u64),
    /// Something else: an application's own event.
    Other,
}

/// Why a transaction cannot be made or has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than an event's body may be.
    #[error("a transaction of {0} bytes is too large (at most {MAX_TRANSACTION_BYTES}): split it")]
    TooLarge(usize),
    /// More operations than permitted.
    #[error("a transaction has at most {MAX_OPERATIONS} operations")]
    TooManyOperations,
    /// Not what its kind says.
    #[error("malformed transaction: {0}")]
    Malformed(String),
    /// Not a name that a collection can have.
    #[error(
        "{0:?} cannot be the name of a collection: letters, digits and single hyphens between them, at most {MAX_NAME_BYTES}"
    )]
    Collection(String),
    /// Not an id that a document can have.
    #[error("{0:?} cannot be the id of a document: 1 to {MAX_ID_BYTES} bytes without control characters")]
    Id(String),
    /// Deeper than permitted.
    #[error("values and paths are at most {MAX_DEPTH} deep")]
    TooDeep,
    /// Additions that were observed, more than permitted.
    #[error("an operation names at most {MAX_OBSERVED} others")]
    TooManyObserved,
    /// Whole documents are maps.
    #[error("a document is a map, not a single value")]
    NotAMap,
    /// `_id` and `_mod` are not fields to write to.
    #[error("the field {0} is not for writing")]
    Reserved(String),
    /// A number that is none.
    #[error("an increment must be a finite number")]
    Number,
}

impl Transaction {
    /// The body of an event.
    ///
    /// # Errors
    ///
    /// [`Error`] if it would have no effect.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let bytes =
            serde_ipld_dagcbor::to_vec(&wire::Envelope(self)).map_err(|error| Error::Malformed(error.to_string()))?;
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(Error::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads the body of an event.
    ///
    /// # Errors
    ///
    /// [`Error`]: it is meant as a transaction, and has no effect on any peer.
    pub fn decode(body: &[u8]) -> Result<Decoded, Error> {
        if !wire::is_meant(body) {
            return Ok(Decoded::Other);
        }
        if body.len() > MAX_TRANSACTION_BYTES {
            return Err(Error::TooLarge(body.len()));
        }
        let decoded = wire::decode(body)?;
        if let Decoded::Transaction(transaction) = &decoded {
            transaction.check()?;
        }
        Ok(decoded)
    }

    fn check(&self) -> Result<(), Error> {
        if self.operations.len() > MAX_OPERATIONS {
            return Err(Error::TooManyOperations);
        }
        self.operations.iter().try_for_each(Operation::check)
    }

    /// Whether a part of it is for a newer program.
    pub fn has_unknown(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation, Operation::Unknown(_)))
    }
}

impl Operation {
    /// Whether it would have an effect.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Operation::Change(target, change) => target.check().and_then(|()| change.check()),
            Operation::Unknown(_) => Ok(()),
        }
    }

    /// Bytes of its encoding.
    pub(crate) fn bytes(&self) -> usize {
        let mut count = Count(0);
        // Nothing but an operation of an unknown kind has no encoding.
        serde_ipld_dagcbor::to_writer(&mut count, self).map_or(0, |()| count.0)
    }
}

/// Takes bytes and keeps their number.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Target {
    /// A document's place.
    pub fn new(collection: impl Into<String>, id: impl Into<String>) -> Self {
        Self { collection: collection.into(), id: id.into() }
    }

    fn check(&self) -> Result<(), Error> {
        check_target(self)
    }
}

/// Whether a document can be there.
///
/// # Errors
///
/// [`Error::Collection`], [`Error::Id`].
pub fn check_target(target: &Target) -> Result<(), Error> {
    check_collection(&target.collection)?;
    check_id(&target.id)
}

/// Names of collections: letters, digits, single hyphens between them. What begins with an underscore is Spool's own.
///
/// # Errors
///
/// [`Error::Collection`].
pub fn check_collection(name: &str) -> Result<(), Error> {
    let own = name.strip_prefix('_').unwrap_or(name);
    let good = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if name.len() > MAX_NAME_BYTES || !own.split('-').all(good) {
        return Err(Error::Collection(name.to_owned()));
    }
    Ok(())
}

/// Whether a document can have this id.
///
/// # Errors
///
/// [`Error::Id`].
pub fn check_id(id: &str) -> Result<(), Error> {
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Error::Id(id.to_owned()));
    }
    Ok(())
}

impl Change {
    /// Levels of its path and its value together, once it was found to have no more than permitted.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Change::Create(fields) => fields.values().map(depth).max().unwrap_or(0) + 1,
            Change::Set(path, value) | Change::Replace(path, value) | Change::Keep(path, value, _) => {
                path.names().len() + depth(value)
            }
            Change::Add(path, value) | Change::Remove(path, value, _) => path.names().len() + 1 + depth(value),
            Change::Unset(path) | Change::Increment(path, _) => path.names().len(),
            Change::Delete | Change::Undelete => 0,
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Change::Create(fields) => {
                check_fields(fields)?;
                fields.values().try_for_each(|value| check_depth(value, 1))
            }
            Change::Set(path, value) | Change::Replace(path, value) => {
                match (path.is_root(), value) {
                    (true, Value::Object(fields)) => check_fields(fields)?,
                    (true, _) => return Err(Error::NotAMap),
                    (false, _) => check_path(path)?,
                }
                check_depth(value, path.names().len())
            }
            Change::Unset(path) => check_path(path),
            Change::Increment(path, by) => {
                check_path(path)?;
                by.as_f64().filter(|by| by.is_finite()).map(|_| ()).ok_or(Error::Number)
            }
            Change::Add(path, value) => check_path(path).and_then(|()| check_depth(value, path.names().len() + 1)),
            Change::Remove(path, value, observed) => {
                check_path(path)?;
                check_observed(&observed.dots)?;
                check_depth(value, path.names().len() + 1)
            }
            Change::Keep(path, value, seen) => {
                check_path(path)?;
                check_observed(seen)?;
                check_depth(value, path.names().len())
            }
            Change::Delete | Change::Undelete => Ok(()),
        }
    }
}

fn check_observed(dots: &[Dot]) -> Result<(), Error> {
    if dots.len() > MAX_OBSERVED { Err(Error::TooManyObserved) } else { Ok(()) }
}

fn check_fields(fields: &Map<String, Value>) -> Result<(), Error> {
    fields.keys().try_for_each(|name| check_name(name))
}

fn check_name(name: &str) -> Result<(), Error> {
    if name == "_id" || name == "_mod" { Err(Error::Reserved(name.to_owned())) } else { Ok(()) }
}

fn check_path(path: &Path) -> Result<(), Error> {
    let first = path.names().first().ok_or(Error::NotAMap)?;
    if path.names().len() > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    check_name(first)
}

/// Levels within a value; a scalar has none.
fn depth(value: &Value) -> usize {
    let within = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    within.unwrap_or(0) + 1
}

/// Recurses no deeper than it permits.
fn check_depth(value: &Value, above: usize) -> Result<(), Error> {
    if above > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_depth(item, above + 1)),
        Value::Object(fields) => fields.values().try_for_each(|field| check_depth(field, above + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

//! Why a transaction is refused.

use crate::{
    Path, Target,
    collection::schema::{self, Violation},
    history::VersionId,
    limits::{MAX_OPERATIONS, MAX_TRANSACTION_BYTES},
    operation, projector, query,
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
    /// It was given up before it was whole.
    #[error("the transaction was discarded")]
    Discarded,
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

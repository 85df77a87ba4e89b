//! Why a transaction is refused.

use crate::{
    Path, Target,
    collection::{
        self, COLLECTIONS,
        schema::{self, Violation},
    },
    database::Limit,
    history::{self, VersionId},
    judge, operation,
    projector::{self, Denial},
    query, source,
};

use super::Misfit;

/// Why a transaction is refused, or something cannot be read. Nothing has happened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such document.
    #[error("there is no document {id:?} in the collection {collection:?}", collection = .0.collection, id = .0.id)]
    NotFound(Target),
    /// There is one already.
    #[error("there is {} already", named(.0))]
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
    #[error("there is no collection {0:?} here (yet): define it, or wait until its definition has arrived")]
    NoCollection(String),
    /// There is no such tag.
    #[error("there is no tag {0:?}")]
    NoTag(String),
    /// The document was never in that version.
    #[error("the document {id:?} in the collection {collection:?} was never in version {version}", collection = .target.collection, id = .target.id)]
    NoVersion {
        /// Which one.
        target: Target,
        /// What was asked for.
        version: VersionId,
    },
    /// More than one document was to go back to a version of one.
    #[error("a version is one of a single document: name the document, or a time")]
    VersionOfMany,
    /// A document is not as the schema of its collection says.
    #[error("the document {id:?} is not as the schema of the collection {collection:?} says: {}", list(violations), collection = .target.collection, id = .target.id)]
    Schema {
        /// Which one.
        target: Target,
        /// Where, and how.
        violations: Vec<Violation>,
    },
    /// The schema of a collection, as merged from several peers, cannot be used.
    #[error("the schema of the collection {collection:?} cannot be used and has to be defined anew")]
    BrokenSchema {
        /// Which collection.
        collection: String,
        /// Why.
        source: schema::Error,
    },
    /// A definition breaks a rule.
    #[error(transparent)]
    Definition(#[from] collection::Error),
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
    /// It is more than this node permits itself.
    #[error("document {id:?} in the collection {collection:?}: {} (limit {})", limit.met(*permitted), limit.name(), collection = .target.collection, id = .target.id)]
    TooLarge {
        /// The document with which it became too much.
        target: Target,
        /// Of what.
        limit: Limit,
        /// How much of it is permitted.
        permitted: usize,
    },
    /// The fields name another id than the document has.
    #[error("the document {id:?} in the collection {collection:?} cannot have the _id {found}", collection = .target.collection, id = .target.id)]
    OtherId {
        /// Which document.
        target: Target,
        /// What its fields say, as JSON.
        found: String,
    },
    /// An operation breaks a rule.
    #[error("the document {id:?} in the collection {collection:?} cannot be written so", collection = .target.collection, id = .target.id)]
    Operation {
        /// Of which document.
        target: Target,
        /// Which rule.
        source: operation::Error,
    },
    /// A change does not fit what is there: it would do nothing, or take away what it does not name.
    #[error("{path:?} of the document {id:?} in the collection {collection:?} is {found}, {}", why.told(), path = path.to_string(), collection = .target.collection, id = .target.id)]
    Misfit {
        /// Of which document.
        target: Target,
        /// Where.
        path: Path,
        /// What is there, as an English noun.
        found: &'static str,
        /// Why it does not fit, with what can be done.
        why: Misfit,
    },
    /// It was given up before it was complete.
    #[error("the transaction was given up before it was complete")]
    Discarded,
    /// Nothing can be undone or redone.
    #[error(transparent)]
    Revert(#[from] history::Error),
    /// Documents cannot be read.
    #[error(transparent)]
    View(#[from] projector::Error),
    /// The query cannot be answered.
    #[error("the query of the collection {collection:?} has no answer")]
    Query {
        /// Which collection.
        collection: String,
        /// Why.
        source: query::Error<projector::Error>,
    },
    /// The rule of the collection does not accept the write. Its event may have been appended before that was known; it has no effect then, on any peer.
    #[error("the document {id:?} in the collection {collection:?} cannot be written so: {_0}", collection = .0.target.collection, id = .0.target.id)]
    Denied(Denial),
    /// The filter of a collection did not come to an end.
    #[error("the filter of the collection {collection:?} failed")]
    Filter {
        /// Which collection.
        collection: String,
        /// Why.
        source: judge::Failure,
    },
    /// The collection has a rule, and this node does not run any.
    #[error("the collection {0:?} has a rule in code, and this node cannot run it")]
    NoJudge(String),
    /// The event was not appended.
    #[error("append the event")]
    Append(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A definition is a document, too, but not to whoever makes it.
fn named(Target { collection, id }: &Target) -> String {
    if collection == COLLECTIONS {
        return format!("a collection {id:?}");
    }
    format!("a document {id:?} in the collection {collection:?}")
}

fn list(violations: &[Violation]) -> String {
    let texts = violations.iter().map(|violation| match violation.path.as_str() {
        "" => violation.message.clone(),
        path => format!("{path}: {}", violation.message),
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// Who has to do something about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The caller: what was asked for makes no sense, here and elsewhere.
    Invalid,
    /// The caller: it names what is not here.
    NotFound,
    /// The caller: it is here already.
    Exists,
    /// Nobody: the same transaction, run again, may succeed.
    Conflict,
    /// The caller: it has to read the document again.
    Stale,
    /// The caller: what is here, or what is permitted here, forbids it.
    Refused,
    /// The operator: this node failed.
    Failed,
}

impl Error {
    /// Whether the same transaction may succeed if it is run again.
    pub fn is_retryable(&self) -> bool {
        self.kind() == Kind::Conflict
    }

    /// Who has to do something about it.
    pub fn kind(&self) -> Kind {
        self.parts().0
    }

    /// A stable name for programs, in kebab case.
    pub fn reason(&self) -> &'static str {
        self.parts().1
    }

    fn parts(&self) -> (Kind, &'static str) {
        match self {
            Error::NotFound(_) => (Kind::NotFound, "document-not-found"),
            Error::Exists(target) if target.collection == COLLECTIONS => (Kind::Exists, "collection-exists"),
            Error::Exists(_) => (Kind::Exists, "document-exists"),
            Error::Stale { .. } => (Kind::Stale, "stale"),
            Error::NoCollection(_) => (Kind::NotFound, "no-collection"),
            Error::NoTag(_) => (Kind::NotFound, "tag-not-found"),
            Error::NoVersion { .. } => (Kind::NotFound, "version-not-found"),
            Error::VersionOfMany => (Kind::Invalid, "version-of-many"),
            Error::Schema { .. } => (Kind::Refused, "schema"),
            Error::BrokenSchema { .. } => (Kind::Refused, "broken-schema"),
            Error::Definition(error) => of_definition(error),
            Error::Duplicate { .. } => (Kind::Refused, "duplicate"),
            Error::Conflict(_) => (Kind::Conflict, "conflict"),
            Error::TooLarge { limit: Limit::Depth, .. } => (Kind::Refused, "too-deep"),
            Error::TooLarge { limit: Limit::Indexes, .. } => (Kind::Refused, "too-many-indexes"),
            Error::TooLarge { .. } => (Kind::Refused, "too-large"),
            Error::OtherId { .. } => (Kind::Invalid, "other-id"),
            Error::Operation { source, .. } => (Kind::Invalid, of_operation(source)),
            Error::Misfit { why, .. } => (Kind::Refused, of_misfit(why)),
            Error::Discarded => (Kind::Refused, "discarded"),
            Error::Revert(error) => of_revert(error),
            Error::View(error) => of_view(error),
            Error::Query { source, .. } => of_query(source),
            Error::Denied(_) => (Kind::Refused, "denied"),
            Error::Filter { .. } => (Kind::Refused, "filter"),
            Error::NoJudge(_) => (Kind::Refused, "no-judge"),
            Error::Append(_) => (Kind::Failed, "append"),
        }
    }
}

fn of_definition(error: &collection::Error) -> (Kind, &'static str) {
    match error {
        collection::Error::Name(_) => (Kind::Invalid, "collection-name"),
        collection::Error::Schema(_) => (Kind::Invalid, "invalid-schema"),
        collection::Error::Path { .. } => (Kind::Invalid, "path"),
        collection::Error::IndexTwice(_) => (Kind::Exists, "index-exists"),
        collection::Error::NoIndex(_) => (Kind::NotFound, "no-index"),
        collection::Error::NotKept(_) => (Kind::NotFound, "no-keep-both"),
        collection::Error::TooManyIndexes => (Kind::Refused, "too-many-indexes"),
        collection::Error::TooManyKept => (Kind::Refused, "too-many-kept"),
        collection::Error::RuleTooLarge(_) => (Kind::Invalid, "rule-too-large"),
    }
}

fn of_operation(error: &operation::Error) -> &'static str {
    match error {
        operation::Error::TooLarge(_) | operation::Error::TooManyOperations | operation::Error::TooManyObserved => {
            "too-large"
        }
        operation::Error::Malformed(_) => "malformed",
        operation::Error::Collection(_) => "collection-name",
        operation::Error::Id(_) => "document-id",
        operation::Error::TooDeep => "too-deep",
        operation::Error::NotAMap => "not-a-map",
        operation::Error::Reserved(_) => "reserved-field",
        operation::Error::Number => "number",
    }
}

fn of_misfit(misfit: &Misfit) -> &'static str {
    match misfit {
        Misfit::Within(_) => "within-no-map",
        Misfit::Increment => "no-number",
        Misfit::Sum => "sum-not-finite",
        Misfit::Add | Misfit::Remove => "no-set",
    }
}

fn of_revert(error: &history::Error) -> (Kind, &'static str) {
    match error {
        history::Error::View(error) => of_view(error),
        history::Error::NothingToUndo => (Kind::Refused, "nothing-to-undo"),
        history::Error::NothingToRedo => (Kind::Refused, "nothing-to-redo"),
        history::Error::TooFarBack => (Kind::Refused, "too-far-back"),
        history::Error::Newer => (Kind::Refused, "newer-change"),
        history::Error::TooLarge(_) => (Kind::Refused, "too-large"),
    }
}

fn of_view(error: &projector::Error) -> (Kind, &'static str) {
    match error {
        projector::Error::Source(source::Error::NoThread) => (Kind::NotFound, "thread-not-found"),
        projector::Error::Source(source::Error::Damaged { .. }) => (Kind::Failed, "damaged"),
        projector::Error::Source(source::Error::Store(_)) | projector::Error::Store(_) => (Kind::Failed, "storage"),
        projector::Error::Damaged(_) => (Kind::Failed, "view-damaged"),
        projector::Error::Newer { .. } => (Kind::Refused, "newer-view"),
    }
}

fn of_query(error: &query::Error<projector::Error>) -> (Kind, &'static str) {
    match error {
        query::Error::Documents(error) => of_view(error),
        query::Error::Damaged { .. } => (Kind::Failed, "view-damaged"),
        query::Error::TooLarge(_) => (Kind::Invalid, "query"),
        query::Error::Memory { .. } => (Kind::Refused, "query-memory"),
        query::Error::NoIndex { .. } => (Kind::NotFound, "no-index"),
        query::Error::IndexOfThePast { .. } => (Kind::Invalid, "index-of-the-past"),
        query::Error::NotBuilt { .. } => (Kind::Refused, "index-not-built"),
        query::Error::Unserving { .. } => (Kind::Invalid, "index-of-no-use"),
        query::Error::After { .. } => (Kind::NotFound, "after-not-found"),
    }
}

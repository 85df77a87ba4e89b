//! Definitions by the hand of a local user: whatever is wrong is refused.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    definition::{Definition, Index, check_kept, check_path},
    rule::Rule,
    schema::{self, Schema, short},
};
use crate::{
    Path,
    judge::limits::SOURCE_BYTES,
    limits::{MAX_INDEXES, MAX_KEEP_BOTH, MAX_NAME_BYTES},
};

/// Why a definition is refused. All are the caller's fault, and can be put right by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a name that a collection can have.
    #[error(
        "{} cannot be the name of a collection: letters, digits and single hyphens between them, at most {MAX_NAME_BYTES} bytes",
        short(.0)
    )]
    Name(String),
    /// The schema cannot be used.
    #[error("the schema cannot be used")]
    Schema(#[from] schema::Error),
    /// Not a path of a field.
    #[error("the path {} cannot be used: {reason}", short(.path))]
    Path {
        /// Its text.
        path: String,
        /// Why.
        reason: String,
    },
    /// Defined twice.
    #[error("{} has an index already: remove it first to change it", short(.0))]
    IndexTwice(String),
    /// Not there to be removed.
    #[error("{} has no index", short(.0))]
    NoIndex(String),
    /// Not kept to begin with.
    #[error("{} does not keep both values", short(.0))]
    NotKept(String),
    /// A rule that nothing runs.
    #[error("a rule has at most {} bytes; this one has {_0}", SOURCE_BYTES)]
    RuleTooLarge(usize),
    /// More indexes than permitted.
    #[error("a collection has at most {MAX_INDEXES} indexes: remove one first")]
    TooManyIndexes,
    /// More fields that keep both values than permitted.
    #[error("a collection keeps both values of at most {MAX_KEEP_BOTH} fields: remove one first")]
    TooManyKept,
}

/// Makes a definition, new or from one that there is.
#[derive(Debug, Clone)]
pub struct Builder(Definition);

/// Letters, digits, single hyphens between them. What begins with an underscore is Spool's own.
pub(super) fn is_name(name: &str) -> bool {
    !name.starts_with('_') && crate::operation::check_collection(name).is_ok()
}

fn check_rule(source: &str) -> Result<Rule, Error> {
    if source.len() > SOURCE_BYTES {
        return Err(Error::RuleTooLarge(source.len()));
    }
    Ok(Rule::Source(source.to_owned()))
}

impl Builder {
    /// A collection without schema and indexes.
    ///
    /// # Errors
    ///
    /// [`Error::Name`].
    pub fn new(name: &str) -> Result<Self, Error> {
        if !is_name(name) {
            return Err(Error::Name(name.to_owned()));
        }
        Ok(Self(Definition { name: name.to_owned(), ..Definition::default() }))
    }

    /// From the definition that there is. What is wrong with it is left behind: [`super::changes`] only says what changes.
    #[must_use]
    pub fn from(definition: Definition) -> Self {
        Self(Definition { problems: Vec::new(), ..definition })
    }

    /// Gives it a schema, in place of the one it has; `None` for none. JSON `null` is no schema.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] says why it cannot be used.
    pub fn schema(mut self, schema: Option<Value>) -> Result<Self, Error> {
        schema.as_ref().map(Schema::compile).transpose()?;
        self.0.schema = schema;
        Ok(self)
    }

    /// Gives it a rule that decides on writes, the body of a function of `writer`, `event` and `instance`; `None` for none.
    ///
    /// # Errors
    ///
    /// [`Error::RuleTooLarge`].
    pub fn validator(mut self, source: Option<&str>) -> Result<Self, Error> {
        self.0.validator = source.map(check_rule).transpose()?;
        Ok(self)
    }

    /// Gives it a rule that decides what a reader sees, the body of a function of `reader` and `instance`; `None` for none.
    ///
    /// # Errors
    ///
    /// [`Error::RuleTooLarge`].
    pub fn filter(mut self, source: Option<&str>) -> Result<Self, Error> {
        self.0.filter = source.map(check_rule).transpose()?;
        Ok(self)
    }

    /// Adds an index for a path.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is one for it, or none is possible.
    pub fn index(mut self, path: &str, unique: bool) -> Result<Self, Error> {
        let path = check_path(path)?;
        if self.0.index(&path).is_some() {
            return Err(Error::IndexTwice(path.to_string()));
        }
        if self.0.indexes.len() >= MAX_INDEXES {
            return Err(Error::TooManyIndexes);
        }
        self.0.indexes.push(Index { path, unique });
        self.0.indexes.sort();
        Ok(self)
    }

    /// Removes the index for a path.
    ///
    /// # Errors
    ///
    /// [`Error::NoIndex`] if there is none.
    pub fn without_index(mut self, path: &str) -> Result<Self, Error> {
        let before = self.0.indexes.len();
        self.0.indexes.retain(|index| index.path.to_string() != path);
        if self.0.indexes.len() == before { Err(Error::NoIndex(path.to_owned())) } else { Ok(self) }
    }

    /// Keeps concurrent values of a field side by side from now on. A field for which that holds already stays so.
    ///
    /// # Errors
    ///
    /// [`Error`] if that is not possible.
    pub fn keep_both(mut self, path: &str) -> Result<Self, Error> {
        let path = check_path(path)?;
        if self.0.keep_both.contains(&path) {
            return Ok(self);
        }
        if self.0.keep_both.len() >= MAX_KEEP_BOTH {
            return Err(Error::TooManyKept);
        }
        let others: BTreeSet<Path> = self.0.keep_both.drain(..).collect();
        check_kept(&path, &others)?;
        self.0.keep_both = others.into_iter().chain([path]).collect();
        self.0.keep_both.sort();
        Ok(self)
    }

    /// Lets the last of concurrent values of a field win, as everywhere else.
    ///
    /// # Errors
    ///
    /// [`Error::NotKept`] if that is so already.
    pub fn without_keep_both(mut self, path: &str) -> Result<Self, Error> {
        let before = self.0.keep_both.len();
        self.0.keep_both.retain(|kept| kept.to_string() != path);
        if self.0.keep_both.len() == before { Err(Error::NotKept(path.to_owned())) } else { Ok(self) }
    }

    /// The definition.
    pub fn build(self) -> Definition {
        self.0
    }
}

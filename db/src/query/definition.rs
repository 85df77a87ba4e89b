//! What a query is made of.

use crate::limits::{MAX_FIELDS, MAX_SORT_KEYS};
use crate::path::Path;
use crate::query::filter::{Filter, TooLarge};

/// What to find, in which order, and what to keep of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// What a document has to be like. The default matches all.
    pub filter: Filter,
    /// By what to sort: first by the first. Documents that are equal in all of these, or in a query that has none, come by their ids, in the direction of
    /// the last of these; so the reverse of all directions is the reverse of the result.
    pub sort: Vec<Sort>,
    /// How many of the sorted documents to drop.
    pub skip: usize,
    /// How many to keep after that.
    pub limit: Option<usize>,
    /// The id of the last document that the caller has seen: the result begins after its place in the order. Without `sort` the document need not exist any
    /// more; with it, its place is where it would be now. Documents that others write meanwhile are neither repeated nor do they hide any, unless their own
    /// place changes.
    pub after: Option<String>,
    /// What to keep of each document, besides its id. Empty keeps all.
    pub fields: Vec<Path>,
    /// The index to use, by name, instead of what seems best.
    pub index: Option<String>,
}

/// One path to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// Where the value is; documents without it count as smaller than all others.
    pub path: Path,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Query {
    /// Checks the bounds that readers of queries keep to, for queries that were made otherwise.
    pub(crate) fn check(&self) -> Result<(), TooLarge> {
        if self.sort.len() > MAX_SORT_KEYS {
            return Err(TooLarge::Sort);
        }
        if self.fields.len() > MAX_FIELDS {
            return Err(TooLarge::Fields);
        }
        self.filter.check()
    }
}

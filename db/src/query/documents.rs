//! What queries are asked of, and what they give.

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use crate::limits::QUERY_MEMORY_BYTES;
use crate::query::RawDocument;

/// The documents of one collection and the entries of its indexes, as of one moment: what is read twice has to be the same. A reader may be called from
/// within the `visit` of another.
pub trait Documents {
    /// Why they could not be read.
    type Error: std::error::Error + 'static;

    /// About how many documents there are.
    ///
    /// # Errors
    ///
    /// It could not be read.
    fn count(&self) -> Result<u64, Self::Error>;

    /// Hands over the document of this id, if there is one.
    ///
    /// # Errors
    ///
    /// It could not be read.
    fn get(&self, id: &str, visit: &mut dyn FnMut(RawDocument<'_>)) -> Result<(), Self::Error>;

    /// Hands over the documents in the order of their ids' bytes, or in the reverse of it, beginning behind the id `after`, until told to stop.
    ///
    /// # Errors
    ///
    /// They could not be read.
    fn scan(
        &self,
        after: Option<&str>,
        reverse: bool,
        visit: &mut dyn FnMut(RawDocument<'_>) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Hands over the entries of an index with keys of at least `from` and below `until`, as key and id, in the order of key and then id, or in the
    /// reverse of it, until told to stop.
    ///
    /// # Errors
    ///
    /// They could not be read.
    fn index(
        &self,
        name: &str,
        from: &[u8],
        until: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &str) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// What a query may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes that it may hold in memory, about.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory: QUERY_MEMORY_BYTES }
    }
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its fields, with `_id` and `_mod`, or what the query keeps of them.
    pub fields: Map<String, Value>,
}

/// What it took to answer a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Entries of indexes that were read; those that were counted to make the plan are not among them.
    pub entries: u64,
    /// Documents that were held against the filter.
    pub examined: u64,
    /// Documents that were handed over.
    pub found: u64,
}

//! Questions about the documents of a collection.
//!
//! A [`Query`] is built by hand, read from JSON ([`json`]) or from a line of text ([`Filter::parse`]). [`Plan::new`] decides how to
//! answer it, [`Plan::run`] or [`find`] does, over whatever implements [`Documents`].
//!
//! The answer is the one that this would give, whatever plan was chosen: take all documents, keep those that match the filter, sort them, drop those up to and
//! with `after`, drop `skip` of them, keep `limit` of them, keep of each the `fields`.

mod candidates;
mod definition;
mod documents;
mod error;
pub mod filter;
pub mod json;
pub mod plan;
mod project;
pub mod raw;
mod run;
mod sorter;
pub mod text;

pub use definition::{Query, Sort};
pub use documents::{Document, Documents, Options, Work};
pub use error::Error;
pub use filter::{Filter, Operator};
pub use plan::{Index, Plan};
pub use raw::RawDocument;
pub use run::find;
pub(crate) use sorter::bytes_of;

/// The field under which a document has its id.
pub const ID: &str = "_id";
/// The field under which a document has the time of its last change.
pub const MODIFIED: &str = "_mod";

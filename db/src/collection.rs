//! Collections: what their definitions say, the schemas of their documents, and ids for new ones.
//!
//! A definition is a document of the collection [`COLLECTIONS`], with the name of the collection that it defines as its id. So every peer of a thread has it,
//! it merges, has a history, and can be taken back, as every document.

mod builder;
mod definition;
mod id;
mod rule;
pub mod schema;
#[cfg(test)]
mod tests;

pub use builder::{Builder, Error};
pub use definition::{COLLECTIONS, Definition, Index, changes};
pub use id::{Ids, new_id};
pub use rule::Rule;
pub(crate) use rule::{FILTER, VALIDATOR, rule};
pub use schema::Schema;

//! Events of a thread folded into state: collections of JSON documents, the same on every peer that has the same events.

pub mod collection;
pub mod conflicts;
pub mod database;
pub mod document;
pub mod documents;
pub mod history;
pub mod judge;
pub mod limits;
pub mod operation;
pub mod order;
pub mod path;
pub mod projector;
pub mod query;
pub mod source;
pub mod stamp;
pub mod stores;
#[cfg(any(test, feature = "test-utils"))]
pub mod testing;
pub mod transaction;

pub use database::{Database, Limits};
pub use document::Document;
pub use operation::{Change, Operation, Target, Transaction};
pub use path::Path;
pub use projector::Projector;
pub use stamp::Stamp;

//! Events of a thread folded into state: collections of JSON documents, the same on every peer that has the same events.

pub mod limits;
pub mod order;
pub mod path;
pub mod query;

pub use path::Path;

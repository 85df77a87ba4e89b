//! Documents as they were: their versions, their states at any earlier time, and ways back there.
//!
//! Nothing is written here. What goes back is a new transaction, to be committed as every other one: no event is ever taken out of a log, and others may have
//! written meanwhile.
//!
//! Histories are read off the view, so a caller that wants its own last change to be among them lets it be folded first.

mod difference;
mod find;
mod pack;
mod past;
mod restore;
mod tags;
mod undo;
mod version;
mod versions;

pub use difference::changes_between;
pub(crate) use find::PastCollection;
pub(crate) use past::Present;
pub use past::{At, document_at, documents_at};
pub use restore::{Restore, restore};
pub use tags::{Tag, tag, tag_target, tagged, tags};
pub(crate) use undo::touched;
pub use undo::{Error, redo, undo};
pub use version::{Malformed, VersionId};
pub use versions::{Order, Page, Version, versions};

use crate::operation::Target;

/// What to go back in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All documents.
    Database,
    /// Those of one collection.
    Collection(String),
    /// One.
    Document(Target),
}

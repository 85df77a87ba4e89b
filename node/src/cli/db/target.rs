//! Arguments that many of these commands share.

use spool_db::history::VersionId;

use crate::api::pb;

/// One document.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Thread id, name, or the beginning of the id
    pub(super) thread: String,
    /// The collection
    pub(super) collection: String,
    /// The document's id
    pub(super) id: String,
}

/// A thread's database, or a part of it.
#[derive(Debug, clap::Args)]
pub(super) struct Scope {
    /// Thread id, name, or the beginning of the id
    pub(super) thread: String,
    /// Only in this collection
    collection: Option<String>,
    /// Only in this document
    id: Option<String>,
}

impl Scope {
    pub(super) fn is_document(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn part(&self) -> pb::Part {
        pb::Part { collection: self.collection.clone(), id: self.id.clone() }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        match (&self.collection, &self.id) {
            (Some(collection), Some(id)) => format!("the document {id} of {collection} in {}", self.thread),
            (Some(collection), None) => format!("the collection {collection} in {}", self.thread),
            (None, _) => format!("the whole database of {}", self.thread),
        }
    }
}

/// A condition of a write.
#[derive(Debug, clap::Args)]
pub(super) struct Condition {
    /// Only if the document is in this version, as `spool db get` prints it; else nothing happens and the exit code is 8
    #[arg(long, value_name = "VERSION")]
    if_version: Option<VersionId>,
}

impl Condition {
    pub(super) fn request(&self) -> Option<String> {
        self.if_version.map(|version| version.to_string())
    }
}

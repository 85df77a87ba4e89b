//! Documents of a thread: what is written, watched and told of them.

use std::{fmt, str::FromStr};

use serde_json::{Map, Number, Value};
use spool_db::{
    Path, Target,
    conflicts::Conflict,
    database::Receipt,
    documents::{Change, Kind as ChangeKind},
    history::VersionId,
    projector::Held,
};
use spool_proto::ThreadId;

/// One change of one document, as a caller asks for it.
#[derive(Clone, PartialEq)]
pub struct DocumentWrite {
    /// The collection.
    pub collection: String,
    /// The document; without it that of the fields' `_id`, or a new one.
    pub id: Option<String>,
    /// Goes on only if the document is in this version.
    pub if_version: Option<VersionId>,
    /// What to change.
    pub change: DocumentChange,
}

/// See [`DocumentWrite`].
#[derive(Clone, PartialEq)]
pub enum DocumentChange {
    /// Makes it, with these fields.
    Create(Map<String, Value>),
    /// Makes it have these fields and no others, whether it exists or not.
    Save(Map<String, Value>),
    /// Sets these fields; all others stay.
    Merge(Map<String, Value>),
    /// Sets the value at a path.
    Set(Path, Value),
    /// Removes what is at a path.
    Unset(Path),
    /// Adds to a number.
    Increment(Path, Number),
    /// Adds an element to a set.
    Add(Path, Value),
    /// Removes an element from a set.
    Remove(Path, Value),
    /// Puts one value in place of all that are kept side by side.
    Resolve(Path, Value),
    /// Deletes it.
    Delete,
    /// Makes a deleted one exist again.
    Undelete,
}

impl fmt::Debug for DocumentWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without content, which must not end in a log.
        f.debug_struct("DocumentWrite")
            .field("collection", &self.collection)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A transaction that has taken effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The documents of its writes, in their order.
    pub ids: Vec<String>,
    /// Where its event is; `None` if there was nothing to do.
    pub receipt: Option<Receipt>,
}

/// A definition as it is to be. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DefinitionChange {
    /// The schema; `Some(None)` for none.
    pub schema: Option<Option<Value>>,
    /// Indexes to add: path, and whether it is unique.
    pub add_indexes: Vec<(String, bool)>,
    /// Paths of indexes to remove.
    pub remove_indexes: Vec<String>,
    /// Paths whose concurrent values are kept side by side.
    pub add_keep_both: Vec<String>,
    /// Paths for which that ends.
    pub remove_keep_both: Vec<String>,
    /// Refused if the collection is defined already.
    pub must_be_new: bool,
    /// The rule that decides on writes; empty for none any more.
    pub validator: Option<String>,
    /// The rule that decides what readers see; empty for none any more.
    pub filter: Option<String>,
}

/// A collection as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionInfo {
    /// What is defined for it.
    pub definition: spool_db::collection::Definition,
    /// Its indexes, with how far they are.
    pub indexes: Vec<spool_db::query::Index>,
    /// How many of its documents exist.
    pub documents: u64,
}

/// A document as it is or was.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentInfo {
    /// Which.
    pub target: Target,
    /// Its fields, with `_id` and `_mod`.
    pub fields: Map<String, Value>,
    /// The name of this state.
    pub version: VersionId,
    /// What merging has left to decide about it; nothing where it is asked for as it was.
    pub conflicts: Vec<Conflict>,
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// The record of the own log.
    pub counter: u64,
    /// The documents that it had changed.
    pub documents: Vec<Target>,
    /// The event that takes it back.
    pub receipt: Option<Receipt>,
}

/// How far documents are back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Documents that were changed.
    pub documents: u64,
    /// Transactions that it took.
    pub transactions: u64,
    /// All are.
    pub done: bool,
}

/// The state of a whole database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseState {
    /// Equal on all peers with equal heads and nothing held back.
    pub hash: [u8; 32],
    /// What is held back.
    pub held: Vec<Held>,
    /// More events are here than are folded.
    pub is_folding: bool,
    /// Documents that exist.
    pub documents: u64,
}

/// How far a database is folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folded {
    /// Records that are.
    pub records: u64,
    /// Records that are here and count.
    pub total: u64,
    /// All are.
    pub done: bool,
}

/// A point in the history of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// A time.
    Time(spool_proto::clock::Time),
    /// The name of a time.
    Tag(String),
    /// A state of one document.
    Version(VersionId),
}

/// Which changes to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchQuery {
    /// Of one thread, or of all that this node reads.
    pub thread: Option<ThreadId>,
    /// Of one collection.
    pub collection: Option<String>,
    /// Of one document.
    pub id: Option<String>,
    /// Of these kinds; empty for all.
    pub kinds: Vec<ChangeKind>,
    /// The last cursor that the caller has of each thread.
    pub after: Vec<Cursor>,
    /// Where there is no cursor: all that exists, then what changes. Else from now on.
    pub from_start: bool,
}

impl WatchQuery {
    /// Whether a change is one of those.
    pub(crate) fn wants(&self, change: &Change) -> bool {
        let Target { collection, id } = &change.target;
        self.collection.as_ref().is_none_or(|wanted| wanted == collection)
            && self.id.as_ref().is_none_or(|wanted| wanted == id)
            && (self.kinds.is_empty() || self.kinds.contains(&change.kind))
    }
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchItem {
    /// Where to go on after this.
    pub cursor: Cursor,
    /// What it is.
    pub step: WatchStep,
}

/// See [`WatchItem`].
#[derive(Debug, Clone, PartialEq)]
pub enum WatchStep {
    /// A document has changed.
    Change(Box<Change>),
    /// The watcher was so far behind that of several changes of one document only the last one comes.
    Lagged,
    /// All that there was in this thread has been told.
    CaughtUp,
}

/// A place in the changes of a thread, as one node has seen them. As text: thread, node and position with slashes between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The thread.
    pub thread: ThreadId,
    /// The node, by the end of its peer id: another one has seen the changes in another order.
    pub node: String,
    /// The last change before it.
    pub position: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.thread, self.node, self.position)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: a thread, a node and a position with slashes between, as `watch` tells them")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.split('/');
        let (Some(thread), Some(node), Some(position), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoCursor);
        };
        let thread = thread.parse().map_err(|_| NoCursor)?;
        let position = position.parse().map_err(|_| NoCursor)?;
        if node.is_empty() || !node.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(NoCursor);
        }
        Ok(Self { thread, node: node.to_owned(), position })
    }
}

#[cfg(test)]
mod tests {
    use spool_proto::id::Variant;

    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { thread: ThreadId::new(Variant::Raw, [7; 32]), node: "abCD1234".into(), position: 42 };
        let text = cursor.to_string();
        assert_eq!(text.parse(), Ok(cursor));
        let parts: Vec<_> = text.split('/').collect();
        for bad in [
            String::new(),
            "//".into(),
            parts[0].into(),
            format!("{text}/"),
            format!("{text}x"),
            format!("{}/{}/-1", parts[0], parts[1]),
            format!("{}//1", parts[0]),
            format!("{}/a b/1", parts[0]),
            format!("x/{}/1", parts[1]),
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(NoCursor), "{bad}");
        }
    }
}

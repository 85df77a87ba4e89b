//! What has changed, in the order in which this node has seen it: the last change of each document, by a position that only grows.

use bytes::Bytes;
use serde_json::{Map, Value};
use spool_store::view::{Batch, Reader};

use super::{fold::Folded, keys};
use crate::{Stamp, operation::Target, projector::Error};

/// A change of a document that shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place in the feed of this node.
    pub position: u64,
    /// Which document.
    pub target: Target,
    /// What has happened to it.
    pub kind: Kind,
    /// The event that has changed it last.
    pub last: Option<Stamp>,
    /// Its fields now; none if it does not exist.
    pub fields: Option<Map<String, Value>>,
}

/// What has happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It exists now.
    Create,
    /// Its fields have changed.
    Save,
    /// It does not exist any more.
    Delete,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Create => 0,
            Kind::Save => 1,
            Kind::Delete => 2,
        }
    }
}

/// Gives out positions.
#[derive(Default)]
pub(super) struct Feed {
    /// The last one; read when it is first needed.
    last: Option<u64>,
}

impl Feed {
    /// Puts a document's change at the end of the feed, in place of its earlier one.
    pub(super) fn note(
        &mut self,
        target: &Target,
        folded: &mut Folded,
        reader: &Reader<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Change>, Error> {
        let alive = |entry: &Option<super::Entry>| entry.as_ref().is_some_and(|entry| entry.document.is_alive());
        let kind = match (alive(&folded.before), alive(&folded.after)) {
            (false, false) => return Ok(None),
            (false, true) => Kind::Create,
            (true, false) => Kind::Delete,
            (true, true) => Kind::Save,
        };
        let fields = |entry: &Option<super::Entry>| entry.as_ref().map(|entry| entry.document.fields.clone());
        if kind == Kind::Save && fields(&folded.before) == fields(&folded.after) {
            return Ok(None);
        }
        let last = match self.last {
            Some(last) => last,
            None => read_last(reader)?,
        };
        let position = last + 1;
        self.last = Some(position);
        if let Some(earlier) = folded.before.as_ref().map(|entry| entry.position).filter(|position| *position > 0) {
            batch.delete(keys::position(earlier));
        }
        let value = [&[kind.code()], target.collection.as_bytes(), &[0], target.id.as_bytes()].concat();
        batch.put(keys::position(position), Bytes::from(value));
        batch.put(keys::LAST_POSITION, position.to_be_bytes().to_vec());
        let mut change = Change { position, target: target.clone(), kind, last: None, fields: None };
        if let Some(after) = &mut folded.after {
            after.position = position;
            change.last = after.document.last;
            change.fields = after.document.is_alive().then(|| after.document.fields.clone());
        }
        Ok(Some(change))
    }
}

/// The end of the feed.
pub(crate) fn read_last(reader: &Reader<'_>) -> Result<u64, Error> {
    let Some(value) = reader.get(keys::LAST_POSITION)? else { return Ok(0) };
    value.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged("the position of the feed"))
}

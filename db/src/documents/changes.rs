//! What has changed, in the order in which this node has seen it: the last change of each document, by a position that only grows.

use std::ops::ControlFlow;

use bytes::Bytes;
use serde_json::{Map, Value};
use spool_store::view::{Batch, Reader, after_prefix};

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

impl Change {
    /// The fields as people see them, with `_id` and `_mod`; none if it does not exist.
    pub fn shown(&self) -> Option<Map<String, Value>> {
        let fields = self.fields.clone()?;
        Some(crate::document::with_own_fields(fields, &self.target.id, self.last))
    }
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
    fn from_code(code: u8) -> Option<Self> {
        [Kind::Create, Kind::Save, Kind::Delete].into_iter().find(|kind| kind.code() == code)
    }

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
    /// Where to begin, if that is not behind the last one.
    start: u64,
}

impl Feed {
    /// Gives out only positions after this one.
    pub(super) fn after(start: u64) -> Self {
        Self { last: None, start }
    }

    /// What was given out and not written is void.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }

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
        let [before, after] =
            [&folded.before, &folded.after].map(|entry| entry.as_ref().map(|entry| &entry.document.fields));
        if kind == Kind::Save && before == after {
            return Ok(None);
        }
        let end = match self.last {
            Some(end) => end,
            None => last(reader)?.max(self.start),
        };
        let position = end + 1;
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
pub(crate) fn last(reader: &Reader<'_>) -> Result<u64, Error> {
    let Some(value) = reader.get(keys::LAST_POSITION)? else { return Ok(0) };
    value.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged("the position of the feed"))
}

/// The changes after a position, oldest first, up to `count`; and where to go on.
pub(crate) fn after(reader: &Reader<'_>, after: u64, count: usize) -> Result<(Vec<Change>, u64), Error> {
    let damaged = Error::Damaged("the feed of changes");
    let mut entries = Vec::new();
    let from = keys::position(after.saturating_add(1));
    reader.scan(&from, &after_prefix(keys::FEED), &mut |key, value| {
        let kind = value.first().copied().and_then(Kind::from_code);
        let position = key.last_chunk().map(|position| u64::from_be_bytes(*position));
        entries.push(position.zip(kind).zip(keys::target(value)));
        if entries.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let Some(entries) = entries.into_iter().collect::<Option<Vec<_>>>() else { return Err(damaged) };
    let mut changes = Vec::with_capacity(entries.len());
    for ((position, kind), target) in entries {
        let document = super::document(reader, &target)?.unwrap_or_default();
        let fields = document.is_alive().then(|| document.fields.clone());
        changes.push(Change { position, target, kind, last: document.last, fields });
    }
    let position = changes.last().map_or(after, |last| last.position);
    Ok((changes, position))
}

//! One document, folded on from its state, or again from a state that was kept.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use spool_store::view::{Batch, Reader, after_prefix};

use super::{
    Touched,
    events::{ByTarget, Events},
    history, keys,
    stored::{self, Entry},
};
use crate::{
    Document, Stamp,
    document::{Encoded, Size},
    operation::Target,
    projector::Error,
    source::Source,
};

/// A document before and after a batch.
pub(super) struct Folded {
    pub(super) before: Option<Entry>,
    /// None if no event has changed it.
    pub(super) after: Option<Entry>,
    /// The stored form of the document after.
    pub(super) state: Encoded,
}

impl Folded {
    /// How many documents more exist.
    pub(super) fn born(&self) -> i64 {
        let alive = |entry: &Option<Entry>| i64::from(entry.as_ref().is_some_and(|entry| entry.document.is_alive()));
        alive(&self.after) - alive(&self.before)
    }
}

pub(super) struct Folder<'a> {
    reader: &'a Reader<'a>,
    keep_every: u16,
    events: Events<'a>,
}

/// The list of a document's events, as the batch leaves it.
type History = BTreeMap<Stamp, Known>;

/// What is at hand of an event.
enum Known {
    /// All of it: it has just come.
    New(Arc<ByTarget>),
    /// What the view has of it.
    Stored(Vec<u8>),
}

impl<'a> Folder<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, source: &'a dyn Source, keep_every: u16) -> Self {
        Self { reader, keep_every, events: Events::new(source) }
    }

    /// Returns nothing if nothing changes.
    pub(super) fn fold(
        &mut self,
        target: &Target,
        touched: Touched,
        batch: &mut Batch,
    ) -> Result<Option<Folded>, Error> {
        let before = stored::read(self.reader, target)?;
        let last = before.as_ref().and_then(|entry| entry.document.last);
        let in_order = touched.removed.is_empty() && touched.added.first_key_value().map(|(stamp, _)| *stamp) > last;
        let after = if in_order {
            let entry = before.clone().unwrap_or_else(Entry::empty);
            let events =
                touched.added.into_iter().map(|(stamp, transaction)| (stamp, Known::New(transaction))).collect();
            Some(self.apply(target, entry, events, batch)?)
        } else {
            match self.again(target, touched, batch)? {
                None => return Ok(None),
                Some((_, events)) if events.is_empty() && last.is_none() => return Ok(None),
                Some((None, events)) if events.is_empty() => None,
                Some((kept, events)) => {
                    let entry = kept.unwrap_or_else(Entry::empty);
                    Some(self.apply(target, entry, events, batch)?)
                }
            }
        };
        let state = match &after {
            Some(entry) => entry.document.encode(),
            None => Encoded { bytes: Vec::new(), fields: 0..0 },
        };
        let after = after.map(|after| Entry {
            bytes: state.bytes.len(),
            position: before.as_ref().map_or(0, |before| before.position),
            ..after
        });
        Ok(Some(Folded { before, after, state }))
    }

    /// Applies events to a document that has none after them.
    fn apply(&mut self, target: &Target, mut entry: Entry, events: History, batch: &mut Batch) -> Result<Entry, Error> {
        let mut size = if entry.bytes == 0 { Size::default() } else { Size::stored(entry.bytes) };
        for (stamp, known) in events {
            let value = self.apply_one(target, &mut entry.document, stamp, known, &mut size)?;
            entry.since += 1;
            if entry.since >= self.keep_every {
                entry.since = 0;
                batch.put(keys::event(target, &stamp), history::state(&entry.document));
            } else if let Some(value) = value {
                batch.put(keys::event(target, &stamp), value);
            }
        }
        Ok(entry)
    }

    /// Returns what the view is to have of the event, if that is something else than it has.
    fn apply_one(
        &mut self,
        target: &Target,
        document: &mut Document,
        stamp: Stamp,
        known: Known,
        size: &mut Size,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (transaction, is_other) = match known {
            Known::New(transaction) => (transaction, true),
            Known::Stored(value) => match history::read_changes(&value)? {
                Some(changes) => {
                    document.apply(stamp, changes.iter().map(|(index, change)| (*index, change)), size);
                    return Ok(None);
                }
                // A state that was kept has become another one.
                None => (self.events.get(&stamp)?, !value.is_empty()),
            },
        };
        document.apply(stamp, transaction.changes(target), size);
        Ok(is_other.then(|| history::changes(&transaction, target)))
    }

    /// The last kept state before the first event that comes or goes, and all events after it.
    fn again(
        &mut self,
        target: &Target,
        touched: Touched,
        batch: &mut Batch,
    ) -> Result<Option<(Option<Entry>, History)>, Error> {
        let Some(first) = touched.added.keys().chain(&touched.removed).min() else { return Ok(None) };
        let prefix = keys::history(target);
        let mut kept = None;
        self.reader.scan_back(&prefix, &keys::event(target, first), &mut |key, value| {
            let Some(state) = history::kept(value) else { return ControlFlow::Continue(()) };
            kept = keys::stamp(key).map(|stamp| (stamp, history::read_kept(state), state.len()));
            ControlFlow::Break(())
        })?;
        let mut from = prefix.clone();
        let entry = match kept {
            None => None,
            Some((stamp, document, bytes)) => {
                from = [&keys::event(target, &stamp)[..], &[0]].concat();
                Some(Entry { document: document?, bytes, since: 0, position: 0 })
            }
        };
        let mut events = History::new();
        self.reader.scan(&from, &after_prefix(&prefix), &mut |key, value| {
            events.extend(keys::stamp(key).map(|stamp| (stamp, Known::Stored(value.to_vec()))));
            ControlFlow::Continue(())
        })?;
        for stamp in &touched.removed {
            if events.remove(stamp).is_some() {
                batch.delete(keys::event(target, stamp));
            }
        }
        events.extend(touched.added.into_iter().map(|(stamp, transaction)| (stamp, Known::New(transaction))));
        Ok(Some((entry, events)))
    }
}

impl Entry {
    /// Of a document that nothing was written to.
    fn empty() -> Self {
        Self { document: Document::default(), bytes: 0, since: 0, position: 0 }
    }
}

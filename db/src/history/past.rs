//! Documents as they were, folded from the nearest kept state.

use std::ops::ControlFlow;

use spool_proto::clock::Time;
use spool_store::view::{Reader, after_prefix};

use super::VersionId;
use crate::{
    Document, Stamp,
    document::Size,
    documents::{events::Events, history, keys, stored},
    limits::{READ_BYTES, SCANNED_DOCUMENTS},
    operation::Target,
    projector::Error,
    source::Source,
};

/// A point in the history of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After all events up to this time, and those of this very time.
    Time(Time),
    /// After this event, whether it has changed the document or not.
    Stamp(Stamp),
    /// When the document was in this state.
    Version(VersionId),
}

/// A document as it was; `None` if nothing had been written to it, or if it was never in that state.
///
/// # Errors
///
/// [`Error`].
pub fn document_at(
    reader: &Reader<'_>,
    source: &dyn Source,
    target: &Target,
    at: At,
) -> Result<Option<Document>, Error> {
    Past::new(reader, source).document(target, at)
}

/// Visits the documents of a collection that existed at a time, in the order of their ids: those that were deleted since, too. Holds one page of documents at
/// a time.
///
/// # Errors
///
/// [`Error`].
pub fn documents_at(
    reader: &Reader<'_>,
    source: &dyn Source,
    collection: &str,
    time: Time,
    visit: &mut dyn FnMut(&Target, Document) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut past = Past::new(reader, source);
    let mut documents = Present::new(&keys::collection(collection));
    while let Some((target, present)) = documents.next(reader)? {
        let Some(document) = past.before(&target, present, At::Time(time))?.filter(Document::is_alive) else {
            continue;
        };
        if visit(&target, document).is_break() {
            break;
        }
    }
    Ok(())
}

/// Folds histories again.
pub(super) struct Past<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) events: Events<'a>,
}

/// A state that was kept, and where what follows it begins.
pub(super) struct Kept {
    pub(super) document: Document,
    pub(super) size: Size,
    /// The first key after it.
    pub(super) from: Vec<u8>,
}

impl<'a> Past<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, source: &'a dyn Source) -> Self {
        Self { reader, events: Events::new(source) }
    }

    pub(super) fn document(&mut self, target: &Target, at: At) -> Result<Option<Document>, Error> {
        let until = match at {
            At::Time(time) => end_of(target, time),
            At::Stamp(stamp) => after(target, &stamp),
            At::Version(version) => return self.in_state(target, version),
        };
        self.fold_until(target, &until)
    }

    /// The document as it was, when the present one is at hand.
    pub(super) fn before(&mut self, target: &Target, present: Document, at: At) -> Result<Option<Document>, Error> {
        let is_later = match (at, present.last) {
            (_, None) => true,
            (At::Time(time), Some(last)) => last.time > time,
            (At::Stamp(stamp), Some(last)) => last > stamp,
            (At::Version(version), Some(_)) => present.version() != version,
        };
        if is_later { self.document(target, at) } else { Ok(Some(present)) }
    }

    /// The last kept state before a key of a document's history, or nothing.
    pub(super) fn kept(&self, target: &Target, until: &[u8]) -> Result<Kept, Error> {
        let from = keys::history(target);
        let mut kept = None;
        self.reader.scan_back(&from, until, &mut |key, value| {
            let Some(state) = history::kept(value) else { return ControlFlow::Continue(()) };
            kept = Some((history::read_kept(state), state.len(), [key, &[0]].concat()));
            ControlFlow::Break(())
        })?;
        let Some((document, bytes, from)) = kept else {
            return Ok(Kept { document: Document::default(), size: Size::default(), from });
        };
        Ok(Kept { document: document?, size: Size::stored(bytes), from })
    }

    /// The events in a part of a history.
    pub(super) fn stamps(&self, from: &[u8], until: &[u8]) -> Result<Vec<Stamp>, Error> {
        let mut stamps = Vec::new();
        self.reader.scan(from, until, &mut |key, _| {
            stamps.extend(keys::stamp(key));
            ControlFlow::Continue(())
        })?;
        Ok(stamps)
    }

    /// Applies events to a kept state one after another, and shows the document after each of them.
    pub(super) fn apply(
        &mut self,
        target: &Target,
        kept: Kept,
        stamps: &[Stamp],
        show: &mut dyn FnMut(&Stamp, &Document) -> ControlFlow<()>,
    ) -> Result<Document, Error> {
        let Kept { mut document, mut size, .. } = kept;
        for stamp in stamps {
            let transaction = self.events.get(stamp)?;
            document.apply(*stamp, transaction.changes(target), &mut size);
            if show(stamp, &document).is_break() {
                break;
            }
        }
        Ok(document)
    }

    fn fold_until(&mut self, target: &Target, until: &[u8]) -> Result<Option<Document>, Error> {
        let kept = self.kept(target, until)?;
        let stamps = self.stamps(&kept.from, until)?;
        let document = self.apply(target, kept, &stamps, &mut |_, _| ControlFlow::Continue(()))?;
        Ok(document.last.is_some().then_some(document))
    }

    /// Looks from the present backwards, from one kept state to the one before it.
    fn in_state(&mut self, target: &Target, version: VersionId) -> Result<Option<Document>, Error> {
        let mut until = after_prefix(&keys::history(target));
        loop {
            let kept = self.kept(target, &until)?;
            if kept.document.last.is_some() && kept.document.version() == version {
                return Ok(Some(kept.document));
            }
            let (from, first) = (kept.from.clone(), kept.document.last);
            let stamps = self.stamps(&from, &until)?;
            let mut found = None;
            self.apply(target, kept, &stamps, &mut |_, document| {
                if document.version() != version {
                    return ControlFlow::Continue(());
                }
                found = Some(document.clone());
                ControlFlow::Break(())
            })?;
            let Some(first) = first.filter(|_| found.is_none()) else { return Ok(found) };
            until = keys::event(target, &first);
        }
    }
}

/// The first key of a history after all events up to a time.
fn end_of(target: &Target, time: Time) -> Vec<u8> {
    match time.as_u64().checked_add(1) {
        Some(next) => [&keys::history(target)[..], &next.to_be_bytes()].concat(),
        None => after_prefix(&keys::history(target)),
    }
}

/// The first key of a history after an event.
pub(super) fn after(target: &Target, stamp: &Stamp) -> Vec<u8> {
    [&keys::event(target, stamp)[..], &[0]].concat()
}

/// The documents that a view holds now, existing or not, read page by page.
pub(crate) struct Present {
    from: Vec<u8>,
    until: Vec<u8>,
    reverse: bool,
    page: std::vec::IntoIter<(Target, Document)>,
}

impl Present {
    /// Those whose keys begin with a prefix.
    pub(crate) fn new(prefix: &[u8]) -> Self {
        Self::between(prefix.to_vec(), after_prefix(prefix), false)
    }

    /// Those with keys from one up to another one, or back from there.
    pub(super) fn between(from: Vec<u8>, until: Vec<u8>, reverse: bool) -> Self {
        Self { from, until, reverse, page: Vec::new().into_iter() }
    }

    pub(crate) fn next(&mut self, reader: &Reader<'_>) -> Result<Option<(Target, Document)>, Error> {
        if self.page.len() == 0 {
            self.read(reader)?;
        }
        Ok(self.page.next())
    }

    fn read(&mut self, reader: &Reader<'_>) -> Result<(), Error> {
        let (mut page, mut bytes, mut next, mut damaged) = (Vec::new(), 0, None, false);
        let mut visit = |key: &[u8], value: &[u8]| {
            let (Some(target), Ok(entry)) = (keys::target(key), stored::parse(value)) else {
                damaged = true;
                return ControlFlow::Break(());
            };
            bytes += entry.bytes;
            next = Some(if self.reverse { key.to_vec() } else { [key, &[0]].concat() });
            page.push((target, entry.document));
            let full = page.len() >= SCANNED_DOCUMENTS || bytes >= READ_BYTES;
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        if self.reverse {
            reader.scan_back(&self.from, &self.until, &mut visit)?;
        } else {
            reader.scan(&self.from, &self.until, &mut visit)?;
        }
        if damaged {
            return Err(Error::Damaged("a document"));
        }
        let end = if self.reverse { &mut self.until } else { &mut self.from };
        *end = next.unwrap_or_else(|| end.clone());
        self.page = page.into_iter();
        Ok(())
    }
}

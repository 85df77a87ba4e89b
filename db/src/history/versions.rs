//! The versions of a document, page by page.

use std::{collections::BTreeMap, ops::ControlFlow};

use spool_proto::{LogId, owner::Author};
use spool_store::view::{Reader, after_prefix};

use super::{
    VersionId,
    past::{self, Past},
};
use crate::{
    Stamp,
    document::Existence,
    documents::keys,
    operation::{Change, Operation, Target},
    projector::Error,
    source::Source,
};

/// What one event has made of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The event: its time, and its record as log and counter.
    pub stamp: Stamp,
    /// Whose log it is; `None` while that is not known.
    pub author: Option<Author>,
    /// What it has changed in this document, in order.
    pub changes: Vec<Change>,
    /// The name of the state that it left.
    pub id: VersionId,
    /// Whether the document existed then.
    pub existence: Existence,
}

/// Which versions come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The present one.
    #[default]
    NewestFirst,
    /// The very first one.
    OldestFirst,
}

/// How much of a history to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Which come first.
    pub order: Order,
    /// Goes on behind this one, in the order asked for.
    pub after: Option<Stamp>,
    /// Versions at most.
    pub count: usize,
    /// Bytes of changes, roughly: the page ends with the version that reaches them, so that there is always at least one.
    pub bytes: usize,
}

/// The versions of a document: what `page.after` is followed by. Fewer than `page.count` may come before the end; after the end, none do.
///
/// # Errors
///
/// [`Error`].
pub fn versions(reader: &Reader<'_>, source: &dyn Source, target: &Target, page: Page) -> Result<Vec<Version>, Error> {
    let mut listing =
        Listing { past: Past::new(reader, source), authors: BTreeMap::new(), page, found: Vec::new(), bytes: 0 };
    match page.order {
        Order::NewestFirst => listing.backward(target)?,
        Order::OldestFirst => listing.forward(target)?,
    }
    Ok(listing.found)
}

/// What an event has left, without what it did.
#[derive(Clone, Copy)]
struct Left {
    stamp: Stamp,
    id: VersionId,
    existence: Existence,
}

struct Listing<'a> {
    past: Past<'a>,
    authors: BTreeMap<LogId, Option<Author>>,
    page: Page,
    found: Vec<Version>,
    bytes: usize,
}

impl Listing<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.page.count || (self.bytes >= self.page.bytes && !self.found.is_empty())
    }

    /// From one kept state to the one before it: only the names of a section's versions are held, not its documents.
    fn backward(&mut self, target: &Target) -> Result<(), Error> {
        let mut until = match &self.page.after {
            Some(after) => keys::event(target, after),
            None => after_prefix(&keys::history(target)),
        };
        while !self.is_full() {
            // A state that is kept at the end of the section is one of its versions, so it begins at the one before.
            let Some(last) = self.last(target, &until)? else { return Ok(()) };
            let kept = self.past.kept(target, &keys::event(target, &last))?;
            let (from, before) = (kept.from.clone(), kept.document.last);
            let stamps = self.past.stamps(&from, &until)?;
            let mut section = Vec::new();
            self.past.apply(target, kept, &stamps, &mut |stamp, document| {
                section.push(Left { stamp: *stamp, id: document.version(), existence: document.existence });
                ControlFlow::Continue(())
            })?;
            for left in section.into_iter().rev() {
                if self.is_full() {
                    return Ok(());
                }
                self.push(target, left)?;
            }
            let Some(before) = before else { return Ok(()) };
            until = past::after(target, &before);
        }
        Ok(())
    }

    fn last(&self, target: &Target, until: &[u8]) -> Result<Option<Stamp>, Error> {
        let mut last = None;
        self.past.reader.scan_back(&keys::history(target), until, &mut |key, _| {
            last = keys::stamp(key);
            ControlFlow::Break(())
        })?;
        Ok(last)
    }

    fn forward(&mut self, target: &Target) -> Result<(), Error> {
        let history = keys::history(target);
        let from = self.page.after.map_or_else(|| history.clone(), |after| past::after(target, &after));
        let kept = self.past.kept(target, &from)?;
        let until = self.end_of_page(&from, &after_prefix(&history))?;
        let stamps = self.past.stamps(&kept.from, &until)?;
        let (mut section, after) = (Vec::new(), self.page.after);
        self.past.apply(target, kept, &stamps, &mut |stamp, document| {
            if Some(*stamp) > after {
                section.push(Left { stamp: *stamp, id: document.version(), existence: document.existence });
            }
            ControlFlow::Continue(())
        })?;
        for left in section {
            if self.is_full() {
                return Ok(());
            }
            self.push(target, left)?;
        }
        Ok(())
    }

    /// Where as many events lie before as a page may have.
    fn end_of_page(&self, from: &[u8], until: &[u8]) -> Result<Vec<u8>, Error> {
        let (mut count, mut end) = (0, until.to_vec());
        self.past.reader.scan(from, until, &mut |key, _| {
            if count == self.page.count {
                end = key.to_vec();
                return ControlFlow::Break(());
            }
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(end)
    }

    fn push(&mut self, target: &Target, left: Left) -> Result<(), Error> {
        let Left { stamp, id, existence } = left;
        let transaction = self.past.events.get(&stamp)?;
        let own = transaction.changes(target).filter_map(|(index, _)| transaction.operations.get(index as usize));
        self.bytes += own.map(Operation::bytes).sum::<usize>();
        let changes = transaction.changes(target).map(|(_, change)| change.clone()).collect();
        let author = self.author(&stamp)?;
        self.found.push(Version { stamp, author, changes, id, existence });
        Ok(())
    }

    fn author(&mut self, stamp: &Stamp) -> Result<Option<Author>, Error> {
        let Some(log) = stamp.log_id() else { return Ok(None) };
        if let Some(author) = self.authors.get(&log) {
            return Ok(*author);
        }
        let author = self.past.events.source().author(&log)?;
        self.authors.insert(log, author);
        Ok(author)
    }
}

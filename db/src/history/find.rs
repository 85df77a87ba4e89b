//! A collection as it was, as queries read it.

use std::{cell::RefCell, ops::ControlFlow};

use spool_proto::clock::Time;
use spool_store::view::{Reader, after_prefix};

use super::{
    At,
    past::{Past, Present},
};
use crate::{
    Document,
    documents::{self, Collection, keys},
    operation::Target,
    projector::Error,
    query::{Documents, RawDocument},
    source::Source,
};

/// The documents of a collection that existed at a time. Each is folded when it is read, so nothing is held but a page of them; there are no indexes.
pub(crate) struct PastCollection<'a> {
    reader: &'a Reader<'a>,
    name: &'a str,
    time: Time,
    past: RefCell<Past<'a>>,
}

impl<'a> PastCollection<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>, source: &'a dyn Source, name: &'a str, time: Time) -> Self {
        Self { reader, name, time, past: RefCell::new(Past::new(reader, source)) }
    }

    /// The document as it was, if it existed then.
    fn then(&self, target: &Target, present: Document) -> Result<Option<Document>, Error> {
        // Not held while the document is shown: a visitor may read.
        let document = self.past.borrow_mut().before(target, present, At::Time(self.time))?;
        Ok(document.filter(Document::is_alive))
    }
}

fn show<T>(id: &str, document: &Document, visit: impl FnOnce(RawDocument<'_>) -> T) -> Option<T> {
    let encoded = document.encode();
    let modified = document.last.map_or(0, |last| last.modified());
    Some(visit(RawDocument { id, modified, bytes: encoded.bytes.get(encoded.fields)? }))
}

impl Documents for PastCollection<'_> {
    type Error = Error;

    fn count(&self) -> Result<u64, Error> {
        Collection::new(self.reader, self.name).count()
    }

    fn get(&self, id: &str, visit: &mut dyn FnMut(RawDocument<'_>)) -> Result<(), Error> {
        let target = Target::new(self.name, id);
        let Some(present) = documents::document(self.reader, &target)? else { return Ok(()) };
        if let Some(document) = self.then(&target, present)? {
            show(id, &document, visit);
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&str>,
        reverse: bool,
        visit: &mut dyn FnMut(RawDocument<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let prefix = keys::collection(self.name);
        let (mut from, mut until) = (prefix.clone(), after_prefix(&prefix));
        if let Some(id) = after {
            let at = keys::document(&Target::new(self.name, id));
            if reverse {
                until = at;
            } else {
                from = after_prefix(&at);
            }
        }
        let mut documents = Present::between(from, until, reverse);
        while let Some((target, present)) = documents.next(self.reader)? {
            let Some(document) = self.then(&target, present)? else { continue };
            if show(&target.id, &document, &mut *visit).is_some_and(|flow| flow.is_break()) {
                break;
            }
        }
        Ok(())
    }

    fn index(
        &self,
        _: &str,
        _: &[u8],
        _: &[u8],
        _: bool,
        _: &mut dyn FnMut(&[u8], &str) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        // No plan asks for an index that it was not told of.
        Ok(())
    }
}

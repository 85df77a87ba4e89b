//! The way back to an earlier time, as new transactions.

use std::collections::VecDeque;

use spool_proto::clock::Time;
use spool_store::view::Reader;

use super::{
    Scope, changes_between,
    pack::Packer,
    past::{Past, Present},
    tags::COLLECTIONS,
};
use crate::{documents::keys, operation::Transaction, projector::Error, source::Source};

/// The transactions that turn the present into what was at a time: documents that were created since are deleted, deleted ones are undeleted, fields are set back.
///
/// To be committed in order. Each is read off the view when it is asked for, so that the view may move meanwhile: a document is compared with what it is by then.
/// A document's changes are in one transaction if they fit one. The whole database begins with the definitions of its collections; tags stay as they
/// are, for they are the names of times and not part of them.
pub fn restore<'a>(reader: &'a Reader<'a>, source: &'a dyn Source, scope: &Scope, time: Time) -> Restore<'a> {
    let (documents, everything) = match scope {
        Scope::Database => (Present::new(&keys::collection(COLLECTIONS)), Some(Present::new(keys::DOCUMENTS))),
        Scope::Collection(name) => (Present::new(&keys::collection(name)), None),
        Scope::Document(target) => (Present::new(&keys::document(target)), None),
    };
    let past = Past::new(reader, source);
    Restore {
        past,
        time,
        documents,
        everything,
        is_behind_definitions: false,
        packer: Packer::default(),
        ready: VecDeque::new(),
        failed: false,
    }
}

/// See [`restore`]. Ends after an error.
pub struct Restore<'a> {
    past: Past<'a>,
    time: Time,
    documents: Present,
    /// What comes after the definitions, if all is restored.
    everything: Option<Present>,
    /// All is restored, and the definitions are.
    is_behind_definitions: bool,
    packer: Packer,
    ready: VecDeque<Transaction>,
    failed: bool,
}

impl Restore<'_> {
    /// What begins with an underscore is Spool's own, and not all of it has been what it was at a time.
    fn is_left_out(&self, collection: &str) -> bool {
        self.is_behind_definitions && collection.starts_with('_')
    }

    fn fill(&mut self) -> Result<(), Error> {
        while self.ready.is_empty() {
            let Some((target, present)) = self.documents.next(self.past.reader)? else {
                let Some(everything) = self.everything.take() else {
                    self.ready.extend(self.packer.take(true));
                    return Ok(());
                };
                self.documents = everything;
                self.is_behind_definitions = true;
                continue;
            };
            if self.is_left_out(&target.collection) {
                continue;
            }
            let past = self.past.at_time(&target, present.clone(), self.time)?.unwrap_or_default();
            self.packer.push(&target, changes_between(&present, &past));
            self.ready.extend(self.packer.take(false));
        }
        Ok(())
    }
}

impl Iterator for Restore<'_> {
    type Item = Result<Transaction, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.fill() {
            Ok(()) => self.ready.pop_front().map(Ok),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

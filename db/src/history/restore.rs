//! The way back to an earlier time, as new transactions.

use std::collections::{BTreeMap, VecDeque};

use spool_store::view::Reader;

use super::{
    At, Scope, VersionId, changes_between,
    pack::Packer,
    past::{Past, Present},
    tags::COLLECTIONS,
};
use crate::{
    database::Limits,
    documents::keys,
    limits::PACKED_TRANSACTION_BYTES,
    operation::{Target, Transaction},
    projector::Error,
    source::Source,
};

/// The transactions that turn the present into what was at a point in the past: documents that were created since are deleted, deleted ones are undeleted, fields are set back.
///
/// To be committed in order. Each is read off the view when it is asked for, so that the view may move meanwhile: a document is compared with what it is by then.
/// A document's changes are in one transaction if they fit one, within these limits; a single value that does not is put into one of its own all the same. The whole database begins with the definitions of its collections; tags stay as they
/// are, for they are the names of times and not part of them.
pub fn restore<'a>(
    reader: &'a Reader<'a>,
    source: &'a dyn Source,
    scope: &Scope,
    at: At,
    limits: Limits,
) -> Restore<'a> {
    let (documents, everything) = match scope {
        Scope::Database => (Present::new(&keys::collection(COLLECTIONS)), Some(Present::new(keys::DOCUMENTS))),
        Scope::Collection(name) => (Present::new(&keys::collection(name)), None),
        Scope::Document(target) => (Present::new(&keys::document(target)), None),
    };
    let past = Past::new(reader, source);
    Restore {
        past,
        at,
        documents,
        everything,
        is_behind_definitions: false,
        packer: Packer::new(limits.transaction_operations, limits.transaction_bytes.min(PACKED_TRANSACTION_BYTES)),
        ready: VecDeque::new(),
        found: BTreeMap::new(),
        failed: false,
    }
}

/// See [`restore`]. Ends after an error.
pub struct Restore<'a> {
    past: Past<'a>,
    at: At,
    documents: Present,
    /// What comes after the definitions, if all is restored.
    everything: Option<Present>,
    /// All is restored, and the definitions are.
    is_behind_definitions: bool,
    packer: Packer,
    ready: VecDeque<Transaction>,
    /// The versions in which documents were found whose changes are not given out yet.
    found: BTreeMap<Target, VersionId>,
    failed: bool,
}

impl Restore<'_> {
    /// What begins with an underscore is Spool's own, and not all of it has been what it was at a time.
    fn is_left_out(&self, collection: &str) -> bool {
        self.is_behind_definitions && collection.starts_with('_')
    }

    /// The version in which a document was found, told once: a document whose changes take several transactions is in another one after the first.
    pub(crate) fn take_found(&mut self, target: &Target) -> Option<VersionId> {
        self.found.remove(target)
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
            let past = self.past.before(&target, present.clone(), self.at)?.unwrap_or_default();
            let changes = changes_between(&present, &past);
            if !changes.is_empty() {
                self.found.insert(target.clone(), present.version());
                self.packer.push(&target, changes);
            }
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

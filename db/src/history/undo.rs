//! Taking back one's own last transaction, and taking that back again.
//!
//! What is taken back is what the transaction did, not the state before it:
//!
//! - a field that it wrote gets the value that it would have had the transaction never been, unless somebody has written to it since, or to
//!   something around or within it: the later write stays, whoever made it;
//! - a number that it incremented is decremented, whoever has incremented it since; it stays, as 0, where there was none before;
//! - an element that it added to a set is removed, as far as it is this addition that keeps it; one that it removed is added. The set stays, though empty, where there was none before;
//! - a document that it made exist is deleted, even if somebody has written other fields of it since: those come back with it on redo. One that it deleted
//!   is undeleted. If somebody has created, deleted or undeleted it since, that stays.
//!
//! A redo takes back an undo by the same rules. What was undone and not done again counts as if neither had been, so that one can go back step by
//! step through changes of the same field. A new transaction leaves nothing to be done again.
//!
//! With a scope, only transactions that touch it are looked at, each as a whole: a transaction takes effect as one, and is taken back as one.

use std::collections::BTreeSet;

use spool_proto::LogId;
use spool_store::view::Reader;

use super::{Scope, past::Past};
use crate::{
    documents::events::ByTarget,
    limits::UNDO_RECORDS,
    operation::{self, Operation, Reverts, Target, Transaction},
    projector,
    source::{self, Source},
};

mod chains;
mod own;
mod refold;
mod take_back;
mod writes;

use own::{Own, OwnLog};

/// Why nothing is taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The view or the log cannot be read.
    #[error(transparent)]
    View(#[from] projector::Error),
    /// No own transaction is left.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// Nothing was undone, or something was written since.
    #[error("there is nothing to redo")]
    NothingToRedo,
    /// It may be further back than is looked.
    #[error("nothing was found among the last {UNDO_RECORDS} records of this log")]
    TooFarBack,
    /// Part of the transaction is for a newer program.
    #[error("a newer program has made that change: use a newer spool to take it back")]
    Newer,
    /// What was there before is larger than a transaction can be.
    #[error("what would be put back does not fit one transaction; restore the documents instead")]
    TooLarge(#[source] operation::Error),
}

impl From<source::Error> for Error {
    fn from(error: source::Error) -> Self {
        Error::View(error.into())
    }
}

/// The transaction that takes back the last one of an own log that is not taken back yet. It may have no operations, if nothing is left of what it did; it is to be
/// committed all the same, so that the next undo goes on before it.
///
/// # Errors
///
/// [`Error`].
pub fn undo(reader: &Reader<'_>, source: &dyn Source, log: &LogId, scope: &Scope) -> Result<Transaction, Error> {
    let mut own = OwnLog::new(reader, source, log)?;
    let (mut undone, mut marks) = (BTreeSet::new(), Vec::new());
    while let Some(event) = own.next()? {
        if let Some(reverts) = event.transaction.reverts {
            marks.push((event.stamp.counter, reverts));
        }
        match event.transaction.reverts {
            Some(Reverts::Undo(counter)) => {
                undone.insert(counter);
            }
            Some(Reverts::Redo(_)) | None => {
                if !undone.contains(&event.stamp.counter) && own.touches(&event, scope)? {
                    let reverts = Reverts::Undo(event.stamp.counter);
                    return revert(Past::new(reader, source), &mut own, &event, marks, reverts);
                }
            }
        }
    }
    Err(Error::NothingToUndo)
}

/// The transaction that takes back the last undo of an own log that is not taken back yet.
///
/// # Errors
///
/// [`Error`].
pub fn redo(reader: &Reader<'_>, source: &dyn Source, log: &LogId, scope: &Scope) -> Result<Transaction, Error> {
    let mut own = OwnLog::new(reader, source, log)?;
    let (mut redone, mut marks) = (BTreeSet::new(), Vec::new());
    while let Some(event) = own.next()? {
        if let Some(reverts) = event.transaction.reverts {
            marks.push((event.stamp.counter, reverts));
        }
        match event.transaction.reverts {
            Some(Reverts::Redo(counter)) => {
                redone.insert(counter);
            }
            Some(Reverts::Undo(_)) if !redone.contains(&event.stamp.counter) && own.touches(&event, scope)? => {
                let reverts = Reverts::Redo(event.stamp.counter);
                return revert(Past::new(reader, source), &mut own, &event, marks, reverts);
            }
            Some(Reverts::Undo(_)) => {}
            None if scope.is_touched(&event.transaction) => return Err(Error::NothingToRedo),
            None => {}
        }
    }
    Err(Error::NothingToRedo)
}

/// The documents that a record of an own log has changed, or, if it is an undo or redo, those of the transaction that it is about.
pub(crate) fn touched(
    reader: &Reader<'_>,
    source: &dyn Source,
    log: &LogId,
    counter: u64,
) -> Result<BTreeSet<Target>, Error> {
    let own = OwnLog::new(reader, source, log)?;
    let (mut touched, mut counter) = (BTreeSet::new(), counter);
    for _ in 0..UNDO_RECORDS {
        let Some(event) = own.at(counter)? else { break };
        touched.extend(event.transaction.targets().cloned());
        match event.transaction.reverts {
            Some(Reverts::Undo(older) | Reverts::Redo(older)) if older < counter => counter = older,
            Some(_) | None => break,
        }
    }
    Ok(touched)
}

/// `marks` are all undos and redos from the present back to the event, and its own.
fn revert(
    mut past: Past<'_>,
    own: &mut OwnLog<'_>,
    event: &Own,
    marks: Vec<(u64, Reverts)>,
    reverts: Reverts,
) -> Result<Transaction, Error> {
    if event.transaction.has_unknown() {
        return Err(Error::Newer);
    }
    let void = chains::void(own, event, marks)?;
    let mut operations = Vec::new();
    for target in event.transaction.targets() {
        let changes = take_back::changes(&mut past, target, event, &void)?;
        operations.extend(changes.into_iter().map(|change| Operation::Change(target.clone(), change)));
    }
    let transaction = Transaction { reverts: Some(reverts), operations };
    transaction.encode().map_err(Error::TooLarge)?;
    Ok(transaction)
}

impl Scope {
    fn contains(&self, target: &Target) -> bool {
        match self {
            Scope::Database => true,
            Scope::Collection(name) => target.collection == *name,
            Scope::Document(document) => target == document,
        }
    }

    fn is_touched(&self, transaction: &ByTarget) -> bool {
        transaction.targets().any(|target| self.contains(target))
    }
}

//! Undo and redo of what this node has written.

use super::{Committed, Database, lock};
use crate::{
    Target,
    history::{self, Scope},
    operation::{Reverts, Transaction},
    transaction::{Error, Write},
};

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// The record of the own log: a transaction, or the undo of one.
    pub counter: u64,
    /// The documents that change by that.
    pub documents: Vec<Target>,
}

/// Finds what takes something back.
type Find = fn(
    &spool_store::view::Reader<'_>,
    &dyn crate::source::Source,
    &spool_proto::LogId,
    &Scope,
) -> Result<Transaction, history::Error>;

impl Database {
    /// Takes back the last own transaction that touches the scope and is not taken back yet, as a new one. See [`history::undo`] for what that means where others
    /// have written since. As every transaction it is refused if another one was faster with one of its documents.
    ///
    /// # Errors
    ///
    /// [`Error::Revert`], and as [`write`](Self::write).
    pub fn undo(&self, scope: &Scope, done: Committed) -> Result<Reverted, Error> {
        self.revert(scope, history::undo, history::Error::NothingToUndo, done)
    }

    /// Takes back the last own undo that touches the scope, as a new transaction.
    ///
    /// # Errors
    ///
    /// As [`undo`](Self::undo).
    pub fn redo(&self, scope: &Scope, done: Committed) -> Result<Reverted, Error> {
        self.revert(scope, history::redo, history::Error::NothingToRedo, done)
    }

    fn revert(&self, scope: &Scope, find: Find, nothing: history::Error, done: Committed) -> Result<Reverted, Error> {
        let Some(log) = self.0.appender.own_log() else { return Err(nothing.into()) };
        let source = self.source();
        let reverting = lock(&self.0.reverting);
        let (reverted, draft) = self.0.view.snapshot(|reader| {
            let transaction = find(reader, &*source, &log, scope)?;
            let counter = match transaction.reverts {
                Some(Reverts::Undo(counter) | Reverts::Redo(counter)) => counter,
                None => 0,
            };
            let touched = history::touched(reader, &*source, &log, counter)?;
            let mut write = Write::new(self.reading(reader));
            // What nothing is left of counts as well: the same is not to be taken back twice.
            touched.iter().try_for_each(|target| write.rely(target))?;
            write.put_back(transaction.operations)?;
            let mut draft = write.into_draft(transaction.reverts)?;
            draft.touched = touched;
            let documents = draft.written.keys().cloned().collect();
            Ok::<_, Error>((Reverted { counter, documents }, draft))
        })?;
        self.queue(draft, done)?;
        drop(reverting);
        Ok(reverted)
    }
}

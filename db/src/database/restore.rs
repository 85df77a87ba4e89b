//! Documents brought back to what they were.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::ControlFlow,
    sync::mpsc,
};

use super::{Database, Receipt};
use crate::{
    Document, Operation, Target, Transaction,
    history::{self, At, Restore, Scope},
    limits::{ATTEMPT_PAUSE, RESTORE_IN_FLIGHT, RESTORE_PASSES},
    transaction::{Draft, Error, Seen},
};

/// How far a restore has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Documents that were changed.
    pub documents: u64,
    /// Transactions that it took.
    pub transactions: u64,
    /// Everything is as it was; else whoever was told has stopped it.
    pub complete: bool,
}

/// Told how many documents were changed by how many transactions so far.
type Told<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// A transaction on its way.
struct UnderWay {
    documents: u64,
    outcome: mpsc::Receiver<Result<Option<Receipt>, Error>>,
}

/// A restore on its way.
struct Restoring<'a> {
    database: &'a Database,
    under_way: VecDeque<UnderWay>,
    so_far: Restored,
    /// The last document of the transaction before.
    last: Option<Target>,
    told: Told<'a>,
}

impl Database {
    /// Brings documents back to what they were at a point in the past, with as many transactions as that takes; one document also to one of its versions. Blocks: not for
    /// tasks, and not for whoever folds.
    ///
    /// `told` is told after each transaction whose effect can be read, and may stop it: what was brought back by then stays. What others write to a document meanwhile
    /// is read again, and the document is brought back from there, some times over. What was, comes back whether it is as schemas and unique indexes say today or not:
    /// if not, it is listed among the [conflicts](Self::conflicts).
    ///
    /// # Errors
    ///
    /// [`Error::VersionOfMany`], [`Error::NoVersion`], [`Error::Conflict`] if others do not stop writing, [`Error::View`], [`Error::Append`]. What was
    /// brought back by then stays.
    pub fn restore(&self, scope: &Scope, to: At, told: Told<'_>) -> Result<Restored, Error> {
        if let At::Version(version) = to {
            let Scope::Document(target) = scope else { return Err(Error::VersionOfMany) };
            if self.document_at(target, to)?.is_none() {
                return Err(Error::NoVersion { target: target.clone(), version });
            }
        }
        let so_far = Restored::default();
        let mut restoring = Restoring { database: self, under_way: VecDeque::new(), so_far, last: None, told };
        for pass in 1.. {
            match restoring.pass(scope, to)? {
                Pass::Complete => return Ok(Restored { complete: true, ..restoring.so_far }),
                Pass::Stopped => return Ok(restoring.so_far),
                Pass::Conflict(target) if pass == RESTORE_PASSES => return Err(Error::Conflict(target)),
                // What was faster has to be folded first.
                Pass::Conflict(_) => std::thread::sleep(ATTEMPT_PAUSE * pass),
            }
        }
        Ok(restoring.so_far)
    }
}

/// How it went once over everything.
enum Pass {
    Complete,
    Stopped,
    /// Somebody was faster, with this document among others.
    Conflict(Target),
}

impl Restoring<'_> {
    fn pass(&mut self, scope: &Scope, to: At) -> Result<Pass, Error> {
        let (source, limits) = (self.database.source(), self.database.0.limits);
        let pass = self.database.0.view.snapshot(|reader| {
            let mut conflict = None;
            let mut restore = history::restore(reader, &*source, scope, to, limits);
            while let Some(transaction) = restore.next() {
                if self.under_way.len() >= RESTORE_IN_FLIGHT && self.wait()?.is_break() {
                    return Ok(Pass::Stopped);
                }
                match self.queue(transaction?, &mut restore) {
                    Err(Error::Conflict(target)) => conflict = Some(target),
                    result => result?,
                }
            }
            Ok(conflict.map_or(Pass::Complete, Pass::Conflict))
        });
        // However it ended: what is on its way belongs to it, and the next pass has to see it.
        let mut is_stopped = false;
        let mut failed = None;
        while !self.under_way.is_empty() {
            match self.wait() {
                Ok(flow) => is_stopped |= flow.is_break(),
                Err(error) => failed = Some(error),
            }
        }
        match (pass, failed) {
            (Err(error), _) | (Ok(_), Some(error)) => Err(error),
            (Ok(Pass::Conflict(_)), None) if is_stopped => Ok(Pass::Stopped),
            (Ok(pass), None) => Ok(pass),
        }
    }

    fn queue(&mut self, transaction: Transaction, restore: &mut Restore<'_>) -> Result<(), Error> {
        let (mut seen, mut written) = (BTreeMap::new(), BTreeMap::new());
        let mut documents = 0;
        for operation in &transaction.operations {
            let Operation::Change(target, _) = operation else { continue };
            if written.contains_key(target) {
                continue;
            }
            seen.extend(restore.take_found(target).map(|version| (target.clone(), Seen::Version(version))));
            // Nothing asks what it comes to: it is held against no definition.
            written.insert(target.clone(), Document::default());
            documents += u64::from(self.last.as_ref() != Some(target));
            self.last = Some(target.clone());
        }
        let draft = Draft {
            client: None,
            transaction,
            seen,
            written,
            touched: Default::default(),
            definitions: BTreeMap::new(),
            has_saved: false,
        };
        let (tell, outcome) = mpsc::sync_channel(1);
        let done = move |result| {
            // Whoever waited may have gone.
            let _ = tell.send(result);
        };
        self.database.queue(draft, Box::new(done))?;
        self.under_way.push_back(UnderWay { documents, outcome });
        Ok(())
    }

    /// Waits for the oldest transaction on its way.
    fn wait(&mut self) -> Result<ControlFlow<()>, Error> {
        let Some(UnderWay { documents, outcome }) = self.under_way.pop_front() else {
            return Ok(ControlFlow::Continue(()));
        };
        outcome.recv().map_err(|_| Error::Append("the node has ended".into()))??;
        self.so_far.documents += documents;
        self.so_far.transactions += 1;
        Ok((self.told)(self.so_far.documents, self.so_far.transactions))
    }
}

//! Transactions that are made step by step.

use spool_db::{
    query::{self, Options, Query},
    transaction::{Error as Refused, Write},
};
use spool_proto::ThreadId;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    commit::{Outcome, outcome, wait},
    reading::known,
};
use crate::{
    model::{Committed, DocumentWrite, Error},
    node::{
        Node,
        limits::{TRANSACTION_IDLE, TRANSACTION_LENGTH},
    },
};

type Act = Box<dyn FnOnce(&mut Write<'_>) + Send>;

enum Step {
    Act(Act),
    Commit,
}

/// A transaction that is open: its reads are of one state, and see its own writes. Dropping it discards it, and so does a minute without a step.
pub struct Transaction {
    database: spool_db::Database,
    steps: mpsc::Sender<Step>,
    running: JoinHandle<Result<(), Refused>>,
    outcome: Outcome,
    ids: Vec<String>,
    _room: OwnedSemaphorePermit,
}

impl Node {
    /// Opens a transaction on the state as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`]; [`Error::Busy`] while too many are open.
    pub async fn begin(&self, thread: &ThreadId) -> Result<Transaction, Error> {
        let room = self.databases().room.clone().try_acquire_owned();
        let room = room.map_err(|_| Error::Busy("too many transactions are open"))?;
        let database = self.database(thread).await?;
        // One step at a time: the caller waits for each.
        let (steps, mut taken) = mpsc::channel(1);
        let (done, outcome) = outcome();
        let running = {
            let (database, runtime) = (database.clone(), tokio::runtime::Handle::current());
            let end = Instant::now() + TRANSACTION_LENGTH;
            tokio::task::spawn_blocking(move || {
                database.write(None, |write| run(write, &mut taken, &runtime, end), done)
            })
        };
        Ok(Transaction { database, steps, running, outcome, ids: Vec::new(), _room: room })
    }
}

/// A snapshot belongs to the thread that took it: that thread waits for the steps.
fn run(
    write: &mut Write<'_>,
    steps: &mut mpsc::Receiver<Step>,
    runtime: &tokio::runtime::Handle,
    end: Instant,
) -> Result<(), Refused> {
    loop {
        let idle = Instant::now() + TRANSACTION_IDLE;
        match runtime.block_on(timeout_at(idle.min(end), steps.recv())) {
            Ok(Some(Step::Act(act))) => act(write),
            Ok(Some(Step::Commit)) => return Ok(()),
            Ok(None) | Err(_) => return Err(Refused::Discarded),
        }
    }
}

impl Transaction {
    /// Resolves when it was discarded for want of steps.
    pub async fn ended(&self) {
        self.steps.closed().await;
    }

    /// Reads or writes. An error of `act` leaves the transaction open, as it was before.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionEnded`] if it was open for too long.
    pub async fn run<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Write<'_>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = oneshot::channel();
        let act = move |write: &mut Write<'_>| {
            // Whoever waited may have gone.
            let _ = tell.send(act(write));
        };
        self.steps.send(Step::Act(Box::new(act))).await.map_err(|_| Error::TransactionEnded)?;
        told.await.map_err(|_| Error::TransactionEnded)
    }

    /// The documents of a collection that answer a query, as this transaction leaves them so far.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], also where there is no such collection.
    pub async fn find(&mut self, collection: String, query: Query) -> Result<Vec<query::Document>, Error> {
        let database = self.database.clone();
        let found = self.run(move |write| {
            // It may be defined by this transaction.
            if write.definition(&collection)?.is_none() {
                known(&database, &collection, None)?;
            }
            write.find(&collection, query, Options::default())
        });
        Ok(found.await??)
    }

    /// One write; returns the id of its document.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] says what was refused; the transaction is as it was before.
    pub async fn write(&mut self, mut write: DocumentWrite) -> Result<String, Error> {
        let id = super::commit::name(&self.database, &mut write)?;
        let target = spool_db::Target::new(write.collection.as_str(), id.as_str());
        self.run(move |transaction| super::commit::apply(transaction, &target, &write)).await??;
        self.ids.push(id.clone());
        Ok(id)
    }

    /// Makes all writes take effect as one event, and waits until that can be read.
    ///
    /// # Errors
    ///
    /// [`Error::Database`]; nothing has happened then.
    pub async fn commit(self) -> Result<Committed, Error> {
        let Self { steps, running, outcome, ids, .. } = self;
        steps.send(Step::Commit).await.map_err(|_| Error::TransactionEnded)?;
        running.await.map_err(|error| Error::Internal { context: "commit", source: Box::new(error) })??;
        Ok(Committed { ids, receipt: wait(outcome).await? })
    }
}

const _: () = assert!(TRANSACTION_IDLE.as_secs() < TRANSACTION_LENGTH.as_secs(), "or it would never be told");

//! The databases of threads. Each that was asked for has two tasks (`tasks`): one folds what arrives, one appends what is committed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use spool_db::{
    Database,
    documents::VIEW,
    judge::{JavaScript, Judge},
    projector,
    source::Stored,
};
use spool_proto::ThreadId;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::{
    Node,
    limits::{DATABASE_APPENDS, OPEN_TRANSACTIONS},
    threads::storage,
};
use crate::model::Error;

mod changes;
mod commit;
mod history;
mod pages;
mod reading;
mod session;
mod tasks;
mod whole;

pub use commit::Committing;
pub(crate) use commit::try_rules;
pub(super) use commit::{again, outcome, wait};
pub use history::Way;
pub use session::Transaction;

/// The databases that were asked for.
pub(super) struct Databases {
    open: Mutex<HashMap<ThreadId, Open>>,
    /// One for each transaction that is open step by step.
    room: Arc<Semaphore>,
    verifying: Mutex<()>,
}

/// A database, and what its tasks tell and are told.
#[derive(Clone)]
struct Open {
    database: Database,
    /// Counts the steps of folding.
    steps: watch::Receiver<u64>,
    /// There may be something to fold that no news tells of.
    nudge: Arc<Notify>,
}

impl Default for Databases {
    fn default() -> Self {
        Self { open: Mutex::default(), room: Arc::new(Semaphore::new(OPEN_TRANSACTIONS)), verifying: Mutex::default() }
    }
}

impl Databases {
    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The thread is not here any more.
    pub(super) fn close(&self, thread: &ThreadId) {
        let closed = self.lock().remove(thread);
        if let Some(open) = closed {
            open.nudge.notify_one();
        }
    }
}

impl Node {
    /// The database of a thread. It is folded in the background from the first call on, and may have much to catch up with then.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`], [`Error::Storage`].
    pub async fn database(&self, thread: &ThreadId) -> Result<Database, Error> {
        Ok(self.open_database(thread).await?.database)
    }

    async fn open_database(&self, thread: &ThreadId) -> Result<Open, Error> {
        if let Some(open) = self.databases().lock().get(thread) {
            return Ok(open.clone());
        }
        let (node, of) = (self.clone(), thread.clone());
        self.blocking(move || node.start_database(&of)).await
    }

    fn start_database(&self, thread: &ThreadId) -> Result<Open, Error> {
        let source = self.event_source(thread)?;
        let mut databases = self.databases().lock();
        if let Some(open) = databases.get(thread) {
            return Ok(open.clone());
        }
        if self.is_ended() {
            return Err(Error::Stopping);
        }
        let view = self.store().view(thread, VIEW).map_err(storage)?;
        let view = view.ok_or_else(|| Error::ThreadNotFound(thread.clone()))?;
        let (queue, queued) = mpsc::channel(DATABASE_APPENDS);
        // Subscribed before anything is read: nothing falls in between.
        let news = self.news();
        let appender = tasks::Queue::new(queue, self.keyring().clone(), thread.clone());
        let limits = self.config().database_limits();
        let database = Database::open(view, source, Box::new(appender), limits, judge()).map_err(damaged)?;
        let (stepped, steps) = watch::channel(0);
        let open = Open { database, steps, nudge: Arc::default() };
        databases.insert(thread.clone(), open.clone());
        drop(databases);
        tokio::spawn(self.clone().append_for_database(thread.clone(), queued));
        tokio::spawn(self.clone().fold_database(thread.clone(), open.clone(), news, stepped));
        Ok(open)
    }

    fn event_source(&self, thread: &ThreadId) -> Result<Arc<Stored>, Error> {
        let keys = self.thread_keys(thread)?;
        if keys.own.is_none() {
            return Err(Error::NoReadKey(thread.clone()));
        }
        Ok(Arc::new(Stored::new(self.store().clone(), thread.clone(), keys.state.clone())))
    }

    /// The thread has other keys: what was sealed may open.
    pub(super) fn renew_database(&self, thread: &ThreadId) {
        let open = self.databases().lock().get(thread).cloned();
        if let (Some(open), Ok(source)) = (open, self.event_source(thread)) {
            open.database.set_source(source);
            open.nudge.notify_one();
        }
    }
}

/// What runs rules, made once: it compiles its engine then. Without it, what is to be judged is held back.
fn judge() -> Option<Arc<dyn Judge>> {
    static JUDGE: OnceLock<Option<Arc<JavaScript>>> = OnceLock::new();
    let made = JUDGE.get_or_init(|| match JavaScript::new() {
        Ok(judge) => Some(Arc::new(judge)),
        Err(error) => {
            tracing::error!(error = crate::chain(&error), "start the engine that runs rules");
            None
        }
    });
    made.clone().map(|judge| judge as Arc<dyn Judge>)
}

fn damaged(error: projector::Error) -> Error {
    Error::Storage(Box::new(error))
}

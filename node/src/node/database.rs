//! The databases of threads: each has a task that folds what arrives, from when it is first asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use spool_db::{
    Database,
    database::{Appender, Done, Receipt},
    documents::VIEW,
    projector::{self, Progress, Why},
    source::Stored,
};
use spool_proto::ThreadId;
use tokio::sync::{broadcast, mpsc};

use super::{
    Node,
    append::Pending,
    call::{Arrived, News},
    handle::End,
    limits::{DATABASE_APPENDS, DATABASE_RETRY},
    threads::storage,
};
use crate::model::{AppendOptions, Error};

/// The databases that were asked for.
#[derive(Default)]
pub(super) struct Databases(Mutex<HashMap<ThreadId, Database>>);

impl Databases {
    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Database>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread is not here any more.
    pub(super) fn close(&self, thread: &ThreadId) {
        self.lock().remove(thread);
    }
}

impl Node {
    /// The database of a thread. It is folded in the background from the first call on, and may have much to catch up with then.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`], [`Error::Storage`].
    pub async fn database(&self, thread: &ThreadId) -> Result<Database, Error> {
        if let Some(database) = self.databases().lock().get(thread) {
            return Ok(database.clone());
        }
        let (node, of) = (self.clone(), thread.clone());
        self.blocking(move || node.open_database(&of)).await
    }

    fn open_database(&self, thread: &ThreadId) -> Result<Database, Error> {
        let source = self.event_source(thread)?;
        let mut open = self.databases().lock();
        if let Some(database) = open.get(thread) {
            return Ok(database.clone());
        }
        let view = self.store().view(thread, VIEW).map_err(storage)?;
        let view = view.ok_or_else(|| Error::ThreadNotFound(thread.clone()))?;
        let (queue, queued) = mpsc::channel(DATABASE_APPENDS);
        // Subscribed before anything is read: nothing falls in between.
        let news = self.news();
        let database = Database::open(view, source, Box::new(Queue(queue))).map_err(damaged)?;
        open.insert(thread.clone(), database.clone());
        drop(open);
        tokio::spawn(self.clone().append_for_database(thread.clone(), queued));
        tokio::spawn(self.clone().fold_database(thread.clone(), database.clone(), news));
        Ok(database)
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
        let database = self.databases().lock().get(thread).cloned();
        if let (Some(database), Ok(source)) = (database, self.event_source(thread)) {
            database.set_source(source);
        }
    }

    /// Folds until the node ends or the thread is left.
    async fn fold_database(self, thread: ThreadId, database: Database, mut news: broadcast::Receiver<News>) {
        let mut ended = self.0.ended.clone();
        let mut blocks_arrived = true;
        loop {
            let folding = database.clone();
            let step = tokio::task::spawn_blocking(move || folding.step(now_millis(), blocks_arrived)).await;
            let wait = match step {
                Ok(Ok(Progress { more: true, .. })) => {
                    blocks_arrived = false;
                    continue;
                }
                Ok(Ok(progress)) => until_due(&progress),
                Ok(Err(error)) => {
                    tracing::error!(%thread, error = crate::chain(&error), "fold the database");
                    Some(DATABASE_RETRY)
                }
                Err(_) => return,
            };
            let arrived = next_news(&thread, &mut news);
            blocks_arrived = tokio::select! {
                arrived = arrived => match arrived {
                    Some(what) => !matches!(what, Some(Arrived::Records(_))),
                    None => return,
                },
                () = sleep(wait) => true,
                _ = ended.wait_for(|end| *end != End::Running) => return,
            };
            if !self.databases().lock().contains_key(&thread) {
                return;
            }
        }
    }

    /// Appends what transactions want appended, in their order.
    async fn append_for_database(self, thread: ThreadId, mut queued: mpsc::Receiver<(Vec<u8>, Done)>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = under_way.next() => {}
                next = queued.recv() => {
                    let Some((body, done)) = next else { break };
                    match self.append(&thread, body.into(), AppendOptions::default()).await {
                        Ok(pending) => under_way.push(tell(pending, done)),
                        Err(error) => done(Err(error.into())),
                    }
                }
            }
        }
        while under_way.next().await.is_some() {}
    }
}

/// Waits for news of a thread: what has arrived, if it is known; `None` if there will be no more.
async fn next_news(thread: &ThreadId, news: &mut broadcast::Receiver<News>) -> Option<Option<Arrived>> {
    loop {
        match news.recv().await {
            Ok(News { thread: about, what }) if about == *thread => return Some(Some(what)),
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return Some(None),
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

async fn tell(pending: Pending, done: Done) {
    let receipt =
        pending.await.map(|receipt| Receipt { log: receipt.log, counter: receipt.counter, time: receipt.time });
    // What is told may read and write the database, and must not hold up the others.
    let _ = tokio::task::spawn_blocking(move || done(receipt.map_err(Into::into))).await;
}

/// A way to the task that appends.
struct Queue(mpsc::Sender<(Vec<u8>, Done)>);

impl Appender for Queue {
    fn now_millis(&self) -> u64 {
        now_millis()
    }

    fn random(&self) -> [u8; 10] {
        rand::random()
    }

    fn append(&self, body: Vec<u8>, done: Done) {
        // Waits while the node has no room, on a thread that may block.
        if let Err(mpsc::error::SendError((_, done))) = self.0.blocking_send((body, done)) {
            // Not from within the call.
            std::thread::spawn(move || done(Err(Error::Stopping.into())));
        }
    }
}

fn damaged(error: projector::Error) -> Error {
    Error::Storage(Box::new(error))
}

/// How long until something that is held back may be folded in.
fn until_due(progress: &Progress) -> Option<Duration> {
    let now = now_millis();
    let due = progress.held.iter().filter_map(|held| match held.why {
        Why::Ahead(time) => Some(time.millis().saturating_sub(spool_proto::limits::MAX_CLOCK_AHEAD_MILLIS)),
        Why::Key | Why::Body => None,
    });
    due.min().map(|due| Duration::from_millis(due.saturating_sub(now).max(1)))
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

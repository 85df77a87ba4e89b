//! What runs for a database while its node does.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use spool_db::{
    database::{Appender, Done, Receipt},
    projector::{Progress, Why},
};
use spool_proto::{IdentityKey, LogId, ThreadId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, watch};

use super::Open;
use crate::{
    model::{AppendOptions, Error},
    node::{
        Node,
        append::Pending,
        call::{Arrived, News},
        keyring::Keyring,
        limits::{DATABASE_APPEND_BYTES, DATABASE_RETRY},
    },
};

impl Node {
    /// Folds until the node ends or the thread is left. Then nobody waits any more, and nothing keeps the store open.
    pub(super) async fn fold_database(
        self,
        thread: ThreadId,
        open: Open,
        mut news: broadcast::Receiver<News>,
        stepped: watch::Sender<u64>,
    ) {
        let mut blocks_arrived = true;
        loop {
            let folding = open.database.clone();
            let step = tokio::task::spawn_blocking(move || folding.step(now_millis(), blocks_arrived)).await;
            stepped.send_modify(|steps| *steps += 1);
            let wait = match step {
                Ok(Ok(Progress { more: true, .. })) if self.is_open(&thread) => {
                    blocks_arrived = false;
                    continue;
                }
                Ok(Ok(progress)) => until_due(&progress),
                Ok(Err(error)) => {
                    tracing::error!(%thread, error = crate::chain(&error), "fold the database");
                    Some(DATABASE_RETRY)
                }
                // A panic, which the runtime has reported.
                Err(_) => break,
            };
            blocks_arrived = tokio::select! {
                arrived = next_news(&thread, &mut news) => match arrived {
                    Some(what) => !matches!(what, Some(Arrived::Records(_))),
                    None => break,
                },
                () = open.nudge.notified() => true,
                () = sleep(wait) => true,
                () = self.ended() => break,
            };
            if !self.is_open(&thread) {
                break;
            }
        }
        self.databases().lock().remove(&thread);
        open.database.stop();
    }

    fn is_open(&self, thread: &ThreadId) -> bool {
        !self.is_ended() && self.databases().lock().contains_key(thread)
    }

    /// Appends what transactions want appended, in their order, until the node ends.
    pub(super) async fn append_for_database(self, thread: ThreadId, mut queued: mpsc::Receiver<Queued>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = under_way.next() => {}
                next = queued.recv() => {
                    let Some(Queued { client, body, done, room }) = next else { break };
                    let options = AppendOptions { client, ..AppendOptions::default() };
                    match self.append_any(&thread, body.into(), options).await {
                        Ok(pending) => under_way.push(tell(pending, done)),
                        Err(error) => refuse(done, error),
                    }
                    // From here on the node counts it.
                    drop(room);
                }
                () = self.ended() => break,
            }
        }
        queued.close();
        while let Some(Queued { done, .. }) = queued.recv().await {
            refuse(done, Error::Stopping);
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

fn refuse(done: Done, error: Error) {
    tokio::task::spawn_blocking(move || done(Err(error.into())));
}

/// An event that is to be appended.
pub(super) struct Queued {
    client: Option<IdentityKey>,
    body: Vec<u8>,
    done: Done,
    /// Its share of what may wait.
    room: Option<OwnedSemaphorePermit>,
}

/// A way to the task that appends.
pub(super) struct Queue {
    queue: mpsc::Sender<Queued>,
    /// One for each byte of what waits in it.
    room: Arc<Semaphore>,
    keyring: Arc<Keyring>,
    thread: ThreadId,
}

impl Queue {
    pub(super) fn new(queue: mpsc::Sender<Queued>, keyring: Arc<Keyring>, thread: ThreadId) -> Self {
        Self { queue, room: Arc::new(Semaphore::new(DATABASE_APPEND_BYTES)), keyring, thread }
    }

    /// Waits for room, which nobody ever takes away.
    fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = bytes.min(DATABASE_APPEND_BYTES) as u32;
        futures::executor::block_on(self.room.clone().acquire_many_owned(bytes)).ok()
    }
}

impl Appender for Queue {
    fn now_millis(&self) -> u64 {
        now_millis()
    }

    fn random(&self) -> [u8; 10] {
        rand::random()
    }

    fn own_log(&self) -> Option<LogId> {
        self.keyring.get(&self.thread)?.own.as_ref().map(|own| *own.log())
    }

    fn append(&self, client: Option<IdentityKey>, body: Vec<u8>, done: Done) {
        // Waits while the node has no room, on a thread that may block.
        let queued = Queued { client, room: self.room(body.len()), body, done };
        if let Err(mpsc::error::SendError(Queued { done, .. })) = self.queue.blocking_send(queued) {
            // Not from within the call.
            std::thread::spawn(move || done(Err(Error::Stopping.into())));
        }
    }

    fn writer(&self) -> Option<IdentityKey> {
        Some(self.keyring.identity().public())
    }
}

/// How long until something that is held back may be folded in.
fn until_due(progress: &Progress) -> Option<Duration> {
    let now = now_millis();
    let due = progress.held.iter().filter_map(|held| match held.why {
        Why::Ahead(time) => Some(time.millis().saturating_sub(spool_proto::limits::MAX_CLOCK_AHEAD_MILLIS)),
        Why::Past { until_millis } => Some(until_millis),
        Why::Key | Why::Body | Why::Judge => None,
    });
    due.min().map(|due| Duration::from_millis(due.saturating_sub(now).max(1)))
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

pub(super) fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

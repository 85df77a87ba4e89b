use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tracing::error_span;

use super::{
    Closed, Commit, Event, TrySubmitError,
    queue::{Queue, Taken},
    writer::Writer,
};
use crate::{
    limits::{GATHER_PATIENCE, RELAXED_SYNC_INTERVAL, SYNC_RETRY_INTERVAL},
    store::{self, Shared, Store},
};

/// What can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a relaxed write may stay unsynced.
    pub relaxed_sync_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { relaxed_sync_interval: RELAXED_SYNC_INTERVAL }
    }
}

/// Why a committer was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The store has one already: two writers would give out the same numbers.
    #[error("the store has a writer already")]
    Running,
    /// What it has to know could not be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The system gave no thread.
    #[error("start the store's writer thread")]
    Thread(#[source] io::Error),
}

/// The writer's thread. Dropped or [shut down](Committer::shutdown), it commits what is queued, syncs, and ends.
pub struct Committer {
    shop: Arc<Shop>,
    thread: Option<JoinHandle<()>>,
}

/// Submits commits. Clones share the queue; positions must increase over all of them, so there is usually one submitter.
#[derive(Clone)]
pub struct Handle(Arc<Shop>);

/// The queue, and what commits: whoever holds the desk is the writer.
#[derive(Default)]
struct Shop {
    queue: Queue,
    /// None before the start and after the end, so that a handle does not keep the store open.
    desk: Mutex<Option<Desk>>,
}

/// The writer, and who hears of what it did.
struct Desk {
    writer: Writer,
    emit: Box<dyn FnMut(Event) + Send>,
}

impl Shop {
    fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a commit on the calling thread if nothing is in its way.
    fn commit_at_once(&self, commit: &Commit) -> bool {
        if !self.queue.is_idle() {
            return false;
        }
        // Taken means that the thread syncs, or deletes what a removed thread had.
        let Ok(mut desk) = self.desk.try_lock() else { return false };
        let Some(Desk { writer, emit }) = &mut *desk else { return false };
        let had_unsynced = writer.has_unsynced();
        let done = writer.commit_at_once(commit, emit);
        drop(desk);
        if done && !had_unsynced {
            self.queue.poke();
        }
        done
    }
}

impl Committer {
    /// Starts the writer of a store. It calls `on_event` on its own thread, or within [`Handle::commit_or_submit`]: hand events over and return, since no
    /// commit proceeds meanwhile, and never wait there for room in its queue.
    ///
    /// Threads whose removal was interrupted are purged on.
    ///
    /// # Errors
    ///
    /// [`SpawnError`].
    pub fn spawn(
        store: &Store,
        options: Options,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Result<Self, SpawnError> {
        let running = Running::claim(store.shared())?;
        let writer = Writer::new(store.shared().clone())?;
        let purging = writer.is_purging();
        let desk = Mutex::new(Some(Desk { writer, emit: Box::new(on_event) }));
        let shop = Arc::new(Shop { queue: Queue::default(), desk });
        let of_thread = Closing(shop.clone());
        let thread = std::thread::Builder::new()
            .name("spool-store".to_owned())
            .spawn(move || {
                // In this order, so that nobody waits for a thread that has panicked.
                let _running = running;
                let shop = of_thread;
                let _span = error_span!("store").entered();
                run(&shop.0, &options, purging);
            })
            .map_err(SpawnError::Thread)?;
        Ok(Self { shop, thread: Some(thread) })
    }

    /// A handle to submit with.
    pub fn handle(&self) -> Handle {
        Handle(self.shop.clone())
    }

    /// Accepts nothing more, commits what is queued, syncs, reports, and waits for all that.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shop.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

impl Handle {
    /// Queues a commit; waits while the queue is full. For threads that may block.
    ///
    /// # Errors
    ///
    /// [`Closed`] after shutdown.
    pub fn submit(&self, commit: Commit) -> Result<(), Closed> {
        self.0.queue.submit(commit)
    }

    /// Queues a commit, or gives it back. For tasks: keep it, and try again at the next [`Event`], which says that there is room.
    ///
    /// # Errors
    ///
    /// [`TrySubmitError`] with the commit.
    pub fn try_submit(&self, commit: Commit) -> Result<(), TrySubmitError> {
        self.0.queue.try_submit(commit)
    }

    /// Commits on the calling thread where that takes no waiting, else as [`Handle::try_submit`]. For a relaxed commit that comes alone: to wake the
    /// writer's thread and to be woken by it would take longer than to write. `on_event` is then called within this call, and the thread syncs later.
    ///
    /// # Errors
    ///
    /// [`TrySubmitError`] with the commit.
    pub fn commit_or_submit(&self, commit: Commit) -> Result<(), TrySubmitError> {
        if self.0.commit_at_once(&commit) {
            return Ok(());
        }
        self.try_submit(commit)
    }

    /// How many commits wait for the writer, and how many bytes they hold.
    pub fn waiting(&self) -> (usize, usize) {
        self.0.queue.waiting()
    }

    /// Acknowledges an [`Event::Failed`]: what was submitted before this call is refused, what is submitted after it is taken. Never waits. No effect
    /// without a failure, nor on a poisoned store.
    ///
    /// # Errors
    ///
    /// [`Closed`] after shutdown.
    pub fn resume(&self) -> Result<(), Closed> {
        self.0.queue.resume()
    }
}

/// Gives the right to write back, whatever ends the thread.
struct Running(Arc<Shared>);

impl Running {
    fn claim(shared: &Arc<Shared>) -> Result<Self, SpawnError> {
        if shared.committing.swap(true, Ordering::AcqRel) {
            return Err(SpawnError::Running);
        }
        Ok(Self(shared.clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.committing.store(false, Ordering::Release);
    }
}

/// Closes the queue and the writer, whatever ends the thread.
struct Closing(Arc<Shop>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.desk().take();
    }
}

/// The last group: how many commits, and how long it took.
#[derive(Clone, Copy, Default)]
struct Group {
    commits: usize,
    took: Duration,
}

fn run(shop: &Shop, options: &Options, mut purging: bool) {
    let queue = &shop.queue;
    let mut sync_at: Option<Instant> = None;
    let mut last = Group::default();
    loop {
        // Callers that were answered together come back together, one by one: without a pause the first of them would have a sync to itself,
        // time and again.
        if last.commits > 1 {
            queue.gather(last.commits, (last.took / 2).min(GATHER_PATIENCE));
        }
        let taken = queue.take(if purging { Some(Instant::now()) } else { sync_at });
        let mut desk = shop.desk();
        // Taken away at the end of this thread only.
        let Some(Desk { writer, emit }) = &mut *desk else { return };
        match taken {
            Taken::Group(group) => {
                let begun = Instant::now();
                writer.commit(&group, emit);
                last = Group { commits: group.len(), took: begun.elapsed() };
                queue.done();
            }
            Taken::Resume => writer.resume(),
            Taken::Nothing => {}
            Taken::Closed => return writer.sync(emit),
        }
        if !writer.has_unsynced() {
            sync_at = None;
        } else if sync_at.is_none() {
            sync_at = Some(Instant::now() + options.relaxed_sync_interval);
        } else if sync_at.is_some_and(|at| at <= Instant::now()) {
            writer.sync(emit);
            sync_at = writer.has_unsynced().then(|| Instant::now() + SYNC_RETRY_INTERVAL);
        }
        if writer.is_purging() {
            writer.purge_step();
        }
        purging = writer.is_purging();
    }
}

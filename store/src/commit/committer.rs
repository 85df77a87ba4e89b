use std::{
    io,
    sync::{Arc, atomic::Ordering},
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
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// Submits commits. Clones share the queue; positions must increase over all of them, so there is usually one submitter.
#[derive(Clone)]
pub struct Handle(Arc<Queue>);

impl Committer {
    /// Starts the writer of a store. It calls `on_event` on its own thread: hand events over and return, since no commit proceeds meanwhile, and never
    /// wait there for room in its queue.
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
        let queue = Arc::new(Queue::default());
        let of_thread = Closing(queue.clone());
        let thread = std::thread::Builder::new()
            .name("spool-store".to_owned())
            .spawn(move || {
                // In this order, so that nobody waits for a thread that has panicked.
                let _running = running;
                let queue = of_thread;
                let _span = error_span!("store").entered();
                run(writer, &queue.0, &options, on_event);
            })
            .map_err(SpawnError::Thread)?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// A handle to submit with.
    pub fn handle(&self) -> Handle {
        Handle(self.queue.clone())
    }

    /// Accepts nothing more, commits what is queued, syncs, reports, and waits for all that.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.close();
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
        self.0.submit(commit)
    }

    /// Queues a commit, or gives it back. For tasks: keep it, and try again at the next [`Event`], which says that there is room.
    ///
    /// # Errors
    ///
    /// [`TrySubmitError`] with the commit.
    pub fn try_submit(&self, commit: Commit) -> Result<(), TrySubmitError> {
        self.0.try_submit(commit)
    }

    /// Acknowledges an [`Event::Failed`]: what was submitted before this call is refused, what is submitted after it is taken. Never waits. No effect
    /// without a failure, nor on a poisoned store.
    ///
    /// # Errors
    ///
    /// [`Closed`] after shutdown.
    pub fn resume(&self) -> Result<(), Closed> {
        self.0.resume()
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

/// Closes the queue, whatever ends the thread.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The last group: how many commits, and how long it took.
#[derive(Clone, Copy, Default)]
struct Group {
    commits: usize,
    took: Duration,
}

fn run(mut writer: Writer, queue: &Queue, options: &Options, mut emit: impl FnMut(Event)) {
    let mut sync_at: Option<Instant> = None;
    let mut last = Group::default();
    loop {
        // Callers that were answered together come back together, one by one: without a pause the first of them would have a sync to itself,
        // time and again.
        if last.commits > 1 {
            queue.gather(last.commits, (last.took / 2).min(GATHER_PATIENCE));
        }
        let deadline = if writer.is_purging() { Some(Instant::now()) } else { sync_at };
        match queue.take(deadline) {
            Taken::Group(group) => {
                let begun = Instant::now();
                writer.commit(&group, &mut emit);
                last = Group { commits: group.len(), took: begun.elapsed() };
            }
            Taken::Resume => writer.resume(),
            Taken::Nothing => {}
            Taken::Closed => return writer.sync(&mut emit),
        }
        if !writer.has_unsynced() {
            sync_at = None;
        } else if sync_at.is_none() {
            sync_at = Some(Instant::now() + options.relaxed_sync_interval);
        } else if sync_at.is_some_and(|at| at <= Instant::now()) {
            writer.sync(&mut emit);
            sync_at = writer.has_unsynced().then(|| Instant::now() + SYNC_RETRY_INTERVAL);
        }
        if writer.is_purging() {
            writer.purge_step();
        }
    }
}

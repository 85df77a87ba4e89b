//! Writers of one database take turns, as clients expect: a transaction that is open step by step has the database for itself among these clients, while single
//! writes, which take a moment, run side by side. What other peers write, and what other interfaces write, waits for nobody.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use spool_proto::ThreadId;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The turns of all databases.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<ThreadId, Weak<Line>>>);

/// Who waits for one database.
#[derive(Default)]
struct Line {
    lock: Arc<RwLock<()>>,
    waiting: AtomicUsize,
}

/// A single write's turn.
pub(super) struct Single {
    _guard: OwnedRwLockReadGuard<()>,
    _line: Arc<Line>,
}

/// A transaction's turn.
pub(super) struct Exclusive {
    _guard: OwnedRwLockWriteGuard<()>,
    line: Arc<Line>,
}

impl Exclusive {
    /// Whether somebody waits for it to end.
    pub(super) fn is_waited_for(&self) -> bool {
        self.line.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    fn line(&self, thread: &ThreadId) -> Arc<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(thread).and_then(Weak::upgrade) {
            return line;
        }
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::<Line>::default();
        lines.insert(thread.clone(), Arc::downgrade(&line));
        line
    }

    /// Waits until no transaction is open.
    pub(super) async fn single(&self, thread: &ThreadId) -> Single {
        let line = self.line(thread);
        let waiting = Waiting::new(&line.waiting);
        let guard = line.lock.clone().read_owned().await;
        drop(waiting);
        Single { _guard: guard, _line: line }
    }

    /// Waits until nobody else writes.
    pub(super) async fn exclusive(&self, thread: &ThreadId) -> Exclusive {
        let line = self.line(thread);
        let waiting = Waiting::new(&line.waiting);
        let guard = line.lock.clone().write_owned().await;
        drop(waiting);
        Exclusive { _guard: guard, line }
    }
}

#[cfg(test)]
mod tests {
    use spool_proto::id::Variant;

    use super::*;

    #[tokio::test]
    async fn a_transaction_is_alone_and_single_writes_are_not() {
        let (turns, thread) = (Arc::new(Turns::default()), ThreadId::new(Variant::Raw, [1; 32]));
        let (one, two) = (turns.single(&thread).await, turns.single(&thread).await);
        let open = tokio::spawn({
            let (turns, thread) = (turns.clone(), thread.clone());
            async move { turns.exclusive(&thread).await }
        });
        tokio::task::yield_now().await;
        assert!(!open.is_finished(), "two single writes are under way");
        drop((one, two));
        let open = open.await.unwrap();
        assert!(!open.is_waited_for());
        let mut single = Box::pin(turns.single(&thread));
        assert!(futures::poll!(&mut single).is_pending());
        assert!(open.is_waited_for());
        let _elsewhere = turns.exclusive(&ThreadId::new(Variant::Raw, [2; 32])).await;
        drop(open);
        single.await;
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_not_waited_for() {
        let (turns, thread) = (Turns::default(), ThreadId::new(Variant::Raw, [1; 32]));
        let open = turns.exclusive(&thread).await;
        let mut other = Box::pin(turns.exclusive(&thread));
        assert!(futures::poll!(&mut other).is_pending());
        assert!(open.is_waited_for());
        drop(other);
        assert!(!open.is_waited_for());
    }
}

//! Watching documents change.
//!
//! A watcher reads the feed of a database at its own pace, from a position that it keeps itself: nothing is queued for it, so that it can neither slow those who
//! write nor miss anything.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::ThreadId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Open, damaged, reading::known};
use crate::{
    model::{Cursor, Error, WatchItem, WatchQuery, WatchStep},
    node::{
        Node,
        limits::{WATCH_THREADS, WATCHED_CHANGES, WATCHED_ITEMS},
    },
};

type Item = Result<WatchItem, Error>;

/// Characters of a peer id that tell the cursors of one node from those of another.
const NODE_CHARACTERS: usize = 8;

impl Node {
    /// The changes of documents as they are folded, from a cursor on. Ends with the node.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`]; [`Error::Invalid`] for a cursor of another node or thread; [`Error::Database`] without a cursor if the
    /// collection is not defined.
    pub async fn watch(&self, query: WatchQuery) -> Result<BoxStream<'static, Item>, Error> {
        let mut after = BTreeMap::new();
        for cursor in &query.after {
            if query.thread.as_ref().is_some_and(|thread| *thread != cursor.thread) {
                return Err(Error::Invalid(format!("the cursor {cursor} is of another thread")));
            }
            if cursor.node != self.cursor_node() {
                let message = format!(
                    "the cursor {cursor} is of another node, which has seen the changes in another order: watch from the start here"
                );
                return Err(Error::Invalid(message));
            }
            after.insert(cursor.thread.clone(), cursor.position);
        }
        let (sender, items) = mpsc::channel(WATCHED_ITEMS);
        let watcher = Watcher { node: self.clone(), query, sender };
        match watcher.query.thread.clone() {
            Some(thread) => {
                let open = self.open_database(&thread).await?;
                // Whoever has a cursor has known it: it may have gone since, or be folded anew.
                if let Some(collection) = watcher.query.collection.clone().filter(|_| after.is_empty()) {
                    let database = open.database.clone();
                    self.blocking(move || Ok(known(&database, &collection, None)?)).await?;
                }
                let position = watcher.position(&open, &thread, &after, false)?;
                tokio::spawn(watcher.watch(thread, open, position));
            }
            None => {
                tokio::spawn(watcher.watch_all(after));
            }
        }
        Ok(ReceiverStream::new(items).boxed())
    }

    fn cursor_node(&self) -> String {
        let peer = self.info().peer.to_string();
        peer.get(peer.len().saturating_sub(NODE_CHARACTERS)..).unwrap_or_default().to_owned()
    }
}

#[derive(Clone)]
struct Watcher {
    node: Node,
    query: WatchQuery,
    sender: mpsc::Sender<Item>,
}

impl Watcher {
    /// Where to begin. In a thread that has come since, all is new.
    fn position(
        &self,
        open: &Open,
        thread: &ThreadId,
        after: &BTreeMap<ThreadId, u64>,
        is_new: bool,
    ) -> Result<u64, Error> {
        let last = open.database.position();
        match after.get(thread) {
            Some(position) if *position > last => Err(Error::Invalid(format!(
                "the cursor of thread {thread} is ahead of it: the thread was removed meanwhile and joined again; watch from the start"
            ))),
            Some(position) => Ok(*position),
            None if self.query.from_start || is_new => Ok(0),
            None => Ok(last),
        }
    }

    /// Watches one thread until nobody listens, the thread is left or the node ends.
    async fn watch(self, thread: ThreadId, mut open: Open, mut position: u64) {
        let node = self.node.cursor_node();
        let item = |position, step| WatchItem {
            cursor: Cursor { thread: thread.clone(), node: node.clone(), position },
            step,
        };
        // Whoever begins at the start has nothing that could have been left out.
        let (mut is_behind, mut may_lag) = (true, position > 0);
        loop {
            open.steps.mark_unchanged();
            let database = open.database.clone();
            let read = self.node.blocking(move || database.changes(position, WATCHED_CHANGES).map_err(damaged)).await;
            let changes = match read {
                Ok(changes) => changes,
                Err(error) => {
                    self.send(Err(error)).await;
                    return;
                }
            };
            let is_end = changes.items.is_empty();
            if changes.lagged
                && !is_end
                && std::mem::take(&mut may_lag)
                && !self.send(Ok(item(position, WatchStep::Lagged))).await
            {
                return;
            }
            for change in changes.items {
                let at = change.position;
                if self.query.wants(&change) && !self.send(Ok(item(at, WatchStep::Change(Box::new(change))))).await {
                    return;
                }
            }
            position = changes.position;
            if !is_end {
                continue;
            }
            may_lag = true;
            if std::mem::take(&mut is_behind) && !self.send(Ok(item(position, WatchStep::CaughtUp))).await {
                return;
            }
            tokio::select! {
                changed = open.steps.changed() => if changed.is_err() { return },
                () = self.sender.closed() => return,
                () = self.node.ended() => return,
            }
        }
    }

    async fn send(&self, item: Item) -> bool {
        self.sender.send(item).await.is_ok()
    }

    /// Watches all threads that can be read, those that come later, too.
    async fn watch_all(self, after: BTreeMap<ThreadId, u64>) {
        let (mut watched, mut is_new) = (BTreeSet::new(), false);
        loop {
            let readable = self.node.keyring().others().filter(|keys| keys.own.is_some());
            let threads: BTreeSet<ThreadId> = readable.map(|keys| keys.thread.clone()).collect();
            watched.retain(|thread| threads.contains(thread));
            for thread in threads.difference(&watched.clone()) {
                watched.insert(thread.clone());
                let opened = self.node.open_database(thread).await;
                let begun = opened.and_then(|open| Ok((self.position(&open, thread, &after, is_new)?, open)));
                match begun {
                    Ok((position, open)) => drop(tokio::spawn(self.clone().watch(thread.clone(), open, position))),
                    // Left meanwhile.
                    Err(Error::ThreadNotFound(_) | Error::NoReadKey(_)) => {}
                    Err(error) => {
                        self.send(Err(error)).await;
                        return;
                    }
                }
            }
            is_new = true;
            tokio::select! {
                () = tokio::time::sleep(WATCH_THREADS) => {}
                () = self.sender.closed() => return,
                () = self.node.ended() => return,
            }
        }
    }
}

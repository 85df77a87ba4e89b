//! Log streams: what is stored, merged by time, then what arrives.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::{LogId, ThreadId, clock::Time, record::SealedRecord};
use spool_store::store::Page;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Node,
    call::{Arrived, News},
    entry::{LogView, Reader},
    limits::{ENTRIES, READ_BYTES, READ_RECORDS},
    threads::storage,
};
use crate::model::{Entry, Error, LogItem, LogQuery};

type Item = Result<LogItem, Error>;

/// Where the reading of one log stands.
struct Cursor {
    view: LogView,
    /// Last counter that was read.
    at: u64,
    ready: VecDeque<Entry>,
    ended: bool,
}

impl Cursor {
    /// Reads on if nothing is ready.
    fn fill(&mut self, reader: &Reader) -> Result<(), Error> {
        if !self.ready.is_empty() || self.ended {
            return Ok(());
        }
        let page = Page { bytes: READ_BYTES, count: READ_RECORDS };
        let thread = &reader.keys.thread;
        let run = reader.store.records(thread, &self.view.log, self.at, u64::MAX, page).map_err(storage)?;
        let Some(run) = run else {
            self.ended = true;
            return Ok(());
        };
        for bytes in run.records {
            self.ready.push_back(reader.entry(&mut self.view, SealedRecord { key_id: run.key_id, bytes })?);
            self.at += 1;
        }
        Ok(())
    }

    /// What entries are ordered by: time where it can be read, then log, then counter.
    fn order(&self) -> Option<(Time, LogId, u64)> {
        let entry = self.ready.front()?;
        let time = entry.event.as_ref().map_or(Time::default(), |event| event.time);
        Some((time, entry.log, entry.counter))
    }
}

impl Node {
    /// The entries of a thread's logs: stored ones in the order of their times, then live ones as they arrive, if asked.
    ///
    /// A reader that is slow slows nobody but itself: it reads from disk at its own pace.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::LogNotFound`].
    pub async fn log(&self, query: LogQuery) -> Result<BoxStream<'static, Item>, Error> {
        let keys = self.thread_keys(&query.thread)?;
        let states = {
            let (node, thread) = (self.clone(), query.thread.clone());
            self.blocking(move || node.store().log_states(&thread).map_err(storage)).await?
        };
        if let Some(log) = query.logs.iter().find(|log| !states.iter().any(|(known, _)| known == *log)) {
            return Err(Error::LogNotFound { thread: query.thread.clone(), log: *log });
        }
        // Subscribed before reading: nothing falls in between, and what comes twice is told apart by its counter.
        let news = self.news();
        let reader =
            Reader { store: self.store().clone(), keyring: self.keyring().clone(), keys, max_body: query.max_body };
        let (sender, entries) = mpsc::channel(ENTRIES);
        let tail = Tail { reader: Arc::new(reader), query, cursors: Vec::new(), sender, sent: 0 };
        tokio::spawn(tail.run(news));
        Ok(ReceiverStream::new(entries).boxed())
    }
}

/// One running stream.
struct Tail {
    reader: Arc<Reader>,
    query: LogQuery,
    cursors: Vec<Cursor>,
    sender: mpsc::Sender<Item>,
    sent: u64,
}

impl Tail {
    async fn run(mut self, mut news: broadcast::Receiver<News>) {
        let thread = self.query.thread.clone();
        let caught_up = tokio::task::spawn_blocking(move || {
            let result = self.read_stored();
            (self, result)
        });
        let Ok((mut tail, result)) = caught_up.await else { return };
        if let Err(error) = result {
            // A caller that went away needs no error.
            let _ = tail.sender.send(Err(error)).await;
            return;
        }
        if tail.full() || tail.sender.send(Ok(LogItem::CaughtUp)).await.is_err() || !tail.query.follow {
            return;
        }
        loop {
            let log = tokio::select! {
                () = tail.sender.closed() => return,
                next = news.recv() => match next {
                    Ok(News { thread: about, what: Arrived::Records(log) }) if about == thread => Some(log),
                    Ok(_) => continue,
                    // Lost some: look at all logs.
                    Err(broadcast::error::RecvError::Lagged(_)) => None,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
            let step = tokio::task::spawn_blocking(move || {
                let result = tail.read_new(log);
                (tail, result)
            });
            let Ok((next, result)) = step.await else { return };
            tail = next;
            if let Err(error) = result {
                let _ = tail.sender.send(Err(error)).await;
                return;
            }
        }
    }

    fn wanted(&self, log: &LogId) -> bool {
        self.query.logs.is_empty() || self.query.logs.contains(log)
    }

    fn full(&self) -> bool {
        !self.query.follow && self.query.limit.is_some_and(|limit| self.sent >= limit)
    }

    /// Makes cursors for logs that have none yet.
    fn add_cursors(&mut self) -> Result<(), Error> {
        let thread: ThreadId = self.query.thread.clone();
        let states = self.reader.store.log_states(&thread).map_err(storage)?;
        for (log, state) in states {
            if !self.wanted(&log) || self.cursors.iter().any(|cursor| cursor.view.log == log) {
                continue;
            }
            let at = self.query.after.get(&log).copied().unwrap_or(0);
            let view = LogView::new(&thread, log, &state);
            self.cursors.push(Cursor { view, at, ready: VecDeque::new(), ended: false });
        }
        Ok(())
    }

    fn read_stored(&mut self) -> Result<(), Error> {
        self.add_cursors()?;
        while !self.full() {
            for cursor in &mut self.cursors {
                cursor.fill(&self.reader)?;
            }
            let next =
                self.cursors.iter_mut().filter(|cursor| !cursor.ready.is_empty()).min_by_key(|cursor| cursor.order());
            let Some(entry) = next.and_then(|cursor| cursor.ready.pop_front()) else { return Ok(()) };
            if !self.send(entry) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads on in one log, or in all.
    fn read_new(&mut self, log: Option<LogId>) -> Result<(), Error> {
        let known = log.is_some_and(|log| self.cursors.iter().any(|cursor| cursor.view.log == log));
        if !known {
            self.add_cursors()?;
        }
        for index in 0..self.cursors.len() {
            let Some(cursor) = self.cursors.get_mut(index) else { break };
            if log.is_some_and(|log| cursor.view.log != log) {
                continue;
            }
            cursor.ended = false;
            while let Some(cursor) = self.cursors.get_mut(index) {
                cursor.fill(&self.reader)?;
                let Some(entry) = cursor.ready.pop_front() else { break };
                if !self.send(entry) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns whether anybody listens.
    fn send(&mut self, entry: Entry) -> bool {
        self.sent += 1;
        self.sender.blocking_send(Ok(LogItem::Entry(Box::new(entry)))).is_ok()
    }
}

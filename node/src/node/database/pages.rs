//! Long answers, page by page from a thread that may block.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream::BoxStream};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    model::Error,
    node::limits::{FOUND_BYTES, FOUND_PAGES, FOUND_PATIENCE},
};

/// Collects items and sends them in pages.
pub(super) struct Pages<T> {
    sender: mpsc::Sender<Result<Vec<T>, Error>>,
    runtime: tokio::runtime::Handle,
    page: Vec<T>,
    bytes: usize,
    patience: Duration,
    gave_up: Arc<AtomicBool>,
}

impl<T: Send + 'static> Pages<T> {
    /// Takes an item of about this size. Breaks when nobody wants more.
    pub(super) fn push(&mut self, item: T, bytes: usize) -> ControlFlow<()> {
        self.page.push(item);
        self.bytes += bytes;
        if self.bytes >= FOUND_BYTES { self.flush() } else { ControlFlow::Continue(()) }
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> ControlFlow<()> {
        self.bytes = 0;
        let page = std::mem::take(&mut self.page);
        self.send(Ok(page))
    }

    fn send(&self, page: Result<Vec<T>, Error>) -> ControlFlow<()> {
        match self.runtime.block_on(timeout(self.patience, self.sender.send(page))) {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) => ControlFlow::Break(()),
            Err(_) => {
                self.gave_up.store(true, Ordering::Release);
                ControlFlow::Break(())
            }
        }
    }
}

/// Runs something that blocks, and gives out its pages as they come. Whoever takes none of them for [`FOUND_PATIENCE`] finds an error behind those that were ready.
pub(super) fn pages<T: Send + 'static>(
    produce: impl FnOnce(&mut Pages<T>) -> Result<(), Error> + Send + 'static,
) -> BoxStream<'static, Result<Vec<T>, Error>> {
    pages_within(FOUND_PATIENCE, produce)
}

fn pages_within<T: Send + 'static>(
    patience: Duration,
    produce: impl FnOnce(&mut Pages<T>) -> Result<(), Error> + Send + 'static,
) -> BoxStream<'static, Result<Vec<T>, Error>> {
    let (sender, receiver) = mpsc::channel(FOUND_PAGES);
    let runtime = tokio::runtime::Handle::current();
    let gave_up = Arc::new(AtomicBool::new(false));
    let ended_early = gave_up.clone();
    tokio::task::spawn_blocking(move || {
        let mut pages = Pages { sender, runtime, page: Vec::new(), bytes: 0, patience, gave_up };
        let end = match produce(&mut pages) {
            // There is no room to say so: the end of the stream does.
            _ if pages.gave_up.load(Ordering::Acquire) => return,
            Ok(()) if pages.page.is_empty() => return,
            Ok(()) => Ok(std::mem::take(&mut pages.page)),
            Err(error) => Err(error),
        };
        // Whoever asked may have gone.
        let _ = pages.send(end);
    });
    // Looked at when the sender is gone: an answer that was cut short must not look like a whole one.
    let cut_short = futures::stream::once(async move { ended_early.load(Ordering::Acquire) });
    let cut_short = cut_short.filter_map(|is_short| async move { is_short.then_some(Err(Error::ReadTooSlowly)) });
    ReceiverStream::new(receiver).chain(cut_short).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice what fits between the two ends, an item a page.
    const ITEMS: usize = 2 * FOUND_PAGES + 2;

    fn produce(pages: &mut Pages<usize>) -> Result<(), Error> {
        let _ = (0..ITEMS).try_for_each(|item| match pages.push(item, FOUND_BYTES) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(()),
        });
        Ok(())
    }

    #[tokio::test]
    async fn all_pages_come_in_their_order() {
        let pages: Vec<_> = pages(produce).map(|page| page.unwrap()).collect().await;
        assert_eq!(pages.concat(), (0..ITEMS).collect::<Vec<_>>());
    }

    /// It ended as if it were complete: who paged through a long answer in a terminal lost the rest of it and was not told.
    #[tokio::test]
    async fn an_answer_that_is_not_read_in_time_does_not_look_whole() {
        let (ended, end) = tokio::sync::oneshot::channel();
        let mut pages = pages_within(Duration::ZERO, |pages| {
            let produced = produce(pages);
            let _ = ended.send(());
            produced
        });
        end.await.unwrap();
        let mut items = Vec::new();
        let error = loop {
            match pages.next().await.expect("an error before the end") {
                Ok(page) => items.extend(page),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::ReadTooSlowly), "{error:?}");
        assert!(items.len() < ITEMS, "{items:?}");
        assert!(pages.next().await.is_none());
    }
}

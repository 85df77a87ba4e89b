//! Long answers, page by page from a thread that may block.

use std::ops::ControlFlow;

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
        match self.runtime.block_on(timeout(FOUND_PATIENCE, self.sender.send(page))) {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Runs something that blocks, and gives out its pages as they come.
pub(super) fn pages<T: Send + 'static>(
    produce: impl FnOnce(&mut Pages<T>) -> Result<(), Error> + Send + 'static,
) -> BoxStream<'static, Result<Vec<T>, Error>> {
    let (sender, receiver) = mpsc::channel(FOUND_PAGES);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut pages = Pages { sender, runtime, page: Vec::new(), bytes: 0 };
        let end = match produce(&mut pages) {
            Ok(()) if pages.page.is_empty() => return,
            Ok(()) => Ok(std::mem::take(&mut pages.page)),
            Err(error) => Err(error),
        };
        // Whoever asked may have gone.
        let _ = pages.send(end);
    });
    ReceiverStream::new(receiver).boxed()
}

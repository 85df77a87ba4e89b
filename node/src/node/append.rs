//! Appending: bodies are sealed by whoever calls, in parallel; the engine chains and signs.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use spool_proto::{
    Cid, ThreadId,
    body::{SealedBody, seal_body},
    event::Kind,
    keys::LogKeys,
    limits::MAX_SINGLE_BODY_BYTES,
    sync::{self, Append, AppendError, Outcome, RequestId},
};
use tokio::sync::oneshot;

use super::{
    Node, bodies,
    call::{Answer, Call},
    limits::BODY_BYTES,
    status::Counters,
};
use crate::model::{AppendOptions, Durability, Error, Receipt};

/// An event that has its place in the queue; resolves to its receipt. Dropping it does not undo the append.
pub struct Pending {
    answer: oneshot::Receiver<Answer>,
    thread: ThreadId,
    body: Option<Cid>,
    size: u64,
    counters: Arc<Counters>,
}

impl Future for Pending {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match Pin::new(&mut self.answer).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(answer) => answer,
        };
        let receipt = answer.map_err(|_| Error::Stopping).and_then(|answer| appended(&self.thread, answer));
        Poll::Ready(receipt.map(|receipt| {
            self.counters.appended.fetch_add(1, Ordering::Relaxed);
            Receipt {
                thread: self.thread.clone(),
                log: receipt.log,
                counter: receipt.head.counter,
                cid: receipt.head.cid,
                time: receipt.time,
                body: self.body,
                size: self.size,
            }
        }))
    }
}

fn appended(thread: &ThreadId, answer: Answer) -> Result<sync::Receipt, Error> {
    match answer {
        Ok(Outcome::Appended(receipt)) => Ok(receipt),
        Ok(_) => Err(Error::Internal { context: "append", source: "an answer to another question".into() }),
        Err(error) => Err(refused(thread, error)),
    }
}

/// What the engine's refusals mean to callers.
pub(super) fn refused(thread: &ThreadId, error: AppendError) -> Error {
    match error {
        AppendError::ThreadNotFound => Error::ThreadNotFound(thread.clone()),
        AppendError::CannotWrite => Error::NoReadKey(thread.clone()),
        AppendError::Forked(counter) => {
            let why = format!("it was forked at record {counter}: a copy of this repository wrote to it too");
            Error::LogClosed { thread: thread.clone(), why }
        }
        AppendError::RolledBack(counter) => {
            let why = format!(
                "peers hold its record {counter}, which this repository never wrote: it was restored from an older copy"
            );
            Error::LogClosed { thread: thread.clone(), why }
        }
        AppendError::Retired => Error::LogClosed { thread: thread.clone(), why: "it was retired".to_owned() },
        AppendError::Busy => Error::Busy("too many appends wait for the disk"),
        AppendError::Store(error) => Error::Storage(error.into()),
        AppendError::TooLarge(_) | AppendError::Keys(_) => Error::Invalid(error.to_string()),
    }
}

impl Node {
    /// Queues one event; returns when it has its place in the queue, which is when the queue has room. The receipt comes with the returned
    /// future. Events queued one after another by one caller get counters in that order.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for bodies that have to be added as files, [`Error::NoReadKey`], [`Error::ThreadNotFound`].
    pub async fn append(&self, thread: &ThreadId, body: Bytes, options: AppendOptions) -> Result<Pending, Error> {
        if body.len() > MAX_SINGLE_BODY_BYTES {
            return Err(Error::TooLarge {
                what: "the event",
                size: body.len() as u64,
                limit: MAX_SINGLE_BODY_BYTES as u64,
            });
        }
        let keys = self.thread_keys(thread)?;
        let log = keys.writing(&options).ok_or_else(|| Error::NoReadKey(thread.clone()))?;
        let sealed = seal_body(&body, &bodies::protection(options.audience), &log, thread)
            .map_err(|error| Error::Invalid(error.to_string()))?;
        self.queue(&log, Kind::Application, sealed, body.len() as u64, (thread, options)).await
    }

    /// Queues an event whose body is sealed already.
    pub(super) async fn queue(
        &self,
        own: &LogKeys,
        kind: Kind,
        sealed: SealedBody,
        size: u64,
        (thread, options): (&ThreadId, AppendOptions),
    ) -> Result<Pending, Error> {
        let bytes: usize = sealed.blocks.iter().map(|(_, bytes, _)| bytes.len()).sum();
        let permits = u32::try_from((bytes + 1_024).min(BODY_BYTES)).unwrap_or(u32::MAX);
        let permit = self.body_room().acquire_many_owned(permits).await.map_err(|_| Error::Stopping)?;
        let durability = match options.durability.unwrap_or(self.config().durability) {
            Durability::Sync => sync::Durability::Sync,
            Durability::Relaxed => sync::Durability::Relaxed,
        };
        let cid = bodies::cid(&sealed.body);
        let append = Append {
            request: RequestId::default(),
            thread: thread.clone(),
            // The log whose keys sealed the body, and no other: the device may change meanwhile.
            log: Some(*own.log()),
            kind,
            body: Some(sealed),
            control: None,
            durability,
        };
        let (answer, pending) = oneshot::channel();
        self.call(Call::Append { append: Box::new(append), permit, answer }).await?;
        Ok(Pending { answer: pending, thread: thread.clone(), body: cid, size, counters: self.counters().clone() })
    }
}

//! Streams of appends: many in flight, answered in order.

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use spool_proto::ThreadId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::limits::{APPENDS_IN_FLIGHT, RECEIPTS_PER_MESSAGE};
use super::pb::{AppendStreamRequest, AppendStreamResponse, Receipt};
use super::request;
use crate::model::{self, AppendOptions, Error};
use crate::node::{Node, Pending};

type Answers = BoxStream<'static, Result<AppendStreamResponse, Status>>;

/// Reads events from `requests` as fast as the node takes them and answers as their commits return.
///
/// Reading and answering are two tasks, so that the events of one group commit do not wait for the answers of the one before. A client
/// that goes away stops the reading; what the node has queued by then is appended.
pub(super) async fn append_stream(
    node: Node,
    mut requests: Streaming<AppendStreamRequest>,
    stopping: CancellationToken,
) -> Result<Answers, Status> {
    let Some(first) = requests.message().await? else {
        return Err(Error::Invalid("the stream ended before its first message".into()).into());
    };
    let Some(thread) = &first.thread else {
        return Err(Error::Invalid("the first message has to name the `thread`".into()).into());
    };
    let thread = request::id("thread", thread)?;
    let options = request::append_options(first.options.clone())?;
    // Full means that this many wait for their commit: reading stops until one returned, and HTTP/2 stops the client.
    let (queue, pending) = mpsc::channel(APPENDS_IN_FLIGHT);
    tokio::spawn(async move {
        let reading = read(&node, &thread, options, first, requests, &queue);
        let ended = tokio::select! {
            ended = reading => ended,
            () = stopping.cancelled() => Err(Error::Stopping.into()),
        };
        if let Err(status) = ended {
            // Nobody listens any more: nobody needs to know.
            let _ = queue.send(Err(status)).await;
        }
    });
    let receipts = ReceiverStream::new(pending).then(|queued| async {
        match queued {
            Ok(pending) => pending.await.map_err(Status::from),
            Err(status) => Err(status),
        }
    });
    // One message takes along all receipts that are ready with it: those of one group commit, as a rule.
    Ok(receipts.ready_chunks(RECEIPTS_PER_MESSAGE).flat_map(|ready| stream::iter(messages(ready))).boxed())
}

/// The receipts up to the first failure, then that failure, which ends the stream.
fn messages(ready: Vec<Result<model::Receipt, Status>>) -> Vec<Result<AppendStreamResponse, Status>> {
    let mut receipts = Vec::with_capacity(ready.len());
    let mut failed = None;
    for result in ready {
        match result {
            Ok(receipt) => receipts.push(Receipt::from(receipt)),
            Err(status) => {
                failed = Some(Err(status));
                break;
            }
        }
    }
    let message = (!receipts.is_empty()).then_some(Ok(AppendStreamResponse { receipts }));
    message.into_iter().chain(failed).collect()
}

async fn read(
    node: &Node,
    thread: &ThreadId,
    options: AppendOptions,
    first: AppendStreamRequest,
    mut requests: Streaming<AppendStreamRequest>,
    queue: &mpsc::Sender<Result<Pending, Status>>,
) -> Result<(), Status> {
    let mut bodies = first.bodies;
    loop {
        for body in bodies {
            let pending = node.append(thread, body, options).await?;
            if queue.send(Ok(pending)).await.is_err() {
                return Ok(());
            }
        }
        let Some(message) = requests.message().await? else { return Ok(()) };
        if message.thread.is_some() || message.options.is_some() {
            return Err(Error::Invalid("`thread` and `options` belong into the first message".into()).into());
        }
        bodies = message.bodies;
    }
}

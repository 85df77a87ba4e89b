//! Streams of transactions: many in flight, answered in order.

use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{id, pb, request, values};
use crate::{
    api::limits::{TRANSACTIONS_IN_FLIGHT, TRANSACTIONS_WAITING},
    model::{DocumentWrite, Error},
    node::Node,
};

type Answers = BoxStream<'static, Result<pb::CommitResponse, Status>>;

/// Reads transactions as fast as the node takes them and answers as their effects can be read. A client that goes away stops the reading; what is under way by then takes
/// effect.
pub(super) async fn commit_stream(
    node: Node,
    mut requests: Streaming<pb::CommitRequest>,
    stopping: CancellationToken,
) -> Result<Answers, Status> {
    let Some(first) = requests.message().await? else {
        return Err(Error::Invalid("the stream ended before its first message".into()).into());
    };
    let thread = id("thread", &first.thread)?;
    let (queue, transactions) = mpsc::channel(TRANSACTIONS_WAITING);
    let mut committing = node.commit_all(&thread, transactions).await?;
    let (answer, answers) = mpsc::channel(TRANSACTIONS_IN_FLIGHT);
    let failed = answer.clone();
    tokio::spawn(async move {
        while let Some(begun) = committing.recv().await {
            // Full means that so many wait for their events: no more are begun until one is answered.
            if answer.send(begun.map_err(Status::from)).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = read(first, requests, &queue) => ended,
            () = stopping.cancelled() => Err(Error::Stopping.into()),
        };
        // What was begun before is answered first.
        drop(queue);
        if let Err(status) = ended {
            let _ = failed.send(Err(status)).await;
        }
    });
    let answers = ReceiverStream::new(answers).then(|begun| async {
        match begun {
            Ok(committing) => committing.done().await.map(Into::into).map_err(Status::from),
            Err(status) => Err(status),
        }
    });
    Ok(answers.boxed())
}

async fn read(
    first: pb::CommitRequest,
    mut requests: Streaming<pb::CommitRequest>,
    queue: &mpsc::Sender<Vec<DocumentWrite>>,
) -> Result<(), Status> {
    let mut next = Some(first.writes);
    while let Some(writes) = next {
        if queue.send(request::writes(writes)?).await.is_err() {
            // A transaction was refused, and its status is on its way.
            return Ok(());
        }
        next = match requests.message().await? {
            Some(message) if message.thread.is_empty() => Some(message.writes),
            Some(_) => return Err(values::only_first("thread").into()),
            None => None,
        };
    }
    Ok(())
}

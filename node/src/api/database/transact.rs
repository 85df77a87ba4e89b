//! One transaction over a stream, step by step.

use futures::{StreamExt as _, stream::BoxStream};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{id, pb, request, values};
use crate::{
    model::{DocumentInfo, Error},
    node::{Node, Transaction},
};
use pb::transact_request::Step;
use pb::transact_response::{Begun, Got, Refused, Step as Answer};

type Answers = BoxStream<'static, Result<pb::TransactResponse, Status>>;
type Sender = mpsc::Sender<Result<pb::TransactResponse, Status>>;

fn answer(step: Answer) -> pb::TransactResponse {
    pb::TransactResponse { step: Some(step) }
}

/// Opens a transaction and takes its steps, one after another.
pub(super) async fn transact(
    node: Node,
    mut requests: Streaming<pb::TransactRequest>,
    stopping: CancellationToken,
) -> Result<Answers, Status> {
    let first = requests.message().await?.and_then(|first| first.step);
    let Some(Step::Begin(thread)) = first else {
        return Err(Error::Invalid("the first message has to be `begin`".into()).into());
    };
    let transaction = node.begin(&id("thread", &thread)?).await?;
    let (sender, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        let end = tokio::select! {
            end = run(transaction, requests, &sender) => end,
            () = stopping.cancelled() => Err(Error::Stopping.into()),
        };
        if let Err(status) = end {
            // Whoever asked may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });
    Ok(ReceiverStream::new(answers).boxed())
}

async fn run(
    mut transaction: Transaction,
    mut requests: Streaming<pb::TransactRequest>,
    sender: &Sender,
) -> Result<(), Status> {
    // An error means that nobody listens: the transaction is discarded.
    let _ = sender.send(Ok(answer(Answer::Begun(Begun {})))).await;
    while let Some(request) = next(&mut requests, &transaction).await? {
        let step = match request.step {
            Some(Step::Commit(_)) => {
                let committed = transaction.commit().await?;
                let _ = sender.send(Ok(answer(Answer::Committed(committed.into())))).await;
                return Ok(());
            }
            Some(Step::Begin(_)) => Err(Error::Invalid("the transaction has begun already".into())),
            None => Err(values::missing("step")),
            Some(Step::Write(write)) => match request::write(write) {
                Ok(write) => transaction.write(write).await.map(Answer::Written),
                Err(error) => Err(error),
            },
            Some(Step::Get(get)) => self::get(&mut transaction, get).await,
            Some(Step::Find(find)) => self::find(&mut transaction, find).await,
        };
        let step = match step {
            Ok(step) => step,
            Err(Error::TransactionEnded) => return Err(Error::TransactionEnded.into()),
            Err(error) => Answer::Refused(Refused { reason: error.reason().to_owned(), message: crate::chain(&error) }),
        };
        if sender.send(Ok(answer(step))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The next step; an error once the transaction was discarded for want of one.
async fn next(
    requests: &mut Streaming<pb::TransactRequest>,
    transaction: &Transaction,
) -> Result<Option<pb::TransactRequest>, Status> {
    tokio::select! {
        message = requests.message() => message,
        () = transaction.ended() => Err(Error::TransactionEnded.into()),
    }
}

async fn get(transaction: &mut Transaction, get: pb::transact_request::Get) -> Result<Answer, Error> {
    let target = request::target(get.collection, get.id)?;
    let read = target.clone();
    let document = transaction.run(move |write| write.document(&read)).await??;
    let version = document.version();
    let shown = document.shown(&target.id);
    let document = shown.map(|fields| DocumentInfo { target, fields, version, conflicts: Vec::new() }.into());
    Ok(Answer::Got(Got { document }))
}

async fn find(transaction: &mut Transaction, find: pb::transact_request::Find) -> Result<Answer, Error> {
    let query = values::query(&find.query)?;
    let found = transaction.find(find.collection, query).await?;
    let documents: Vec<String> = found.into_iter().map(|found| Value::Object(found.fields).to_string()).collect();
    let bytes: usize = documents.iter().map(String::len).sum();
    if bytes > super::MAX_FOUND_BYTES {
        let message =
            format!("the documents have {bytes} bytes, an answer at most {}: set a limit", super::MAX_FOUND_BYTES);
        return Err(Error::Invalid(message));
    }
    Ok(Answer::Found(pb::FindResponse { documents }))
}

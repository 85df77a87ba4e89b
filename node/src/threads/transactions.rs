//! Transactions over streams: the first request starts one and has no reply, every other has one, in order. An error of one request is told in its reply, and the
//! transaction goes on.
//!
//! - A read transaction reads one state.
//! - A write transaction reads what is committed, not what it is about to write. It has the database for itself among these clients; the end of the requests
//!   commits it, and a client that goes away, or breaks the stream off, leaves no trace.

use std::sync::Arc;

use bytes::Bytes;
use spool_db::transaction::Read;
use spool_proto::owner::Delegation;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{
    base::{Base, Shared},
    instances::{Collection, Draft},
    limits::{IDLE, REPLIES},
    pb::{
        CreateReply, DeleteReply, DiscardReply, FindByIdReply, FindReply, HasReply, ReadTransactionReply,
        ReadTransactionRequest, SaveReply, StartTransactionRequest, VerifyReply, WriteTransactionReply,
        WriteTransactionRequest, read_transaction_reply, read_transaction_request, write_transaction_reply,
        write_transaction_request,
    },
    refused::Refused,
    turns::Exclusive,
};
use crate::{model::Error, node::Transaction};

type Replies<T> = mpsc::Sender<Result<T, Status>>;

/// What a stream of replies is.
pub(super) type Stream<T> = ReceiverStream<Result<T, Status>>;

/// One question to a collection.
#[derive(Clone)]
enum Question {
    Has(Vec<String>),
    Find(Bytes),
    FindById(String),
}

/// Its answer, or why there is none.
enum Answer {
    Has(HasReply),
    Find(FindReply),
    FindById(FindByIdReply),
}

impl Question {
    fn answer(&self, base: &Base, read: &Read<'_>, collection: &str) -> Answer {
        let collection = || Collection::new(base, read, collection);
        match self {
            Self::Has(ids) => Answer::Has(match collection().and_then(|collection| collection.has(ids)) {
                Ok(exists) => HasReply { exists, ..HasReply::default() },
                Err(refused) => HasReply { transaction_error: refused.text, ..HasReply::default() },
            }),
            Self::Find(query) => Answer::Find(match collection().and_then(|collection| collection.find(query)) {
                Ok(instances) => FindReply { instances, ..FindReply::default() },
                Err(refused) => FindReply { transaction_error: refused.text, ..FindReply::default() },
            }),
            Self::FindById(id) => {
                Answer::FindById(match collection().and_then(|collection| collection.find_by_id(id)) {
                    Ok(instance) => FindByIdReply { instance, ..FindByIdReply::default() },
                    // The published client reads the instance even then, and what is not JSON ends its program.
                    Err(refused) => FindByIdReply { instance: "null".into(), transaction_error: refused.text },
                })
            }
        }
    }
}

/// The database and the collection that a transaction is about.
async fn start(
    shared: &Arc<Shared>,
    start: StartTransactionRequest,
    caller: Option<Delegation>,
) -> Result<(Base, String), Refused> {
    let base = shared.open(&start.db_id, caller).await?;
    let name = start.collection_name.clone();
    base.blocking(move |base| base.database.read(|read| Collection::new(base, read, &name).map(drop))).await?;
    Ok((base, start.collection_name))
}

/// What a request asks for that is not the first one's, and the other way round.
fn unexpected(what: &str, found: Option<&str>) -> Refused {
    match found {
        Some(found) => Refused::unknown(format!("{what}.Option has unexpected type {found}")),
        None => Refused::unknown(format!("no {what} type set")),
    }
}

async fn send<T>(replies: &Replies<T>, reply: T) -> Result<(), Status> {
    replies.send(Ok(reply)).await.map_err(|_| Status::cancelled("the client has gone"))
}

/// Runs `work` for as long as there is a client, and tells it how that ended.
fn run<T, F>(shared: &Arc<Shared>, work: impl FnOnce(Replies<T>) -> F) -> Stream<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (replies, stream) = mpsc::channel(REPLIES);
    let work = work(replies.clone());
    let stopping = shared.stopping.clone();
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = work => ended,
            () = replies.closed() => return,
            () = stopping.cancelled() => Err(Refused::from(Error::Stopping).into()),
        };
        if let Err(status) = ended {
            // The client may have gone.
            let _ = replies.send(Err(status)).await;
        }
    });
    ReceiverStream::new(stream)
}

/// Serves a read transaction.
pub(super) fn read(
    shared: Arc<Shared>,
    requests: Streaming<ReadTransactionRequest>,
    caller: Option<Delegation>,
) -> Stream<ReadTransactionReply> {
    run(&shared.clone(), |replies| serve_reads(shared, requests, caller, replies))
}

async fn serve_reads(
    shared: Arc<Shared>,
    mut requests: Streaming<ReadTransactionRequest>,
    caller: Option<Delegation>,
    replies: Replies<ReadTransactionReply>,
) -> Result<(), Status> {
    use read_transaction_request::Option as Request;
    let of = "ReadTransactionRequest";
    let begun = match requests.message().await?.map(|request| request.option) {
        None => return Ok(()),
        Some(Some(Request::StartTransactionRequest(request))) => start(&shared, request, caller).await,
        Some(other) => return Err(unexpected(of, other.as_ref().map(read_name)).into()),
    };
    let mut snapshot = None;
    while let Some(request) = requests.message().await? {
        // Only now: the published client hears of nothing before its first question.
        let (base, collection) = begun.as_ref().map_err(|refused| Status::from(refused.clone()))?;
        let question = match request.option {
            Some(Request::HasRequest(request)) => Question::Has(request.instance_i_ds),
            Some(Request::FindRequest(request)) => Question::Find(request.query_json),
            Some(Request::FindByIdRequest(request)) => Question::FindById(request.instance_id),
            other => return Err(unexpected(of, other.as_ref().map(read_name)).into()),
        };
        let answer = ask(base, collection, question, &mut snapshot).await.map_err(Refused::from)?;
        let option = match answer {
            Answer::Has(reply) => read_transaction_reply::Option::HasReply(reply),
            Answer::Find(reply) => read_transaction_reply::Option::FindReply(reply),
            Answer::FindById(reply) => read_transaction_reply::Option::FindByIdReply(reply),
        };
        send(&replies, ReadTransactionReply { option: Some(option) }).await?;
    }
    begun.map(drop).map_err(Status::from)
}

/// Asks the state that the transaction began with. A snapshot holds a thread and keeps the store from tidying up, so one that is not asked for a minute is let go: the
/// transaction then goes on with the state of its next question.
async fn ask(
    base: &Base,
    collection: &str,
    question: Question,
    snapshot: &mut Option<Transaction>,
) -> Result<Answer, Error> {
    loop {
        let mut open = match snapshot.take() {
            Some(open) => open,
            None => base.node().begin(&base.thread).await?,
        };
        let (of, collection, question) = (base.clone(), collection.to_owned(), question.clone());
        match open.run(move |write| question.answer(&of, write.state(), &collection)).await {
            Ok(answer) => {
                *snapshot = Some(open);
                return Ok(answer);
            }
            Err(Error::TransactionEnded) => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_name(request: &read_transaction_request::Option) -> &'static str {
    use read_transaction_request::Option as Request;
    match request {
        Request::StartTransactionRequest(_) => "*threads_pb.ReadTransactionRequest_StartTransactionRequest",
        Request::HasRequest(_) => "*threads_pb.ReadTransactionRequest_HasRequest",
        Request::FindRequest(_) => "*threads_pb.ReadTransactionRequest_FindRequest",
        Request::FindByIdRequest(_) => "*threads_pb.ReadTransactionRequest_FindByIDRequest",
    }
}

/// Serves a write transaction.
pub(super) fn write(
    shared: Arc<Shared>,
    requests: Streaming<WriteTransactionRequest>,
    caller: Option<Delegation>,
) -> Stream<WriteTransactionReply> {
    run(&shared.clone(), |replies| serve_writes(shared, requests, caller, replies))
}

async fn serve_writes(
    shared: Arc<Shared>,
    mut requests: Streaming<WriteTransactionRequest>,
    caller: Option<Delegation>,
    replies: Replies<WriteTransactionReply>,
) -> Result<(), Status> {
    use write_transaction_request::Option as Request;
    let of = "WriteTransactionRequest";
    let begun = match requests.message().await?.map(|request| request.option) {
        None => return Ok(()),
        Some(Some(Request::StartTransactionRequest(request))) => start(&shared, request, caller).await,
        Some(other) => return Err(unexpected(of, other.as_ref().map(write_name)).into()),
    };
    let (base, collection) = match begun {
        Ok(begun) => begun,
        Err(refused) => {
            // Only with the first request: the published client hears of nothing before.
            requests.message().await?;
            return Err(refused.into());
        }
    };
    let turn = shared.turns.exclusive(&base.thread).await;
    let (mut draft, mut is_discarded) = (Draft::in_steps(), false);
    while let Some(request) = next(&mut requests, &turn).await? {
        let request = request.option.ok_or_else(|| unexpected(of, None))?;
        if let Request::StartTransactionRequest(_) = request {
            return Err(unexpected(of, Some(write_name(&request))).into());
        }
        is_discarded |= matches!(request, Request::DiscardRequest(_));
        let name = collection.clone();
        let (reply, left) = base
            .blocking(move |base| {
                let reply = base.database.read(|read| step(base, read, &name, request, &mut draft));
                Ok((reply, draft))
            })
            .await?;
        draft = left;
        send(&replies, WriteTransactionReply { option: Some(reply) }).await?;
    }
    if is_discarded {
        return Err(Refused::unknown("can't commit discarded/committed txn").into());
    }
    Ok(draft.commit(&base).await?)
}

/// The next request. Who does nothing for long makes way for who waits.
async fn next(
    requests: &mut Streaming<WriteTransactionRequest>,
    turn: &Exclusive,
) -> Result<Option<WriteTransactionRequest>, Status> {
    loop {
        match timeout(IDLE, requests.message()).await {
            Ok(request) => return request,
            Err(_) if turn.is_waited_for() => {
                let text = format!(
                    "the transaction did nothing for {} seconds while others waited, and is discarded",
                    IDLE.as_secs()
                );
                return Err(Status::new(Code::Aborted, text));
            }
            Err(_) => {}
        }
    }
}

fn step(
    base: &Base,
    read: &Read<'_>,
    name: &str,
    request: write_transaction_request::Option,
    draft: &mut Draft,
) -> write_transaction_reply::Option {
    use write_transaction_reply::Option as Reply;
    use write_transaction_request::Option as Request;
    let collection = || Collection::new(base, read, name);
    let text = |result: Result<(), Refused>| result.err().map_or_else(String::new, |refused| refused.text);
    let question = match request {
        Request::CreateRequest(request) => {
            return Reply::CreateReply(
                match collection().and_then(|collection| collection.create(&request.instances, draft)) {
                    Ok(instance_i_ds) => CreateReply { instance_i_ds, ..CreateReply::default() },
                    Err(refused) => CreateReply { transaction_error: refused.text, ..CreateReply::default() },
                },
            );
        }
        Request::SaveRequest(request) => {
            let saved = collection().and_then(|collection| collection.save(&request.instances, draft));
            return Reply::SaveReply(SaveReply { transaction_error: text(saved) });
        }
        Request::VerifyRequest(request) => {
            let verified = collection().and_then(|collection| collection.verify(&request.instances, draft));
            return Reply::VerifyReply(VerifyReply { transaction_error: text(verified) });
        }
        Request::DeleteRequest(request) => {
            let deleted = collection().and_then(|collection| collection.delete(&request.instance_i_ds, draft));
            return Reply::DeleteReply(DeleteReply { transaction_error: text(deleted) });
        }
        // The first one is refused before.
        Request::DiscardRequest(_) | Request::StartTransactionRequest(_) => {
            *draft = Draft::in_steps();
            return Reply::DiscardReply(DiscardReply {});
        }
        Request::HasRequest(request) => Question::Has(request.instance_i_ds),
        Request::FindRequest(request) => Question::Find(request.query_json),
        Request::FindByIdRequest(request) => Question::FindById(request.instance_id),
    };
    match question.answer(base, read, name) {
        Answer::Has(reply) => Reply::HasReply(reply),
        Answer::Find(reply) => {
            draft.told(&reply.instances);
            Reply::FindReply(reply)
        }
        Answer::FindById(reply) => {
            draft.told(std::slice::from_ref(&reply.instance));
            Reply::FindByIdReply(reply)
        }
    }
}

fn write_name(request: &write_transaction_request::Option) -> &'static str {
    use write_transaction_request::Option as Request;
    match request {
        Request::StartTransactionRequest(_) => "*threads_pb.WriteTransactionRequest_StartTransactionRequest",
        Request::CreateRequest(_) => "*threads_pb.WriteTransactionRequest_CreateRequest",
        Request::VerifyRequest(_) => "*threads_pb.WriteTransactionRequest_VerifyRequest",
        Request::SaveRequest(_) => "*threads_pb.WriteTransactionRequest_SaveRequest",
        Request::DeleteRequest(_) => "*threads_pb.WriteTransactionRequest_DeleteRequest",
        Request::HasRequest(_) => "*threads_pb.WriteTransactionRequest_HasRequest",
        Request::FindRequest(_) => "*threads_pb.WriteTransactionRequest_FindRequest",
        Request::FindByIdRequest(_) => "*threads_pb.WriteTransactionRequest_FindByIDRequest",
        Request::DiscardRequest(_) => "*threads_pb.WriteTransactionRequest_DiscardRequest",
    }
}

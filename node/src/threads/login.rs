//! Login: a key goes in, a challenge comes out, its signature goes in, a token comes out.

use std::sync::Arc;

use spool_proto::{IdentityKey, owner::Delegation};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{
    limits::{CHALLENGE, IDENTITY_CHARACTERS},
    pb::{GetTokenReply, GetTokenRequest, get_token_reply, get_token_request::Payload},
    refused::Refused,
    token::Tokens,
};

/// Replies of a login.
pub(super) type Replies = ReceiverStream<Result<GetTokenReply, Status>>;

/// Runs a login in the background.
pub(super) fn login(tokens: Arc<Tokens>, requests: Streaming<GetTokenRequest>) -> Replies {
    let (replies, stream) = mpsc::channel(2);
    tokio::spawn(async move {
        if let Err(refused) = run(&tokens, requests, &replies).await {
            // The client may have gone.
            let _ = replies.send(Err(refused)).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn run(
    tokens: &Tokens,
    mut requests: Streaming<GetTokenRequest>,
    replies: &mpsc::Sender<Result<GetTokenReply, Status>>,
) -> Result<(), Status> {
    let overdue = |_| Refused::new(Code::DeadlineExceeded, "Challenge deadline exceeded");
    let first = timeout(CHALLENGE, requests.message()).await.map_err(overdue)??;
    let Some(Payload::Key(key)) = first.and_then(|request| request.payload).filter(|payload| *payload != Payload::Key(String::new()))
    else {
        return Err(Refused::invalid("Key is required").into());
    };
    let owner = owner(&key)?;
    let statement = tokens.statement(owner);
    let challenge = get_token_reply::Payload::Challenge(statement.challenge().to_vec().into());
    reply(replies, challenge).await?;
    let second = timeout(CHALLENGE, requests.message()).await.map_err(overdue)??;
    let Some(Payload::Signature(signature)) = second.and_then(|request| request.payload).filter(|payload| !is_empty(payload))
    else {
        return Err(Refused::invalid("Signature is required").into());
    };
    let bad = || Status::from(Refused::unknown("bad signature"));
    let signature = signature.as_ref().try_into().map_err(|_| bad())?;
    let delegation = Delegation { statement, signature };
    if !delegation.is_signed() {
        return Err(bad());
    }
    reply(replies, get_token_reply::Payload::Token(tokens.issue(&delegation))).await
}

fn is_empty(payload: &Payload) -> bool {
    matches!(payload, Payload::Signature(signature) if signature.is_empty())
}

fn owner(key: &str) -> Result<IdentityKey, Refused> {
    if key.len() > IDENTITY_CHARACTERS {
        return Err(Refused::invalid("the key is longer than an identity's can be"));
    }
    key.parse().map_err(|error| Refused::invalid(format!("{error}")))
}

async fn reply(
    replies: &mpsc::Sender<Result<GetTokenReply, Status>>,
    payload: get_token_reply::Payload,
) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the client has gone");
    replies.send(Ok(GetTokenReply { payload: Some(payload) })).await.map_err(gone)
}

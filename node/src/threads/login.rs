//! Login: a key goes in, a challenge comes out, its signature goes in, a token comes out.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use spool_proto::{IdentityKey, owner::Delegation};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{
    limits::{CHALLENGE, IDENTITY_CHARACTERS},
    net_pb, pb,
    refused::Refused,
    token::Tokens,
};

/// What a client says.
pub(super) enum Said {
    Key(String),
    Signature(Bytes),
    Nothing,
}

impl From<pb::GetTokenRequest> for Said {
    fn from(request: pb::GetTokenRequest) -> Self {
        use pb::get_token_request::Payload;
        match request.payload {
            Some(Payload::Key(key)) if !key.is_empty() => Self::Key(key),
            Some(Payload::Signature(signature)) if !signature.is_empty() => Self::Signature(signature),
            _ => Self::Nothing,
        }
    }
}

impl From<net_pb::GetTokenRequest> for Said {
    fn from(request: net_pb::GetTokenRequest) -> Self {
        use net_pb::get_token_request::Payload;
        match request.payload {
            Some(Payload::Key(key)) if !key.is_empty() => Self::Key(key),
            Some(Payload::Signature(signature)) if !signature.is_empty() => Self::Signature(signature),
            _ => Self::Nothing,
        }
    }
}

/// What it is told.
pub(super) enum Told {
    Challenge(Bytes),
    Token(String),
}

impl From<Told> for pb::GetTokenReply {
    fn from(told: Told) -> Self {
        use pb::get_token_reply::Payload;
        let payload = match told {
            Told::Challenge(challenge) => Payload::Challenge(challenge),
            Told::Token(token) => Payload::Token(token),
        };
        Self { payload: Some(payload) }
    }
}

impl From<Told> for net_pb::GetTokenReply {
    fn from(told: Told) -> Self {
        use net_pb::get_token_reply::Payload;
        let payload = match told {
            Told::Challenge(challenge) => Payload::Challenge(challenge),
            Told::Token(token) => Payload::Token(token),
        };
        Self { payload: Some(payload) }
    }
}

type Replies<T> = mpsc::Sender<Result<T, Status>>;

/// Runs a login in the background.
pub(super) fn login<Q, A>(
    tokens: Arc<Tokens>,
    requests: Streaming<Q>,
) -> impl Stream<Item = Result<A, Status>> + Send + use<Q, A>
where
    Q: Into<Said> + Send + 'static,
    A: From<Told> + Send + 'static,
{
    let (replies, stream) = mpsc::channel(2);
    tokio::spawn(async move {
        let said = requests.map(|request| request.map(Into::into));
        if let Err(refused) = run(&tokens, said, &replies).await {
            // The client may have gone.
            let _ = replies.send(Err(refused)).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn run<A: From<Told>>(
    tokens: &Tokens,
    mut said: impl Stream<Item = Result<Said, Status>> + Unpin,
    replies: &Replies<A>,
) -> Result<(), Status> {
    let Said::Key(key) = next(&mut said).await? else { return Err(Refused::invalid("Key is required").into()) };
    let statement = tokens.statement(owner(&key)?);
    reply(replies, Told::Challenge(statement.challenge().to_vec().into())).await?;
    let Said::Signature(signature) = next(&mut said).await? else {
        return Err(Refused::invalid("Signature is required").into());
    };
    let bad = || Status::from(Refused::unknown("bad signature"));
    let signature = signature.as_ref().try_into().map_err(|_| bad())?;
    let delegation = Delegation { statement, signature };
    if !delegation.is_signed() {
        return Err(bad());
    }
    reply(replies, Told::Token(tokens.issue(&delegation))).await
}

async fn next(said: &mut (impl Stream<Item = Result<Said, Status>> + Unpin)) -> Result<Said, Status> {
    let overdue = |_| Refused::new(Code::DeadlineExceeded, "Challenge deadline exceeded");
    timeout(CHALLENGE, said.next()).await.map_err(overdue)?.unwrap_or(Ok(Said::Nothing))
}

fn owner(key: &str) -> Result<IdentityKey, Refused> {
    if key.len() > IDENTITY_CHARACTERS {
        return Err(Refused::invalid("the key is longer than an identity's can be"));
    }
    key.parse().map_err(|error| Refused::invalid(format!("{error}")))
}

async fn reply<A: From<Told>>(replies: &Replies<A>, told: Told) -> Result<(), Status> {
    replies.send(Ok(told.into())).await.map_err(|_| Status::cancelled("the client has gone"))
}

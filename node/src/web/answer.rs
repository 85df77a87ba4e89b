//! To the client: headers, messages, trailers, and pings in between.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures::{Sink, SinkExt as _};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, Message};
use tonic::body::Body;
use tonic::{Code, Status};

use super::block;

/// Sends the answer of a call, to the end of its trailers. Each block of headers or trailers is the last thing in its message: the client reads no further
/// in it.
///
/// # Errors
/// If the client is gone.
pub(super) async fn answer(
    call: impl Future<Output = Result<Response<Body>, Infallible>>,
    client: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    ping: Duration,
) -> Result<(), tungstenite::Error> {
    let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let Ok(response) = alive(call, client, &mut pings).await?;
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        let status = Status::new(code(head.status), format!("the service answered {}", head.status));
        return client.send(Message::Binary(block::status(&status))).await;
    }
    let is_final = block::is_final(&head.headers);
    client.send(Message::Binary(block::headers(head.headers))).await?;
    if is_final {
        return Ok(());
    }
    let trailers = loop {
        let frame = match alive(body.frame(), client, &mut pings).await? {
            Some(Ok(frame)) => frame,
            Some(Err(status)) => break block::status(&status),
            None => break block::trailers(&http::HeaderMap::new()),
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => client.send(Message::Binary(data)).await?,
            Err(frame) => break block::trailers(frame.trailers_ref().unwrap_or(&http::HeaderMap::new())),
        }
    };
    client.send(Message::Binary(trailers)).await
}

/// Waits for what the service does next, and pings meanwhile.
async fn alive<T>(
    next: impl Future<Output = T>,
    client: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    pings: &mut Interval,
) -> Result<T, tungstenite::Error> {
    let mut next = pin!(next);
    loop {
        tokio::select! {
            biased;
            next = next.as_mut() => return Ok(next),
            _ = pings.tick() => client.send(Message::Ping(bytes::Bytes::new())).await?,
        }
    }
}

/// As the gRPC specification maps what is not from a gRPC service.
fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

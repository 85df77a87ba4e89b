//! From the client: frames, the end of its requests, its going away.

use futures::{Stream, StreamExt as _};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{self, Message};
use tonic::Status;

use super::body::Sender;
use super::limits::{Patience, WEBSOCKET_BYTES};

/// First byte of a message that carries bytes of frames.
const DATA: u8 = 0;
/// The whole message that says that there are no more requests.
const END: &[u8] = &[1];

/// Hands over what the client sends until it goes away. Never returns before, so that its going away is seen at any time.
///
/// # Errors
/// What to tell a client that breaks the rules.
pub(super) async fn receive(
    messages: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
    requests: Sender,
    patience: Patience,
) -> Result<(), Status> {
    let begun = Instant::now();
    let mut requests = Some(requests);
    let mut has_begun = false;
    loop {
        let deadline = if has_begun { Instant::now() + patience.silence } else { begun + patience.first };
        let message = match tokio::time::timeout_at(deadline, messages.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return broken(&error),
            Ok(None) => return Ok(()),
            Err(_) if has_begun => return Ok(()),
            Err(_) => return Err(Status::deadline_exceeded("no request came")),
        };
        match message {
            Message::Binary(bytes) => {
                has_begun = true;
                match (bytes.first(), requests.take()) {
                    (Some(&DATA), Some(sender)) => {
                        sender.data(bytes.slice(1..)).await;
                        requests = Some(sender);
                    }
                    (_, Some(sender)) if bytes == END => sender.end().await,
                    (_, Some(_)) => return Err(Status::invalid_argument("a message begins with 0, or is a single 1")),
                    (_, None) => return Err(Status::invalid_argument("a message after the end of the requests")),
                }
            }
            Message::Close(_) => return Ok(()),
            Message::Text(_) => return Err(text()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// The metadata, which is the first message; `None` if the client goes away instead.
///
/// # Errors
/// What to tell a client that sends something else.
pub(super) async fn first(
    messages: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
) -> Result<Option<bytes::Bytes>, Status> {
    loop {
        match messages.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
            Some(Ok(Message::Text(_))) => return Err(text()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return broken(&error).map(|()| None),
            Some(Ok(Message::Close(_))) | None => return Ok(None),
        }
    }
}

fn text() -> Status {
    Status::invalid_argument("messages have to be binary")
}

/// Only what the client can do something about is worth telling it.
fn broken(error: &tungstenite::Error) -> Result<(), Status> {
    match error {
        tungstenite::Error::Capacity(_) => {
            Err(Status::resource_exhausted(format!("a message has more than {WEBSOCKET_BYTES} bytes")))
        }
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => Ok(()),
        tungstenite::Error::Protocol(error) => Err(Status::invalid_argument(error.to_string())),
        tungstenite::Error::Utf8(_) => Err(text()),
        _ => Ok(()),
    }
}

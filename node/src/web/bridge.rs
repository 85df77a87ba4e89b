//! One call over one websocket.

use futures::{SinkExt as _, StreamExt as _};
use http::{Method, Request, Uri, Version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tower::ServiceExt as _;

use super::limits::{DISCARDED_BYTES, Patience, READ_AHEAD_BYTES, WEBSOCKET_BYTES};
use super::{answer, block, body, metadata, receive};

/// What is called, and how.
pub(super) struct Call {
    pub(super) routes: Routes,
    pub(super) uri: Uri,
    pub(super) patience: Patience,
    pub(super) stopping: CancellationToken,
}

/// How a conversation ended.
enum End {
    /// The client has the trailers.
    Answered,
    /// The client has to be told.
    Failed(Status),
    /// There is no client any more.
    Gone,
}

/// Has the conversation, from the client's first message to the end of the connection.
pub(super) async fn run(io: impl AsyncRead + AsyncWrite + Unpin, call: Call) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_AHEAD_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(WEBSOCKET_BYTES))
        .max_frame_size(Some(WEBSOCKET_BYTES));
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let patience = call.patience;
    let path = call.uri.path().to_owned();
    let end = converse(&mut socket, call).await;
    if let End::Failed(status) = &end {
        tracing::debug!(path, code = ?status.code(), message = status.message(), "call broke off");
    }
    // One that takes longer than that gets its connection closed without a word.
    let _ = tokio::time::timeout(patience.close, close(&mut socket, end)).await;
}

async fn converse(socket: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>, call: Call) -> End {
    let Call { routes, uri, patience, stopping } = call;
    let block = match tokio::time::timeout(patience.first, receive::first(socket)).await {
        Ok(Ok(Some(block))) => block,
        Ok(Ok(None)) => return End::Gone,
        Ok(Err(status)) => return End::Failed(status),
        Err(_) => return End::Failed(Status::deadline_exceeded("no metadata came")),
    };
    let headers = match metadata::parse(&block) {
        Ok(headers) => headers,
        Err(error) => return End::Failed(Status::invalid_argument(error.to_string())),
    };
    let (sender, requests) = body::channel();
    let mut request = Request::new(requests);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let (mut client, mut messages) = socket.split();
    let overdue = async {
        stopping.cancelled().await;
        tokio::time::sleep(patience.stop).await;
    };
    // Whichever ends first drops the others: a client that goes away takes its call with it.
    tokio::select! {
        received = receive::receive(&mut messages, sender, patience) => match received {
            Ok(()) => End::Gone,
            Err(status) => End::Failed(status),
        },
        answered = answer::answer(routes.oneshot(request), &mut client, patience.ping) => match answered {
            Ok(()) => End::Answered,
            Err(_) => End::Gone,
        },
        () = overdue => End::Failed(Status::unavailable("the node is stopping")),
    }
}

/// Says goodbye, and listens until the client has as well: if the socket were closed with bytes of the client unread, the kernel would reset the
/// connection, and the client lose what it has not read yet. Then the connection has to end at once: clients wait for that.
async fn close(socket: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>, end: End) {
    match end {
        End::Answered => {}
        End::Failed(status) => {
            if socket.send(Message::Binary(block::status(&status))).await.is_err() {
                return;
            }
        }
        End::Gone => {
            // Also answers a closing of the client.
            let _ = socket.close(None).await;
            return;
        }
    }
    let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
    if socket.close(Some(normal)).await.is_err() {
        return;
    }
    let mut discarded = 0;
    while let Some(Ok(message)) = socket.next().await {
        discarded += message.len();
        if message.is_close() || discarded > DISCARDED_BYTES {
            return;
        }
    }
    // It was no websocket message, or too large for one, and the rest of it is still on its way.
    let mut scratch = vec![0; READ_AHEAD_BYTES];
    while let Ok(read @ 1..) = socket.get_mut().read(&mut scratch).await {
        discarded += read;
        if discarded > DISCARDED_BYTES {
            return;
        }
    }
}

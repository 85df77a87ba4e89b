//! Bounds of the listener for the web.

use std::time::Duration;

use crate::api::MAX_MESSAGE_BYTES;

/// Connections at once, each with one call; a page that listens to many things needs many. More are answered with 503.
pub(super) const CONNECTIONS: usize = 1_024;

/// Bytes of a request's head, and of what is read ahead: a token of a kilobyte and a browser's cookies fit well.
pub(super) const HEAD_BYTES: usize = 64 * 1024;

/// Bytes of the metadata of a websocket's call.
pub(super) const METADATA_BYTES: usize = 16 * 1024;
/// Entries in it.
pub(super) const METADATA_ENTRIES: usize = 64;

/// Bytes of one message of a websocket: a byte that says what it is, the prefix of a gRPC frame, and the largest message.
pub(super) const WEBSOCKET_BYTES: usize = 1 + 5 + MAX_MESSAGE_BYTES;

/// Bytes of the body of a plain grpc-web request: the largest message in base64, with room. The service refuses what is too large by name.
pub(super) const BODY_BYTES: usize = 2 * MAX_MESSAGE_BYTES;

/// Bytes that a websocket reads ahead; the default would cost 128 KiB for each listener.
pub(super) const READ_AHEAD_BYTES: usize = 8 * 1024;

/// Messages of a call that wait for its service; then nothing is read from the client, and TCP stops it.
pub(super) const WAITING_MESSAGES: usize = 4;

/// Bytes that are read and thrown away after a call has ended: without reading them, the kernel would take back the end of the answer. More than the largest
/// message that a program is likely to send by mistake.
pub(super) const DISCARDED_BYTES: usize = 256 * 1024 * 1024;

/// How long running calls may take to end once the node stops; then they are cut off.
pub(super) const DRAIN: Duration = Duration::from_secs(5);

/// How long is waited for a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the head of a request, from the connection or the last request on.
    pub(super) head: Duration,
    /// For the whole body of a plain request.
    pub(super) body: Duration,
    /// For the metadata of a websocket's call, and then for its first message or the end of its messages. Clients send both at once.
    pub(super) first: Duration,
    /// Between pings: proxies close what is silent for a minute.
    pub(super) ping: Duration,
    /// For any sign of life. Long, because a program that is stopped in a debugger gives none, and its transaction is open.
    pub(super) silence: Duration,
    /// For the answer to a closing.
    pub(super) close: Duration,
    /// For the end of a call once the node stops; then its client is told. Shorter than [`DRAIN`].
    pub(super) stop: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            first: Duration::from_secs(30),
            ping: Duration::from_secs(5),
            silence: Duration::from_secs(600),
            close: Duration::from_secs(5),
            stop: Duration::from_secs(3),
        }
    }
}

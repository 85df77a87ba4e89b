//! Connections to the service: so many, and none that says nothing.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::limits::{CONNECTIONS, HANDSHAKE_PATIENCE};

/// How long accepting pauses when the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// Settings of HTTP/2, none of them, and a GOAWAY that says ENHANCE_YOUR_CALM and why (RFC 9113, sections 6.5, 6.8 and 7). Clients in Go and C show
/// it; tonic's says that the connection was closed.
const TOO_MANY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x1c\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0btoo many connections";

/// What connections are given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// At once.
    pub(super) connections: usize,
    /// For the first bytes of a client.
    pub(super) handshake: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: CONNECTIONS, handshake: HANDSHAKE_PATIENCE }
    }
}

/// Connections as they come. Those beyond the bound are refused in the words of the protocol.
pub(super) fn accepted(listener: TcpListener, bounds: Bounds) -> impl Stream<Item = io::Result<Admitted>> {
    let room = Arc::new(Semaphore::new(bounds.connections));
    stream::unfold((listener, room), move |(listener, room)| async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, what = "api", "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = room.clone().try_acquire_owned() else {
                refuse(&stream);
                continue;
            };
            // Only slower without it.
            let _ = stream.set_nodelay(true);
            let silence = Some(Box::pin(tokio::time::sleep(bounds.handshake)));
            let admitted = Admitted { stream, silence, received: 0, _permit: permit };
            return Some((Ok(admitted), (listener, room)));
        }
    })
}

/// A socket just opened takes as much without waiting. What the client has said is read first: else it would be told of a reset, and not of this.
fn refuse(stream: &TcpStream) {
    tracing::debug!("too many connections");
    let _ = stream.try_read(&mut [0; 1024]);
    let _ = stream.try_write(TOO_MANY);
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    stream: TcpStream,
    /// Ends it, until the client has begun to speak.
    silence: Option<Pin<Box<Sleep>>>,
    received: usize,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no beginning of HTTP/2 came")));
        }
        self.received = self.received.saturating_add(buffer.filled().len() - before);
        if self.received >= PREFACE_BYTES {
            self.silence = None;
        }
        read
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Admitted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::AsyncReadExt as _;
    use tokio_util::sync::CancellationToken;
    use tonic::Status;
    use tonic::service::Routes;
    use tonic::transport::{Channel, Endpoint};
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    use super::super::server::Server;
    use super::*;

    /// Far longer than anything here takes on a busy machine.
    const LONG: Duration = Duration::from_secs(30);

    async fn serving(bounds: Bounds) -> (SocketAddr, CancellationToken) {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().bounded(bounds);
        let (address, stopping) = (server.address(), CancellationToken::new());
        tokio::spawn(server.serve(Routes::default(), stopping.clone()));
        (address, stopping)
    }

    async fn client(address: SocketAddr) -> HealthClient<Channel> {
        HealthClient::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
    }

    async fn check(client: &mut HealthClient<Channel>) -> Result<(), Status> {
        let answer = client.check(HealthCheckRequest { service: String::new() });
        tokio::time::timeout(LONG, answer).await.expect("an answer").map(|_| ())
    }

    #[tokio::test]
    async fn one_connection_too_many_is_refused_by_name_and_the_next_is_not() {
        let (address, _stopping) = serving(Bounds { connections: 1, ..Bounds::default() }).await;
        let mut first = client(address).await;
        check(&mut first).await.unwrap();
        let mut said = Vec::new();
        let mut second = TcpStream::connect(address).await.unwrap();
        tokio::time::timeout(LONG, second.read_to_end(&mut said)).await.expect("an answer").unwrap();
        assert_eq!(said, TOO_MANY);
        assert!(check(&mut client(address).await).await.is_err());
        check(&mut first).await.unwrap();
        drop(first);
        // It counts until the server has let go of it, which the client cannot see.
        let again = async { while check(&mut client(address).await).await.is_err() {} };
        tokio::time::timeout(LONG, again).await.expect("room again");
    }

    #[tokio::test]
    async fn whoever_says_nothing_or_too_little_gives_way() {
        let bounds = Bounds { connections: 2, handshake: Duration::from_millis(200) };
        let (address, _stopping) = serving(bounds).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let half = TcpStream::connect(address).await.unwrap();
        half.writable().await.unwrap();
        half.try_write(b"PRI * HTTP").unwrap();
        // However it is closed.
        let _ = tokio::time::timeout(LONG, silent.read_to_end(&mut Vec::new())).await.expect("it is closed");
        let again = async { while check(&mut client(address).await).await.is_err() {} };
        tokio::time::timeout(LONG, again).await.expect("room for who speaks");
    }

    #[tokio::test]
    async fn whoever_has_spoken_may_be_silent() {
        let handshake = Duration::from_secs(1);
        let (address, _stopping) = serving(Bounds { connections: 1, handshake }).await;
        let mut client = client(address).await;
        check(&mut client).await.unwrap();
        tokio::time::sleep(2 * handshake).await;
        // One connection is all there is: had it been closed, the next could still be opened, so another one tells.
        assert!(check(&mut self::client(address).await).await.is_err(), "the first is still there");
        check(&mut client).await.unwrap();
    }
}

//! HTTP/1.1 for whoever answers requests: the socket, the connections on it, and their bounds.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long accepting pauses when the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections are given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What listens, for the log.
    pub(crate) what: &'static str,
    /// Connections at once; more are answered with 503.
    pub(crate) connections: usize,
    /// Bytes of a request's head, and of what is read ahead.
    pub(crate) head_bytes: usize,
    /// For the head of a request, from the connection or the last request on.
    pub(crate) head: Duration,
    /// For a whole connection; `None` if it may last.
    pub(crate) connection: Option<Duration>,
    /// For what runs when the node stops; then it is cut off.
    pub(crate) drain: Duration,
}

/// What runs beside the connections, and is waited for with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    pub(crate) tasks: TaskTracker,
    /// Ends what does not end by itself.
    pub(crate) cut: CancellationToken,
}

/// A socket that is bound and does not answer yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has each request answered until `stopping`; then what runs has [`Terms::drain`] to end. What outlives its answer keeps the permit, which counts
    /// the connection.
    pub(crate) async fn serve<A, F, B>(self, terms: Terms, running: Running, stopping: CancellationToken, answer: A)
    where
        A: Fn(Request<Incoming>, Arc<OwnedSemaphorePermit>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let connections = Arc::new(Semaphore::new(terms.connections));
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, what = terms.what, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match connections.clone().try_acquire_owned() {
                Ok(permit) => {
                    let connection = connection(stream, answer.clone(), permit.into(), terms, stopping.clone());
                    let cut = running.cut.clone();
                    running.tasks.spawn(async move { cut.run_until_cancelled(connection).await });
                }
                Err(_) => refuse(&stream),
            }
        }
        drop(self.socket);
        running.tasks.close();
        if tokio::time::timeout(terms.drain, running.tasks.wait()).await.is_err() {
            tracing::warn!(what = terms.what, "calls that did not end were cut off");
            running.cut.cancel();
            running.tasks.wait().await;
        }
    }
}

/// Says that there are too many. A socket just opened takes as much without waiting; one that does not is closed without a word.
fn refuse(stream: &TcpStream) {
    tracing::debug!("too many connections");
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.try_write(answer);
}

async fn connection<A, F, B>(
    stream: TcpStream,
    answer: A,
    permit: Arc<OwnedSemaphorePermit>,
    terms: Terms,
    stopping: CancellationToken,
) where
    A: Fn(Request<Incoming>, Arc<OwnedSemaphorePermit>) -> F,
    F: Future<Output = Response<B>> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Small frames that are answered one by one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = answer(request, permit.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(terms.head).max_buf_size(terms.head_bytes);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = over(terms.connection) => {
            connection.as_mut().graceful_shutdown();
            // Whoever does not read its answer gets no more of it.
            match tokio::time::timeout(terms.drain, connection).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!(what = terms.what, "a connection that did not end was cut off"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = crate::chain(&error), "connection broke");
    }
}

async fn over(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

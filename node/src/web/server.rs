//! The socket, and the connections on it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::front::Front;
use super::limits::{ACCEPT_PAUSE, CONNECTIONS, DRAIN, HEAD_BYTES, Patience};
use super::origin::Origins;

/// Why the listener does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error(
        "grpc-web cannot listen on {address}; another node may have it, choose another with --web, or none with --web off"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A socket that is bound and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    origins: Origins,
    pub(super) patience: Patience,
    pub(super) connections: usize,
}

impl Server {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Listen`] if it is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self {
            listener,
            address,
            origins: Origins::default(),
            patience: Patience::default(),
            connections: CONNECTIONS,
        })
    }

    /// Lets pages of these origins call as well.
    #[must_use]
    pub fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Brings calls of `methods` to `routes` until `stopping`; then running calls have five seconds to end.
    pub async fn serve(self, routes: Routes, methods: BTreeSet<String>, stopping: CancellationToken) {
        let Self { listener, origins, patience, connections, .. } = self;
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        let connections = Arc::new(Semaphore::new(connections));
        let front =
            Arc::new(Front::new(routes, (methods, origins), patience, stopping.clone(), tasks.clone(), cut.clone()));
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "grpc-web cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match connections.clone().try_acquire_owned() {
                Ok(permit) => {
                    let connection = connection(stream, front.clone(), permit.into(), patience, stopping.clone());
                    let cut = cut.clone();
                    tasks.spawn(async move { cut.run_until_cancelled(connection).await });
                }
                Err(_) => refuse(&stream),
            }
        }
        drop(listener);
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::warn!("calls over grpc-web that did not end were cut off");
            cut.cancel();
            tasks.wait().await;
        }
    }
}

/// Says that there are too many. A socket just opened takes as much without waiting; one that does not is closed without a word.
fn refuse(stream: &TcpStream) {
    tracing::debug!("too many connections");
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.try_write(answer);
}

async fn connection(
    stream: TcpStream,
    front: Arc<Front>,
    permit: Arc<OwnedSemaphorePermit>,
    patience: Patience,
    stopping: CancellationToken,
) {
    // Small frames that are answered one by one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let (front, permit) = (front.clone(), permit.clone());
        async move { Ok::<_, Infallible>(front.answer(request, permit).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = crate::chain(&error), "connection broke");
    }
}

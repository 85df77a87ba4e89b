//! The socket, and what answers on it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::front::Front;
use super::limits::{CONNECTIONS, DRAIN, HEAD_BYTES, Patience};
use super::origin::Origins;
use crate::http1::{Listener, Running, Terms};

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
    listener: Listener,
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
        let listener = Listener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        Ok(Self { listener, origins: Origins::default(), patience: Patience::default(), connections: CONNECTIONS })
    }

    /// Lets pages of these origins call as well.
    #[must_use]
    pub fn with_origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Brings calls of `methods` to `routes` until `stopping`; then running calls have five seconds to end.
    pub async fn serve(self, routes: Routes, methods: BTreeSet<String>, stopping: CancellationToken) {
        let Self { listener, origins, patience, connections } = self;
        let running = Running::default();
        let front = Arc::new(Front::new(routes, (methods, origins), patience, stopping.clone(), running.clone()));
        let terms = Terms {
            what: "grpc-web",
            connections,
            head_bytes: HEAD_BYTES,
            head: patience.head,
            connection: None,
            drain: DRAIN,
        };
        let answer = move |request, permit| {
            let front = front.clone();
            async move { front.answer(request, permit).await }
        };
        listener.serve(terms, running, stopping, answer).await;
    }
}

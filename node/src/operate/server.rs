//! The socket.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::answer;
use super::limits::{CONNECTION_LENGTH, CONNECTIONS, DRAIN, HEAD_BYTES, HEAD_PATIENCE};
use crate::http1::{Listener, Running, Terms};
use crate::node::Node;

/// Why nothing is served to operators.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error(
        "metrics and health cannot be served on {address}; another node may have it, choose another with --http, or none with --http off"
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
pub struct Server(Listener);

impl Server {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Listen`] if it is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        Ok(Self(Listener::bind(address).await.map_err(|source| Error::Listen { address, source })?))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Answers until `stopping`. As long as `node` is empty, the node is starting: alive and not ready.
    pub async fn serve(self, node: Arc<OnceLock<Node>>, stopping: CancellationToken) {
        let terms = Terms {
            what: "metrics and health",
            connections: CONNECTIONS,
            head_bytes: HEAD_BYTES,
            head: HEAD_PATIENCE,
            connection: Some(CONNECTION_LENGTH),
            drain: DRAIN,
        };
        let answer = move |request, _permit| {
            let node = node.clone();
            async move { answer::to(&request, node.get()).await }
        };
        self.0.serve(terms, Running::default(), stopping, answer).await;
    }
}

//! The socket that the service listens on.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use super::limits::{
    CONNECTION_WINDOW_BYTES, DRAIN, MAX_DOCUMENTS_BYTES, MAX_MESSAGE_BYTES, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION,
};
use super::pb::{database_server::DatabaseServer, spool_server::SpoolServer};
use super::service::Service;
use crate::node::Node;

/// Why the interface does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("the API cannot listen on {address}; another node may have it, choose another with --api")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the API failed")]
    Serve(#[source] tonic::transport::Error),
}

/// A socket that is bound and does not answer yet, so that the address can be told before the first call.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
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
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stopping`; then running calls have five seconds to end.
    ///
    /// # Errors
    /// [`Error::Serve`] if the server ends by itself.
    pub async fn serve(self, node: Node, name: Option<String>, stopping: CancellationToken) -> Result<(), Error> {
        let service = Service { node, name, stopping: stopping.clone() };
        let database = DatabaseServer::new(service.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_DOCUMENTS_BYTES);
        let service = SpoolServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let server = tonic::transport::Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(service)
            .add_service(database)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(self.listener).with_nodelay(Some(true)),
                stopping.clone().cancelled_owned(),
            );
        let overdue = async {
            stopping.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            ended = server => ended.map_err(Error::Serve),
            () = overdue => {
                tracing::warn!("calls that did not end were cut off");
                Ok(())
            }
        }
    }
}

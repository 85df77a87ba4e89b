//! The socket that the service listens on.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::connections::{Bounds, accepted};
use super::descriptors;
use super::limits::{
    CONNECTION_WINDOW_BYTES, DRAIN, PING_INTERVAL, PING_PATIENCE, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION,
};

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
    bounds: Bounds,
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
        Ok(Self { listener, address, bounds: Bounds::default() })
    }

    /// With other bounds.
    #[cfg(test)]
    pub(super) fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stopping`; then running calls have five seconds to end. Reflection (`grpc.reflection.v1`) and health
    /// (`grpc.health.v1`) are served beside `routes`.
    ///
    /// # Errors
    /// [`Error::Serve`] if the server ends by itself.
    pub async fn serve(self, routes: Routes, stopping: CancellationToken) -> Result<(), Error> {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors::ENCODED)
            .build_v1()
            .expect("the build made the descriptors");
        let (reporter, health) = tonic_health::server::health_reporter();
        for service in descriptors::services() {
            reporter.set_service_status(service, ServingStatus::Serving).await;
        }
        tokio::spawn(report_stop(reporter, stopping.clone()));
        let server = tonic::transport::Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_PATIENCE))
            .add_routes(routes)
            .add_service(reflection)
            .add_service(health)
            .serve_with_incoming_shutdown(accepted(self.listener, self.bounds), stopping.clone().cancelled_owned());
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

/// Tells those who watch the health that it ends, and ends their streams, which would otherwise be waited for.
async fn report_stop(mut reporter: HealthReporter, stopping: CancellationToken) {
    stopping.cancelled().await;
    for service in descriptors::services().into_iter().chain([String::new()]) {
        reporter.set_service_status(&service, ServingStatus::NotServing).await;
        reporter.clear_service_status(&service).await;
    }
}

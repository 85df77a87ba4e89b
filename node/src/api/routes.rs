//! The services, ready for whatever brings requests to them.

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::access::Access;
use super::calls::Counting;
use super::limits::{MAX_DOCUMENTS_BYTES, MAX_MESSAGE_BYTES};
use super::pb::{database_server::DatabaseServer, spool_server::SpoolServer};
use super::service::Service;
use crate::node::Node;
use crate::threads::{self, ANSWER_BYTES, net_pb, pb};

/// All services of the node. `name` is what the installation is called, `access` what callers show; `stopping` ends the streams that have no end of their own.
pub fn routes(node: Node, name: Option<String>, access: Access, stopping: CancellationToken) -> Routes {
    let (databases, network) = threads::services(node.clone(), stopping.clone());
    let databases = pb::api_server::ApiServer::new(databases)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(ANSWER_BYTES);
    let service = Service { node: node.clone(), name, stopping };
    let documents = DatabaseServer::new(service.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_DOCUMENTS_BYTES);
    let spool = SpoolServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let network = net_pb::api_server::ApiServer::new(network).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let counting = Counting(node);
    let routes = access.guard(Routes::new(spool).add_service(documents).add_service(databases).add_service(network));
    // Outermost, so that those who are refused are counted as well.
    Routes::from(routes.into_axum_router().layer(counting))
}

//! The services, ready for whatever brings requests to them.

use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::limits::{MAX_DOCUMENTS_BYTES, MAX_MESSAGE_BYTES};
use super::pb::{database_server::DatabaseServer, spool_server::SpoolServer};
use super::service::Service;
use crate::node::Node;
use crate::threads::{ANSWER_BYTES, Databases, Network, net_pb, pb};

/// All services of the node. `name` is what the installation is called; `stopping` ends the streams that have no end of their own.
pub fn routes(node: Node, name: Option<String>, stopping: CancellationToken) -> Routes {
    let databases = Databases::new(node.clone(), stopping.clone());
    let databases = pb::api_server::ApiServer::new(databases)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(ANSWER_BYTES);
    let service = Service { node, name, stopping };
    let documents = DatabaseServer::new(service.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_DOCUMENTS_BYTES);
    let spool = SpoolServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let network = net_pb::api_server::ApiServer::new(Network).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Routes::new(spool).add_service(documents).add_service(databases).add_service(network)
}

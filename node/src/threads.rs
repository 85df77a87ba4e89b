//! The interfaces of Textile Threads, so that programs written for its clients work with this node.
//!
//! `proto/threads/` has the messages: [`pb`] for databases, [`net_pb`] for threads and their records. `docs/threads-compatibility.md` says what is as with the
//! reference implementation and what is not, and why.
//!
//! - `service`: the calls, each one a line around what the other modules do;
//! - `token`, `login`: who calls;
//! - `base`: a database as a call sees it; `lifecycle`, `collections`, `instances`, `query`, `transactions`, `listen`: what calls do with it;
//! - `network`: threads and their records, beneath databases;
//! - `schema`: schemas in the reference's form; `provisional`: collections of a joiner whose peers have not been heard yet;
//! - `refused`: errors in the reference's words.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::node::Node;

mod base;
mod collections;
mod instances;
mod lifecycle;
mod limits;
mod listen;
mod login;
mod network;
mod provisional;
mod query;
mod refused;
mod request;
mod schema;
mod service;
mod token;
mod transactions;
mod turns;

pub(crate) use limits::ANSWER_BYTES;
pub use network::Network;
pub use service::Databases;

/// Both services on a node. `stopping` ends the streams that have no end of their own.
pub fn services(node: Node, stopping: CancellationToken) -> (Databases, Network) {
    let shared = Arc::new(base::Shared::new(node, stopping));
    (Databases::new(shared.clone()), Network::new(shared))
}

/// Generated from `proto/threads/threads.proto`.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated code")]
pub mod pb {
    tonic::include_proto!("threads.pb");
}

/// Generated from `proto/threads/threadsnet.proto`.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated code")]
pub mod net_pb {
    tonic::include_proto!("threads.net.pb");
}

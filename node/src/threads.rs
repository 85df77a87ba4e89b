//! The interfaces of Textile Threads, so that programs written for its clients work with this node.
//!
//! `proto/threads/` has the messages: [`pb`] for databases, [`net_pb`] for threads and their records.

mod service;

pub use service::{Databases, Network};

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

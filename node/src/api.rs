//! The local gRPC interface `spool.v1`: [`Node`](crate::node::Node) on a socket.
//!
//! `proto/spool/v1/{spool,database}.proto` document every call. The modules here translate and nothing else: what a request means is decided
//! in the node, so that every interface to it means the same.

mod access;
mod append;
mod archive;
mod broken;
mod calls;
mod connections;
mod database;
mod descriptors;
mod entry;
mod error;
mod file;
mod follow;
mod home;
mod limits;
pub mod pb;
mod peer;
mod request;
mod routes;
mod server;
mod service;
mod steps;
mod thread;

pub use access::{Access, Connection, Shows, showing};
pub use descriptors::methods;
pub use error::REASON;
pub use limits::{MAX_BODY_BYTES, MAX_DOCUMENTS_BYTES, MAX_MESSAGE_BYTES, PIECE_BYTES};
pub use routes::routes;
pub use server::{Error, Server};

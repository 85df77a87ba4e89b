//! What travels between nodes: requests, responses, envelopes and gossip, as types whose ids, counts and sizes were checked.
//!
//! [`pb`] holds the protobuf messages as prost generates them from `wire/sync.proto`; nothing outside this module needs
//! them. `decode` goes three steps: the frame's size, then its shape (counts and least lengths, so that a small frame cannot make
//! prost allocate a large structure), then every field. Byte fields are slices of the frame and keep all of it alive:
//! copy what is kept for long.
//!
//! `docs/protocol.md`, sections 7 and 8, specifies the meaning of every field.

mod edges;
mod envelope;
mod error;
mod field;
mod head;
mod invite;
pub mod limits;
mod proof;
mod request;
mod response;
mod shape;
#[cfg(test)]
mod tests;

pub use edges::{Contents, Digest, Edge, Node, Opened, Prefix};
pub use envelope::{Envelope, Gossip, VERSION};
pub use error::Error;
pub use head::{Fork, Head};
pub use invite::{Declined, InviteAnswer};
pub use proof::{Proof, Role, Terms};
pub use request::Request;
pub use response::{Ack, InertRecord, Refusal, Response};

/// The protobuf messages, generated from `wire/sync.proto`.
#[expect(missing_docs, reason = "generated; the proto file has the comments")]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/spool.sync.v1.rs"));
}

//! Requests and responses: one of each per stream of `/spool/sync/1.0.0`, each behind a uvarint length.
//!
//! [`Codec`] runs in the connections' tasks and bounds what is read; [`Pending`] runs in the swarm task and bounds what
//! is under way. A request that does not decode still becomes a message, because libp2p reports no failed read to
//! its user, and the sender has to be scored.

mod budget;
mod codec;
mod outbound;
mod pending;

use libp2p::StreamProtocol;

pub(crate) use codec::{Codec, Patience};
pub(crate) use pending::Pending;

/// Name of the protocol.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/spool/sync/1.0.0");

//! Types, cryptography, wire format and the pure sync engine of Spool.
//!
//! This crate does no input or output: no sockets, no files, no clock, no randomness of its own. Time, entropy and ids
//! are arguments, so that everything in here can be tested and simulated deterministically. `docs/protocol.md` in the
//! repository specifies the formats to the byte.

pub mod address;
pub mod block;
pub mod body;
pub mod cbor;
pub mod clock;
pub mod envelope;
pub mod event;
pub mod hpke;
pub mod id;
pub mod identity;
pub mod invitation;
pub mod key_set;
pub mod keys;
pub mod limits;
pub mod lipmaa;
pub mod owner;
pub mod record;
pub mod seal;
pub mod sync;
pub mod ticket;
pub mod vault;
pub mod wire;

pub use address::Address;
pub use cid::Cid;
pub use id::{DeviceId, KeyId, LogId, ThreadId, TopicId};
pub use identity::{Identity, IdentityKey};
pub use invitation::Invitation;
pub use keys::ThreadKeys;
pub use libp2p_identity::PeerId;
pub use multiaddr::{self, Multiaddr};
pub use ticket::Ticket;

//! Several real Spool nodes in one process, and what it takes to test them: nodes on loopback, peers that follow no rules, records that no honest
//! writer makes.
//!
//! [`TestNode`] is a whole node on a port of its own. [`Scripted`] speaks the protocol and says what a test tells it to; [`Raw`] writes bytes.
//! [`Writer`] makes records by hand, and [`forge`] breaks them. Nothing here sleeps to synchronize: wait with [`eventually`].

pub mod daemon;
pub mod disks;
pub mod forge;
mod kv;
mod node;
mod raw;
mod remote;
pub mod scripted;
mod wait;
mod writer;

pub use kv::copy_of;
pub use node::{Setup, TestNode, keys_of, without_addresses};
pub use raw::{Answer, Raw, framed};
pub use remote::Remote;
pub use scripted::Scripted;
pub use wait::{PATIENCE, eventually, within};
pub use writer::Writer;

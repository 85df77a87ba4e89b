//! How peers and their addresses are found: bootstrap peers, the local network, what peers say of themselves, and
//! announcements in a distributed hash table of our own.

mod addresses;
mod bootstrap;
mod dht;
mod keeper;

pub(crate) use addresses::{peer_of, usable};
pub(crate) use bootstrap::Bootstrap;
pub(crate) use dht::{Dht, KAD_PROTOCOL, Kad, kad};

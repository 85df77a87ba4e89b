//! The network of a Spool node: a libp2p swarm in one task, driven by [`Command`]s and observed through [`Event`]s.
//!
//! The crate knows nothing of threads: it carries requests, responses and gossip, finds peers, and keeps those away
//! that misbehave. [`Network::spawn`] starts the task. Two rules keep it from deadlock: whoever sends commands never
//! waits for the task ([`Handle::try_command`]), and the task may wait for the reader of events, during which it polls no
//! peer and still takes commands.

mod behaviour;
mod command;
mod config;
mod discovery;
mod error;
mod event;
mod exchange;
mod gossip;
mod handle;
pub mod limits;
mod network;
mod out;
mod peers;
mod score;
mod task;
mod traffic;
mod transport;

pub use command::{Command, GossipId, InboundId, RequestId, Verdict};
pub use config::{Config, ConnectionLimits, GossipLimits, KadMode};
pub use error::{DialError, Error, Failure, Full, Stopped};
pub use event::{Event, Via};
pub use exchange::PROTOCOL;
pub use handle::{GossipCounts, Handle, Status};
pub use libp2p::{Multiaddr, PeerId};
pub use network::Network;
pub use peers::PeerInfo;
pub use score::Blocked;

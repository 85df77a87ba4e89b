use std::io;

use libp2p::{Multiaddr, PeerId, TransportError, swarm};

/// Why the network could not be started. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; is the port taken, or the transport unknown?")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the transport says.
        #[source]
        source: TransportError<io::Error>,
    },
    /// A transport could not be set up.
    #[error("set up {what}")]
    Transport {
        /// Which.
        what: &'static str,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A setting that cannot be.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The command queue is full, or the network has stopped; in the latter case the event channel is closed as well.
#[derive(thiserror::Error)]
#[error("the network is busy")]
pub struct Full(
    /// The command that was not taken.
    pub Box<crate::Command>,
);

impl std::fmt::Debug for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Full")
    }
}

/// The network has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the network has stopped")]
pub struct Stopped;

/// Why a dial came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// None of the addresses led to the peer.
    #[error("dial {}", address.as_ref().map_or_else(|| "the peer".to_owned(), ToString::to_string))]
    Failed {
        /// The address, if one was given.
        address: Option<Multiaddr>,
        /// What the swarm says.
        #[source]
        source: Box<swarm::DialError>,
    },
    /// Too many callers wait for dials already.
    #[error("too many dials are under way")]
    Busy,
    /// The peer is this node.
    #[error("{0} is this node itself")]
    Itself(PeerId),
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Not connected, and no address led to the peer.
    #[error("no connection to the peer could be made")]
    Unreachable,
    /// No answer in time; whether the request arrived is not known.
    #[error("no answer in time")]
    Timeout,
    /// The answer has begun, and broke off; the peer was scored for it.
    #[error("the answer broke off in the middle")]
    Stalled,
    /// The connection closed first; whether the request arrived is not known.
    #[error("the connection closed before the answer came")]
    Closed,
    /// The peer runs other software.
    #[error("the peer does not speak {}", crate::exchange::PROTOCOL)]
    Unsupported,
    /// The request is too large: this node's own fault.
    #[error("the request cannot be sent")]
    Unsendable(#[source] spool_proto::wire::Error),
    /// The answer does not decode; the peer was scored for it.
    #[error("the answer does not decode")]
    Malformed(#[source] spool_proto::wire::Error),
    /// The answer is to another kind of request; the peer was scored for it.
    #[error("asked for {asked}, answered with {answered}")]
    Mismatch {
        /// Kind of the request.
        asked: &'static str,
        /// Kind of the response.
        answered: &'static str,
    },
    /// Too many requests, or bytes of answers, are under way here already; nothing was sent.
    #[error("too many requests are under way")]
    Busy,
    /// The stream broke.
    #[error("the stream broke")]
    Io(#[source] io::Error),
}

impl Failure {
    /// Whether the same request to the same peer may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout | Self::Stalled | Self::Closed | Self::Busy | Self::Io(_) => true,
            Self::Unsupported | Self::Unsendable(_) | Self::Malformed(_) | Self::Mismatch { .. } => false,
        }
    }
}

use std::fmt;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use spool_proto::{TopicId, wire};

use crate::{Failure, GossipId, InboundId, RequestId};

/// What happens on the network.
pub enum Event {
    /// The first connection with a peer.
    PeerConnected {
        /// The peer; the handshake has proven that it has this key.
        peer: PeerId,
        /// Where it is.
        address: Multiaddr,
    },
    /// The last connection with a peer has closed.
    PeerGone {
        /// The peer.
        peer: PeerId,
    },
    /// A peer asks. Answer with [`Command::Respond`](crate::Command::Respond), before
    /// [`Config::request_timeout`](crate::Config::request_timeout).
    Request {
        /// Who asks.
        peer: PeerId,
        /// Names the request in the answer.
        inbound: InboundId,
        /// What it asks; its byte fields keep the whole frame alive.
        request: wire::Request,
    },
    /// What came of a request of this node.
    Response {
        /// Who was asked.
        peer: PeerId,
        /// The request.
        id: RequestId,
        /// The answer, of the kind that was asked for or a refusal; or why there is none.
        result: Result<wire::Response, Failure>,
    },
    /// A message on a topic. Judge it, once, with [`Command::Judge`](crate::Command::Judge).
    Gossip {
        /// Names the message in the verdict.
        id: GossipId,
        /// The neighbour that it came from, which need not be its author.
        source: PeerId,
        /// The topic.
        topic: TopicId,
        /// The message, at most [`MAX_GOSSIP_BYTES`](crate::limits::MAX_GOSSIP_BYTES), as published.
        data: Bytes,
    },
    /// This node listens on one more address.
    Listening(Multiaddr),
    /// One more address was confirmed at which others reach this node.
    NewExternalAddress(Multiaddr),
    /// Peers that announced a key. They are being dialled.
    Providers {
        /// The key.
        key: [u8; 32],
        /// Those found now; not this node itself, and each peer once in a lookup.
        peers: Vec<PeerId>,
        /// Whether the lookup has ended.
        done: bool,
    },
    /// Addresses of a peer that speaks the protocol of this program. By mDNS: it is being dialled.
    Discovered {
        /// The peer.
        peer: PeerId,
        /// Where it says to be.
        addresses: Vec<Multiaddr>,
        /// How that is known.
        via: Via,
    },
    /// A peer misbehaved; it was scored already. For information.
    BadPeer {
        /// The peer.
        peer: PeerId,
        /// What it did.
        what: &'static str,
    },
}

/// How an address became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// It was announced on the local network.
    Mdns,
    /// The peer said so itself, on a connection.
    Identify,
}

// By hand: contents do not belong into logs.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerConnected { peer, address } => write!(f, "PeerConnected({peer}, {address})"),
            Self::PeerGone { peer } => write!(f, "PeerGone({peer})"),
            Self::Request { peer, inbound, request } => write!(f, "Request({peer}, {}, {})", inbound.0, request.kind()),
            Self::Response { peer, id, result } => {
                let result = result.as_ref().map(wire::Response::kind);
                write!(f, "Response({peer}, {}, {result:?})", id.0)
            }
            Self::Gossip { id, source, topic, data } => {
                write!(f, "Gossip({}, {source}, {}, {} bytes)", id.0, topic.short(), data.len())
            }
            Self::Listening(address) => write!(f, "Listening({address})"),
            Self::NewExternalAddress(address) => write!(f, "NewExternalAddress({address})"),
            Self::Providers { peers, done, .. } => write!(f, "Providers({peers:?}, done: {done})"),
            Self::Discovered { peer, addresses, via } => write!(f, "Discovered({peer}, {addresses:?}, {via:?})"),
            Self::BadPeer { peer, what } => write!(f, "BadPeer({peer}, {what:?})"),
        }
    }
}

use std::fmt;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use spool_proto::{TopicId, wire};

/// Names a request of this node; the caller chooses it, and gets it back with the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a request of a peer, until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundId(pub u64);

/// Names a gossip message, until it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub u64);

/// What becomes of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is valid: forward it.
    Accept,
    /// It is invalid: drop it and score whoever sent it.
    Reject,
    /// Drop it, nobody's fault: it is known already, or cannot be judged here.
    Ignore,
}

/// What the network is asked to do. None of these waits for an answer; what comes of them arrives as an
/// [`Event`](crate::Event).
pub enum Command {
    /// Sends a request, over a new connection if there is none. [`Event::Response`](crate::Event::Response) follows, exactly once.
    Send {
        /// To whom.
        peer: PeerId,
        /// Comes back with the response. Unique among requests under way.
        id: RequestId,
        /// The request.
        request: wire::Request,
    },
    /// Answers a peer's request. Too late, or twice, does nothing. A request that is never answered times out.
    Respond {
        /// The request.
        inbound: InboundId,
        /// The answer.
        response: wire::Response,
    },
    /// Publishes on a topic. Best effort: that nobody listens, or that it was published before, is not an error.
    Publish {
        /// The topic.
        topic: TopicId,
        /// What to publish, at most [`MAX_GOSSIP_BYTES`](crate::limits::MAX_GOSSIP_BYTES).
        data: Bytes,
    },
    /// Joins a topic. Beyond [`MAX_TOPICS`](crate::limits::MAX_TOPICS) it does nothing: leave another first.
    Subscribe(TopicId),
    /// Leaves a topic.
    Unsubscribe(TopicId),
    /// Judges a gossip message, once. Without a verdict it is dropped after
    /// [`JUDGE_TIMEOUT`](crate::limits::JUDGE_TIMEOUT).
    Judge {
        /// The message.
        gossip: GossipId,
        /// What becomes of it.
        verdict: Verdict,
    },
    /// Counts misbehaviour. At [`BAN_POINTS`](crate::limits::BAN_POINTS) the peer is disconnected and blocked for a while.
    Penalize {
        /// The peer.
        peer: PeerId,
        /// How bad it was: 100 is a ban at once, 10 is forgiven if rare. They halve every
        /// [`POINTS_HALF_LIFE`](crate::limits::POINTS_HALF_LIFE), so four times 25 are just not enough.
        points: u32,
        /// What it did, for the log.
        reason: &'static str,
    },
    /// Connects, if not connected yet. All addresses are tried at once.
    Dial {
        /// Whom to expect. `None`: each address leads to a peer of its own.
        peer: Option<PeerId>,
        /// Where; for a known peer, beside the addresses that are known already.
        addresses: Vec<Multiaddr>,
    },
    /// Closes all connections with a peer.
    Disconnect(PeerId),
    /// Remembers an address of a peer, for requests to it.
    AddAddress {
        /// The peer.
        peer: PeerId,
        /// The address.
        address: Multiaddr,
    },
    /// Announces in the distributed hash table that this node has something, until told to stop.
    Provide {
        /// Under which key.
        key: [u8; 32],
    },
    /// Stops announcing. Earlier announcements fade within [`PROVIDER_TTL`](crate::limits::PROVIDER_TTL).
    StopProviding {
        /// Under which key.
        key: [u8; 32],
    },
    /// Looks for those who announced a key, and dials them. [`Event::Providers`](crate::Event::Providers) follows, once or more.
    FindProviders {
        /// Which key.
        key: [u8; 32],
    },
}

// By hand: contents do not belong into logs.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { peer, id, request } => write!(f, "Send({peer}, {}, {})", id.0, request.kind()),
            Self::Respond { inbound, response } => write!(f, "Respond({}, {})", inbound.0, response.kind()),
            Self::Publish { topic, data } => write!(f, "Publish({}, {} bytes)", topic.short(), data.len()),
            Self::Subscribe(topic) => write!(f, "Subscribe({})", topic.short()),
            Self::Unsubscribe(topic) => write!(f, "Unsubscribe({})", topic.short()),
            Self::Judge { gossip, verdict } => write!(f, "Judge({}, {verdict:?})", gossip.0),
            Self::Penalize { peer, points, reason } => write!(f, "Penalize({peer}, {points}, {reason:?})"),
            Self::Dial { peer, addresses } => write!(f, "Dial({peer:?}, {addresses:?})"),
            Self::Disconnect(peer) => write!(f, "Disconnect({peer})"),
            Self::AddAddress { peer, address } => write!(f, "AddAddress({peer}, {address})"),
            Self::Provide { .. } => f.write_str("Provide"),
            Self::StopProviding { .. } => f.write_str("StopProviding"),
            Self::FindProviders { .. } => f.write_str("FindProviders"),
        }
    }
}

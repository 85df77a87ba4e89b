use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use crate::{Blocked, Command, DialError, Full, PeerInfo, Stopped};

/// Talks to the swarm task. Cheap to clone; the task ends when all handles, or the receiver of events, are dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: mpsc::Sender<Message>,
    local: PeerId,
}

/// What the task receives.
#[expect(clippy::large_enum_variant, reason = "nearly all are commands")]
pub(crate) enum Message {
    Command(Command),
    Dial { address: Multiaddr, reply: oneshot::Sender<Result<PeerId, DialError>> },
    Status(oneshot::Sender<Status>),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(command) => command.fmt(f),
            Self::Dial { address, .. } => write!(f, "Dial({address})"),
            Self::Status(_) => f.write_str("Status"),
        }
    }
}

/// How the network does.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Addresses that this node listens on.
    pub listening: Vec<Multiaddr>,
    /// Addresses at which others reach it, as far as that is confirmed.
    pub external: Vec<Multiaddr>,
    /// Connected peers, sorted by id.
    pub peers: Vec<PeerInfo>,
    /// Gossip topics joined.
    pub topics: usize,
    /// Keys announced in the hash table, count.
    pub provided: usize,
    /// Announcements that still wait, count.
    pub announcements_waiting: usize,
    /// Peers that are blocked.
    pub blocked: Vec<Blocked>,
    /// Peers that were blocked since the start, count.
    pub bans: u64,
    /// What peers did wrong since the start, count by kind; without what was reported by [`Command::Penalize`].
    pub offences: BTreeMap<&'static str, u64>,
    /// Gossip messages since the start.
    pub gossip: GossipCounts,
    /// Received on all connections since the start, bytes.
    pub bytes_received: u64,
    /// Sent on all connections since the start, bytes.
    pub bytes_sent: u64,
}

/// Gossip messages of all topics, counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GossipCounts {
    /// Handed on to others.
    pub accepted: u64,
    /// Invalid, and held against who sent them.
    pub rejected: u64,
    /// Neither.
    pub ignored: u64,
    /// Not judged: a flood, a topic that is not joined, too many waiting, or no verdict in time.
    pub dropped: u64,
    /// Published by this node.
    pub published: u64,
    /// Waiting for their verdict now.
    pub waiting: u64,
    /// Bytes of the messages that arrived.
    pub bytes_received: u64,
}

impl Handle {
    pub(crate) fn new(messages: mpsc::Sender<Message>, local: PeerId) -> Self {
        Self { messages, local }
    }

    /// This node's id.
    pub fn local_peer(&self) -> PeerId {
        self.local
    }

    /// Commands that wait for the network, count.
    pub fn waiting(&self) -> usize {
        self.messages.max_capacity() - self.messages.capacity()
    }

    /// Asks for something without waiting: for those who must not be blocked by the network.
    ///
    /// # Errors
    ///
    /// [`Full`] with the command, if too many are waiting.
    pub fn try_command(&self, command: Command) -> Result<(), Full> {
        self.messages.try_send(Message::Command(command)).map_err(|error| match error.into_inner() {
            Message::Command(command) => Full(Box::new(command)),
            Message::Dial { .. } | Message::Status(_) => unreachable!("a command was sent"),
        })
    }

    /// Asks for something, and waits while too many commands are waiting.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.messages.send(Message::Command(command)).await.map_err(|_| Stopped)
    }

    /// Connects with whoever is at an address, and tells who it is. At once, if the address names a connected peer.
    ///
    /// # Errors
    ///
    /// [`DialError`], after [`DIAL_TIMEOUT`](crate::limits::DIAL_TIMEOUT) at the latest.
    pub async fn dial(&self, address: Multiaddr) -> Result<PeerId, DialError> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Dial { address, reply }).await.map_err(|_| DialError::Stopped)?;
        answer.await.map_err(|_| DialError::Stopped)?
    }

    /// How the network does.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn status(&self) -> Result<Status, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Status(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The connected peers, sorted by id.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        Ok(self.status().await?.peers)
    }

    /// The addresses that this node listens on.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn listen_addresses(&self) -> Result<Vec<Multiaddr>, Stopped> {
        Ok(self.status().await?.listening)
    }
}

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use spool_net::{Command, Config, Event, Handle, KadMode, Multiaddr, Network, PeerId, Verdict};
use spool_proto::TopicId;
use tokio::sync::mpsc::Receiver;

/// Far longer than anything here takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A node that talks to nobody unasked.
pub(super) fn quiet() -> Config {
    Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        mdns: false,
        kad: KadMode::Server,
        autonat: false,
        hole_punching: false,
        reserve: false,
        ..Config::default()
    }
}

pub(super) struct Node {
    pub(super) handle: Handle,
    pub(super) events: Receiver<Event>,
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
}

impl Node {
    pub(super) async fn start(config: Config) -> Self {
        let (handle, events) = Network::spawn(config).unwrap();
        let mut node = Self { peer: handle.local_peer(), handle, events, address: Multiaddr::empty() };
        node.address = node
            .wait("listening", |event| match event {
                Event::Listening(address) => Some(address),
                _ => None,
            })
            .await;
        node
    }

    pub(super) async fn quiet() -> Self {
        Self::start(quiet()).await
    }

    /// The address with the peer id at its end.
    pub(super) fn full_address(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(self.peer))
    }

    pub(super) fn command(&self, command: Command) {
        self.handle.try_command(command).unwrap();
    }

    /// Waits for an event that `pick` takes; others are dropped.
    pub(super) async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
    }

    pub(super) async fn wait_connected(&mut self, other: PeerId) {
        let connected = |event| matches!(event, Event::PeerConnected { peer, .. } if peer == other).then_some(());
        self.wait("connected", connected).await;
    }

    pub(super) async fn wait_gone(&mut self, other: PeerId) {
        let gone = |event| matches!(event, Event::PeerGone { peer } if peer == other).then_some(());
        self.wait("gone", gone).await;
    }

    /// Waits until this node counts points for a peer, and tells how many.
    pub(super) async fn wait_points(&self, other: PeerId, least: f64) -> f64 {
        let search = async {
            let mut look = tokio::time::interval(Duration::from_millis(50));
            loop {
                look.tick().await;
                let peers = self.handle.peers().await.unwrap();
                let points = peers.iter().find(|info| info.peer == other).map_or(0.0, |info| info.points);
                if points >= least {
                    return points;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("the peer is scored")
    }
}

pub(super) async fn connect(a: &mut Node, b: &mut Node) {
    assert_eq!(a.handle.dial(b.full_address()).await.unwrap(), b.peer);
    a.wait_connected(b.peer).await;
    b.wait_connected(a.peer).await;
}

pub(super) fn topic(number: u64) -> TopicId {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    TopicId::new(bytes)
}

/// Publishes at `from`, again and again with other words, until `to` hears it; accepts it there.
pub(super) async fn heard(from: &Node, to: &mut Node, on: TopicId) {
    let mut again = tokio::time::interval(Duration::from_millis(100));
    let mut round = 0u32;
    let attempt = async {
        loop {
            tokio::select! {
                _ = again.tick() => {
                    round += 1;
                    let data = format!("hello {round} from {}", from.peer).into();
                    from.command(Command::Publish { topic: on, data });
                }
                event = to.events.recv() => {
                    let event = event.expect("the network runs");
                    if let Event::Gossip { id, topic, .. } = event {
                        to.command(Command::Judge { gossip: id, verdict: Verdict::Accept });
                        if topic == on {
                            return;
                        }
                    }
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, attempt).await.expect("gossip arrives");
}

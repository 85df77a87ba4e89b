use libp2p::{
    PeerId,
    allow_block_list::{self, BlockedPeers},
    autonat, connection_limits, dcutr, gossipsub, identify,
    identity::Keypair,
    mdns, ping, relay, request_response,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::{
    Config, Error, KadMode, discovery, exchange, gossip,
    limits::{MAX_STREAMS_PER_CONNECTION, RELAY_CIRCUIT_BYTES, RELAY_CIRCUIT_TIME},
};

/// Version of the whole, as told to other nodes.
const PROTOCOL_VERSION: &str = "/spool/1.0.0";

/// All protocols of a node. Those that refuse connections come first: the others then prepare nothing for a connection
/// that is refused, and lose nothing with it.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) exchange: request_response::Behaviour<exchange::Codec>,
    pub(crate) gossip: gossipsub::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: Toggle<discovery::Kad>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) relay_client: relay::client::Behaviour,
    pub(crate) relay_server: Toggle<relay::Behaviour>,
    pub(crate) hole_punching: Toggle<dcutr::Behaviour>,
    pub(crate) autonat_client: Toggle<autonat::v2::client::Behaviour>,
    pub(crate) autonat_server: Toggle<autonat::v2::server::Behaviour>,
}

impl Behaviour {
    pub(crate) fn new(
        config: &Config,
        keypair: &Keypair,
        relay_client: relay::client::Behaviour,
        codec: exchange::Codec,
    ) -> Result<Self, Error> {
        let peer = keypair.public().to_peer_id();
        Ok(Self {
            limits: connection_limits::Behaviour::new(connection_limits(config)),
            blocked: allow_block_list::Behaviour::default(),
            exchange: request_response::Behaviour::with_codec(
                codec,
                [(exchange::PROTOCOL, request_response::ProtocolSupport::Full)],
                request_response::Config::default()
                    .with_request_timeout(config.request_timeout)
                    .with_max_concurrent_streams(MAX_STREAMS_PER_CONNECTION),
            ),
            gossip: gossip::behaviour(keypair, config.connections)?,
            identify: identify::Behaviour::new(
                identify::Config::new(PROTOCOL_VERSION.to_owned(), keypair.public())
                    .with_agent_version(concat!("spool/", env!("CARGO_PKG_VERSION")).to_owned())
                    // It would dial all that a peer says of itself, 127.0.0.1 as well. What is of use is given to the swarm.
                    .with_cache_size(0)
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::default(),
            kad: (config.kad != KadMode::Off).then(|| discovery::kad(peer, config.kad)).into(),
            mdns: mdns(config, peer).into(),
            relay_client,
            relay_server: config.relay_server.then(|| relay::Behaviour::new(peer, relay_config())).into(),
            hole_punching: config.hole_punching.then(|| dcutr::Behaviour::new(peer)).into(),
            autonat_client: config.autonat.then(autonat::v2::client::Behaviour::default).into(),
            autonat_server: config.autonat.then(autonat::v2::server::Behaviour::default).into(),
        })
    }
}

fn connection_limits(config: &Config) -> connection_limits::ConnectionLimits {
    let limits = config.connections;
    connection_limits::ConnectionLimits::default()
        .with_max_established_per_peer(Some(limits.per_peer))
        .with_max_established_incoming(Some(limits.incoming))
        .with_max_established_outgoing(Some(limits.outgoing))
        .with_max_pending_incoming(Some(limits.pending_incoming))
        .with_max_pending_outgoing(Some(limits.pending_outgoing))
}

/// A host without multicast is no reason not to start.
fn mdns(config: &Config, peer: PeerId) -> Option<mdns::tokio::Behaviour> {
    if !config.mdns {
        return None;
    }
    match mdns::tokio::Behaviour::new(mdns::Config::default(), peer) {
        Ok(mdns) => Some(mdns),
        Err(error) => {
            tracing::warn!(%error, "the local network is not searched for peers");
            None
        }
    }
}

fn relay_config() -> relay::Config {
    relay::Config {
        max_circuit_bytes: RELAY_CIRCUIT_BYTES,
        max_circuit_duration: RELAY_CIRCUIT_TIME,
        ..relay::Config::default()
    }
}

//! What connections run over: TCP and QUIC, each counted.

use std::future::ready;

use libp2p::{
    PeerId, Transport,
    core::{connection::ConnectedPoint, muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use crate::{discovery::peer_of, limits::MAX_YAMUX_STREAMS, traffic::Traffic};

/// Both transports. TCP is counted below its encryption, QUIC, which has both in one, by what its streams carry. What is relayed
/// for this node travels in streams of the connection with the relay, and is counted there.
///
/// Where somebody else than the peer answers, that address has failed, and only that: the swarm would take whoever answers first for the outcome of
/// a dial to many addresses. Addresses of private networks and of loopback mean another machine on each, often this node itself.
pub(crate) fn transport(keypair: &Keypair, traffic: &Traffic) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let (of_tcp, of_quic) = (traffic.clone(), traffic.clone());
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(move |stream, _| of_tcp.count(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(move |(peer, connection), _| (peer, StreamMuxerBox::new(of_quic.count(connection))));
    let either = tcp.or_transport(quic).map(|either, _| either.into_inner());
    Ok(either.and_then(|(peer, muxer), point| ready(dialled(peer, &point).map(|()| (peer, muxer)))).boxed())
}

/// Whether who answers is who was meant.
fn dialled(answers: PeerId, point: &ConnectedPoint) -> Result<(), SomebodyElse> {
    let meant = match point {
        ConnectedPoint::Dialer { address, .. } => peer_of(address),
        ConnectedPoint::Listener { .. } => None,
    };
    match meant {
        Some(meant) if meant != answers => Err(SomebodyElse { answers }),
        _ => Ok(()),
    }
}

/// An address leads to another peer.
#[derive(Debug, thiserror::Error)]
#[error("{answers} answers there, not the peer that was dialled")]
struct SomebodyElse {
    answers: PeerId,
}

/// How streams share one connection.
pub(crate) fn yamux() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_YAMUX_STREAMS);
    config
}

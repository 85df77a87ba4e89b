//! What connections run over: TCP and QUIC, each counted.

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use crate::{limits::MAX_YAMUX_STREAMS, traffic::Traffic};

/// Both transports. TCP is counted below its encryption, QUIC, which has both in one, by what its streams carry. What is relayed
/// for this node travels in streams of the connection with the relay, and is counted there.
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
    Ok(tcp.or_transport(quic).map(|either, _| either.into_inner()).boxed())
}

/// How streams share one connection.
pub(crate) fn yamux() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_YAMUX_STREAMS);
    config
}

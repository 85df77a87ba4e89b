//! A peer that speaks the exchange protocol's name, and writes whatever bytes it is told to.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise,
    request_response::{self, Message, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use tokio::sync::mpsc;

use super::support::PATIENCE;

/// What to write.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    All(Vec<u8>),
    /// These, and then nothing, with the stream left open.
    Then(Vec<u8>),
}

#[derive(Clone, Default)]
struct Codec;

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    io.take(8 << 20).read_to_end(&mut bytes).await?;
    Ok(Bytes::All(bytes))
}

async fn write(io: &mut (impl AsyncWrite + Unpin + Send), bytes: Bytes) -> io::Result<()> {
    match bytes {
        Bytes::All(bytes) => io.write_all(&bytes).await?,
        Bytes::Then(bytes) => {
            io.write_all(&bytes).await?;
            io.flush().await?;
            future::pending::<()>().await;
        }
    }
    io.flush().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T: AsyncRead + Unpin + Send>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Bytes> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Bytes,
    ) -> io::Result<()> {
        write(io, request).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Bytes,
    ) -> io::Result<()> {
        write(io, response).await
    }
}

/// The peer. It answers every request with the same bytes.
pub(super) struct Raw {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    requests: mpsc::Sender<(PeerId, Multiaddr, Bytes)>,
    answers: mpsc::Receiver<Option<Vec<u8>>>,
}

impl Raw {
    pub(super) async fn start(reply: Bytes) -> Self {
        let config = request_response::Config::default().with_request_timeout(PATIENCE);
        let behaviour =
            request_response::Behaviour::with_codec(Codec, [(spool_net::PROTOCOL, ProtocolSupport::Full)], config);
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| behaviour)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let peer = *swarm.local_peer_id();
        let (requests, mut to_send) = mpsc::channel::<(PeerId, Multiaddr, Bytes)>(64);
        let (to_report, answers) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    request = to_send.recv() => {
                        let Some((peer, address, bytes)) = request else { return };
                        swarm.behaviour_mut().send_request_with_addresses(&peer, bytes, vec![address]);
                    }
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::Behaviour(request_response::Event::Message { message, .. }) => match message {
                            Message::Request { channel, .. } => {
                                let _ = swarm.behaviour_mut().send_response(channel, reply.clone());
                            }
                            Message::Response { response: Bytes::All(bytes) | Bytes::Then(bytes), .. } => {
                                let _ = to_report.send(Some(bytes)).await;
                            }
                        },
                        SwarmEvent::Behaviour(request_response::Event::OutboundFailure { .. }) => {
                            let _ = to_report.send(None).await;
                        }
                        _ => {}
                    }
                }
            }
        });
        Self { peer, address, requests, answers }
    }

    pub(super) async fn send(&self, to: &super::support::Node, bytes: Bytes) {
        self.requests.send((to.peer, to.address.clone(), bytes)).await.unwrap();
    }

    /// The next answer's bytes with the length before them; `None` if a request failed.
    pub(super) async fn answer(&mut self) -> Option<Vec<u8>> {
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        answer.expect("waited in vain for an answer").expect("the raw peer runs")
    }
}

/// `frame` with its length before it.
pub(super) fn framed(frame: &[u8]) -> Vec<u8> {
    assert!(frame.len() < 1 << 14);
    let length = [(frame.len() & 0x7f) as u8 | 0x80, (frame.len() >> 7) as u8];
    if frame.len() < 0x80 { [&[frame.len() as u8], frame].concat() } else { [&length, frame].concat() }
}

//! A peer that speaks the exchange protocol's name, and writes whatever bytes it is told to.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, SwarmBuilder,
    identity::Keypair,
    noise,
    request_response::{self, Message, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use spool_proto::wire::Request;
use tokio::{sync::mpsc, task::AbortHandle};

use crate::{PATIENCE, Setup, TestNode, within};

/// Requests that wait to be sent, and answers that wait to be looked at.
const QUEUE: usize = 64;
/// Bytes that are read of anything.
const MAX_READ_BYTES: u64 = 8 << 20;

/// What to write.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes, and the end of the stream.
    All(Vec<u8>),
    /// These, and then nothing, with the stream left open.
    Then(Vec<u8>),
}

#[derive(Clone, Default)]
struct Codec;

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    io.take(MAX_READ_BYTES).read_to_end(&mut bytes).await?;
    Ok(Answer::All(bytes))
}

async fn write(io: &mut (impl AsyncWrite + Unpin + Send), bytes: Answer) -> io::Result<()> {
    match bytes {
        Answer::All(bytes) => io.write_all(&bytes).await?,
        Answer::Then(bytes) => {
            io.write_all(&bytes).await?;
            io.flush().await?;
            future::pending::<()>().await;
        }
    }
    io.flush().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Answer;
    type Response = Answer;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Answer> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Answer> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Answer,
    ) -> io::Result<()> {
        write(io, request).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Answer,
    ) -> io::Result<()> {
        write(io, response).await
    }
}

/// The peer. It answers requests as its script says.
pub struct Raw {
    /// Its peer id.
    pub peer: PeerId,
    requests: mpsc::Sender<(PeerId, Multiaddr, Answer)>,
    answers: mpsc::Receiver<Option<Vec<u8>>>,
    task: AbortHandle,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Raw {
    /// Starts a peer that nobody can dial.
    ///
    /// # Panics
    ///
    /// If the swarm cannot be built.
    pub fn start(seed: u64, mut script: impl FnMut(&PeerId, &PeerId, Request) -> Answer + Send + 'static) -> Self {
        let config = request_response::Config::default().with_request_timeout(PATIENCE);
        let behaviour =
            request_response::Behaviour::with_codec(Codec, [(spool_net::PROTOCOL, ProtocolSupport::Full)], config);
        let keypair = Keypair::ed25519_from_bytes(Setup::new(seed).node).expect("32 bytes by type");
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("the transport is set up")
            .with_behaviour(|_| behaviour)
            .expect("the behaviour is given")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let me = *swarm.local_peer_id();
        let (requests, mut to_send) = mpsc::channel::<(PeerId, Multiaddr, Answer)>(QUEUE);
        let (to_report, answers) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    request = to_send.recv() => {
                        let Some((peer, address, bytes)) = request else { return };
                        swarm.behaviour_mut().send_request_with_addresses(&peer, bytes, vec![address]);
                    }
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::Behaviour(request_response::Event::Message { peer, message, .. }) => match message {
                            Message::Request { channel, request: Answer::All(bytes) | Answer::Then(bytes), .. } => {
                                let request = Request::decode(unframed(&bytes).to_vec().into()).expect("a node's request");
                                let reply = script(&me, &peer, request);
                                // The node may have gone.
                                let _ = swarm.behaviour_mut().send_response(channel, reply);
                            }
                            Message::Response { response: Answer::All(bytes) | Answer::Then(bytes), .. } => {
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
        Self { peer: me, requests, answers, task: task.abort_handle() }
    }

    /// Writes bytes where a request belongs, over a new connection if there is none.
    ///
    /// # Panics
    ///
    /// If the peer has stopped.
    pub async fn send(&self, to: &TestNode, bytes: Answer) {
        self.requests.send((to.peer(), to.address.clone(), bytes)).await.expect("the raw peer runs");
    }

    /// The next answer's bytes, without the length before them; `None` if a request failed.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub async fn answer(&mut self) -> Option<Vec<u8>> {
        let answer = within("an answer comes", self.answers.recv()).await.expect("the raw peer runs");
        answer.map(|bytes| unframed(&bytes).to_vec())
    }
}

/// `frame` with its length before it.
pub fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame.len() + 5);
    let mut rest = frame.len();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(frame);
    bytes
}

fn unframed(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    bytes.get(length..).unwrap_or_default()
}

//! A peer that speaks the protocol and does what a test says: it proves what it is told to, and answers politely or by script.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use spool_net::{self as net, Command, Event, Failure, RequestId};
use spool_proto::{
    PeerId, ThreadId, ThreadKeys, TopicId,
    envelope::{Run, peer_id},
    keys::{AccessKey, Direction},
    seal::{self, Layer, Place},
    wire::{
        Ack, Contents, Declined, Edge, Envelope, Gossip, InviteAnswer, Opened, Prefix, Proof, Request, Response, Role,
        Terms,
    },
};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{Remote, Setup, TestNode, within};

/// What a script answers; `None` leaves it to the polite answer, which says that there is nothing.
pub type Script = Box<dyn FnMut(&PeerId, &Request) -> Option<Response> + Send>;

/// The peer. Its network runs until it is dropped.
pub struct Scripted {
    /// Its peer id.
    pub peer: PeerId,
    /// Its node key.
    pub key: SigningKey,
    network: net::Handle,
    state: Arc<Mutex<State>>,
    pump: AbortHandle,
}

struct State {
    key: PeerId,
    access: Vec<AccessKey>,
    script: Script,
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Result<Response, Failure>>>,
    requests: Vec<Request>,
    gone: BTreeSet<PeerId>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Scripted {
    /// Starts a peer that knows the access keys of these threads, and that nobody can dial.
    ///
    /// # Panics
    ///
    /// If the network does not start.
    pub fn start(seed: u64, threads: &[&ThreadKeys]) -> Self {
        let setup = Setup::new(seed);
        let key = SigningKey::from_bytes(&setup.node);
        let peer = peer_id(&key);
        let (network, mut events) = net::Network::spawn(setup.network).expect("the network starts");
        let state = State {
            key: peer,
            access: threads.iter().map(|keys| keys.access().clone()).collect(),
            script: Box::new(|_, _| None),
            next: 0,
            waiting: HashMap::new(),
            requests: Vec::new(),
            gone: BTreeSet::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let (handle, shared) = (network.clone(), state.clone());
        let pump = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let answer = lock(&shared).on_event(event);
                if let Some(command) = answer
                    && handle.command(command).await.is_err()
                {
                    return;
                }
            }
        });
        Self { peer, key, network, state, pump: pump.abort_handle() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// From now on answers what the script says.
    pub fn answer(&self, script: impl FnMut(&PeerId, &Request) -> Option<Response> + Send + 'static) {
        self.state().script = Box::new(script);
    }

    /// Requests that have come so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Whether a peer has closed all connections with this one.
    pub fn was_dropped_by(&self, peer: &PeerId) -> bool {
        self.state().gone.contains(peer)
    }

    /// Whether `node` has scored this peer, or has banned it.
    pub async fn is_scored_by(&self, node: &TestNode) -> bool {
        match node.score(&self.peer).await {
            Some(score) => score < 0.0,
            None => self.was_dropped_by(&node.peer()),
        }
    }

    /// Connects.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub async fn connect(&self, node: &impl Remote) {
        let peer = self.network.dial(node.place()).await.expect("loopback connects");
        assert_eq!(peer, node.id());
    }

    /// Connects and proves access to the first of its threads.
    ///
    /// # Panics
    ///
    /// If the node does not believe it.
    pub async fn connect_and_prove(&self, node: &impl Remote) {
        self.connect(node).await;
        assert!(self.prove(node).await, "the node believes the proof");
    }

    /// Proves access to the first of its threads, and tells whether the node believes it.
    ///
    /// # Panics
    ///
    /// If it has no thread.
    pub async fn prove(&self, node: &impl Remote) -> bool {
        let access = self.state().access.first().cloned().expect("one thread at least");
        let mac = access.proof(&self.peer, &node.id(), Direction::Request);
        let proof = Proof { topic: access.topic(), mac, role: Role::Writer, terms: Terms::default() };
        let answer = self.ask(node, Request::Proofs(vec![proof])).await;
        matches!(answer, Ok(Response::Proofs(proofs)) if proofs.len() == 1)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn ask(&self, node: &impl Remote, request: Request) -> Result<Response, Failure> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = self.state();
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, sender);
            RequestId(id)
        };
        let command = Command::Send { peer: node.id(), id, request };
        self.network.command(command).await.expect("the network runs");
        within("an answer comes", answer).await.expect("each request is answered once")
    }

    /// Signs a run and pushes it.
    pub async fn push(&self, node: &impl Remote, envelope: Envelope) -> Result<Response, Failure> {
        self.ask(node, Request::Push(vec![envelope])).await
    }

    /// A run of records, signed by this peer.
    pub fn sign(&self, run: Run, topic: TopicId) -> Envelope {
        run.sign(topic, &self.key)
    }

    /// Joins a topic.
    ///
    /// # Panics
    ///
    /// If the network has stopped.
    pub async fn subscribe(&self, topic: TopicId) {
        self.network.command(Command::Subscribe(topic)).await.expect("the network runs");
    }

    /// Publishes bytes as they are.
    ///
    /// # Panics
    ///
    /// If the network has stopped.
    pub async fn publish(&self, topic: TopicId, data: Bytes) {
        self.network.command(Command::Publish { topic, data }).await.expect("the network runs");
    }

    /// Closes all connections with a node.
    ///
    /// # Panics
    ///
    /// If the network has stopped.
    pub async fn disconnect(&self, node: &impl Remote) {
        self.network.command(Command::Disconnect(node.id())).await.expect("the network runs");
    }

    /// Tries to connect, and tells whether that succeeded.
    pub async fn can_connect(&self, node: &impl Remote) -> bool {
        self.network.dial(node.place()).await.is_ok()
    }
}

/// A gossip message, sealed as members seal it.
///
/// # Panics
///
/// If it is too large.
pub fn sealed_gossip(message: Gossip, keys: &ThreadKeys, thread: &ThreadId) -> Bytes {
    let plain = message.encode().expect("within the limit");
    let place = Place { layer: Layer::Gossip, thread: thread.as_bytes(), log: &[] };
    seal::seal(keys.access().gossip(), place, &plain).into()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn on_event(&mut self, event: Event) -> Option<Command> {
        match event {
            Event::Request { peer, inbound, request } => {
                self.requests.push(request.clone());
                let scripted = (self.script)(&peer, &request);
                let response = scripted.unwrap_or_else(|| self.polite(&peer, &request));
                Some(Command::Respond { inbound, response })
            }
            Event::Response { id, result, .. } => {
                if let Some(waiting) = self.waiting.remove(&id.0) {
                    // The test may have given up.
                    let _ = waiting.send(result);
                }
                None
            }
            Event::PeerConnected { peer, .. } => {
                self.gone.remove(&peer);
                None
            }
            Event::PeerGone { peer } => {
                self.gone.insert(peer);
                None
            }
            Event::Gossip { id, .. } => Some(Command::Judge { gossip: id, verdict: net::Verdict::Ignore }),
            Event::Listening(_)
            | Event::NewExternalAddress(_)
            | Event::Providers { .. }
            | Event::Discovered { .. }
            | Event::BadPeer { .. } => None,
        }
    }

    /// Edges that nobody has, so that this peer's heads are asked for.
    fn other_edges(&self, prefix: &Prefix) -> Contents {
        let topics = self.access.iter().map(AccessKey::topic).filter(|topic| prefix.contains(topic));
        Contents::Edges(topics.map(|topic| Edge { topic, edge: [0xed; 16] }).collect())
    }

    /// Proves what it can; of everything else it has nothing, and takes all that is pushed.
    fn polite(&self, peer: &PeerId, request: &Request) -> Response {
        match request {
            Request::Proofs(proofs) => Response::Proofs(
                proofs
                    .iter()
                    .filter_map(|proof| self.access.iter().find(|access| access.topic() == proof.topic))
                    .map(|access| Proof {
                        topic: access.topic(),
                        mac: access.proof(peer, &self.key, Direction::Response),
                        role: Role::Writer,
                        terms: Terms::default(),
                    })
                    .collect(),
            ),
            Request::Edges(nodes) => Response::Edges(
                nodes
                    .iter()
                    .map(|node| Opened { prefix: node.prefix.clone(), contents: self.other_edges(&node.prefix) })
                    .collect(),
            ),
            Request::Heads { .. } => Response::Heads { heads: Vec::new(), more: false },
            Request::Records { .. } => Response::Records { envelope: None, more: false },
            Request::Inert { .. } => Response::Inert { records: Vec::new(), more: false },
            Request::Push(envelopes) => Response::Push(
                envelopes
                    .iter()
                    .map(|envelope| Ack {
                        topic: envelope.topic,
                        log: envelope.log,
                        counter: envelope.last_counter(),
                        busy: false,
                    })
                    .collect(),
            ),
            Request::Blocks { .. } => Response::Blocks { blocks: Vec::new(), more: false },
            Request::Invite { .. } => Response::Invite(InviteAnswer::Declined(Declined::NotOffered)),
        }
    }
}

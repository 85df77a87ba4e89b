//! The task that owns the engine: takes one turn after the other, and has everything carried out by the executor.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use spool_net as net;
use spool_proto::sync::{AppendError, BatchId, Effect, Engine, Failure, GossipId, InboundId, Input, Now, RequestId};
use spool_store::commit::Event as CommitEvent;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    call::{Answer, Call, Done},
    executor::Executor,
    feed::Feed,
    limits::CALLS_PER_TURN,
};

/// The engine and all that it hears.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) executor: Executor,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) events: mpsc::Receiver<net::Event>,
    pub(super) done: mpsc::Receiver<Done>,
    pub(super) feed: Feed,
    pub(super) start: Instant,
    pub(super) waiting: Waiting,
    pub(super) stop: Option<oneshot::Sender<()>>,
}

/// Callers that wait for an answer, by request.
#[derive(Default)]
pub(super) struct Waiting {
    next: u64,
    answers: HashMap<RequestId, (oneshot::Sender<Answer>, Option<OwnedSemaphorePermit>)>,
}

impl Waiting {
    fn add(&mut self, answer: oneshot::Sender<Answer>, permit: Option<OwnedSemaphorePermit>) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.answers.insert(request, (answer, permit));
        request
    }

    pub(super) fn reply(&mut self, request: RequestId, result: Answer) {
        if let Some((answer, _permit)) = self.answers.remove(&request) {
            // A caller that went away needs no answer.
            let _ = answer.send(result);
        }
    }

    /// Answers everybody: the node ends.
    pub(super) fn end(&mut self) {
        for (_, (answer, _)) in self.answers.drain() {
            let _ = answer.send(Err(AppendError::Store("the node is stopping".to_owned())));
        }
    }
}

impl Runtime {
    /// Runs until stopped, or until the store or the network has ended. Returns who waits for the end.
    pub(super) async fn run(mut self) -> Option<oneshot::Sender<()>> {
        let stop = self.turns().await;
        self.waiting.end();
        stop
    }

    async fn turns(&mut self) -> Option<oneshot::Sender<()>> {
        let mut effects = Vec::new();
        loop {
            self.carry_out(&mut effects);
            if let Some(ended) = self.stop.take() {
                return Some(ended);
            }
            let open = !self.executor.outbox.is_full();
            let deadline = self.engine.next_deadline().map(|at| tokio::time::Instant::from_std(self.start + at));
            // The store first, so that nobody waits for what is on disk already; then own results; peers last.
            tokio::select! {
                biased;
                () = self.feed.arrived() => self.on_commits(&mut effects),
                Some(done) = self.done.recv() => self.on_done(done, &mut effects),
                call = self.calls.recv(), if open => match call {
                    None => return None,
                    Some(call) => self.on_calls(call, &mut effects),
                },
                event = self.events.recv(), if open => match event {
                    None => return None,
                    Some(event) => self.on_event(event, &mut effects),
                },
                () = due(deadline) => self.handle(Input::Tick, &mut effects),
                () = retry(self.executor.outbox.waits_for_network()) => {}
            }
            if self.executor.outbox.is_closed() {
                return None;
            }
        }
    }

    fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) {
        let monotonic = self.start.elapsed();
        let wall_millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        self.engine.handle(input, Now { monotonic, wall_millis }, effects);
    }

    /// Carries out effects in order; those that find no room at the network fail back into the engine.
    fn carry_out(&mut self, effects: &mut Vec<Effect>) {
        self.executor.outbox.flush();
        while !effects.is_empty() {
            let mut failed = Vec::new();
            for effect in effects.drain(..) {
                if let Some(request) = self.executor.execute(effect, &mut self.waiting) {
                    failed.push(request);
                }
            }
            for request in failed {
                self.handle(Input::Response { request, result: Err(Failure::Busy) }, effects);
            }
        }
        self.executor.outbox.flush_commits();
        self.executor.load_ready();
    }

    fn on_commits(&mut self, effects: &mut Vec<Effect>) {
        for event in self.feed.take() {
            match event {
                CommitEvent::Written { through } => self.handle(Input::Committed { through, synced: false }, effects),
                CommitEvent::Synced { through } => {
                    self.executor.scheduler.synced(through);
                    self.handle(Input::Committed { through, synced: true }, effects);
                }
                CommitEvent::Failed { from, error, .. } => {
                    tracing::error!(error = crate::chain(&*error), "write to the store");
                    self.on_failed(from, crate::chain(&*error), effects);
                }
                CommitEvent::Poisoned { error } => {
                    tracing::error!(
                        error = crate::chain(&*error),
                        "the disk did not confirm a sync: the node only reads until it is restarted; check the disk"
                    );
                    self.on_failed(BatchId(0), crate::chain(&*error), effects);
                }
            }
        }
    }

    fn on_failed(&mut self, from: BatchId, error: String, effects: &mut Vec<Effect>) {
        self.executor.scheduler.failed(from);
        self.handle(Input::CommitFailed { from, error }, effects);
    }

    fn on_done(&mut self, done: Done, effects: &mut Vec<Effect>) {
        let input = match done {
            Done::Verified { ticket, result } => Input::Verified { ticket, result },
            Done::Found { request, found } => Input::Found { request, found },
            Done::Loaded { thread, logs, writers } => Input::Loaded { thread, logs, writers },
        };
        self.handle(input, effects);
    }

    /// Takes a call, and those that wait behind it: they go to the store as one group.
    fn on_calls(&mut self, first: Call, effects: &mut Vec<Effect>) {
        self.on_call(first, effects);
        for _ in 1..CALLS_PER_TURN {
            match self.calls.try_recv() {
                Ok(Call::Stop(ended)) => {
                    // What came before it is carried out first.
                    self.stop = Some(ended);
                    return;
                }
                Ok(call) => self.on_call(call, effects),
                Err(_) => return,
            }
        }
    }

    fn on_call(&mut self, call: Call, effects: &mut Vec<Effect>) {
        let input = match call {
            Call::Append { mut append, permit, answer } => {
                append.request = self.waiting.add(answer, Some(permit));
                Input::Append(append)
            }
            Call::Join { thread, state, answer } => {
                Input::Join { request: self.waiting.add(answer, None), thread, state: *state }
            }
            Call::Writer { thread, writer } => Input::Writer { thread, writer },
            Call::Leave { thread, answer } => Input::Leave { request: self.waiting.add(answer, None), thread },
            Call::Store { thread, blocks, answer } => {
                Input::Store { request: self.waiting.add(answer, None), thread, blocks }
            }
            Call::Following { thread, following } => Input::Following { thread, following },
            Call::Invite { peer, sealed, answer } => {
                Input::Invite { request: self.waiting.add(answer, None), peer, sealed }
            }
            Call::DropBlocks { thread, cids, heads, answer } => {
                Input::DropBlocks { request: self.waiting.add(answer, None), thread, cids, heads }
            }
            Call::Sync { thread, answer } => Input::Sync { request: self.waiting.add(answer, None), thread },
            Call::Input(input) => *input,
            Call::Inspect(look) => return look(&mut self.engine),
            Call::NewDevice => return self.reload(effects),
            Call::Stop(ended) => return self.stop = Some(ended),
        };
        self.handle(input, effects);
    }

    /// Has every thread in memory read again, with the writers of the new device.
    fn reload(&mut self, effects: &mut Vec<Effect>) {
        for keys in self.executor.keyring.all() {
            let (answer, _) = oneshot::channel();
            let request = self.waiting.add(answer, None);
            let state = (*keys.state).clone();
            self.handle(Input::Join { request, thread: keys.thread.clone(), state }, effects);
        }
    }

    fn on_event(&mut self, event: net::Event, effects: &mut Vec<Effect>) {
        let input = match event {
            net::Event::PeerConnected { peer, address } => {
                tracing::debug!(%peer, %address, "connected");
                Input::PeerConnected { peer }
            }
            net::Event::PeerGone { peer } => {
                tracing::debug!(%peer, "gone");
                Input::PeerGone { peer }
            }
            net::Event::Request { peer, inbound, request } => {
                Input::Request { peer, inbound: InboundId(inbound.0), body: request }
            }
            net::Event::Response { id, result, .. } => {
                Input::Response { request: RequestId(id.0), result: result.map_err(|error| failure(&error)) }
            }
            net::Event::Gossip { id, source, topic, data } => {
                Input::Gossip { gossip: GossipId(id.0), source, topic, data }
            }
            net::Event::Listening(address) => {
                tracing::info!(%address, "listening");
                return self.executor.addresses.own_changed();
            }
            net::Event::NewExternalAddress(_) => return self.executor.addresses.own_changed(),
            net::Event::Discovered { peer, addresses, via } => {
                return self.executor.addresses.discovered(peer, &addresses, via);
            }
            net::Event::Providers { peers, .. } => return tracing::debug!(found = peers.len(), "providers"),
            net::Event::BadPeer { peer, what } => return tracing::debug!(%peer, what, "bad peer"),
        };
        self.handle(input, effects);
    }
}

fn failure(error: &net::Failure) -> Failure {
    match error {
        net::Failure::Unreachable | net::Failure::Closed | net::Failure::Io(_) => Failure::Disconnected,
        net::Failure::Timeout | net::Failure::Stalled => Failure::Timeout,
        net::Failure::Busy => Failure::Busy,
        net::Failure::Unsupported
        | net::Failure::Unsendable(_)
        | net::Failure::Malformed(_)
        | net::Failure::Mismatch { .. } => Failure::Malformed,
    }
}

async fn due(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Wakes a little later when the network's queue was full: it has no event for having room again.
async fn retry(waits: bool) {
    if waits {
        tokio::time::sleep(Duration::from_millis(5)).await;
    } else {
        std::future::pending::<()>().await;
    }
}

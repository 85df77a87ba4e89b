use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use futures::{FutureExt, StreamExt};
use libp2p::{PeerId, Swarm, swarm::ConnectionId};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use super::dialling::Dialling;
use crate::{
    DialError, Event,
    behaviour::Behaviour,
    discovery::{Bootstrap, Dht},
    exchange, gossip,
    handle::Message,
    limits::{COMMANDS_IN_A_ROW, MAX_OUTBOX, TICK},
    out::Out,
    peers::Peers,
    score::Scores,
    traffic::Traffic,
};

/// The swarm and all that is known beside it.
pub(crate) struct Task {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) exchange: exchange::Pending,
    pub(super) traffic: Traffic,
    pub(super) gossip: gossip::Inbox,
    pub(super) scores: Scores,
    pub(super) peers: Peers,
    pub(super) dht: Dht,
    pub(super) bootstrap: Bootstrap,
    pub(super) dials: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, DialError>>>,
    pub(super) dialling: Dialling,
    pub(super) out: Out,
    /// Peers blocked since the start, and what all did wrong.
    pub(super) bans: u64,
    pub(super) offences: BTreeMap<&'static str, u64>,
}

impl Task {
    pub(crate) fn new(swarm: Swarm<Behaviour>, traffic: Traffic, gossip: gossip::Inbox, bootstrap: Bootstrap) -> Self {
        Self {
            swarm,
            exchange: exchange::Pending::default(),
            traffic,
            gossip,
            scores: Scores::default(),
            peers: Peers::default(),
            dht: Dht::default(),
            bootstrap,
            dials: HashMap::new(),
            dialling: Dialling::default(),
            out: Out::default(),
            bans: 0,
            offences: BTreeMap::new(),
        }
    }

    /// Runs until all handles, or the receiver of events, are dropped.
    ///
    /// Local work comes first. The swarm is polled only while nothing waits for the consumer, so a consumer that is
    /// behind slows the peers down and not this node's memory; commands are taken all the same, because the
    /// consumer may be sending one.
    pub(crate) async fn run(mut self, mut messages: mpsc::Receiver<Message>, events: mpsc::Sender<Event>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_a_row = 0;
        loop {
            if in_a_row >= COMMANDS_IN_A_ROW {
                in_a_row = 0;
                // One look at the swarm without waiting; the select below registers for its wake-up.
                if self.out.events.is_empty()
                    && let Some(event) = self.swarm.select_next_some().now_or_never()
                {
                    self.on_swarm_event(event, Instant::now());
                }
            }
            tokio::select! {
                biased;
                () = events.closed() => break,
                _ = tick.tick() => self.on_tick(Instant::now()),
                message = messages.recv(), if self.out.events.len() < MAX_OUTBOX => {
                    let Some(message) = message else { break };
                    in_a_row += 1;
                    self.on_message(message, Instant::now());
                }
                permit = events.reserve(), if !self.out.events.is_empty() => {
                    let Ok(permit) = permit else { break };
                    if let Some(event) = self.out.events.pop_front() {
                        permit.send(event);
                    }
                }
                event = self.swarm.select_next_some(), if self.out.events.is_empty() => {
                    in_a_row = 0;
                    self.on_swarm_event(event, Instant::now());
                }
            }
        }
        tracing::debug!("network stopped");
    }

    fn on_tick(&mut self, now: Instant) {
        self.gossip.expire(&mut self.swarm.behaviour_mut().gossip, now);
        while let Some(peer) = self.scores.pardon(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        for (peer, points) in self.scores.fade(now) {
            self.swarm.behaviour_mut().gossip.set_application_score(&peer, -points);
        }
        self.dht.tick(&mut self.swarm, now);
        self.bootstrap.tick(&mut self.swarm, now);
        self.settle(now);
    }

    /// Scores what was found wrong.
    pub(super) fn settle(&mut self, now: Instant) {
        for (peer, offence) in std::mem::take(&mut self.out.offences) {
            if let Some(name) = offence.name() {
                *self.offences.entry(name).or_default() += 1;
            }
            let sentence = self.scores.penalize(peer, offence, now);
            let behaviour = self.swarm.behaviour_mut();
            behaviour.gossip.set_application_score(&peer, -sentence.points);
            if sentence.ban {
                self.bans += 1;
                tracing::info!(%peer, what = offence.what(), "blocked");
                behaviour.blocked.block_peer(peer);
            }
            if let Some(pardoned) = sentence.pardoned {
                behaviour.blocked.unblock_peer(pardoned);
            }
            if offence.is_news() {
                self.out.event(Event::BadPeer { peer, what: offence.what() });
            }
        }
    }
}

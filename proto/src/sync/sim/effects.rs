//! Carrying out what an engine asks for.

use std::time::Duration;

use rand::RngExt;

use super::{
    super::{
        effect::{Effect, Outcome},
        input::{Failure, Input},
    },
    node::NodeId,
    page,
    simulation::{Event, Simulation},
    trace::{Acknowledged, name},
};
use crate::{
    PeerId,
    id::{LogId, ThreadId},
};

/// Time that a verification takes: its order among others is not kept.
const VERIFICATION: std::ops::Range<u64> = 50..800;
/// Time that a lookup takes, microseconds.
const LOOKUP: std::ops::Range<u64> = 20..2_000;
/// A reply that nobody waits for is a bug; so is a second one.
const UNASKED: &str = "every request of the API is answered exactly once";

impl Simulation {
    pub(super) fn carry_out(&mut self, id: NodeId, effect: Effect) {
        let life = self.node(id).life;
        match effect {
            Effect::Persist { batch, durability, writes } => {
                self.node_mut(id).disk.persist(batch, durability, writes);
                self.disk_wake(id);
            }
            Effect::Resume => self.node_mut(id).disk.resume(),
            Effect::Load { thread } => {
                *self.trace.loads.entry((id, thread.clone())).or_default() += 1;
                self.node_mut(id).disk.load(thread);
                self.disk_loads(id);
            }
            Effect::Verify { ticket, job } => {
                let wait = Duration::from_micros(self.rng.random_range(VERIFICATION));
                self.schedule(wait, Event::Verify { node: id, life, ticket, job });
            }
            Effect::Lookup { thread, lookup, request } => {
                let wait = Duration::from_micros(self.rng.random_range(LOOKUP));
                self.schedule(wait, Event::Found { node: id, life, request, thread, lookup: Box::new(lookup) });
            }
            Effect::Reply { request, result } => self.on_reply(id, request, result),
            Effect::Send { peer, request, body } => self.send(id, &peer, request, body),
            Effect::Respond { inbound, response } => self.respond(id, inbound, response),
            Effect::Serve { inbound, query } => {
                let node = self.node(id);
                let response = page::build(&node.disk.synced, &query, &node.key);
                self.respond(id, inbound, response);
            }
            Effect::Publish { topic, data } => self.publish(id, topic, data),
            Effect::Judge { gossip, verdict } => self.judge(id, gossip, verdict),
            Effect::Penalize { peer, what } => {
                let peer = self.find_peer(&peer);
                *self.trace.penalties.entry((id, peer, name(what))).or_default() += 1;
            }
            Effect::Subscribe { topic } => assert!(self.node_mut(id).subscribed.insert(topic), "subscribed twice"),
            Effect::Unsubscribe { topic } => assert!(self.node_mut(id).subscribed.remove(&topic), "not subscribed"),
            Effect::Provide { .. } | Effect::Addresses { .. } | Effect::Invited { .. } | Effect::Met { .. } => {}
            Effect::Acknowledged { thread, peer, heads } => self.on_acknowledged(id, &thread, &peer, heads),
            Effect::BlocksArrived { thread } => {
                self.trace.blocks_arrived.insert((id, thread));
            }
            Effect::FindPeers { thread, .. } => {
                *self.trace.searches.entry((id, thread.clone())).or_default() += 1;
                self.find_peers(id, &thread);
            }
            Effect::Wake { thread, log, counter } => {
                self.trace.wakes.insert((id, thread, log), counter);
            }
            Effect::ForkFound { log, counter, .. } => {
                let lowest = self.trace.forks.insert((id, log), counter);
                assert!(
                    lowest.is_none_or(|lowest| counter <= lowest || self.node(id).life > 0),
                    "forks only move down"
                );
            }
        }
    }

    /// Whatever an honest peer has said to have must be on its disk, synced.
    fn on_acknowledged(&mut self, by: NodeId, thread: &ThreadId, peer: &PeerId, heads: Vec<(LogId, u64)>) {
        let peer = self.find_peer(peer);
        let node = self.node(peer);
        let honest = node.malice.is_none() && !self.trace.restored.contains(&peer);
        if let Some(image) = node.disk.synced.threads.get(thread).filter(|_| honest) {
            for (log, counter) in &heads {
                let there = image.logs.get(log).map_or(0, |log| log.main.len() as u64);
                assert!(there >= *counter, "{counter} of {} were acknowledged and {there} are on disk", log.short());
            }
        }
        for (log, counter) in heads {
            self.trace.acknowledged_heads.insert((by, peer, thread.clone(), log), counter);
        }
    }

    fn on_reply(
        &mut self,
        id: NodeId,
        request: super::super::RequestId,
        result: Result<Outcome, super::super::AppendError>,
    ) {
        let waiting = self.node_mut(id).waiting.remove(&request).expect(UNASKED);
        if let Ok(Outcome::Appended(receipt)) = &result {
            let head = receipt.head;
            let disk = &self.node(id).disk;
            let image = match waiting.durability {
                super::super::Durability::Sync => &disk.synced,
                super::super::Durability::Relaxed => &disk.written,
            };
            let there = image.find(&waiting.thread, &receipt.log).and_then(|log| log.at(head.counter));
            assert_eq!(there, Some(head), "acknowledged before it was on disk");
            self.trace.acknowledged.push(Acknowledged {
                by: id,
                thread: waiting.thread,
                receipt: *receipt,
                durability: waiting.durability,
                lost: false,
            });
        }
        self.trace.replies.insert((id, request), result);
    }

    /// Schedules the next write or sync of a disk.
    fn disk_wake(&mut self, id: NodeId) {
        let life = self.node(id).life;
        let disk = &mut self.node_mut(id).disk;
        let settings = disk.settings;
        if disk.has_queue() && !std::mem::replace(&mut disk.writing, true) {
            self.schedule(settings.write, Event::Write { node: id, life });
        }
        let disk = &mut self.node_mut(id).disk;
        if disk.has_unsynced() && !std::mem::replace(&mut disk.syncing, true) {
            self.schedule(settings.sync, Event::Sync { node: id, life });
        }
    }

    pub(super) fn disk_write(&mut self, id: NodeId) {
        let failures = self.node(id).disk.settings.failures;
        let random = self.chance(failures).then(|| self.rng.random_range(0..3));
        let disk = &mut self.node_mut(id).disk;
        let failing = std::mem::take(&mut disk.fail_next).then_some(0).or(random);
        disk.writing = false;
        let inputs = disk.write(failing);
        self.disk_done(id, inputs);
    }

    pub(super) fn disk_sync(&mut self, id: NodeId) {
        let disk = &mut self.node_mut(id).disk;
        disk.syncing = false;
        let inputs = disk.sync();
        self.disk_done(id, inputs);
    }

    fn disk_done(&mut self, id: NodeId, inputs: Vec<Input>) {
        for input in inputs {
            self.schedule_input(id, Duration::ZERO, input);
        }
        self.disk_wake(id);
        self.disk_loads(id);
    }

    fn disk_loads(&mut self, id: NodeId) {
        for thread in self.node_mut(id).disk.ready_loads() {
            let node = self.node_mut(id);
            let input = node.disk.read(&thread, node.writers.get(&thread));
            self.schedule_input(id, Duration::ZERO, input);
        }
    }

    /// The result of a request that could not be delivered.
    pub(super) fn fail_request(
        &mut self,
        id: NodeId,
        request: super::super::RequestId,
        wait: Duration,
        failure: Failure,
    ) {
        let life = self.node(id).life;
        self.schedule(wait, Event::Response { to: id, life, request, result: Err(failure) });
    }
}

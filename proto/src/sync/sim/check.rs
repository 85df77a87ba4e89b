//! What must hold: at every step, and in the end.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use cid::Cid;

use super::{
    super::{engine::Engine, hot::Memory, input::Input},
    image::{Image, LogImage},
    malice::Malice,
    node::NodeId,
    simulation::Simulation,
    trace::Published,
};
use crate::{
    id::{LogId, ThreadId, TopicId},
    seal::{self, Layer, Place},
    wire::{Contents, Envelope, Gossip, Head, Request, Response, limits::MAX_EDGES},
};

/// What a log comes to on one node: what counts, the fork, and the inert records.
type Summary = (u64, Option<Cid>, Option<u64>, Vec<(u64, Cid)>);

fn summary(log: &LogImage) -> Summary {
    let active = log.active();
    let fork = log.state.fork.map(|fork| fork.counter);
    let inert = fork.map(|fork| log.inert_from(fork).into_keys().collect()).unwrap_or_default();
    (active, log.at(active).map(|head| head.cid), fork, inert)
}

impl Simulation {
    /// The disk of a node, as a power cut would leave it.
    pub fn disk(&self, node: NodeId) -> &Image {
        &self.node(node).disk.synced
    }

    /// The disk of a node as its reads see it, synced or not.
    pub fn written(&self, node: NodeId) -> &Image {
        &self.node(node).disk.written
    }

    /// A log on a node's disk: how many records count.
    pub fn counter(&self, node: NodeId, thread: &ThreadId, log: &LogId) -> u64 {
        self.disk(node).find(thread, log).map_or(0, LogImage::active)
    }

    /// Bytes of verified records of a log that wait in a node's memory for the ones before them.
    pub fn ahead_bytes(&mut self, node: NodeId, thread: &ThreadId, log: &LogId) -> usize {
        let engine = self.engine(node);
        let log = engine.and_then(|engine| engine.world_mut().log_mut(thread, log));
        log.map_or(0, |log| log.pull.ahead_bytes())
    }

    /// A node's engine, for its status.
    pub fn engine(&mut self, node: NodeId) -> Option<&mut Engine> {
        self.node_mut(node).engine.as_mut()
    }

    /// The edge of a thread as a node tells it.
    pub fn edge(&mut self, node: NodeId, thread: &ThreadId) -> Option<[u8; 16]> {
        Some(self.engine(node)?.status(thread)?.edge)
    }

    /// Where honest members of a thread differ; empty if they agree in heads, forks, inert records and edges, and want
    /// no block that can be had.
    pub fn differences(&mut self, thread: &ThreadId) -> Vec<String> {
        let members: Vec<_> = self.members(thread).into_iter().filter(|node| self.is_honest(*node)).collect();
        let mut differences = Vec::new();
        let summaries = |simulation: &Self, node| -> BTreeMap<LogId, Summary> {
            let image = simulation.disk(node).threads.get(thread);
            let logs = image.into_iter().flat_map(|image| &image.logs);
            logs.filter(|(_, log)| !log.main.is_empty() || log.state.fork.is_some())
                .map(|(id, log)| (*id, summary(log)))
                .collect()
        };
        let Some((first, rest)) = members.split_first() else { return differences };
        let expected = summaries(self, *first);
        let edge = self.edge(*first, thread);
        for node in rest {
            let found = summaries(self, *node);
            let logs: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
            for log in logs.into_iter().filter(|log| expected.get(*log) != found.get(*log)) {
                let short = |summary: Option<&Summary>| {
                    summary.map(|(active, cid, fork, inert)| {
                        (*active, cid.map(|cid| cid.to_string()[50..].to_owned()), *fork, inert.len())
                    })
                };
                let (ours, theirs) = (short(expected.get(log)), short(found.get(log)));
                differences.push(format!(
                    "{} {}: {first:?} {ours:?}, {node:?} {theirs:?}",
                    thread.short(),
                    log.short()
                ));
            }
            if self.edge(*node, thread) != edge {
                differences.push(format!("{}: edges of {first:?} and {node:?}", thread.short()));
            }
        }
        for node in &members {
            let wants = self.disk(*node).threads.get(thread).into_iter().flat_map(|image| image.wants.keys());
            let wants: Vec<_> = wants.filter(|cid| !self.is_withheld(thread, cid)).collect();
            if let Some(first) = wants.first() {
                let has: Vec<_> = self.members_with(thread, first).collect();
                differences.push(format!(
                    "{}: {node:?} wants {} blocks, of which {has:?} have the first",
                    thread.short(),
                    wants.len()
                ));
            }
        }
        differences
    }

    fn members_with<'a>(&'a self, thread: &'a ThreadId, cid: &'a Cid) -> impl Iterator<Item = NodeId> + 'a {
        let has =
            |node: &NodeId| self.disk(*node).threads.get(thread).is_some_and(|image| image.blocks.contains_key(cid));
        self.members(thread).into_iter().filter(has)
    }

    /// Nobody can get a block that its malicious writer linked to and gives to nobody who asks, unless its push arrived somewhere, and
    /// links lose messages. So all who have it must withhold it, and its writer, who has it for certain, be one of them;
    /// a block of an honest writer, or one that anybody who answers has, is to be everywhere in the end.
    fn is_withheld(&self, thread: &ThreadId, cid: &Cid) -> bool {
        let withholds = |node: &NodeId| self.node(*node).malice.is_some_and(Malice::withholds_blocks);
        let links = |node: &NodeId| {
            let writer = self.node(*node).writers.get(thread);
            let own = writer.and_then(|writer| self.disk(*node).find(thread, &writer.log));
            own.is_some_and(|log| log.main.iter().any(|record| record.links().as_slice().contains(cid)))
        };
        let has: Vec<_> = self.members_with(thread, cid).collect();
        let mut writers = self.members(thread).into_iter().filter(links).peekable();
        writers.peek().is_some() && writers.all(|writer| has.contains(&writer)) && has.iter().all(withholds)
    }

    /// All differences of all threads.
    pub fn all_differences(&mut self) -> Vec<String> {
        let threads: Vec<_> = self.threads.iter().map(|thread| thread.id.clone()).collect();
        threads.iter().flat_map(|thread| self.differences(thread)).collect()
    }

    /// Runs for a moment, so that what was just asked for begins, and then until all honest members of all threads agree. Tells
    /// whether they do within `limit`.
    pub fn settle(&mut self, limit: Duration) -> bool {
        self.run_for(Duration::from_millis(500));
        self.run_until(limit, |simulation| simulation.all_differences().is_empty())
    }

    /// What is left over in engines at rest though nothing waits for it.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.malice.is_none()) {
            let Some(engine) = &node.engine else { continue };
            let shared = engine.shared();
            let parked: usize = engine
                .world()
                .threads
                .values()
                .map(|thread| match &thread.memory {
                    Memory::Loading(loading) => loading.parked.len(),
                    Memory::Cold | Memory::Hot(_) => 0,
                })
                .sum();
            let empty_logs: usize = engine
                .world()
                .threads
                .values()
                .map(|thread| match &thread.memory {
                    // One that a peer still claims to have more of is asked for, and dropped after a few failures.
                    Memory::Hot(hot) => hot.logs.values().filter(|log| log.is_empty() && log.target() == 0).count(),
                    Memory::Cold | Memory::Loading(_) => 0,
                })
                .sum();
            let left = [
                ("verifications", shared.verifications.len()),
                ("pending", shared.pending.len()),
                ("pushed", shared.pushed.len()),
                ("written", shared.written),
                ("parked", parked),
                ("logs without records", empty_logs),
                ("unjudged gossip", node.unjudged.len()),
                ("unanswered requests", node.inbound.len()),
                ("unanswered calls", node.waiting.len()),
            ];
            leaks.extend(
                left.iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(what, count)| format!("node {index}: {count} {what}")),
            );
            if shared.asked.len() > 2 * node.peers.len() + node.outbound.len() {
                leaks.push(format!("node {index}: {} questions", shared.asked.len()));
            }
        }
        leaks
    }

    pub(super) fn check_request(&mut self, by: NodeId, request: &Request) {
        if let Request::Push(envelopes) = request {
            for envelope in envelopes {
                let thread = self.thread_of_topic(&envelope.topic);
                self.check_envelope(by, &thread, envelope);
            }
        }
    }

    pub(super) fn check_response(&mut self, by: NodeId, response: &Response) {
        match response {
            // The thread of a page of heads is not in it; a log belongs to one thread only.
            Response::Heads { heads, .. } => heads.iter().for_each(|head| self.check_head(by, head)),
            Response::Records { envelope: Some(envelope), .. } => {
                let thread = self.thread_of_topic(&envelope.topic);
                self.check_envelope(by, &thread, envelope);
            }
            Response::Edges(opened) => {
                let listed = opened.iter().map(|opened| match &opened.contents {
                    Contents::Edges(edges) => edges.len(),
                    Contents::Children(_) => 0,
                });
                assert!(listed.sum::<usize>() <= MAX_EDGES, "more edges than one message takes");
            }
            Response::Proofs(_)
            | Response::Records { envelope: None, .. }
            | Response::Inert { .. }
            | Response::Push(_)
            | Response::Blocks { .. }
            | Response::Invite(_)
            | Response::Refusal(_) => {}
        }
    }

    pub(super) fn check_published(&mut self, by: NodeId, topic: &TopicId, data: &Bytes) {
        let thread = self.thread_of_topic(topic);
        let access = self.threads.iter().find(|shared| shared.id == thread).expect("just found").keys.access().clone();
        let place = Place { layer: Layer::Gossip, thread: thread.as_bytes(), log: &[] };
        let plain = seal::open(access.gossip(), place, data).expect("sealed for the thread");
        let (tells, records) = match Gossip::decode(plain.into()).expect("a gossip message") {
            Gossip::Envelope(envelope) => {
                self.check_envelope(by, &thread, &envelope);
                (vec![(envelope.log, envelope.last_counter())], true)
            }
            Gossip::Heads(heads) => {
                heads.iter().for_each(|head| self.check_head(by, head));
                (heads.iter().map(|head| (head.log, head.counter)).collect(), false)
            }
        };
        if self.record_messages {
            let at = self.now;
            self.trace.published.push(Published { at, by, topic: *topic, tells, records });
        }
    }

    fn thread_of_topic(&self, topic: &TopicId) -> ThreadId {
        let of = self.threads.iter().find(|shared| shared.keys.access().topic() == *topic);
        of.expect("honest nodes speak of threads that exist").id.clone()
    }

    /// Nothing leaves an honest node before it is synced.
    fn check_envelope(&mut self, by: NodeId, thread: &ThreadId, envelope: &Envelope) {
        for (counter, record) in (envelope.counter..).zip(&envelope.records) {
            let cid = crate::block::cid(record);
            let there = self.disk(by).find(thread, &envelope.log).and_then(|log| log.at(counter));
            assert_eq!(there.map(|head| head.cid), Some(cid), "{by:?} tells of record {counter} before it is synced");
            if self.record_messages {
                let now = self.now;
                self.trace.told.entry((by, cid)).or_insert(now);
            }
        }
    }

    fn check_head(&mut self, by: NodeId, head: &Head) {
        let Some(cid) = head.cid else { return };
        let mut logs = self.disk(by).threads.values().filter_map(|thread| thread.logs.get(&head.log));
        let there = logs.any(|log| log.at(head.counter).is_some_and(|there| there.cid == cid));
        assert!(there, "{by:?} tells of head {} of {} before it is synced", head.counter, head.log.short());
    }
}

impl Engine {
    /// How many things wait inside for this input: each may cause effects of its own.
    pub(super) fn waiting_for(&self, input: &Input) -> usize {
        let shared = self.shared();
        let world = self.world();
        match input {
            Input::Committed { .. } | Input::CommitFailed { .. } => shared.pending.len() + world.threads.len(),
            Input::Loaded { thread, .. } => world.threads.get(thread).map_or(0, |thread| match &thread.memory {
                Memory::Loading(loading) => loading.parked.len(),
                Memory::Cold | Memory::Hot(_) => 0,
            }),
            Input::Leave { .. } => shared.pending.len(),
            Input::PeerGone { .. } => shared.asked.len(),
            Input::Tick => shared.timers.len(),
            _ => 0,
        }
    }
}

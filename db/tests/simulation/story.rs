//! What happens, and what must hold meanwhile and in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use proptest::{
    strategy::{BoxedStrategy, Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use spool_db::{
    Change, Document, Operation, Target,
    projector::Why,
    testing::{
        body,
        drafts::{self, Draft},
        hostile, oracle,
    },
};
use spool_proto::{
    LogId, ThreadId,
    sync::{
        Durability,
        sim::{DiskSettings, Image, LinkSettings, Malice, NodeId, Part, SharedThread, Simulation, ThreadImage},
    },
};

use crate::{counts::Counts, member::Member, rogue::Rogue};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);
const NODES: usize = 20;
const THREADS: usize = 2;
const MEMBERS: usize = 12;
/// One node in so many is malicious.
const MALICIOUS: usize = 5;
/// Virtual time in which all must agree once everything is healed.
const SETTLE: Duration = Duration::from_secs(600);
/// From the end of it all until every clock has passed the times of all events.
const AGES_MILLIS: u64 = 60 * 60 * 1_000;
/// Documents that are written to.
const DOCUMENTS: u8 = 12;
/// Bytes that make a body a block of its own.
const LARGE: usize = 9_000;

fn target(number: u8) -> Target {
    Target::new("things", number.to_string())
}

/// A malicious writer that goes on from a backup, as if it had not written what it wrote since.
struct Rollback {
    node: NodeId,
    /// When the backup is made.
    from: Duration,
    /// When it is put back.
    at: Duration,
    backup: Option<Image>,
}

pub(crate) struct Story {
    simulation: Simulation,
    rng: StdRng,
    runner: TestRunner,
    drafts: BoxedStrategy<Vec<(u8, Draft)>>,
    nodes: Vec<NodeId>,
    threads: Vec<SharedThread>,
    writers: Vec<(NodeId, SharedThread)>,
    /// Honest ones who can read.
    readers: BTreeSet<(NodeId, ThreadId)>,
    members: BTreeMap<(NodeId, ThreadId), Member>,
    rogues: Vec<Rogue>,
    rolled_back: BTreeSet<NodeId>,
    rollbacks: Vec<Rollback>,
    pub(crate) counts: Counts,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut simulation = Simulation::new(seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0xdb);
        let nodes: Vec<_> = (0..NODES).map(|_| simulation.add_node()).collect();
        let kinds: Vec<_> = Malice::ALL.into_iter().filter(|kind| *kind != Malice::Cloned).collect();
        for node in nodes.iter().step_by(MALICIOUS) {
            simulation.corrupt(*node, *kinds.choose(&mut rng).expect("there are some"));
        }
        simulation.set_links(LinkSettings {
            latency: Duration::from_millis(10),
            jitter: Duration::from_millis(80),
            loss: 0.03,
            duplication: 0.05,
            rate: None,
        });
        // Many clocks agree to the millisecond, so that events share their times.
        for node in &nodes {
            simulation
                .set_clock(*node, *[0, 0, 0, 100, 7_000].map(Duration::from_millis).choose(&mut rng).expect("some"));
        }
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let mut story = Self {
            simulation,
            rng,
            runner: TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)),
            drafts: proptest::collection::vec((0..DOCUMENTS, drafts::meeting()), 1..4).boxed(),
            nodes,
            threads: Vec::new(),
            writers: Vec::new(),
            readers: BTreeSet::new(),
            members: BTreeMap::new(),
            rogues: Vec::new(),
            rolled_back: BTreeSet::new(),
            rollbacks: Vec::new(),
            counts: Counts::default(),
        };
        (0..THREADS).for_each(|_| story.add_thread());
        for node in story.nodes.clone().into_iter().step_by(MALICIOUS) {
            let from = Duration::from_millis(story.rng.random_range(2_000..120_000));
            let at = from + Duration::from_millis(story.rng.random_range(1_000..30_000));
            story.rollbacks.push(Rollback { node, from, at, backup: None });
        }
        story.simulation.run_for(SECOND);
        for node in story.nodes.clone() {
            let failures = if story.rng.random_bool(0.2) { 0.02 } else { 0.0 };
            let sync = Duration::from_millis(story.rng.random_range(1..200));
            story.simulation.set_disk(node, DiskSettings { sync, failures, ..DiskSettings::default() });
        }
        story
    }

    fn add_thread(&mut self) {
        let thread = self.simulation.add_thread();
        let malicious: Vec<_> = self.nodes.iter().copied().filter(|node| !self.simulation.is_honest(*node)).collect();
        let honest: Vec<_> = self.nodes.iter().copied().filter(|node| self.simulation.is_honest(*node)).collect();
        let pair: Vec<_> = malicious.sample(&mut self.rng, 2).copied().collect();
        let others: Vec<_> = honest.sample(&mut self.rng, MEMBERS - 2).copied().collect();
        let parts = [Part::Writer, Part::Writer, Part::Follower, Part::Reader];
        let pair = pair.iter().map(|node| (node, &Part::Writer));
        for (node, part) in others.iter().zip(parts.iter().cycle()).chain(pair.clone()) {
            self.simulation.join(*node, &thread, *part);
            if *part == Part::Writer {
                self.writers.push((*node, thread.clone()));
            }
            if *part != Part::Follower && self.simulation.is_honest(*node) {
                self.readers.insert((*node, thread.id.clone()));
            }
        }
        // The honest are connected among each other, however thinly.
        others.windows(2).for_each(|two| self.simulation.connect(two[0], two[1]));
        for _ in 0..MEMBERS {
            let two: Vec<_> = others.sample(&mut self.rng, 2).copied().collect();
            self.simulation.connect(two[0], two[1]);
            for (malicious, _) in pair.clone() {
                self.simulation.connect(*others.choose(&mut self.rng).expect("some"), *malicious);
            }
        }
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        self.rogues.push(Rogue::new(others[0], &thread, seed));
        self.threads.push(thread);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.simulation.now() + time;
        while self.simulation.now() < end {
            self.simulation.run_for(STEP);
            self.write();
            self.nodes_come_and_go();
            self.fold();
            if self.rng.random_bool(0.02) {
                self.compare();
            }
        }
    }

    /// What a writer who sees these documents says next.
    fn body(&mut self, honest: bool, document: impl Fn(&Target) -> Document) -> Bytes {
        if self.rng.random_bool(if honest { 0.01 } else { 0.2 }) {
            let bodies = hostile::bodies("things").into_iter().map(|(_, body)| body);
            let small: Vec<_> = bodies.filter(|body| body.len() < LARGE).collect();
            return small.choose(&mut self.rng).expect("most are small").clone();
        }
        let drafts = self.drafts.new_tree(&mut self.runner).expect("nothing is filtered").current();
        body(&drafts::transaction(&drafts, target, document))
    }

    fn write(&mut self) {
        self.roll_back();
        for _ in 0..self.rng.random_range(0..3) {
            let (node, thread) = self.writers.choose(&mut self.rng).expect("there are some").clone();
            if !self.simulation.is_up(node) {
                continue;
            }
            let honest = self.simulation.is_honest(node);
            let member = self.members.remove(&(node, thread.id.clone()));
            let see = |target: &Target| member.as_ref().map(|member| member.document(target)).unwrap_or_default();
            let mut plain = self.body(honest, see);
            // Whoever gives no block to anybody writes none: nobody could ever read it.
            if honest && self.rng.random_bool(0.03) {
                let change = Change::Set(drafts::path("m"), "x".repeat(LARGE).into());
                let number = self.rng.random_range(0..DOCUMENTS);
                let operations = vec![Operation::Change(target(number), change)];
                plain = body(&spool_db::Transaction { reverts: None, operations });
            }
            self.members.extend(member.map(|member| ((node, thread.id.clone()), member)));
            let durability = if self.rng.random_bool(0.5) { Durability::Sync } else { Durability::Relaxed };
            let sealed = self.simulation.seal(node, &thread, &plain);
            self.simulation.append_body(node, &thread, sealed, durability);
            self.counts.written += 1;
        }
        for index in 0..self.rogues.len() {
            if self.rng.random_bool(0.05) && self.simulation.is_up(self.rogues[index].node) {
                let plain = self.body(false, |_| Document::default());
                let rogue = &mut self.rogues[index];
                rogue.write(&mut self.simulation, &plain, &mut self.rng);
            }
        }
    }

    /// Backups are made, and put back.
    fn roll_back(&mut self) {
        let now = self.simulation.now();
        for rollback in self.rollbacks.iter_mut().filter(|rollback| rollback.backup.is_none() && now > rollback.from) {
            rollback.backup = Some(self.simulation.backup(rollback.node));
        }
        let due = self.rollbacks.iter().position(|rollback| rollback.backup.is_some() && now > rollback.at);
        let Some(Rollback { node, backup: Some(backup), .. }) = due.map(|due| self.rollbacks.swap_remove(due)) else {
            return;
        };
        self.simulation.crash(node);
        self.simulation.restore(node, backup);
        self.simulation.restart(node);
        // What was synced is gone: from here on its disk does not keep its promises.
        self.rolled_back.insert(node);
        let threads: Vec<_> =
            self.writers.iter().filter(|(of, _)| *of == node).map(|(_, thread)| thread.clone()).collect();
        // It writes at once, before its peers can tell it what it had written.
        for _ in 0..10 {
            for thread in &threads {
                let plain = self.body(false, |_| Document::default());
                let sealed = self.simulation.seal(node, thread, &plain);
                self.simulation.append_body(node, thread, sealed, Durability::Sync);
            }
            self.simulation.run_for(Duration::from_millis(10));
        }
    }

    fn nodes_come_and_go(&mut self) {
        if self.rng.random_bool(0.03) {
            let node = *self.nodes.choose(&mut self.rng).expect("some");
            if !self.rolled_back.contains(&node) {
                self.crash(node);
            }
        }
        for node in self.nodes.clone() {
            if !self.simulation.is_up(node) && self.rng.random_bool(0.05) {
                self.simulation.restart(node);
            }
            if !self.simulation.is_honest(node) && self.rng.random_bool(0.1) {
                self.simulation.make_mischief(node);
            }
        }
        if self.rng.random_bool(0.01) {
            let groups = self.rng.random_range(2..4);
            let mut parts = vec![Vec::new(); groups];
            for node in &self.nodes {
                parts[self.rng.random_range(0..groups)].push(*node);
            }
            self.simulation.partition(&parts);
        } else if self.rng.random_bool(0.02) {
            self.simulation.heal();
        }
    }

    /// A power cut takes what was folded from records that it takes.
    fn crash(&mut self, node: NodeId) {
        if !self.simulation.is_up(node) {
            return;
        }
        self.simulation.crash(node);
        for ((_, thread), member) in self.members.iter_mut().filter(|((of, _), _)| *of == node) {
            member.disk.look(self.simulation.written(node).threads[thread].clone());
            self.counts.lost_batches += member.power_cut();
            self.counts.power_cuts += 1;
        }
    }

    /// Lets members fold a step: most of those that were woken, and some others.
    fn fold(&mut self) {
        let woken: BTreeSet<_> = std::mem::take(&mut self.simulation.trace.wakes)
            .into_keys()
            .map(|(node, thread, _)| (node, thread))
            .collect();
        let arrived = std::mem::take(&mut self.simulation.trace.blocks_arrived);
        for key in self.readers.clone() {
            let (node, thread) = &key;
            let Some(image) = self.simulation.written(*node).threads.get(thread) else { continue };
            let member = self.members.entry(key.clone()).or_insert_with(|| Member::new(image.clone()));
            if arrived.contains(&key) {
                member.blocks_arrived();
            }
            let chance = if woken.contains(&key) { 0.7 } else { 0.05 };
            if !self.simulation.is_up(*node) || !self.rng.random_bool(chance) {
                continue;
            }
            if self.rng.random_bool(0.002) {
                member.rebuild();
                self.counts.rebuilds += 1;
            } else if self.rng.random_bool(0.02) {
                member.restart();
            } else if self.rng.random_bool(0.01) {
                member.fail_next_write();
                self.counts.failed_writes += 1;
            }
            member.disk.look(image.clone());
            self.counts.folded += member.step(self.simulation.wall_millis(*node)).events;
            self.counts.held_for_time += member.held.iter().filter(|held| matches!(held.why, Why::Ahead(_))).count();
            self.counts.held_for_bodies += member.held.iter().filter(|held| held.why == Why::Body).count();
            if is_synced(image, &self.simulation.disk(*node).threads[thread]) && self.rng.random_bool(0.5) {
                member.sync();
            }
        }
    }

    /// Equal heads and nothing held back: equal documents, at any time.
    fn compare(&mut self) {
        let thread = self.threads.choose(&mut self.rng).expect("some").id.clone();
        let of_thread: Vec<_> = self.members.keys().filter(|(_, of)| *of == thread).cloned().collect();
        let some: Vec<_> = of_thread.sample(&mut self.rng, 3).cloned().collect();
        let mut hashes = BTreeMap::new();
        for key in some {
            let Some(member) = self.members.get_mut(&key).filter(|_| self.simulation.is_up(key.0)) else { continue };
            member.disk.look(self.simulation.written(key.0).threads[&thread].clone());
            let now = self.simulation.wall_millis(key.0);
            member.settle(now);
            // Whether a body is on disk and whether its arrival was told are two things.
            if member.held.iter().any(|held| held.why == Why::Body) {
                continue;
            }
            let expected = oracle::hash(&oracle::documents(&oracle::events(&member.disk, now)));
            assert_eq!(member.hash(), expected, "{:?} at {:?}", key.0, self.simulation.now());
            self.counts.compared += 1;
            if !member.held.is_empty() {
                continue;
            }
            if let Some(other) = hashes.insert(member.disk.heads(), expected) {
                assert_eq!(other, expected, "{:?} at {:?}", key.0, self.simulation.now());
                self.counts.alike += 1;
            }
        }
    }

    /// Heals everything, waits until all agree, and lets all fold what they have.
    pub(crate) fn end(&mut self) {
        for node in self.nodes.clone() {
            self.simulation.set_disk(node, DiskSettings::default());
            self.simulation.restart(node);
        }
        self.simulation.heal();
        self.simulation.set_links(LinkSettings::default());
        if !self.simulation.settle(SETTLE) {
            panic!("differences after {SETTLE:?}: {:#?}", self.simulation.all_differences());
        }
        self.fold();
        let now = self.nodes.iter().map(|node| self.simulation.wall_millis(*node)).max().unwrap_or_default();
        for ((node, thread), member) in &mut self.members {
            member.disk.look(self.simulation.written(*node).threads[thread].clone());
            member.settle(now + AGES_MILLIS);
            assert!(member.held.is_empty(), "{node:?}: {:?}", member.held);
        }
        self.threads.clone().iter().for_each(|thread| self.check(&thread.id, now + AGES_MILLIS));
        self.only_the_guilty_are_scored();
    }

    fn check(&mut self, thread: &ThreadId, now_millis: u64) {
        let members: Vec<_> = self.members.iter().filter(|((_, of), _)| of == thread).collect();
        assert_eq!(members.len(), self.readers.iter().filter(|(_, of)| of == thread).count(), "all who can read do");
        let (_, first) = members[0];
        let events = oracle::events(&first.disk, now_millis);
        let expected = oracle::documents(&events);
        for ((node, _), member) in &members {
            assert_eq!(member.disk.heads(), first.disk.heads(), "{node:?}");
            for (target, document) in &expected {
                assert_eq!(member.document(target), *document, "{} at {node:?}", target.id);
            }
            assert_eq!(member.hash(), oracle::hash(&expected), "{node:?}");
        }
        let records: u64 = first.disk.heads().iter().map(|(_, length, _)| length).sum();
        self.counts.records += records as usize;
        self.counts.void += records as usize - events.len();
        let forked: BTreeSet<LogId> = self.simulation.trace.forks.keys().map(|(_, log)| *log).collect();
        self.counts.forked = forked.len();
    }

    /// What is in an event is its writer's business, and never that of whoever passes it on.
    fn only_the_guilty_are_scored(&self) {
        let honest = |node: &NodeId| self.simulation.is_honest(*node);
        let mild = ["no proof", "false heads"];
        let penalties = self.simulation.trace.penalties.iter();
        let unjust: Vec<_> =
            penalties.filter(|((by, peer, what), _)| honest(by) && honest(peer) && !mild.contains(what)).collect();
        assert!(unjust.is_empty(), "honest peers scored each other: {unjust:?}");
    }

    /// What all of it came to.
    pub(crate) fn ends(&self) -> (u64, Vec<[u8; 32]>) {
        (self.simulation.trace.inputs, self.members.values().map(Member::hash).collect())
    }
}

/// Whether a power cut would take nothing of what is there.
fn is_synced(written: &ThreadImage, synced: &ThreadImage) -> bool {
    let sum = |image: &ThreadImage| -> Vec<_> {
        image.logs.iter().map(|(id, log)| (*id, log.main.len(), log.state.fork.map(|fork| fork.counter))).collect()
    };
    sum(written) == sum(synced) && written.blocks.len() == synced.blocks.len()
}

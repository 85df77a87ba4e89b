//! How long many engines take to agree after a partition, in virtual time, and what it costs each of them in messages.
//!
//! `cargo run --release -p spool-proto --features test-utils --example partition`

#![expect(clippy::print_stdout, reason = "a measurement prints what it finds")]

use std::{process::ExitCode, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use spool_proto::sync::{
    Durability,
    sim::{LinkSettings, NodeId, Part, SharedThread, Simulation},
};

const SEED: u64 = 1;
/// Engines and threads.
const SIZES: [(usize, usize); 4] = [(125, 250), (250, 500), (500, 500), (500, 1_000)];
/// Of each thread; every other one writes.
const MEMBERS: usize = 12;
/// Both halves write all the time.
const APART: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(100);
/// After which it is given up.
const PATIENCE: Duration = Duration::from_secs(300);

struct World {
    simulation: Simulation,
    rng: StdRng,
    nodes: Vec<NodeId>,
    threads: Vec<SharedThread>,
    writers: Vec<(NodeId, SharedThread)>,
}

impl World {
    fn new(engines: usize, threads: usize) -> Self {
        let mut simulation = Simulation::new(SEED);
        let nodes = (0..engines).map(|_| simulation.add_node()).collect();
        simulation.set_links(LinkSettings {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(60),
            loss: 0.0,
            duplication: 0.0,
            rate: None,
        });
        let rng = StdRng::seed_from_u64(SEED);
        let mut world = Self { simulation, rng, nodes, threads: Vec::new(), writers: Vec::new() };
        (0..threads).for_each(|_| world.add_thread());
        world
    }

    /// Members are connected in a chain, and at random to about four others each.
    fn add_thread(&mut self) {
        let thread = self.simulation.add_thread();
        let members: Vec<NodeId> = self.nodes.sample(&mut self.rng, MEMBERS).copied().collect();
        for (node, part) in
            members.iter().zip([Part::Writer, Part::Follower, Part::Writer, Part::Reader].iter().cycle())
        {
            self.simulation.join(*node, &thread, *part);
            if *part == Part::Writer {
                self.writers.push((*node, thread.clone()));
            }
        }
        members.windows(2).for_each(|pair| self.simulation.connect(pair[0], pair[1]));
        for _ in 0..members.len() * 2 {
            let pair: Vec<_> = members.sample(&mut self.rng, 2).copied().collect();
            self.simulation.connect(pair[0], pair[1]);
        }
        self.threads.push(thread);
    }

    /// Lets time pass in which every writer writes about this often.
    fn write_for(&mut self, time: Duration, events_each: f64) {
        let steps = time.as_millis() / STEP.as_millis();
        let each_step = self.writers.len() as f64 * events_each / steps as f64;
        let mut due = 0.0;
        for _ in 0..steps {
            due += each_step;
            while due >= 1.0 {
                due -= 1.0;
                let (node, thread) = self.writers[self.rng.random_range(0..self.writers.len())].clone();
                self.simulation.append(node, &thread, Durability::Sync);
            }
            self.simulation.run_for(STEP);
        }
    }

    /// Time until all members of all threads have the same.
    fn agree(&mut self) -> Option<Duration> {
        let begun = self.simulation.now();
        let mut differing = self.threads.clone();
        let agreed = self.simulation.run_until(PATIENCE, |simulation| {
            // Nobody writes any more: what agrees goes on agreeing.
            differing.retain(|thread| !simulation.differences(&thread.id).is_empty());
            differing.is_empty()
        });
        agreed.then(|| self.simulation.now() - begun)
    }

    /// Peers with which a node has a thread in common, on average.
    fn mean_peers(&self) -> f64 {
        let peers = self.nodes.iter().map(|node| {
            let shared = self.threads.iter().map(|thread| self.simulation.members(&thread.id));
            let all: std::collections::BTreeSet<_> =
                shared.filter(|members| members.contains(node)).flatten().collect();
            all.len().saturating_sub(1)
        });
        peers.sum::<usize>() as f64 / self.nodes.len() as f64
    }
}

fn measure(engines: usize, threads: usize) -> Option<()> {
    let mut world = World::new(engines, threads);
    world.write_for(Duration::from_secs(5), 1.0);
    world.agree()?;
    let half = engines / 2;
    let parts = [world.nodes[..half].to_vec(), world.nodes[half..].to_vec()];
    world.simulation.partition(&parts);
    world.write_for(APART, 2.0);
    let differing =
        world.threads.clone().iter().filter(|thread| !world.simulation.differences(&thread.id).is_empty()).count();
    world.simulation.record_messages();
    world.simulation.heal();
    let took = world.agree()?;
    let messages = (world.simulation.trace.sent.len() + world.simulation.trace.published.len()) as f64 / engines as f64;
    let bytes = world.simulation.trace.sent.iter().map(|sent| sent.bytes).sum::<usize>() / engines;
    let own = (threads * MEMBERS) as f64 / engines as f64;
    let peers = world.mean_peers();
    println!(
        "{engines:>8} {threads:>8} {own:>12.1} {peers:>8.0} {differing:>10} {:>10.1} s {messages:>10.0} {:>8} {:>18.2}",
        took.as_secs_f64(),
        bytes / 1_000,
        messages / (own * peers.log2()),
    );
    Some(())
}

fn main() -> ExitCode {
    println!(
        " engines  threads  threads each    peers  differing       agreed   messages       kB  per thread, log2(peers)"
    );
    for (engines, threads) in SIZES {
        if measure(engines, threads).is_none() {
            println!("{engines} engines and {threads} threads do not agree after {PATIENCE:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! Everything at once, for as long as one likes: five nodes that write, are killed and cut off, and one peer that means harm.
//!
//! `SPOOL_SOAK_SECONDS` says for how long, and without it this is left out; `SPOOL_NETNS_SEED` replays what is random here.

use std::{
    collections::BTreeSet,
    env, thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::KNOWN_PEERS;
use crate::{
    host::{Footprint, Host},
    intruder::{Intruder, Orders, Victim},
    link::Link,
    world::{World, say},
};

/// The first three write, the fourth follows, the fifth reads. The last two are never killed: their memory has to stay flat.
const WRITERS: usize = 3;
const FOLLOWER: usize = 3;
const READER: usize = 4;
/// Between two things that happen.
const STEP: Duration = Duration::from_millis(500);
/// For how long a node is down, or cut off, in steps.
const AWAY: std::ops::Range<u32> = 10..40;
/// Between two looks at memory and files.
const LOOK: Duration = Duration::from_secs(10);
/// For how long all must agree at the end.
const SETTLE: Duration = Duration::from_secs(120);

struct Soak {
    hosts: Vec<Host>,
    world: World,
    rng: StdRng,
    /// Steps until a node is back, for those that are down.
    down: Vec<Option<u32>>,
    /// Steps until a partition ends.
    apart: Option<u32>,
    events: u64,
    kills: u32,
    partitions: u32,
    footprints: Vec<[Footprint; 2]>,
    /// Scores of peers that were blocked whenever somebody looked.
    blocked: Vec<f64>,
}

impl Soak {
    fn new(mut world: World) -> Self {
        let link = Link {
            latency: Duration::from_millis(5),
            jitter: Duration::from_millis(5),
            loss: 0.005,
            ..Link::default()
        };
        let rng = StdRng::seed_from_u64(world.seed());
        let mut hosts: Vec<Host> = (0..=READER).map(|number| world.host(&format!("n{number}"), link.clone())).collect();
        hosts.iter_mut().for_each(|host| host.start(&KNOWN_PEERS));
        let ticket = hosts[0].create();
        for (number, host) in hosts.iter().enumerate().skip(1) {
            host.join(&if number == FOLLOWER { hosts[0].ticket("--follow") } else { ticket.clone() });
        }
        hosts[0].text(&["db", "define", "net", "notes", "--index", "at"]);
        let down = vec![None; hosts.len()];
        let footprints = Vec::new();
        Self {
            world,
            rng,
            hosts,
            down,
            apart: None,
            events: 0,
            kills: 0,
            partitions: 0,
            footprints,
            blocked: Vec::new(),
        }
    }

    fn intruder(&mut self) -> Intruder {
        let namespace = self.world.visitor("mallory", Link::default());
        let shown = self.hosts[0].json(&["thread", "show", "net"]);
        let victim = |host: &Host| Victim { peer: host.peer().to_owned(), address: host.address };
        let orders = Orders {
            seed: self.world.seed(),
            thread: shown["thread"]["id"].as_str().unwrap().to_owned(),
            ticket: self.hosts[0].ticket("--read"),
            victims: self.hosts.iter().map(victim).collect(),
        };
        Intruder::start(&namespace, &orders)
    }

    fn step(&mut self) {
        let writer = self.rng.random_range(0..WRITERS);
        if self.down[writer].is_none() {
            let number = self.events;
            // A disk that is busy, or a daemon that is not ready yet, is no failure of the test: what was written is what was acknowledged.
            let written = if self.rng.random_bool(0.5) {
                self.hosts[writer].try_text(&["append", "net", &format!("event {number}")])
            } else {
                let document = format!("{{\"_id\": \"d{}\", \"at\": {number}}}", number % 50);
                self.hosts[writer].try_text(&["db", "create", "net", "notes", &document])
            };
            self.events += u64::from(written.is_some());
        }
        self.kill_or_revive();
        self.part_or_join();
        thread::sleep(STEP);
    }

    fn kill_or_revive(&mut self) {
        for number in 0..self.hosts.len() {
            match &mut self.down[number] {
                Some(0) => {
                    self.hosts[number].start(&KNOWN_PEERS);
                    self.down[number] = None;
                }
                Some(steps) => *steps -= 1,
                None => {}
            }
        }
        let down = self.down.iter().flatten().count();
        if down < 2 && self.rng.random_bool(0.05) {
            let number = self.rng.random_range(0..WRITERS);
            if self.down[number].is_none() {
                self.hosts[number].kill();
                self.down[number] = Some(self.rng.random_range(AWAY));
                self.kills += 1;
            }
        }
    }

    fn part_or_join(&mut self) {
        match &mut self.apart {
            Some(0) => {
                self.hosts.iter().for_each(|host| self.world.set(host, |link| link.side = 0));
                self.apart = None;
            }
            Some(steps) => *steps -= 1,
            None if self.rng.random_bool(0.03) => {
                for host in &self.hosts {
                    let side = self.rng.random_range(0..2);
                    self.world.set(host, |link| link.side = side);
                }
                self.apart = Some(self.rng.random_range(AWAY));
                self.partitions += 1;
            }
            None => {}
        }
    }

    fn look(&mut self) {
        self.blocked.extend(self.hosts.iter().flat_map(Host::blocked));
        self.footprints.push([self.hosts[FOLLOWER].footprint(), self.hosts[READER].footprint()]);
    }

    /// All links hold and all nodes run.
    fn heal(&mut self) {
        self.hosts.iter().for_each(|host| self.world.set(host, |link| link.side = 0));
        for (host, down) in self.hosts.iter_mut().zip(&mut self.down) {
            if down.take().is_some() {
                host.start(&KNOWN_PEERS);
            }
        }
    }

    fn agree(&self) -> Duration {
        let begun = Instant::now();
        loop {
            let heads: Vec<BTreeSet<_>> = self.hosts.iter().map(|host| host.heads().into_iter().collect()).collect();
            if heads[1..].iter().all(|others| *others == heads[0]) {
                break;
            }
            let everywhere = heads.iter().skip(1).fold(heads[0].clone(), |all, one| &all & one);
            let differing: Vec<_> = heads.iter().map(|one| one - &everywhere).collect();
            assert!(begun.elapsed() < SETTLE, "heads still differ: {differing:#?}");
            thread::sleep(STEP);
        }
        let took = begun.elapsed();
        let hash = |host: &Host| host.json(&["db", "hash", "net", "--wait"])["hash"].as_str().unwrap().to_owned();
        let readers: Vec<_> = self.hosts.iter().enumerate().filter(|(number, _)| *number != FOLLOWER).collect();
        let expected = hash(readers[0].1);
        for (number, host) in readers {
            assert_eq!(hash(host), expected, "n{number} makes something else of the same records");
        }
        took
    }

    /// Neither memory nor files nor tasks of the nodes that ran all the time grew in the second half beyond what they had in the first.
    fn is_flat(&self) {
        let half = self.footprints.len() / 2;
        for node in 0..2 {
            let most = |part: &[[Footprint; 2]], of: fn(&Footprint) -> u64| {
                part.iter().map(|both| of(&both[node])).max().unwrap()
            };
            let (first, second) = self.footprints.split_at(half);
            for (what, of, room) in [
                ("MB of memory", (|seen| seen.megabytes) as fn(&Footprint) -> u64, 40),
                ("files", |seen| seen.files, 60),
                ("tasks", |seen| seen.tasks, 100),
            ] {
                let (before, after) = (most(first, of), most(second, of));
                say(&format!(
                    "{}: at most {before} {what} in the first half, {after} in the second",
                    ["follower", "reader"][node]
                ));
                assert!(after <= before + before / 4 + room, "{what} grow");
            }
        }
    }
}

#[test]
fn nodes_that_are_killed_cut_off_and_attacked_end_equal() {
    let Some(seconds) = env::var("SPOOL_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()) else {
        return say("left out: a soak with a malicious peer: SPOOL_SOAK_SECONDS says for how long it is to go on");
    };
    let Some(world) = World::new("a soak with a malicious peer") else { return };
    let mut soak = Soak::new(world);
    let intruder = soak.intruder();
    let (begun, mut looked) = (Instant::now(), Instant::now());
    while begun.elapsed() < Duration::from_secs(seconds) {
        soak.step();
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            soak.look();
        }
    }
    soak.look();
    let tally = intruder.stop();
    soak.heal();
    let took = soak.agree();
    say(&format!(
        "{} events, {} kills, {} partitions; {tally:?}; peers seen to be blocked at {} looks, with scores of {:?} and lower; equal {:.1} s after the end",
        soak.events,
        soak.kills,
        soak.partitions,
        soak.blocked.len(),
        soak.blocked.iter().copied().reduce(f64::max),
        took.as_secs_f64()
    ));
    assert!(soak.events > seconds / 4 && tally.attacks > 3, "hardly anything happened");
    assert!(tally.cut_off > 0, "nobody hung up on the intruder");
    let scores = &soak.blocked;
    assert!(!scores.is_empty() && scores.iter().all(|score| *score < 0.0), "no blocked peer is to be seen: {scores:?}");
    soak.is_flat();
}

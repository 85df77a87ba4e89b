//! A peer that has turned bad: it has all keys of the thread, and does with them what a node has to survive.

use std::{
    env,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde::{Deserialize, Serialize};
use spool_integration_tests::{Scripted, Writer, forge, keys_of};
use spool_proto::{
    Multiaddr, PeerId, ThreadId, ThreadKeys,
    seal::{self, Layer, Place},
    wire::{Head, Request, Response},
};

/// Where the process that is the intruder finds its orders.
const ORDERS: &str = "SPOOL_INTRUDER";
/// How its report begins.
const REPORT: &str = "tally ";
/// Connections of one storm, one after another.
const STORM: usize = 500;
/// Connections that are opened at once and say nothing.
const HALF_OPEN: usize = 40;
/// How long they are held, and how long a slow reader reads nothing.
const STALL: Duration = Duration::from_secs(5);
/// Messages of one flood, at most.
const FLOOD: u64 = 2_000;
/// Requests whose answers nobody reads.
const UNREAD: usize = 64;
/// A connection that is not made by then was refused.
const DIAL: Duration = Duration::from_secs(2);

/// The port on which all nodes listen.
const PORT: u16 = 4006;

/// What it is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// What it does follows from it, as far as others let it.
    pub(crate) seed: u64,
    pub(crate) thread: String,
    /// With all keys of the thread.
    pub(crate) ticket: String,
    pub(crate) victims: Vec<Victim>,
}

/// Whom it attacks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Victim {
    pub(crate) peer: String,
    pub(crate) address: Ipv4Addr,
}

impl Victim {
    fn id(&self) -> PeerId {
        self.peer.parse().unwrap()
    }

    fn remote(&self) -> (PeerId, Multiaddr) {
        let address = format!("/ip4/{}/tcp/{PORT}/p2p/{}", self.address, self.peer);
        (self.id(), address.parse().unwrap())
    }
}

/// What it has done.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) attacks: u64,
    /// Attacks after which the victim hung up.
    pub(crate) cut_off: u64,
    /// Plain TCP connections.
    pub(crate) connections: u64,
    /// Logs of which it gave one half of the nodes another record than the other half.
    pub(crate) forks: u64,
}

/// The peer at work, in a process and on a host of its own: this program once more, which finds its orders in the environment.
pub(crate) struct Intruder(Child);

impl Intruder {
    /// Lets it loose in a namespace.
    pub(crate) fn start(namespace: &str, orders: &Orders) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(env::current_exe().unwrap());
        command
            .args(["--exact", "intruder::at_work", "--nocapture"])
            .env(ORDERS, serde_json::to_string(orders).unwrap());
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Calls it off.
    pub(crate) fn stop(mut self) -> Tally {
        drop(self.0.stdin.take());
        let mut report = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        let tally =
            report.lines().find_map(|line| line.split_once(REPORT)).unwrap_or_else(|| panic!("it failed: {report}"));
        serde_json::from_str(tally.1).unwrap()
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test by itself: the intruder, where there are orders for it. It works until its input ends.
#[test]
fn at_work() {
    let Ok(orders) = env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let ends = Arc::new(AtomicBool::new(false));
    let called_off = ends.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        called_off.store(true, Ordering::Relaxed);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut work = Work {
        rng: StdRng::seed_from_u64(orders.seed),
        thread: orders.thread.parse().unwrap(),
        keys: keys_of(&orders.ticket),
        victims: orders.victims,
        tally: Tally::default(),
    };
    while !ends.load(Ordering::Relaxed) {
        runtime.block_on(work.attack());
        work.tally.attacks += 1;
    }
    println!("{REPORT}{}", serde_json::to_string(&work.tally).unwrap());
}

struct Work {
    rng: StdRng,
    thread: ThreadId,
    keys: ThreadKeys,
    victims: Vec<Victim>,
    tally: Tally,
}

impl Work {
    async fn attack(&mut self) {
        let victim = self.victims.choose(&mut self.rng).unwrap().clone();
        match self.rng.random_range(0..7) {
            0 => self.send_bad_records(&victim).await,
            1 => self.flood(&victim).await,
            2 => self.hold_half_open(&victim),
            3 => self.storm(&victim),
            4 => self.read_slowly(&victim).await,
            5 => self.lie_about_heads(&victim).await,
            _ => self.fork().await,
        }
    }

    /// A peer that nobody has met, known to the victim as a member; `None` if the victim is down or out of reach.
    async fn member(&mut self, victim: &Victim) -> Option<Scripted> {
        let member = Scripted::start(self.rng.next_u64(), &[&self.keys]);
        let remote = victim.remote();
        let reached = tokio::time::timeout(DIAL, member.can_connect(&remote)).await.is_ok_and(|connected| connected);
        (reached && member.prove(&remote).await).then_some(member)
    }

    /// Each kind of record that is not valid, until the victim has enough.
    async fn send_bad_records(&mut self, victim: &Victim) {
        let Some(member) = self.member(victim).await else { return };
        let (remote, topic) = (victim.remote(), self.keys.access().topic());
        for forged in [forge::signature, forge::encoding, forge::nonce, forge::key] {
            let mut writer = Writer::new(self.rng.next_u64(), &self.thread, &self.keys);
            let record = writer.append(b"bad");
            let run = writer.run_of(1, vec![forged(&writer, &record)]);
            if member.push(&remote, member.sign(run, topic)).await.is_err() {
                break;
            }
        }
        self.count_if_dropped(&member, victim).await;
    }

    /// Messages to the topic that nobody can open, as fast as they go.
    async fn flood(&mut self, victim: &Victim) {
        let Some(member) = self.member(victim).await else { return };
        let topic = self.keys.access().topic();
        member.subscribe(topic).await;
        let place = Place { layer: Layer::Gossip, thread: self.thread.as_bytes(), log: &[] };
        for number in 0..FLOOD {
            if member.was_dropped_by(&victim.id()) {
                break;
            }
            let junk = seal::seal(self.keys.access().gossip(), place, &number.to_be_bytes());
            member.publish(topic, junk.into()).await;
            tokio::task::yield_now().await;
        }
        self.count_if_dropped(&member, victim).await;
    }

    /// Connections on which nothing comes.
    fn hold_half_open(&mut self, victim: &Victim) {
        let held: Vec<_> = (0..HALF_OPEN).map_while(|_| self.dial(victim)).collect();
        if !held.is_empty() {
            thread::sleep(STALL);
        }
    }

    /// Connections that end at once.
    fn storm(&mut self, victim: &Victim) {
        for _ in 0..STORM {
            if self.dial(victim).is_none() {
                return;
            }
        }
    }

    fn dial(&mut self, victim: &Victim) -> Option<TcpStream> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((victim.address, PORT)), DIAL).ok()?;
        self.tally.connections += 1;
        Some(stream)
    }

    /// Many questions with large answers, of which nothing is read.
    async fn read_slowly(&mut self, victim: &Victim) {
        let Some(member) = self.member(victim).await else { return };
        let (remote, topic) = (victim.remote(), self.keys.access().topic());
        let heads = member.ask(&remote, Request::Heads { topic, after: None }).await;
        let Ok(Response::Heads { heads, .. }) = heads else { return };
        let Some(head) = heads.iter().max_by_key(|head| head.counter) else { return };
        let request = Request::Records { topic, log: head.log, after: 0, until: head.counter };
        let asked = (0..UNREAD).map(|_| member.ask(&remote, request.clone()));
        // They are sent, and then this thread, which would read the answers, stands still.
        let _ = tokio::time::timeout(Duration::from_millis(50), futures::future::join_all(asked)).await;
        thread::sleep(STALL);
    }

    /// Heads of a log that nobody has.
    async fn lie_about_heads(&mut self, victim: &Victim) {
        let mut writer = Writer::new(self.rng.next_u64(), &self.thread, &self.keys);
        writer.append(b"there is more, it says");
        let head = Head { counter: 1_000_000, ..writer.head() };
        let Some(member) = self.member(victim).await else { return };
        member.answer(move |_, request| match request {
            Request::Heads { after: None, .. } => Some(Response::Heads { heads: vec![head], more: false }),
            _ => None,
        });
        // The victim compares with whoever is new at once.
        tokio::time::sleep(STALL).await;
        self.count_if_dropped(&member, victim).await;
    }

    /// A log whose second record is another one for every other node.
    async fn fork(&mut self) {
        let mut one = Writer::new(self.rng.next_u64(), &self.thread, &self.keys);
        one.append(b"for all");
        let mut other = one.clone();
        one.append(b"for some");
        other.append(b"for others");
        let topic = self.keys.access().topic();
        let mut told = 0;
        for (number, victim) in self.victims.clone().iter().enumerate() {
            let Some(member) = self.member(victim).await else { continue };
            let writer = if number % 2 == 0 { &one } else { &other };
            told += u64::from(member.push(&victim.remote(), member.sign(writer.run(0, 2), topic)).await.is_ok());
        }
        self.tally.forks += u64::from(told > 1);
    }

    async fn count_if_dropped(&mut self, member: &Scripted, victim: &Victim) {
        // A moment for what is on its way.
        for _ in 0..20 {
            if member.was_dropped_by(&victim.id()) {
                self.tally.cut_off += 1;
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

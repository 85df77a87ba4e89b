//! What many threads shared by many peers cost an always-on follower.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spool_proto::{Address, ThreadId, id::Variant, key_set::Scope};
use tempfile::TempDir;

use super::{
    Options, Row,
    child::{Daemon, PATIENCE, repository},
    rows::{Measurement, event, measurements, node, options, processor_time, resident_megabytes, stop},
};
use crate::{
    api::pb,
    model::Durability,
    node::Node,
    repo::{Init, Repo},
};

/// Threads that all share.
const THREADS: u64 = 2_000;
/// Logs in each of them.
const LOGS: usize = 3;
/// Peers of the follower.
const PEERS: u64 = 50;
/// Calls under way at once.
const IN_FLIGHT: usize = 64;
/// Heads that change one after another.
const CHANGES: usize = 50;

pub(super) fn all() -> Vec<Measurement> {
    measurements![
        "2,000 followed threads, 50 peers that share them" => crowd,
        "one head changes among 2,000 threads, at the next peer, median" => one_change,
    ]
}

/// Threads and what wrote them.
struct World {
    place: TempDir,
    writers: Vec<Node>,
    threads: Vec<ThreadId>,
}

impl World {
    /// Threads with a log of each writer, all of it at the first of them.
    async fn new(bench: &Options) -> anyhow::Result<Self> {
        let place = tempfile::tempdir_in(&bench.directory)?;
        let mut writers = Vec::new();
        for number in 0..LOGS {
            writers.push(node(&place, &format!("writer {number}")).await?);
        }
        let create = |_| {
            let first = writers[0].clone();
            async move { anyhow::Ok(first.create_thread(None, Variant::Raw).await?.id) }
        };
        let threads = many((0..THREADS / bench.divide).map(create)).await?;
        let world = Self { place, writers, threads };
        for (number, writer) in world.writers.iter().enumerate() {
            let write = |thread: &ThreadId| {
                let (first, writer, thread) = (world.writers[0].clone(), writer.clone(), thread.clone());
                async move {
                    if number > 0 {
                        writer.join(&first.share(&thread, Scope::Read, None).await?.ticket, None).await?;
                    }
                    writer.append(&thread, event(1), options(Durability::Sync)).await?.await?;
                    anyhow::Ok(())
                }
            };
            many(world.threads.iter().map(write)).await?;
        }
        world.wait_for_logs(&world.writers[0]).await?;
        Ok(world)
    }

    /// Waits until a node has all logs.
    async fn wait_for_logs(&self, node: &Node) -> anyhow::Result<()> {
        let wanted = (self.threads.len() * LOGS) as u64;
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let stat = node.stat().await?;
            if stat.logs >= wanted && stat.missing_blocks == 0 {
                return Ok(());
            }
            if stat.logs > seen {
                (seen, since) = (stat.logs, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                bail!("after {seen} of {wanted} logs none arrived in {PATIENCE:?}");
            }
            // Not more often: the answer takes a look at every log.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// A node that follows all threads and has all of them, stopped again: its store is in a directory of this name.
    async fn follower(&self, name: &str) -> anyhow::Result<()> {
        let follower = node(&self.place, name).await?;
        let join = |thread: &ThreadId| {
            let (first, follower, thread) = (self.writers[0].clone(), follower.clone(), thread.clone());
            async move { anyhow::Ok(follower.join(&first.share(&thread, Scope::Follow, None).await?.ticket, None).await?) }
        };
        many(self.threads.iter().map(join)).await?;
        self.wait_for_logs(&follower).await?;
        stop(follower, &self.place, name).await
    }

    /// Another node with what the node of this name has.
    async fn copy(&self, of: &str, name: &str) -> anyhow::Result<()> {
        let (repo, _) = Repo::create(repository(&self.place, name), &Init::default())?;
        let from = Repo::open(repository(&self.place, of))?.store_dir();
        let to = repo.store_dir();
        tokio::task::spawn_blocking(move || copy_files(&from, &to)).await??;
        Ok(())
    }
}

/// Runs many, some of them at once. Their results come in no order.
async fn many<T, F>(work: impl Iterator<Item = F>) -> anyhow::Result<Vec<T>>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let work: Vec<F> = work.collect();
    stream::iter(work).buffer_unordered(IN_FLIGHT).try_collect().await
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        // The lock is not for others.
        if file.file_name() != "LOCK" {
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Waits until a node shares so many threads with each of so many peers.
async fn wait_for_peers(node: &Node, peers: usize, threads: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let all = node.peers().await?;
        let shared: BTreeMap<_, _> = all.iter().map(|peer| (peer.peer, peer.threads)).collect();
        if shared.values().filter(|shared| **shared as usize >= threads).count() >= peers {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("not all of {peers} peers share {threads} threads after {PATIENCE:?}: {:?}", shared.values());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn crowd(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let world = World::new(&bench).await?;
    world.follower("follower").await?;
    let peers = PEERS / bench.divide.min(PEERS);
    for number in 0..peers {
        world.copy("follower", &format!("peer {number}")).await?;
    }
    for writer in &world.writers {
        writer.stop().await;
    }
    let mut follower = Daemon::start(&repository(&world.place, "follower")).await?;
    let ready = follower.ready_after;
    let listen = follower.client.list_addresses(pb::ListAddressesRequest::default()).await?.into_inner().announced;
    let address: Address = listen.first().context("it listens")?.parse()?;
    let mut nodes = Vec::new();
    for number in 0..peers {
        let peer = node(&world.place, &format!("peer {number}")).await?;
        connect(&peer, &address).await?;
        nodes.push(peer);
    }
    let begun = Instant::now();
    for peer in &nodes {
        wait_for_peers(peer, 1, world.threads.len()).await?;
    }
    let met = begun.elapsed();
    // Meshes of topics form in some heartbeats, and the first comparisons are over.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let id = follower.id().context("the daemon has ended by itself")?;
    let span = Duration::from_secs(60);
    let before = (processor_time(id)?, traffic(&mut follower).await?);
    tokio::time::sleep(span).await;
    let used = processor_time(id)?.saturating_sub(before.0);
    let moved = traffic(&mut follower).await? - before.1;
    let memory = resident_megabytes(id)?;
    follower.stop().await?;
    for peer in nodes {
        peer.stop().await;
    }
    let share = used.as_secs_f64() / span.as_secs_f64() * 100.0;
    let row = Row::new(name, share, "% of a core", 3.0).less();
    Ok(row
        .note(format!("ready after a restart in {:.2} s (aim: 3)", ready.as_secs_f64()))
        .note(format!("{memory:.0} MB resident (aim: 300)"))
        .note(format!("{:.1} KB/s in and out (aim: 20)", moved as f64 / span.as_secs_f64() / 1e3))
        .note(format!("all threads proven to all peers {:.1} s after the last had connected", met.as_secs_f64())))
}

/// Connects, again if the machine was too busy with those before.
async fn connect(node: &Node, address: &Address) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        match node.connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

/// Bytes in and out of all connections.
async fn traffic(daemon: &mut Daemon) -> anyhow::Result<u64> {
    let stat = daemon.client.get_stat(pb::GetStatRequest::default()).await?.into_inner();
    Ok(stat.bytes_in + stat.bytes_out)
}

/// A writer has one peer, and that one has another: what is written is to be there.
async fn one_change(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let world = World::new(&bench).await?;
    world.follower("near").await?;
    world.copy("near", "far").await?;
    let (near, far) = (node(&world.place, "near").await?, node(&world.place, "far").await?);
    let writer = &world.writers[LOGS - 1];
    let address: Address = near.addresses().await?.announced.first().context("it listens")?.to_string().parse()?;
    writer.connect(&address).await?;
    far.connect(&address).await?;
    wait_for_peers(&far, 1, world.threads.len()).await?;
    wait_for_peers(writer, 1, world.threads.len()).await?;
    // First comparisons are over.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for thread in world.threads.iter().cycle().take(CHANGES) {
        let before = far.stat().await?;
        let begun = Instant::now();
        let receipt = writer.append(thread, event(2), options(Durability::Sync)).await?.await?;
        while far.block(&receipt.cid).await.is_err() {
            if begun.elapsed() > PATIENCE {
                bail!("a record did not arrive in {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        // What the change costs beyond its arrival.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = far.stat().await?;
        bytes.push(after.bytes_in + after.bytes_out - before.bytes_in - before.bytes_out);
    }
    let connected = far.peers().await?.iter().filter(|peer| !peer.connections.is_empty()).count();
    near.stop().await;
    far.stop().await;
    for writer in &world.writers {
        writer.stop().await;
    }
    times.sort_by(f64::total_cmp);
    bytes.sort_unstable();
    let row = Row::new(name, times[times.len() / 2], "ms", 100.0).less();
    Ok(row
        .note(format!("the slowest {:.1} ms", times.last().copied().unwrap_or_default()))
        .note(format!("{:.1} KB in and out (median; aim: 20)", bytes[bytes.len() / 2] as f64 / 1e3))
        .note(format!("connected to {connected}")))
}

//! The rows of the report: the work that people feel.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesOrdered};
use spool_proto::{ThreadId, id::Variant, key_set::Scope, vault::Passphrase};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Options, Row,
    child::{Daemon, PATIENCE, repository},
};
use crate::{
    api::pb,
    config::{Config, Dht},
    model::{AppendOptions, Durability},
    node::Node,
    repo::{Init, Repo},
};

/// Bytes of an event.
const EVENT_BYTES: usize = 200;
/// Bytes of a large body.
const BODY_BYTES: usize = 64 * 1024;
/// Appends under way at once.
pub(super) const IN_FLIGHT: usize = 64;

type Running = Pin<Box<dyn Future<Output = anyhow::Result<Row>> + Send>>;

/// One measurement.
pub(super) struct Measurement {
    pub(super) name: &'static str,
    pub(super) run: fn(Options) -> Running,
}

/// Names and functions as [`Measurement`]s.
macro_rules! measurements {
    ($($name:literal => $run:expr),* $(,)?) => {
        vec![$($crate::bench::rows::Measurement { name: $name, run: |options| Box::pin($run($name, options)) }),*]
    };
}

pub(super) use measurements;

/// All rows, in the order of the report.
pub(super) fn all() -> Vec<Measurement> {
    measurements![
        "append, 64 in flight, fsync" => |name, options| append(name, options, Way::Handle, Durability::Sync, false, 20_000.0),
        "append, 64 in flight, fsync, follower and reader attached" => |name, options| append(name, options, Way::Handle, Durability::Sync, true, 10_000.0),
        "append, 64 in flight, fsync, by gRPC" => |name, options| append(name, options, Way::Grpc, Durability::Sync, false, 10_000.0),
        "append, one after another, relaxed" => |name, options| append(name, options, Way::Handle, Durability::Relaxed, false, 12_000.0),
        "append, one after another, relaxed, follower and reader attached" => |name, options| append(name, options, Way::Handle, Durability::Relaxed, true, 6_000.0),
        "append, one after another, relaxed, by gRPC" => |name, options| append(name, options, Way::Grpc, Durability::Relaxed, false, 6_000.0),
        "follower catches up on 50,000 records" => catch_up,
        "64 KiB bodies replicated" => bodies,
        "first record visible at a subscribed reader, median" => latency,
        "1,000 idle threads" => idle,
    ]
}

/// How events get to the node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Handle,
    Grpc,
}

pub(super) fn event(number: u64) -> Bytes {
    let mut event = format!("{{\"number\":{number},\"text\":\"").into_bytes();
    event.resize(EVENT_BYTES - 2, b'x');
    event.extend_from_slice(b"\"}");
    event.into()
}

/// Ends a node, so that its repository can be opened again.
pub(super) async fn stop(node: Node, place: &TempDir, name: &str) -> anyhow::Result<()> {
    node.stop().await;
    drop(node);
    let begun = Instant::now();
    // Tasks that are at their end hold the node a moment longer.
    while Repo::open(repository(place, name))?.lock().is_err() {
        if begun.elapsed() > PATIENCE {
            bail!("the repository of {name} is still in use after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// A node in this process, of a repository that may be there already.
pub(super) async fn node(place: &TempDir, name: &str) -> anyhow::Result<Node> {
    node_under(place, name, None).await
}

/// The same, with its keys under a passphrase if there is one.
pub(super) async fn node_under(place: &TempDir, name: &str, passphrase: Option<&Passphrase>) -> anyhow::Result<Node> {
    let directory = repository(place, name);
    let mut repo = match Repo::open(&directory) {
        Ok(repo) => repo,
        Err(_) => Repo::create(directory, &Init { passphrase: passphrase.cloned(), ..Init::default() })?.0,
    };
    if let (false, Some(passphrase)) = (repo.is_unlocked()?, passphrase) {
        repo.unlock(passphrase)?;
    }
    let config = Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        mdns: false,
        dht: Dht::Off,
        home: false,
        ..Config::default()
    };
    let node = Node::start(Arc::new(repo.lock()?), &config).await?;
    while node.addresses().await?.announced.is_empty() {
        tokio::task::yield_now().await;
    }
    Ok(node)
}

pub(super) fn options(durability: Durability) -> AppendOptions {
    AppendOptions { durability: Some(durability), ..AppendOptions::default() }
}

/// Appends events; returns how long it took.
pub(super) async fn append_many(
    node: &Node,
    thread: &ThreadId,
    events: u64,
    in_flight: usize,
    durability: Durability,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut pending = FuturesOrdered::new();
    for number in 0..events {
        if pending.len() >= in_flight {
            pending.next().await.context("nothing was under way")??;
        }
        pending.push_back(node.append(thread, event(number), options(durability)).await?);
    }
    while let Some(receipt) = pending.next().await {
        receipt?;
    }
    Ok(begun.elapsed())
}

/// The same through the API of a daemon.
async fn append_many_by_grpc(
    daemon: &mut Daemon,
    thread: &str,
    events: u64,
    in_flight: usize,
    durability: Durability,
) -> anyhow::Result<Duration> {
    let durability = match durability {
        Durability::Sync => pb::Durability::Sync,
        Durability::Relaxed => pb::Durability::Relaxed,
    };
    let (sender, requests) = mpsc::channel(in_flight);
    let first = pb::AppendStreamRequest {
        thread: Some(thread.to_owned()),
        options: Some(pb::AppendOptions { durability: durability.into(), audience: None }),
        bodies: Vec::new(),
    };
    sender.send(first).await?;
    let mut receipts = daemon.client.append_stream(ReceiverStream::new(requests)).await?.into_inner();
    let begun = Instant::now();
    let (mut sent, mut received) = (0u64, 0u64);
    while received < events {
        while sent < events && sent - received < in_flight as u64 {
            let bodies = vec![event(sent)];
            sender.send(pb::AppendStreamRequest { thread: None, options: None, bodies }).await?;
            sent += 1;
        }
        let answer = receipts.message().await?.context("the stream ended early")?;
        received += answer.receipts.len() as u64;
    }
    Ok(begun.elapsed())
}

async fn append(
    name: &'static str,
    bench: Options,
    way: Way,
    durability: Durability,
    attached: bool,
    aim: f64,
) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let (events, in_flight) = match durability {
        Durability::Sync => (60_000 / bench.divide, IN_FLIGHT),
        Durability::Relaxed => (30_000 / bench.divide, 1),
    };
    let mut notes = Vec::new();
    let took = match way {
        Way::Handle => {
            let writer = node(&place, "writer").await?;
            let thread = writer.create_thread(None, Variant::Raw).await?.id;
            let mut peers = Vec::new();
            if attached {
                append_many(&writer, &thread, 1, 1, durability).await?;
                for (name, scope) in [("follower", Scope::Follow), ("reader", Scope::Read)] {
                    let mut daemon = Daemon::start(&repository(&place, name)).await?;
                    daemon.join(writer.share(&thread, scope, None).await?.ticket).await?;
                    daemon.wait_for(&thread.to_string(), 1).await?;
                    peers.push(daemon);
                }
            }
            // From a task, as a program would that is more than this call; the main thread would have to be woken for each event.
            let (of_task, to) = (writer.clone(), thread.clone());
            let appending = async move { append_many(&of_task, &to, events, in_flight, durability).await };
            let took = tokio::spawn(appending).await??;
            let begun = Instant::now();
            for peer in &mut peers {
                peer.wait_for(&thread.to_string(), events + 1).await?;
            }
            if attached {
                notes.push(format!("both had all of it {} ms later", begun.elapsed().as_millis()));
            }
            for peer in peers {
                peer.stop().await?;
            }
            writer.stop().await;
            took
        }
        Way::Grpc => {
            let mut daemon = Daemon::start(&repository(&place, "writer")).await?;
            let thread = daemon.client.create_thread(pb::CreateThreadRequest::default()).await?.into_inner();
            let took = append_many_by_grpc(&mut daemon, &thread.id, events, in_flight, durability).await?;
            daemon.stop().await?;
            took
        }
    };
    let row = Row::new(name, events as f64 / took.as_secs_f64(), "events/s", aim).megabytes(EVENT_BYTES);
    Ok(notes.into_iter().fold(row.bound_by("signatures"), Row::note))
}

/// What a log takes in a second, 64 in flight and with an fsync before each answer.
pub(super) async fn append_rate(bench: &Options) -> anyhow::Result<f64> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let writer = node(&place, "writer").await?;
    let thread = writer.create_thread(None, Variant::Raw).await?.id;
    let events = 60_000 / bench.divide;
    let of_task = writer.clone();
    let appending = async move { append_many(&of_task, &thread, events, IN_FLIGHT, Durability::Sync).await };
    let took = tokio::spawn(appending).await??;
    writer.stop().await;
    Ok(events as f64 / took.as_secs_f64())
}

async fn catch_up(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let events = 50_000 / bench.divide;
    let writer = node(&place, "writer").await?;
    let thread = writer.create_thread(None, Variant::Raw).await?.id;
    append_many(&writer, &thread, events, IN_FLIGHT, Durability::Sync).await?;
    let mut follower = Daemon::start(&repository(&place, "follower")).await?;
    let ticket = writer.share(&thread, Scope::Follow, None).await?.ticket;
    let begun = Instant::now();
    follower.join(ticket).await?;
    follower.wait_for(&thread.to_string(), events).await?;
    let took = begun.elapsed();
    follower.stop().await?;
    writer.stop().await;
    let row = Row::new(name, events as f64 / took.as_secs_f64(), "records/s", 20_000.0);
    Ok(row.megabytes(EVENT_BYTES).bound_by("verifications"))
}

async fn bodies(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let count = 8_000 / bench.divide;
    let writer = node(&place, "writer").await?;
    let thread = writer.create_thread(None, Variant::Raw).await?.id;
    let mut pending = FuturesOrdered::new();
    for number in 0..count {
        if pending.len() >= IN_FLIGHT {
            pending.next().await.context("nothing was under way")??;
        }
        let body = Bytes::from(vec![number as u8; BODY_BYTES]);
        pending.push_back(writer.append(&thread, body, options(Durability::Sync)).await?);
    }
    while let Some(receipt) = pending.next().await {
        receipt?;
    }
    let mut follower = Daemon::start(&repository(&place, "follower")).await?;
    let ticket = writer.share(&thread, Scope::Follow, None).await?.ticket;
    let begun = Instant::now();
    follower.join(ticket).await?;
    follower.wait_for(&thread.to_string(), count).await?;
    let took = begun.elapsed();
    follower.stop().await?;
    writer.stop().await;
    let megabytes = count as f64 * BODY_BYTES as f64 / 1e6;
    Ok(Row::new(name, megabytes / took.as_secs_f64(), "MB/s", 200.0).bound_by("hash"))
}

async fn latency(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let samples = 400 / bench.divide.min(40);
    let writer = node(&place, "writer").await?;
    let thread = writer.create_thread(None, Variant::Raw).await?.id;
    append_many(&writer, &thread, 1, 1, Durability::Sync).await?;
    let mut reader = Daemon::start(&repository(&place, "reader")).await?;
    reader.join(writer.share(&thread, Scope::Read, None).await?.ticket).await?;
    reader.wait_for(&thread.to_string(), 1).await?;
    let request = pb::ReadLogRequest { thread: thread.to_string(), follow: true, max_body: 1024, ..Default::default() };
    let mut entries = reader.client.read_log(request).await?.into_inner();
    // What was there already.
    for _ in 0..2 {
        entries.message().await?.context("the stream ended early")?;
    }
    let mut times = Vec::new();
    for number in 0..samples {
        let begun = Instant::now();
        let pending = writer.append(&thread, event(number), options(Durability::Sync)).await?;
        tokio::time::timeout(PATIENCE, entries.message()).await??.context("the stream ended early")?;
        times.push(begun.elapsed());
        pending.await?;
        // The next one is a first record again, not part of a burst.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    times.sort_unstable();
    reader.stop().await?;
    writer.stop().await;
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let row = Row::new(name, at(0.5), "ms", 5.0).less();
    Ok(row.note(format!("90 % within {:.1} ms, 99 % within {:.1} ms", at(0.9), at(0.99))))
}

async fn idle(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let directory = repository(&place, "node");
    let mut daemon = Daemon::start(&directory).await?;
    for _ in 0..1_000 {
        let thread = daemon.client.create_thread(pb::CreateThreadRequest::default()).await?.into_inner();
        let request = pb::AppendRequest { thread: thread.id, body: event(1), options: None };
        daemon.client.append(request).await?;
    }
    daemon.stop().await?;
    let daemon = Daemon::start(&directory).await?;
    let ready = daemon.ready_after;
    let id = daemon.id().context("the daemon has ended by itself")?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let span = Duration::from_secs(20);
    let before = processor_time(id)?;
    tokio::time::sleep(span).await;
    let used = processor_time(id)?.saturating_sub(before);
    let memory = resident_megabytes(id)?;
    daemon.stop().await?;
    let share = used.as_secs_f64() / span.as_secs_f64() * 100.0;
    let row = Row::new(name, share, "% of a core", 1.0).less();
    Ok(row
        .note(format!("{memory:.0} MB resident (aim: 150)"))
        .note(format!("ready in {} ms (aim: 2,000)", ready.as_millis())))
}

/// Processor time that a process has used (Linux).
pub(super) fn processor_time(id: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("processor time is read from /proc")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let (Some(user), Some(system)) = (fields.get(11), fields.get(12)) else { bail!("/proc has another form") };
    // In clock ticks, of which Linux has a hundred a second on every common architecture.
    Ok(Duration::from_millis((user.parse::<u64>()? + system.parse::<u64>()?) * 10))
}

/// Resident memory of a process (Linux).
pub(super) fn resident_megabytes(id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).context("memory is read from /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc has another form")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? * 1024.0 / 1e6)
}

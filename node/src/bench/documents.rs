//! The rows of the report that are about databases.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use spool_db::query::{Query, json};
use spool_proto::{ThreadId, id::Variant, key_set::Scope};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Options, Row,
    child::{Daemon, PATIENCE, repository},
    rows::{Measurement, measurements, node, resident_megabytes, stop},
};
use crate::{
    api::pb,
    model::{DefinitionChange, DocumentChange, DocumentWrite},
    node::Node,
};

/// Bytes of a film as JSON, about.
const FILM_BYTES: usize = 700;
/// Transactions under way at once.
const IN_FLIGHT: usize = 64;
/// Documents of one transaction, where there are many.
pub(super) const BATCH: u64 = 100;
/// Documents that two replicas change at the same time.
const SHARED: u64 = 1_000;
/// What the rates are compared with.
pub(super) const APPENDS: &str = "appends";
pub(super) const FILMS: &str = "films";

pub(super) fn all() -> Vec<Measurement> {
    measurements![
        "documents created, 100 in a transaction, one index" => |name, options| create(name, options, BATCH, 100_000, 30_000.0),
        "documents created one by one, 64 in flight, fsync" => |name, options| create(name, options, 1, 50_000, 10_000.0),
        "find by indexed equality among 100,000 documents, median" => find,
        "scan with a filter on a path without index" => scan,
        "two replicas exchange 50,000 concurrent updates" => exchange,
        "database of 1,000,000 events opened again, first query answered" => reopen,
        "1,000,000 documents imported, memory" => import,
    ]
}

pub(super) fn film(number: u64) -> Map<String, Value> {
    let film = json!({
        "title": format!("Film {number}"),
        "year": 1900 + number % 120,
        "director": format!("Director {}", number % 10_000),
        "genres": ["Drama", "Comedy"],
        "cast": (0..6).map(|role| format!("Actor {}", (number * 7 + role) % 50_000)).collect::<Vec<_>>(),
        "extract": "x".repeat(FILM_BYTES - 270),
    });
    match film {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn creation(number: u64) -> DocumentWrite {
    let change = DocumentChange::Create(film(number));
    DocumentWrite { collection: FILMS.to_owned(), id: Some(format!("film{number:09}")), if_version: None, change }
}

pub(super) async fn films(node: &Node, index: &str) -> anyhow::Result<ThreadId> {
    let thread = node.create_thread(None, Variant::Raw).await?.id;
    let change = DefinitionChange { add_indexes: vec![(index.to_owned(), false)], ..DefinitionChange::default() };
    node.define(&thread, FILMS, change).await?;
    Ok(thread)
}

/// Commits transactions, so many under way at once; returns how long it took until the effect of the last one could be read.
pub(super) async fn commit(
    node: &Node,
    thread: &ThreadId,
    mut transactions: impl Iterator<Item = Vec<DocumentWrite>>,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let (send, queue) = mpsc::channel(IN_FLIGHT);
    let mut committing = node.commit_all(thread, queue).await?;
    let mut under_way = VecDeque::new();
    let (mut sent, mut ended) = (0, false);
    loop {
        while !ended && sent + under_way.len() < IN_FLIGHT {
            match transactions.next() {
                Some(writes) => send.send(writes).await.map_err(|_| anyhow::anyhow!("a transaction was refused"))?,
                None => ended = true,
            }
            sent += usize::from(!ended);
        }
        while sent > 0 {
            under_way.push_back(committing.recv().await.context("a transaction was not begun")??);
            sent -= 1;
        }
        let Some(next) = under_way.pop_front() else { return Ok(begun.elapsed()) };
        next.done().await?;
    }
}

pub(super) fn batches(documents: u64, batch: u64) -> impl Iterator<Item = Vec<DocumentWrite>> {
    (0..documents / batch).map(move |first| (first * batch..(first + 1) * batch).map(creation).collect())
}

async fn create(name: &'static str, bench: Options, batch: u64, documents: u64, aim: f64) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let documents = documents / bench.divide / batch * batch;
    let writer = node(&place, "writer").await?;
    let thread = films(&writer, "year").await?;
    // From a task, as a program would that is more than this call.
    let (of_task, to) = (writer.clone(), thread.clone());
    let took = tokio::spawn(async move { commit(&of_task, &to, batches(documents, batch)).await }).await??;
    writer.stop().await;
    let bytes = Value::Object(film(0)).to_string().len();
    let row = Row::new(name, documents as f64 / took.as_secs_f64(), "documents/s", aim);
    Ok(row.megabytes(bytes).bound_by(APPENDS))
}

/// A node with so many films.
async fn library(place: &TempDir, films_: u64, index: &str) -> anyhow::Result<(Node, ThreadId)> {
    let writer = node(place, "writer").await?;
    let thread = films(&writer, index).await?;
    commit(&writer, &thread, batches(films_, BATCH)).await?;
    Ok((writer, thread))
}

pub(super) fn query(text: &str) -> anyhow::Result<Query> {
    Ok(json::parse(text)?)
}

async fn find(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let (writer, thread) = library(&place, 100_000 / bench.divide, "title").await?;
    let database = writer.database(&thread).await?;
    let samples = 2_000;
    let times = tokio::task::spawn_blocking(move || {
        let mut times = Vec::new();
        for sample in 0..samples {
            let wanted = (sample * 7_919) % (100_000 / bench.divide);
            let query = query(&json!({"where": {"title": format!("Film {wanted}")}}).to_string())?;
            let begun = Instant::now();
            let found = database.read(|read| read.find(FILMS, query, spool_db::query::Options::default()))?;
            times.push(begun.elapsed());
            if found.len() != 1 {
                bail!("{} films with one title", found.len());
            }
        }
        Ok(times)
    });
    let mut times = times.await??;
    times.sort_unstable();
    writer.stop().await;
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    Ok(Row::new(name, at(0.5), "ms", 0.3).less().note(format!("99 % within {:.2} ms", at(0.99))))
}

async fn scan(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let documents = 100_000 / bench.divide;
    let (writer, thread) = library(&place, documents, "title").await?;
    let database = writer.database(&thread).await?;
    let took = tokio::task::spawn_blocking(move || {
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let query = query(r#"{"where": {"year": 1985}}"#)?;
            let begun = Instant::now();
            let found = database.read(|read| read.find(FILMS, query, spool_db::query::Options::default()))?;
            best = best.min(begun.elapsed());
            if found.len() as u64 > documents / 50 {
                bail!("{} films of one year", found.len());
            }
        }
        Ok(best)
    });
    let took = took.await??;
    writer.stop().await;
    Ok(Row::new(name, documents as f64 / took.as_secs_f64(), "documents/s", 300_000.0))
}

/// Updates of documents that two replicas share, one a transaction.
fn updates(count: u64, by: &'static str) -> impl Iterator<Item = Vec<DocumentWrite>> {
    (0..count).map(move |number| {
        let set = json!({by: number, "last": format!("{by} {number}")});
        let Value::Object(fields) = set else { return Vec::new() };
        let id = Some(format!("film{:09}", number % SHARED));
        vec![DocumentWrite {
            collection: FILMS.to_owned(),
            id,
            if_version: None,
            change: DocumentChange::Merge(fields),
        }]
    })
}

async fn exchange(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let each = 25_000 / bench.divide;
    let one = node(&place, "one").await?;
    let thread = films(&one, "year").await?;
    commit(&one, &thread, batches(SHARED, BATCH)).await?;
    let two = node(&place, "two").await?;
    two.join(&one.share(&thread, Scope::Read, None).await?.ticket, None).await?;
    same_hash(&one, &two, &thread).await?;
    // Apart, both write.
    stop(one, &place, "one").await?;
    commit(&two, &thread, updates(each, "two")).await?;
    stop(two, &place, "two").await?;
    let one = node(&place, "one").await?;
    commit(&one, &thread, updates(each, "one")).await?;
    let two = node(&place, "two").await?;
    let address = two.addresses().await?.announced.first().cloned().context("an address")?;
    let begun = Instant::now();
    let address = spool_proto::Address { base: address, target: spool_proto::address::Target::None };
    one.connect(&address).await?;
    same_hash(&one, &two, &thread).await?;
    let took = begun.elapsed();
    one.stop().await;
    two.stop().await;
    let row = Row::new(name, 2.0 * each as f64 / took.as_secs_f64(), "updates/s", 10_000.0);
    Ok(row.bound_by(APPENDS).note("of 1,000 documents; half of them come before those that are here".to_owned()))
}

async fn same_hash(one: &Node, two: &Node, thread: &ThreadId) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let records = (one.thread(thread).await?.info.records, two.thread(thread).await?.info.records);
        let is_folding = one.database(thread).await?.is_folding() || two.database(thread).await?.is_folding();
        // Hashing takes its time, too: not before it can be equal.
        if records.0 == records.1 && !is_folding {
            let (here, there) = (one.database_state(thread).await?, two.database_state(thread).await?);
            if here.hash == there.hash && !here.is_folding && !there.is_folding {
                return Ok(());
            }
        }
        if begun.elapsed() > PATIENCE {
            bail!("the replicas differ after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn reopen(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let events = 1_000_000 / bench.divide;
    let writer = node(&place, "writer").await?;
    let thread = films(&writer, "year").await?;
    commit(&writer, &thread, batches(SHARED, BATCH)).await?;
    commit(&writer, &thread, updates(events, "one")).await?;
    stop(writer, &place, "writer").await?;
    let begun = Instant::now();
    let writer = node(&place, "writer").await?;
    let ready = begun.elapsed();
    let database = writer.database(&thread).await?;
    let query = query(r#"{"where": {"year": 1985}, "limit": 10}"#)?;
    let found = tokio::task::spawn_blocking(move || {
        database.read(|read| read.find(FILMS, query, spool_db::query::Options::default()))
    });
    if found.await??.is_empty() {
        bail!("no film was found");
    }
    let took = begun.elapsed();
    writer.stop().await;
    let row = Row::new(name, took.as_secs_f64(), "s", 1.0).less();
    Ok(row.note(format!("of which the node took {} ms to start", ready.as_millis())))
}

async fn import(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let documents = 1_000_000 / bench.divide;
    let mut daemon = Daemon::start(&repository(&place, "writer")).await?;
    let thread = daemon.client.create_thread(pb::CreateThreadRequest::default()).await?.into_inner().id;
    let index = pb::Index { path: "year".to_owned(), unique: false, ready: false };
    let define = pb::DefineCollectionRequest {
        thread: thread.clone(),
        collection: FILMS.to_owned(),
        add_indexes: vec![index],
        ..Default::default()
    };
    daemon.databases.define_collection(define).await?;
    let (sender, requests) = mpsc::channel(4);
    let feeding = tokio::spawn(async move {
        let mut thread = thread;
        for first in (0..documents).step_by(BATCH as usize) {
            let writes = (first..first + BATCH).map(|number| pb::Write {
                collection: FILMS.to_owned(),
                change: Some(pb::write::Change::Create(Value::Object(film(number)).to_string())),
                ..Default::default()
            });
            let request = pb::CommitRequest { thread: std::mem::take(&mut thread), writes: writes.collect() };
            if sender.send(request).await.is_err() {
                return;
            }
        }
    });
    let begun = Instant::now();
    let mut answers = daemon.databases.commit_stream(ReceiverStream::new(requests)).await?.into_inner();
    let (mut committed, mut memory) = (0, 0.0f64);
    let id = daemon.id().context("the daemon has ended by itself")?;
    while let Some(answer) = answers.message().await? {
        committed += answer.ids.len() as u64;
        if committed % 5_000 == 0 {
            memory = memory.max(resident_megabytes(id)?);
        }
    }
    let took = begun.elapsed();
    feeding.await?;
    if committed < documents {
        bail!("{committed} of {documents} documents were imported");
    }
    daemon.stop().await?;
    let row = Row::new(name, memory, "MB", 500.0).less();
    Ok(row.note(format!("{:.0} documents/s by gRPC", documents as f64 / took.as_secs_f64())))
}

//! What a passphrase costs: the same database in the open and under one.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use serde_json::json;
use spool_proto::{ThreadId, id::Variant, vault::Passphrase};
use tempfile::TempDir;

use super::{
    Options, Row,
    child::repository,
    documents::{BATCH, FILMS, batches, commit, films, query},
    rows::{IN_FLIGHT, Measurement, append_many, measurements, node_under, stop},
};
use crate::{model::Durability, node::Node, repo::Repo};

/// And as many events that are no documents.
const DOCUMENTS: u64 = 100_000;

pub(super) fn all() -> Vec<Measurement> {
    measurements!["documents created under a passphrase, 100 in a transaction" => protected]
}

/// What was seen of one of the two.
struct Seen {
    /// Documents a second.
    created: f64,
    /// Events a second.
    appended: f64,
    /// From nothing until the first query is answered.
    opened: Duration,
    /// A query that reads every document.
    scanned: Duration,
    /// Of the database.
    megabytes: f64,
}

async fn protected(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let documents = DOCUMENTS / bench.divide / BATCH * BATCH;
    let passphrase = Passphrase::new(b"a passphrase".to_vec().into())?;
    let open = measure(&place, "open", None, documents).await?;
    let under = measure(&place, "under", Some(&passphrase), documents).await?;
    let begun = Instant::now();
    Repo::open(repository(&place, "under"))?.unlock(&passphrase)?;
    let unlocked = begun.elapsed();
    let mut locked = Repo::open(repository(&place, "open"))?.lock()?;
    let (begun, mut values) = (Instant::now(), 0);
    locked.protect(&passphrase, &mut |count| values = count)?;
    let set = begun.elapsed();
    let both = |what: &str, of: fn(&Seen) -> f64, unit: &str| {
        format!("{what} {:.0} {unit}, in the open {:.0} {unit}", of(&under), of(&open))
    };
    let row = Row::new(name, under.created, "documents/s", 20_000.0)
        .note(format!("in the open {:.0} documents/s", open.created))
        .note(both("appends with fsync", |seen| seen.appended, "/s"))
        .note(both("first query after a start", |seen| seen.opened.as_secs_f64() * 1e3, "ms"))
        .note(format!("of which Argon2id {} ms", unlocked.as_millis()))
        .note(both("scan without index", |seen| seen.scanned.as_secs_f64() * 1e3, "ms"))
        .note(both("database", |seen| seen.megabytes, "MB"))
        .note(format!("setting it later: {values} values in {:.1} s", set.as_secs_f64()));
    Ok(row)
}

async fn measure(place: &TempDir, name: &str, passphrase: Option<&Passphrase>, documents: u64) -> anyhow::Result<Seen> {
    let writer = node_under(place, name, passphrase).await?;
    let thread = films(&writer, "year").await?;
    let (of_task, to) = (writer.clone(), thread.clone());
    let took = tokio::spawn(async move { commit(&of_task, &to, batches(documents, BATCH)).await }).await??;
    let created = documents as f64 / took.as_secs_f64();
    let log = writer.create_thread(None, Variant::Raw).await?.id;
    let took = append_many(&writer, &log, documents, IN_FLIGHT, Durability::Sync).await?;
    let appended = documents as f64 / took.as_secs_f64();
    stop(writer, place, name).await?;
    let megabytes = bytes(&Repo::open(repository(place, name))?.store_dir())? as f64 / 1e6;
    let begun = Instant::now();
    let writer = node_under(place, name, passphrase).await?;
    find(&writer, &thread, r#"{"where": {"year": 1985}, "limit": 10}"#.to_owned()).await?;
    let opened = begun.elapsed();
    let mut scanned = Duration::MAX;
    for director in 0..3 {
        let wanted = json!({"where": {"director": format!("Director {director}")}}).to_string();
        scanned = scanned.min(find(&writer, &thread, wanted).await?);
    }
    stop(writer, place, name).await?;
    Ok(Seen { created, appended, opened, scanned, megabytes })
}

async fn find(node: &Node, thread: &ThreadId, text: String) -> anyhow::Result<Duration> {
    let database = node.database(thread).await?;
    let finding = tokio::task::spawn_blocking(move || {
        let query = query(&text)?;
        let begun = Instant::now();
        let found = database.read(|read| read.find(FILMS, query, spool_db::query::Options::default()))?;
        match found.is_empty() {
            true => bail!("no film was found"),
            false => Ok(begun.elapsed()),
        }
    });
    finding.await?
}

/// Of the files in a directory.
fn bytes(directory: &Path) -> anyhow::Result<u64> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

//! The rows of the report that are about the interfaces of Textile Threads, over gRPC to a daemon in a process of its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use spool_proto::{ThreadId, id::Variant};
use tonic::transport::Channel;

use super::{
    Options, Row,
    child::{Daemon, PATIENCE, repository},
    documents::{APPENDS, film},
    rows::{Measurement, measurements},
};
use crate::threads::pb::{self, CollectionConfig, api_client::ApiClient};

const FILMS: &str = "Film";
/// Calls under way at once.
const IN_FLIGHT: usize = 16;
/// Films of one call, where there are many.
const BATCH: u64 = 100;
const LISTENERS: u64 = 100;

pub(super) fn all() -> Vec<Measurement> {
    measurements![
        "threads API: has, one after another, median" => has,
        "threads API: create one film a call, 16 in flight" => |name, options| create(name, options, 1, 20_000, 5_000.0),
        "threads API: create 100 films a call, 16 in flight" => |name, options| create(name, options, BATCH, 100_000, 20_000.0),
        "threads API: find by index among 100,000 films, 16 in flight" => find,
        "threads API: 100 listeners, each told 1,000 changes" => listen,
    ]
}

type Client = ApiClient<Channel>;

/// A database with an empty collection of films.
async fn database(client: &mut Client) -> anyhow::Result<Bytes> {
    let id = Bytes::copy_from_slice(ThreadId::new(Variant::Raw, rand::random()).as_bytes());
    let schema =
        json!({"properties": {"_id": {"type": "string"}, "title": {"type": "string"}, "year": {"type": "integer"}}});
    let index = pb::Index { path: "title".into(), unique: false };
    let films = CollectionConfig {
        name: FILMS.into(),
        schema: schema.to_string().into(),
        indexes: vec![index],
        ..Default::default()
    };
    let request = pb::NewDbRequest { db_id: id.clone(), collections: vec![films], ..Default::default() };
    client.new_db(request).await?;
    Ok(id)
}

fn instance(number: u64) -> Bytes {
    let mut film = film(number);
    film.insert("_id".into(), format!("film{number:09}").into());
    Value::Object(film).to_string().into()
}

/// Creates so many films, some a call; returns how long it took.
async fn fill(client: &Client, id: &Bytes, batch: u64, films: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut calls = stream::iter(0..films / batch)
        .map(|first| {
            let (mut client, db_id) = (client.clone(), id.clone());
            async move {
                let instances = (first * batch..(first + 1) * batch).map(instance).collect();
                client.create(pb::CreateRequest { db_id, collection_name: FILMS.into(), instances }).await
            }
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(created) = calls.next().await {
        created?;
    }
    Ok(begun.elapsed())
}

async fn create(name: &'static str, bench: Options, batch: u64, films: u64, aim: f64) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let mut daemon = Daemon::start(&repository(&place, "daemon")).await?;
    let id = database(&mut daemon.textile).await?;
    let films = films / bench.divide / batch * batch;
    let took = fill(&daemon.textile, &id, batch, films).await?;
    daemon.stop().await?;
    Ok(Row::new(name, films as f64 / took.as_secs_f64(), "films/s", aim).bound_by(APPENDS))
}

async fn has(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let mut daemon = Daemon::start(&repository(&place, "daemon")).await?;
    let id = database(&mut daemon.textile).await?;
    fill(&daemon.textile, &id, BATCH, BATCH).await?;
    let mut times = Vec::new();
    for sample in 0..2_000 / bench.divide {
        let instance_i_ds = vec![format!("film{:09}", sample % BATCH)];
        let request = pb::HasRequest { db_id: id.clone(), collection_name: FILMS.into(), instance_i_ds };
        let begun = Instant::now();
        if !daemon.textile.has(request).await?.into_inner().exists {
            bail!("a film is not there");
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).context("a sample")?;
    daemon.stop().await?;
    Ok(Row::new(name, median.as_secs_f64() * 1e3, "ms", 0.3).less())
}

async fn find(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let mut daemon = Daemon::start(&repository(&place, "daemon")).await?;
    let id = database(&mut daemon.textile).await?;
    let films = 100_000 / bench.divide;
    fill(&daemon.textile, &id, BATCH, films).await?;
    let finds = 20_000 / bench.divide;
    let begun = Instant::now();
    let mut calls = stream::iter(0..finds)
        .map(|sample| {
            let (mut client, db_id) = (daemon.textile.clone(), id.clone());
            let title = format!("Film {}", (sample * 7_919) % films);
            let query = json!({"ands": [{"fieldPath": "title", "operation": 0, "value": {"string": title}}]});
            let query_json = query.to_string().into();
            async move { client.find(pb::FindRequest { db_id, collection_name: FILMS.into(), query_json }).await }
        })
        .buffer_unordered(IN_FLIGHT);
    while let Some(found) = calls.next().await {
        if found?.into_inner().instances.len() != 1 {
            bail!("not one film of a title");
        }
    }
    let took = begun.elapsed();
    drop(calls);
    daemon.stop().await?;
    Ok(Row::new(name, finds as f64 / took.as_secs_f64(), "finds/s", 8_000.0))
}

async fn listen(name: &'static str, bench: Options) -> anyhow::Result<Row> {
    let place = tempfile::tempdir_in(&bench.directory)?;
    let mut daemon = Daemon::start(&repository(&place, "daemon")).await?;
    let id = database(&mut daemon.textile).await?;
    let changes = 1_000 / bench.divide;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let request = pb::ListenRequest { db_id: id.clone(), filters: Vec::new() };
        listeners.push(daemon.textile.listen(request).await?.into_inner());
    }
    let begun = Instant::now();
    let listening = listeners.into_iter().map(|mut listener| {
        tokio::spawn(async move {
            for _ in 0..changes {
                listener.message().await?.context("a listener that goes on")?;
            }
            anyhow::Ok(())
        })
    });
    let listening: Vec<_> = listening.collect();
    fill(&daemon.textile, &id, 1, changes).await?;
    for listener in listening {
        tokio::time::timeout(PATIENCE, listener).await???;
    }
    let took = begun.elapsed();
    daemon.stop().await?;
    let row = Row::new(name, (LISTENERS * changes) as f64 / took.as_secs_f64(), "deliveries/s", 50_000.0);
    Ok(row.note("while they are written, one a call".to_owned()))
}

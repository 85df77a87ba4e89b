//! What judging costs: events of one writer with a validator and without, and two writers who edit one document without knowing of each other.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use spool_db::{
    Change, Limits, Operation, Target, Transaction,
    collection::Builder,
    judge::{JavaScript, Judge},
    testing::{NOW, Peer, Replica, Rooms, World, body, drafts::path, rules::Words},
};
use spool_proto::clock::Time;

const DOCUMENTS: u64 = 100;
const EVENTS: u64 = 2_000;

const SIMPLE: &str = "return true";
/// As an application would have it.
const OWNED: &str = r#"
    switch (event.patch.type) {
      case "create":
        return event.patch.json_patch.title ? event.patch.json_patch.year > 1900 : "title is missing"
      case "save":
        return instance.year > 1900 && !("title" in event.patch.json_patch)
      default:
        return false
    }"#;

fn operation(collection: &str, id: &str, change: Change) -> Operation {
    Operation::Change(Target::new(collection, id), change)
}

fn map(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn define(validator: Option<&str>) -> Operation {
    let definition = Builder::new("films").and_then(|films| films.validator(validator)).expect("a definition").build();
    operation("_collections", "films", Change::Create(definition.to_fields()))
}

fn create(id: &str) -> Operation {
    let fields = json!({"title": "A film", "year": 1994, "tags": ["a", "b"], "cast": {"lead": "somebody"}});
    operation("films", id, Change::Create(map(&fields)))
}

fn append(rooms: &Rooms, log: u8, millis: u64, operation: Operation) {
    let transaction = body(&Transaction { reverts: None, operations: vec![operation] });
    let log = World::log(log);
    let mut world = rooms.world();
    let last = world.logs().find(|(id, _)| *id == log).map(|(_, length)| length);
    // Everybody has seen the definition and the document, and nothing else of others.
    let heads = if last.is_none() && log != World::log(1) { vec![world.head(&World::log(1), 2)] } else { Vec::new() };
    world.append(log, Time::new(NOW - 100_000_000 + millis, 0), heads, transaction);
}

fn fold(replica: &mut Replica) {
    while replica.step(NOW).more {}
}

fn replica(rooms: &Rooms, judge: &Arc<dyn Judge>) -> Replica {
    let replica = rooms.judging(1, Some(judge.clone()));
    let logs: Vec<_> = rooms.world().logs().collect();
    logs.into_iter().for_each(|(log, length)| replica.deliver(log, length));
    replica
}

fn judges() -> [(&'static str, Option<&'static str>, Arc<dyn Judge>); 4] {
    let engine: Arc<dyn Judge> = Arc::new(JavaScript::new().expect("the engine starts"));
    [
        ("without", None, Arc::new(Words)),
        ("rule-for-nothing", Some("yes"), Arc::new(Words)),
        ("javascript-true", Some(SIMPLE), engine.clone()),
        ("javascript-owned", Some(OWNED), engine),
    ]
}

/// Events that are here already: creations and changes, half of each.
fn folding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS)).measurement_time(Duration::from_secs(8));
    for (name, rule, judge) in judges() {
        let setup = || {
            let rooms = Rooms::default();
            append(&rooms, 1, 0, define(rule));
            for number in 0..EVENTS {
                let id = (number % (EVENTS / 2)).to_string();
                let change = Change::Set(path("cast.lead"), json!(number));
                let next = if number < EVENTS / 2 { create(&id) } else { operation("films", &id, change) };
                append(&rooms, 1, number + 1, next);
            }
            let replica = replica(&rooms, &judge);
            (rooms, replica)
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(setup, |(rooms, mut replica)| (fold(&mut replica), rooms), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Transactions one after another, each judged before it is appended and again when it is folded in.
fn writing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append-and-fold");
    group.sample_size(10).throughput(Throughput::Elements(DOCUMENTS)).measurement_time(Duration::from_secs(5));
    for (name, rule, judge) in judges() {
        let setup = || {
            let rooms = Rooms::default();
            let (database, local) = rooms.database_judging(1, Limits::default(), Some(judge.clone()));
            let peer = Peer { database, local };
            let films = Builder::new("films").and_then(|films| films.validator(rule)).expect("a definition").build();
            peer.commit(|write| write.define(&films)).expect("it is defined");
            (rooms, peer)
        };
        group.bench_function(name, |bencher| {
            let write = |(rooms, peer): (Rooms, Peer)| {
                for number in 0..DOCUMENTS {
                    let fields = map(&json!({"title": "A film", "year": 1994, "number": number}));
                    peer.commit(|write| write.create(&Target::new("films", number.to_string()), fields))
                        .expect("written");
                }
                (rooms, peer)
            };
            bencher.iter_batched(setup, write, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// Two writers, each with so many edits of one document that the other does not know of; a third has them all.
fn apart(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two-writers-one-document");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    let [_, _, _, (_, owned, engine)] = judges();
    let words: Arc<dyn Judge> = Arc::new(Words);
    for edits in [1_000, 2_500, 5_000, 10_000u64] {
        group.throughput(Throughput::Elements(2 * edits));
        let setup = |rule: Option<&str>| {
            let rooms = Rooms::default();
            append(&rooms, 1, 0, define(rule));
            append(&rooms, 1, 1, create("1"));
            for number in 0..edits {
                for log in [2, 3] {
                    let change = Change::Set(path(["cast.lead", "cast.other"][usize::from(log) % 2]), json!(number));
                    append(&rooms, log, 2 * number + u64::from(log), operation("films", "1", change));
                }
            }
            rooms
        };
        for (name, rule, judge) in
            [("without", None, &words), ("rule-for-nothing", Some("yes"), &words), ("javascript-owned", owned, &engine)]
        {
            let rooms = setup(rule);
            group.bench_with_input(BenchmarkId::new(name, edits), &edits, |bencher, _| {
                let fresh = || {
                    let mut replica = replica(&rooms, judge);
                    replica.rebuild();
                    replica
                };
                bencher.iter_batched(fresh, |mut replica| fold(black_box(&mut replica)), BatchSize::PerIteration);
            });
            // One of them comes when the other one is folded in.
            group.bench_with_input(BenchmarkId::new(format!("{name}-late"), edits), &edits, |bencher, _| {
                let fresh = || {
                    let mut replica = rooms.judging(1, Some(judge.clone()));
                    replica.rebuild();
                    replica.deliver(World::log(1), 2);
                    replica.deliver(World::log(2), edits);
                    fold(&mut replica);
                    replica.deliver(World::log(3), edits);
                    replica
                };
                bencher.iter_batched(fresh, |mut replica| fold(black_box(&mut replica)), BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, folding, writing, apart);
criterion_main!(benches);

//! What the store does in a second, on the disk of the temporary directory: run with `TMPDIR` on the disk in question.
//!
//! An event is three keys: the record, its index entry, and the log's state, which is coalesced within a group.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::{
    hint::black_box,
    sync::mpsc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spool_proto::{
    block,
    sync::{BatchId, Durability, Write},
};
use spool_store::{
    Commit, Committer, Store,
    commit::{self, Event, Handle},
    kv::rocks,
    store::Page,
};
use tempfile::TempDir;

#[path = "../src/fixture.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod fixture;

use fixture::Author;

const EVENTS: usize = 20_000;
const EVENT_BYTES: usize = 200;
const BLOCKS: usize = 2_048;
const BLOCK_BYTES: usize = 64 * 1024;

/// A store on disk, its committer, and what the committer reports.
struct Bench {
    store: Store,
    handle: Handle,
    events: mpsc::Receiver<Event>,
    next: u64,
    _committer: Committer,
    _directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), &rocks::Options::default(), None).unwrap();
        let (sender, events) = mpsc::sync_channel(1 << 16);
        let committer = Committer::spawn(&store, commit::Options::default(), move |event| {
            drop(sender.send(event));
        });
        let committer = committer.unwrap();
        Self { store, handle: committer.handle(), events, next: 0, _committer: committer, _directory: directory }
    }

    fn submit(&mut self, durability: Durability, writes: Vec<Write>) {
        self.next += 1;
        self.handle.submit(Commit { batch: BatchId(self.next), durability, writes }).unwrap();
    }

    fn wait(&self, synced: bool) {
        let last = BatchId(self.next);
        loop {
            match self.events.recv().unwrap() {
                Event::Written { through } if !synced && through == last => return,
                Event::Synced { through } if synced && through == last => return,
                Event::Written { .. } | Event::Synced { .. } => {}
                failed @ (Event::Failed { .. } | Event::Poisoned { .. }) => panic!("{failed:?}"),
            }
        }
    }
}

/// The writes of each event of a new log.
fn events(count: usize) -> Vec<Vec<Write>> {
    let mut author = Author::new(1, 1);
    let mut events = vec![vec![author.write_thread()]];
    events.extend((0..count).map(|_| author.write_next(EVENT_BYTES)));
    events
}

fn append(criterion: &mut Criterion) {
    let events = events(EVENTS);
    let mut group = criterion.benchmark_group("append");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, durability, batch) in [
        ("relaxed, one event a commit", Durability::Relaxed, 1),
        ("sync, 100 events a commit", Durability::Sync, 100),
        ("sync, one event a commit, pipelined", Durability::Sync, 1),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| commit_all(&events, durability, batch)).sum());
        });
    }
    group.finish();
}

fn commit_all(events: &[Vec<Write>], durability: Durability, batch: usize) -> Duration {
    let mut bench = Bench::new();
    let commits: Vec<Vec<Write>> = events.chunks(batch).map(<[Vec<Write>]>::concat).collect();
    let start = Instant::now();
    for writes in commits {
        bench.submit(durability, writes);
        if batch > 1 {
            bench.wait(true);
        }
    }
    if batch == 1 {
        bench.wait(durability == Durability::Sync);
    }
    start.elapsed()
}

fn blocks(criterion: &mut Criterion) {
    let author = Author::new(1, 1);
    let mut group = criterion.benchmark_group("blocks");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Bytes((BLOCKS * BLOCK_BYTES) as u64));
    group.bench_function("64 KiB, relaxed and then synced", |bencher| {
        let mut bench = Bench::new();
        bench.submit(Durability::Sync, vec![author.write_thread()]);
        let mut seed = 0;
        bencher.iter_custom(|iterations| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..iterations {
                seed += 1;
                let commits = new_blocks(&author, seed);
                let start = Instant::now();
                for writes in commits {
                    bench.submit(Durability::Relaxed, writes);
                }
                bench.wait(true);
                elapsed += start.elapsed();
            }
            elapsed
        });
    });
    group.finish();
}

/// Commits of 16 blocks that were never written before.
fn new_blocks(author: &Author, seed: u64) -> Vec<Vec<Write>> {
    let block = |n: usize| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n as u64;
        let mut bytes = Vec::with_capacity(BLOCK_BYTES);
        while bytes.len() < BLOCK_BYTES {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
        }
        let cid = block::cid(&bytes);
        Write::Block { thread: author.thread.clone(), cid, bytes: Bytes::from(bytes), links: Vec::new() }
    };
    let blocks: Vec<Write> = (0..BLOCKS).map(block).collect();
    blocks.chunks(16).map(<[Write]>::to_vec).collect()
}

fn pages(criterion: &mut Criterion) {
    let mut bench = Bench::new();
    let events = events(EVENTS);
    let (author, page) = (Author::new(1, 1), Page { bytes: 1024 * 1024, count: 1_000 });
    for writes in events {
        bench.submit(Durability::Relaxed, writes);
    }
    bench.wait(true);
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("page of 1,000 records", |bencher| {
        let mut after = 0;
        bencher.iter(|| {
            let run = bench.store.records(&author.thread, &author.log, after, u64::MAX, page).unwrap().unwrap();
            after = (after + 1_000) % (EVENTS as u64 - 1_000);
            black_box(run)
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("single record", |bencher| {
        let mut counter = 0;
        bencher.iter(|| {
            counter = (counter + 7_919) % EVENTS as u64;
            black_box(bench.store.record(&author.thread, &author.log, counter + 1).unwrap().unwrap())
        });
    });
    group.finish();
}

criterion_group!(benches, append, blocks, pages);
criterion_main!(benches);

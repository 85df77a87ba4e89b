//! What one core does in a second: records, bodies, edges, envelopes.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signature, SigningKey};
use sha2::{Digest, Sha256};
use spool_proto::{
    LogId, ThreadId, block,
    body::{Protection, seal_body},
    clock::Time,
    envelope::Run,
    event::{Event, Kind},
    id::Variant,
    keys::{EdgeEntry, Epoch, LogKeys, SealKey, ThreadKeys},
    record::{Draft, VerifiedRecord, reopen, verify},
    seal::{self, Layer, Place},
};

/// Bytes of the body of an event.
const BODY_BYTES: usize = 200;
/// Bytes of a body that is a block.
const BLOCK_BYTES: usize = 64 * 1024;
/// Logs of a thread.
const LOGS: usize = 100;
/// Records of an envelope.
const RUN: usize = 16;

struct Author {
    thread: ThreadId,
    log: LogId,
    signer: SigningKey,
    keys: LogKeys,
}

impl Author {
    fn new() -> Self {
        let signer = SigningKey::from_bytes(&[7; 32]);
        let log = LogId::from(&signer);
        let keys = LogKeys::derive(&Epoch::generate([3; 64]), &log);
        Self { thread: ThreadId::new(Variant::Raw, [1; 32]), log, signer, keys }
    }

    /// Seals body, event and record, and signs.
    fn append(&self, body: &[u8]) -> VerifiedRecord {
        let sealed = seal_body(body, &Protection::Thread { key: [5; 32] }, &self.keys, &self.thread).unwrap();
        let event = Event {
            time: Time::new(1, 0),
            kind: Kind::Application,
            content: sealed.content,
            heads: Vec::new(),
            owner: None,
            body: Some(sealed.body),
        };
        let draft = Draft { counter: 2, prev: Some(block::cid(b"prev")), skip: None, event, control: None };
        draft.seal(&self.thread, &self.log, &self.keys, &self.signer).unwrap()
    }
}

fn records(criterion: &mut Criterion) {
    let author = Author::new();
    let body = [9; BODY_BYTES];
    let sealed = author.append(&body).sealed().clone();
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign and seal, 200 bytes", |bencher| bencher.iter(|| author.append(black_box(&body))));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| verify(&author.thread, &author.log, &author.keys, black_box(sealed.clone())).unwrap());
    });
    group.bench_function("reopen", |bencher| {
        bencher.iter(|| reopen(&author.thread, &author.log, &author.keys, black_box(sealed.clone())).unwrap());
    });
    group.bench_function("derive a log's keys", |bencher| {
        let epoch = Epoch::generate([3; 64]);
        bencher.iter(|| LogKeys::derive(black_box(&epoch), &author.log));
    });
    group.finish();
}

fn bodies(criterion: &mut Criterion) {
    let thread = ThreadId::new(Variant::Raw, [1; 32]);
    let log = LogId::from(&SigningKey::from_bytes(&[7; 32])).to_bytes();
    let place = Place { layer: Layer::Body, thread: thread.as_bytes(), log: &log };
    let key = SealKey::new([5; 32]);
    let plain = vec![9; BLOCK_BYTES];
    let sealed = seal::seal(&key, place, &plain);
    let mut group = criterion.benchmark_group("64 KiB");
    group.throughput(Throughput::Bytes(BLOCK_BYTES as u64));
    group.bench_function("seal", |bencher| bencher.iter(|| seal::seal(&key, place, black_box(&plain))));
    group.bench_function("open", |bencher| bencher.iter(|| seal::open(&key, place, black_box(&sealed)).unwrap()));
    group.bench_function("sha256", |bencher| bencher.iter(|| Sha256::digest(black_box(&plain))));
    group.finish();
}

fn edges(criterion: &mut Criterion) {
    let keys = ThreadKeys::generate([3; 64]);
    let mut entries: Vec<_> = (0..LOGS as u8)
        .map(|seed| {
            let log = LogId::from(&SigningKey::from_bytes(&[seed; 32]));
            EdgeEntry { log, counter: 1_000, head: Some(block::cid(&[seed])), fork: None }
        })
        .collect();
    entries.sort_by_key(|entry| entry.log);
    let mut group = criterion.benchmark_group("edge");
    group.throughput(Throughput::Elements(LOGS as u64));
    group.bench_function("100 logs", |bencher| {
        bencher.iter(|| keys.access().edge(black_box(&entries).iter().copied()));
    });
    group.finish();
}

fn envelopes(criterion: &mut Criterion) {
    let author = Author::new();
    let record = author.append(&[9; BODY_BYTES]).sealed().clone();
    let node = SigningKey::from_bytes(&[8; 32]);
    let topic = ThreadKeys::generate([3; 64]).access().topic();
    let run = || {
        let records: Vec<Bytes> = vec![record.bytes.clone(); RUN];
        Run { log: author.log, counter: 2, key_id: record.key_id, records, blocks: Vec::new() }
    };
    let envelope = run().sign(topic, &node);
    let key = LogId::try_from(&envelope.sender).unwrap().verifying_key();
    let signature = Signature::from_bytes(&envelope.signature);
    let mut group = criterion.benchmark_group("envelope of 16 records");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign", |bencher| bencher.iter(|| black_box(run()).sign(topic, &node)));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| key.verify_strict(&black_box(&envelope).signing_hash(), &signature).unwrap());
    });
    group.finish();
}

criterion_group!(all, records, bodies, edges, envelopes);
criterion_main!(all);

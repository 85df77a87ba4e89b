//! A disk that really is full, under a real RocksDB.
//!
//! ```sh
//! mount -t tmpfs -o size=96m none /mnt/small
//! SPOOL_SMALL_DISK=/mnt/small cargo test --release -p spool-store --test full_disk
//! ```

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic, and say what they skip")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use spool_proto::{
    block,
    sync::{BatchId, Durability},
};
use spool_store::{
    Commit, Committer, Store,
    commit::{self, Event},
    kv::rocks,
};

#[path = "../src/fixture.rs"]
#[expect(dead_code, reason = "the unit tests use the rest")]
mod fixture;

use fixture::Author;

fn small_disk() -> PathBuf {
    PathBuf::from(
        std::env::var_os("SPOOL_SMALL_DISK").expect("SPOOL_SMALL_DISK names a directory on a small file system"),
    )
}

fn content(n: u64) -> Vec<u8> {
    let mut content = vec![n as u8; 64 * 1024];
    content[..8].copy_from_slice(&n.to_be_bytes());
    content
}

fn open(path: &Path) -> (Store, Committer, mpsc::Receiver<Event>) {
    let store = Store::open(path, &rocks::Options::default(), None).unwrap();
    let (sender, events) = mpsc::sync_channel(1_000);
    let committer =
        Committer::spawn(&store, commit::Options::default(), move |event| drop(sender.send(event))).unwrap();
    (store, committer, events)
}

/// Commits one block; whether it was stored, else the error.
fn store_block(
    committer: &Committer,
    events: &mpsc::Receiver<Event>,
    author: &Author,
    n: u64,
    durability: Durability,
) -> Result<(), std::sync::Arc<commit::Error>> {
    let writes = vec![author.write_thread(), author.write_block(&content(n), Vec::new())];
    committer.handle().submit(Commit { batch: BatchId(n), durability, writes }).unwrap();
    loop {
        match events.recv().unwrap() {
            Event::Written { through } if through == BatchId(n) => return Ok(()),
            Event::Written { .. } | Event::Synced { .. } => {}
            Event::Failed { error, .. } | Event::Poisoned { error } => return Err(error),
        }
    }
}

fn story(durability: Durability) {
    let disk = small_disk();
    let path = disk.join("store");
    drop(fs::remove_dir_all(&path));
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 32 * 1024 * 1024]).unwrap();
    let (store, committer, events) = open(&path);
    let author = Author::new(1, 1);

    let mut n = 1;
    let error = loop {
        match store_block(&committer, &events, &author, n, durability) {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
        assert!(n < 10_000, "the disk does not get full");
    };
    assert!(error.is_full() && !error.is_fatal(), "{error:?}");
    let stored = n;
    let all_there = |store: &Store, until: u64| {
        for n in 1..until {
            let content = content(n);
            assert_eq!(store.block(&block::cid(&content)).unwrap().unwrap(), content, "block {n}");
        }
    };
    all_there(&store, stored);

    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    loop {
        n += 1;
        committer.handle().resume().unwrap();
        match store_block(&committer, &events, &author, n, Durability::Sync) {
            Ok(()) => break,
            Err(error) => assert!(!error.is_fatal(), "{error:?}"),
        }
        assert!(freed.elapsed() < Duration::from_secs(60), "writing does not resume");
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("{durability:?}: full after {stored} blocks; writing again {:?} after there was room", freed.elapsed());
    all_there(&store, stored);
    committer.shutdown();
    drop(store);

    let (store, committer, _events) = open(&path);
    all_there(&store, stored);
    assert!(store.has_block(&block::cid(&content(n))).unwrap());
    committer.shutdown();
}

#[test]
fn a_full_disk_is_named_reads_go_on_and_writes_resume_with_room() {
    if std::env::var_os("SPOOL_SMALL_DISK").is_none() {
        eprintln!("skipped: SPOOL_SMALL_DISK names no directory on a small file system");
        return;
    }
    story(Durability::Sync);
    story(Durability::Relaxed);
}

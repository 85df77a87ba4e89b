//! The implementations against each other, and RocksDB against damaged files.

use std::{fs, ops::ControlFlow, path::Path};

use proptest::prelude::*;

use super::{Batch, Error, Faulty, Kv, Memory, Rocks, Space, rocks};

#[derive(Debug, Clone)]
enum Change {
    Put(Space, Vec<u8>, Vec<u8>),
    Delete(Space, Vec<u8>),
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>, bool),
    Sync,
    Reopen,
    Scan(Space, Vec<u8>, Vec<u8>, usize),
}

fn space() -> impl Strategy<Value = Space> {
    prop::sample::select(vec![Space::Meta, Space::Records, Space::Blocks])
}

/// Few and short keys, so that they meet; bytes at both ends of the order.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 0x7f, 0xfe, 0xff]), 1..4)
}

fn change() -> impl Strategy<Value = Change> {
    // Some values are large enough to live in a blob file.
    let value = (any::<u8>(), prop_oneof![4 => 0usize..64, 1 => 4_000usize..6_000]);
    prop_oneof![
        3 => (space(), key(), value).prop_map(|(space, key, (byte, size))| Change::Put(space, key, vec![byte; size])),
        1 => (space(), key()).prop_map(|(space, key)| Change::Delete(space, key)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let bound = prop::collection::vec(any::<u8>(), 0..3);
    prop_oneof![
        6 => (prop::collection::vec(change(), 0..8), any::<bool>()).prop_map(|(changes, sync)| Step::Write(changes, sync)),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        3 => (space(), bound.clone(), bound, 0usize..6).prop_map(|(space, from, until, count)| Step::Scan(space, from, until, count)),
    ]
}

fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for change in changes {
        match change {
            Change::Put(space, key, value) => batch.put(*space, key.clone(), value.clone()),
            Change::Delete(space, key) => batch.delete(*space, key.clone()),
        }
    }
    batch
}

fn scan(kv: &dyn Kv, space: Space, from: &[u8], until: &[u8], count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    kv.scan(space, from, until, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    found
}

fn everything(kv: &dyn Kv) -> Vec<(Space, Vec<u8>, Vec<u8>)> {
    let of = |space| scan(kv, space, &[], &[], usize::MAX).into_iter().map(move |(key, value)| (space, key, value));
    Space::ALL.into_iter().flat_map(of).collect()
}

fn open(path: &Path) -> Rocks {
    Rocks::open(path, &rocks::Options::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rocksdb_memory_and_faulty_do_the_same(steps in prop::collection::vec(step(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let (mut rocks, memory, faulty) = (Some(open(directory.path())), Memory::new(), Faulty::new());
        for step in steps {
            if let Step::Reopen = step {
                rocks = None;
            }
            let disk = rocks.get_or_insert_with(|| open(directory.path()));
            let all: [&dyn Kv; 3] = [&*disk, &memory, &faulty];
            match step {
                Step::Reopen => {}
                Step::Sync => all.iter().for_each(|kv| kv.sync().unwrap()),
                Step::Write(changes, sync) => {
                    all.iter().for_each(|kv| kv.write(&batch(&changes), sync).unwrap());
                    for change in changes {
                        let (Change::Put(space, key, _) | Change::Delete(space, key)) = change;
                        let values = all.map(|kv| kv.get(space, &key).unwrap());
                        prop_assert!(values[0] == values[1] && values[1] == values[2]);
                        let there = all.map(|kv| kv.contains(space, &key).unwrap());
                        prop_assert_eq!(there, [values[0].is_some(); 3]);
                    }
                }
                Step::Scan(space, from, until, count) => {
                    let found = all.map(|kv| scan(kv, space, &from, &until, count));
                    prop_assert_eq!(&found[0], &found[1]);
                    prop_assert_eq!(&found[1], &found[2]);
                }
            }
        }
        let disk = rocks.take().unwrap_or_else(|| open(directory.path()));
        prop_assert_eq!(everything(&disk), everything(&memory));
        prop_assert_eq!(everything(&memory), everything(&faulty));
    }

    /// What a power cut leaves of an unsynced tail: cut short, zeros, or garbage from some byte on. The store opens, and has a prefix of whole batches.
    #[test]
    fn rocksdb_opens_on_a_damaged_tail_with_a_prefix_of_whole_batches(
        count in 1u64..40,
        place in 0.0..1.0f64,
        damage in 0u8..3,
        // Half of it are types of records in recycled logs, on which RocksDB's reader would spin.
        garbage in prop_oneof![any::<u8>(), prop::sample::select(vec![5u8, 6, 7, 8, 11, 131])],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let crashed = directory.path().join("crashed");
        let kv = open(&directory.path().join("live"));
        let mut ends = vec![0];
        for n in 1..=count {
            let mut batch = Batch::default();
            for space in [Space::Records, Space::Blocks, Space::Index] {
                batch.put(space, n.to_be_bytes(), vec![n as u8; 300]);
            }
            kv.write(&batch, true).unwrap();
            ends.push(fs::metadata(newest_log(&directory.path().join("live"))).unwrap().len());
        }
        copy(&directory.path().join("live"), &crashed);
        let log = newest_log(&crashed);
        let mut bytes = fs::read(&log).unwrap();
        let cut = (bytes.len() as f64 * place) as usize;
        match damage {
            0 => bytes.truncate(cut),
            1 => bytes[cut..].fill(0),
            _ => bytes[cut..].fill(garbage),
        }
        fs::write(&log, bytes).unwrap();

        let after = open(&crashed);
        let found = scan(&after, Space::Records, &[], &[], usize::MAX);
        let undamaged = ends.iter().rposition(|end| *end <= cut as u64).unwrap();
        prop_assert!(found.len() >= undamaged, "{} of {undamaged} undamaged batches found", found.len());
        for space in [Space::Records, Space::Blocks, Space::Index] {
            let expected: Vec<_> = (1..=found.len() as u64).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 300])).collect();
            prop_assert_eq!(scan(&after, space, &[], &[], usize::MAX), expected);
        }
    }
}

/// The write-ahead log that is being written.
fn newest_log(directory: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Where RocksDB would read for ever.
#[test]
fn a_damaged_list_of_files_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let entries = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut manifests = entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST-"));
    let manifest = manifests.next().unwrap();
    let mut bytes = fs::read(&manifest).unwrap();
    let end = bytes.len() as u64;
    bytes.extend([5; 100]);
    fs::write(&manifest, bytes).unwrap();
    let error = Rocks::open(directory.path(), &rocks::Options::default()).err().unwrap();
    assert!(matches!(&error, rocks::OpenError::Damaged { at, .. } if *at == end), "{error}");
    assert!(error.to_string().contains("is damaged at byte"), "{error}");
}

#[test]
fn a_store_of_a_newer_schema_is_refused_by_name_even_with_spaces_that_are_unknown_here() {
    let directory = tempfile::tempdir().unwrap();
    {
        let kv = open(directory.path());
        let mut batch = Batch::default();
        batch.put(Space::Meta, crate::keys::SCHEMA, 9u32.to_be_bytes().to_vec());
        kv.write(&batch, true).unwrap();
    }
    let names = rocksdb::DB::list_cf(&rocksdb::Options::default(), directory.path()).unwrap();
    let mut newer = rocksdb::DB::open_cf(&rocksdb::Options::default(), directory.path(), names).unwrap();
    newer.create_cf("of tomorrow", &rocksdb::Options::default()).unwrap();
    drop(newer);
    let error = crate::Store::open(directory.path(), &rocks::Options::default(), None).err().unwrap();
    assert_eq!(error.to_string(), "store schema version 9 is newer than this program's 1: use a newer spool");
}

#[test]
fn errors_say_who_should_act() {
    let cause = || std::io::Error::other("cause").into();
    let fatal = [Error::Sync(cause()), Error::Poisoned, Error::Corrupt(cause())];
    assert!(fatal.iter().all(Error::is_fatal));
    let passing = [Error::Read(cause()), Error::Write(cause()), Error::Full(cause())];
    assert!(!passing.iter().any(Error::is_fatal));
    assert!(passing[2].is_full() && std::error::Error::source(&passing[2]).is_some());
}

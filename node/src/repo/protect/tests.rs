use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use spool_proto::{
    ThreadId,
    id::Variant,
    keys::{Epoch, ThreadKeys},
    sync::{BatchId, Durability, ThreadState, Write},
};
use spool_store::{Commit, Committer, Store, commit, kv::rocks, view};
use tempfile::TempDir;

use super::*;
use crate::repo::{Init, Repo};

const DOCUMENT: &[u8] = b"what a database has of a thread, as readers see it";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec().into()).unwrap()
}

/// Nothing that would keep anybody from guessing: tests open many.
fn cheap() -> Parameters {
    Parameters::new(8, 1, 1).unwrap()
}

/// A thread key whose bytes differ from each other, so that compression leaves them together.
fn epoch() -> Epoch {
    Epoch::generate(std::array::from_fn(|at| (at * 37 + 11) as u8))
}

fn thread() -> ThreadId {
    ThreadId::new(Variant::Raw, [5; 32])
}

struct Scene {
    _directory: TempDir,
    repo: Repo,
    /// What must not lie open: phrase, seed, node key, thread keys, and what is in a database.
    secrets: Vec<Vec<u8>>,
}

impl Scene {
    /// A repository in the open, with a thread and a view.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (repo, phrase) = Repo::create(directory.path().join("repo"), &Init::default()).unwrap();
        let keys = epoch().to_textile();
        let mut secrets: Vec<Vec<u8>> = vec![phrase.as_bytes().to_vec(), DOCUMENT.to_vec()];
        for key in [&repo.identity().unwrap().seed()[..], &repo.node_seed().unwrap()[..], &keys[..32], &keys[32..]] {
            secrets.push(key.to_vec());
            secrets.push(data_encoding::HEXLOWER.encode(key).into_bytes());
            secrets.push(data_encoding::BASE32_NOPAD.encode(key).to_lowercase().into_bytes());
        }
        fill(&repo.store_dir(), None);
        Self { _directory: directory, repo, secrets }
    }

    fn locked(&self) -> Locked {
        Repo::open(self.repo.dir()).unwrap().lock().unwrap()
    }

    /// What of the secrets lies in some file.
    fn found(&self) -> Vec<usize> {
        let files: Vec<_> = files(self.repo.dir()).iter().map(|path| fs::read(path).unwrap()).collect();
        let has = |secret: &Vec<u8>| files.iter().any(|file| file.windows(secret.len()).any(|window| window == secret));
        (0..self.secrets.len()).filter(|at| has(&self.secrets[*at])).collect()
    }

    /// That all is there, under this key or in the open.
    fn is_whole(&self, locked: &Locked) {
        assert_eq!(locked.identity().unwrap().phrase().as_bytes(), self.secrets[0]);
        assert_eq!(locked.node_seed().unwrap().as_slice(), self.secrets[5]);
        let options = rocks::Options::default();
        let store = Store::open(&locked.store_dir(), &options, locked.key().unwrap()).unwrap();
        assert_eq!(store.thread(&thread()).unwrap().unwrap().keys, ThreadKeys::new(vec![epoch()]).unwrap());
        let view = store.view(&thread(), 1).unwrap().unwrap();
        assert_eq!(view.reader().get(b"document").unwrap().unwrap(), DOCUMENT);
    }
}

fn fill(path: &Path, key: Option<&Key>) {
    let store = Store::open(path, &rocks::Options::default(), key).unwrap();
    let committer = Committer::spawn(&store, commit::Options::default(), |_| {}).unwrap();
    let keys = ThreadKeys::new(vec![epoch()]).unwrap();
    let state = Arc::new(ThreadState { keys, name: None, joined_millis: 0, addresses: Vec::new() });
    let writes = vec![Write::Thread { thread: thread(), state }];
    committer.handle().submit(Commit { batch: BatchId(1), durability: Durability::Sync, writes }).unwrap();
    committer.shutdown();
    let mut batch = view::Batch::default();
    batch.put(*b"document", DOCUMENT);
    store.view(&thread(), 1).unwrap().unwrap().write(batch).unwrap();
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn set(locked: &mut Locked, text: &str) -> Result<(), Error> {
    locked.protect_watched(&passphrase(text), cheap(), &mut Watch { before: &mut || Ok(()), on_progress: &mut |_| {} })
}

/// A watch under which the power goes before step number `last`.
fn cut<T>(last: usize, act: impl FnOnce(&mut Watch<'_>) -> T) -> T {
    let mut steps = 0;
    let mut before = || {
        steps += 1;
        if steps > last { Err(Error::NotEmpty("the power is off".into())) } else { Ok(()) }
    };
    act(&mut Watch { before: &mut before, on_progress: &mut |_| {} })
}

fn is_cut(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::NotEmpty(_)))
}

#[test]
fn under_a_passphrase_no_file_has_a_secret_and_in_the_open_they_do() {
    let scene = Scene::new();
    let mut locked = scene.locked();
    scene.is_whole(&locked);
    let open = scene.found();
    // Phrase and document, the hexadecimal text of the node's key, and both thread keys as they are.
    assert_eq!(open, [0, 1, 6, 8, 11], "this would find them");
    // As a process leaves it that is killed while it writes.
    fs::write(locked.path(".identity.4711.part"), &scene.secrets[0]).unwrap();
    set(&mut locked, "right").unwrap();
    assert_eq!(scene.found(), Vec::<usize>::new());
    scene.is_whole(&locked);
    drop(locked);

    let mut locked = scene.locked();
    assert!(matches!(locked.identity(), Err(Error::NeedsPassphrase(_))));
    assert!(matches!(locked.node_seed(), Err(Error::NeedsPassphrase(_))));
    assert!(matches!(locked.key(), Err(Error::NeedsPassphrase(_))));
    assert!(matches!(locked.unlock(&passphrase("wrong")), Err(Error::WrongPassphrase(_))));
    locked.unlock(&passphrase("right")).unwrap();
    scene.is_whole(&locked);
    assert!(matches!(set(&mut locked, "other"), Err(Error::Protected(_))));
    locked.unprotect(&mut |_| {}).unwrap();
    assert_eq!(scene.found(), open);
    scene.is_whole(&locked);
    assert_eq!(fs::read_to_string(scene.repo.dir().join("version")).unwrap(), "1\n");
    assert!(matches!(locked.unlock(&passphrase("right")), Err(Error::NotProtected(_))));
    assert!(matches!(locked.unprotect(&mut |_| {}), Err(Error::NotProtected(_))));
}

#[test]
fn whatever_interrupts_setting_it_leaves_a_repository_that_opens_and_goes_on() {
    let mut cuts = 0;
    for last in 0.. {
        let scene = Scene::new();
        let mut locked = scene.locked();
        let result = cut(last, |watch| locked.protect_watched(&passphrase("right"), cheap(), watch));
        drop(locked);
        if !is_cut(&result) {
            result.unwrap();
            break;
        }
        cuts += 1;
        let mut locked = scene.locked();
        match locked.key_file().unwrap() {
            // Not begun: in the open, all of it.
            None => {
                scene.is_whole(&locked);
                set(&mut locked, "right").unwrap();
            }
            Some(_) => {
                assert!(matches!(set(&mut locked, "right"), Err(Error::Unfinished(_))));
                assert!(locked.unlock(&passphrase("wrong")).is_err());
                locked.unlock(&passphrase("right")).unwrap();
                // It can be interrupted again.
                let again = cut(1, |watch| locked.settle_watched(watch));
                assert!(is_cut(&again) || again.is_ok());
                locked.settle(&mut |_| {}).unwrap();
            }
        }
        scene.is_whole(&locked);
        assert_eq!(locked.key_file().unwrap().unwrap().state(), State::Sealed, "after {last} steps");
        assert_eq!(scene.found(), Vec::<usize>::new(), "after {last} steps");
    }
    assert_eq!(cuts, 6);
}

#[test]
fn whatever_interrupts_removing_it_leaves_a_repository_that_opens_and_goes_on() {
    let mut cuts = 0;
    for last in 0.. {
        let scene = Scene::new();
        let mut locked = scene.locked();
        set(&mut locked, "right").unwrap();
        let result = cut(last, |watch| locked.unprotect_watched(watch));
        drop(locked);
        if !is_cut(&result) {
            result.unwrap();
            break;
        }
        cuts += 1;
        let mut locked = scene.locked();
        if locked.key_file().unwrap().is_some() {
            locked.unlock(&passphrase("right")).unwrap();
            locked.settle(&mut |_| {}).unwrap();
        }
        match locked.key_file().unwrap() {
            Some(file) => assert_eq!((last, file.state()), (0, State::Sealed), "not begun"),
            None => assert_eq!(scene.found().len(), 5),
        }
        scene.is_whole(&locked);
    }
    assert_eq!(cuts, 6);
}

#[test]
fn another_passphrase_opens_the_same_keys() {
    let scene = Scene::new();
    let mut locked = scene.locked();
    assert!(matches!(locked.change_watched(&passphrase("new"), cheap()), Err(Error::NotProtected(_))));
    set(&mut locked, "old").unwrap();
    let before = fs::read(locked.path(KEY_FILE)).unwrap();
    locked.change_watched(&passphrase("new"), cheap()).unwrap();
    assert_ne!(fs::read(locked.path(KEY_FILE)).unwrap(), before);
    drop(locked);
    let mut locked = scene.locked();
    assert!(matches!(locked.change_watched(&passphrase("x"), cheap()), Err(Error::NeedsPassphrase(_))));
    assert!(matches!(locked.unlock(&passphrase("old")), Err(Error::WrongPassphrase(_))));
    locked.unlock(&passphrase("new")).unwrap();
    scene.is_whole(&locked);
}

#[test]
fn every_changed_byte_of_a_secret_file_is_refused() {
    let scene = Scene::new();
    let mut locked = scene.locked();
    set(&mut locked, "right").unwrap();
    for name in [IDENTITY, NODE_KEY] {
        let path = locked.path(name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() - 1 {
            let mut damaged = good.clone();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            fs::write(&path, &damaged).unwrap();
            let error = locked.secret(name).unwrap_err();
            assert_eq!(error.reason(), "damaged", "byte {at} of {name}: {error:?}");
        }
        fs::write(&path, &good).unwrap();
    }
    // Nor is one taken for the other, or for one that lies open.
    let [identity, node] = [IDENTITY, NODE_KEY].map(|name| fs::read(locked.path(name)).unwrap());
    fs::write(locked.path(IDENTITY), &node).unwrap();
    assert_eq!(locked.identity().err().unwrap().reason(), "damaged");
    fs::write(locked.path(IDENTITY), &scene.secrets[0]).unwrap();
    assert_eq!(locked.identity().err().unwrap().reason(), "damaged");
    fs::write(locked.path(IDENTITY), &identity).unwrap();
    scene.is_whole(&locked);
    // Without its key nothing opens, and that is said.
    fs::remove_file(locked.path(KEY_FILE)).unwrap();
    let error = Repo::open(locked.dir()).unwrap().identity().err().unwrap();
    assert!(error.to_string().contains("repo.key"), "{error}");
}

#[test]
fn a_damaged_key_file_is_not_taken_for_a_wrong_passphrase() {
    let scene = Scene::new();
    let mut locked = scene.locked();
    set(&mut locked, "right").unwrap();
    let path = locked.path(KEY_FILE);
    let good = fs::read(&path).unwrap();
    for damaged in [&good[1..], &good[..good.len() - 1], &[][..], &[0; 5_000]] {
        fs::write(&path, damaged).unwrap();
        for error in [locked.unlock(&passphrase("right")).unwrap_err(), locked.key_file().unwrap_err()] {
            assert_eq!(error.reason(), "damaged");
            assert!(crate::chain(&error).contains("repo.key"), "{error}");
        }
    }
}

#[test]
fn a_secret_that_was_replaced_is_overwritten_and_a_copy_of_it_is_not() {
    let scene = Scene::new();
    let mut locked = scene.locked();
    let [identity, node] = [IDENTITY, NODE_KEY].map(|name| locked.path(name));
    // An open file shows what is left where its name is gone; another name is somebody's copy.
    let mut old = fs::File::open(&identity).unwrap();
    let copy = locked.path("copy");
    fs::hard_link(&node, &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    set(&mut locked, "right").unwrap();
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut old, &mut left).unwrap();
    assert!(left.len() > 100 && left.iter().all(|byte| *byte == 0), "{left:?}");
    assert_eq!(fs::read(&copy).unwrap(), before);
}

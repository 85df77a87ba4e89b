//! Makes a store that lies open into one that is sealed under the key of its repository, and the reverse.

use std::path::Path;

use spool_proto::vault::Key;

pub use crate::reseal::{ResealError, Target};
use crate::{
    kv::{
        self, Kv as _,
        rocks::{Options, Rocks},
    },
    reseal::{self, SPACES},
};

/// Why a store was not, or not wholly, sealed or unsealed. Nothing is lost, and the same again goes on where this ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not open.
    #[error(transparent)]
    Open(#[from] kv::rocks::OpenError),
    /// It was not rewritten to the end.
    #[error(transparent)]
    Reseal(#[from] ResealError),
    /// All of it is sealed, and its files may have what it had before as well.
    #[error("take what is sealed now out of the store's files")]
    Forget(#[source] kv::Error),
}

/// Makes the store in `path` into `target`, as often as this is called, and finishes what was interrupted. `on_progress` is told how many values are done.
///
/// Sealed means also that the files of the store have nothing any more of what it had in the open. What the file system has of files that it has removed, and
/// a disk of sectors that were overwritten, is beyond this; and so are copies, such as backups.
///
/// # Errors
///
/// [`Error`]; the store does not open before this was finished.
pub fn reseal(path: &Path, key: &Key, target: Target, on_progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
    let kv = Rocks::open(path, &Options::default())?;
    reseal::reseal(&kv, key, target, on_progress)?;
    if target == Target::Sealed {
        kv.forget_overwritten(&SPACES).map_err(Error::Forget)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, sync::Arc};

    use spool_proto::{
        keys::{Epoch, ThreadKeys},
        sync::{BatchId, Durability, ThreadState, Write},
    };

    use super::*;
    use crate::{Commit, Committer, Store, commit, fixture::Author, view::Batch};

    const VIEW: u8 = 1;
    const SECRET: &[u8] = b"what only readers may see, and nobody who has the disk";

    fn open(path: &Path, key: Option<&Key>) -> Store {
        Store::open(path, &Options::default(), key).unwrap()
    }

    /// A store with one thread, and a secret in its view.
    fn fill(path: &Path, key: Option<&Key>) -> Author {
        let mut author = Author::new(1, 1);
        // No byte like the one before: compression would take keys of the fixture apart.
        let entropy = std::array::from_fn(|at| (at * 37 + 11) as u8);
        author.keys = ThreadKeys::new(vec![Epoch::generate(entropy)]).unwrap();
        let store = open(path, key);
        let committer = Committer::spawn(&store, commit::Options::default(), |_| {}).unwrap();
        let Write::Thread { thread, state } = author.write_thread() else { unreachable!() };
        // Once more, so that there is an older value in the files.
        for (batch, name) in [(1, "first"), (2, "second")] {
            let state = Arc::new(ThreadState { name: Some(name.to_owned()), ..ThreadState::clone(&state) });
            let writes = vec![Write::Thread { thread: thread.clone(), state }];
            committer.handle().submit(Commit { batch: BatchId(batch), durability: Durability::Sync, writes }).unwrap();
        }
        committer.shutdown();
        let mut batch = Batch::default();
        (0..2_000u32).for_each(|n| batch.put(n.to_be_bytes(), [&n.to_be_bytes(), SECRET].concat()));
        store.view(&thread, VIEW).unwrap().unwrap().write(batch).unwrap();
        author
    }

    fn files_with(directory: &Path, needle: &[u8]) -> Vec<PathBuf> {
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let has = |path: &PathBuf| fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle);
        files.filter(has).collect()
    }

    /// What must not be in the files: the keys of the thread as they are, and what readers see.
    fn needles(author: &Author) -> Vec<Vec<u8>> {
        let both = author.keys.current().unwrap().to_textile();
        vec![both[..32].to_vec(), both[32..].to_vec(), SECRET.to_vec()]
    }

    #[test]
    fn files_of_a_sealed_store_have_no_secret_and_those_of_an_open_one_do() {
        let key = Key::new([7; 32]);
        for fresh in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            let author = fill(path, fresh.then_some(&key));
            let found = || needles(&author).iter().map(|needle| files_with(path, needle).len()).collect::<Vec<_>>();
            if !fresh {
                assert!(found().iter().all(|files| *files > 0), "this would find them: {:?}", found());
                reseal(path, &key, Target::Sealed, &mut |_| {}).unwrap();
            }
            assert_eq!(found(), [0, 0, 0], "fresh: {fresh}");
            let store = open(path, Some(&key));
            let state = store.thread(&author.thread).unwrap().unwrap();
            assert_eq!((&state.keys, state.name.as_deref()), (&author.keys, Some("second")));
            let view = store.view(&author.thread, VIEW).unwrap().unwrap();
            assert!(view.reader().get(&7u32.to_be_bytes()).unwrap().unwrap().ends_with(SECRET));
            drop((store, view));
            assert!(Store::open(path, &Options::default(), None).is_err());
            reseal(path, &key, Target::Plain, &mut |_| {}).unwrap();
            assert!(found().iter().all(|files| *files > 0));
            assert_eq!(open(path, None).thread(&author.thread).unwrap().unwrap(), state);
        }
    }
}

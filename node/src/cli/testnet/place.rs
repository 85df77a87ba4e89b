//! The directory of a testnet.
//!
//! ```text
//! <dir>/
//!   lock          held, with the process id inside, while `up` runs
//!   testnet.json  the nodes of the last `up`
//!   stop          asks `up` to end
//!   NAME/         the repository of a node
//!   NAME.log      what it logged
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::TryLockError;
use serde::{Deserialize, Serialize};

use super::member::Member;
use crate::cli::exit::{Exit, Failure};
use crate::repo::{self, Partial, Repo};

/// Bytes of `testnet.json`: some 500 for each node.
const MAX_STATE_BYTES: u64 = 1024 * 1024;

/// Whoever only looks whether a testnet runs holds the lock for a moment.
const LOCK_TRIES: u32 = 10;
/// Between two tries.
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// The directory.
pub(super) struct Place {
    dir: PathBuf,
}

/// What is in `testnet.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Id of the thread that all have.
    pub(super) thread: String,
    /// In the order in which they were started.
    pub(super) nodes: Vec<Member>,
}

/// That a testnet runs here, until this is dropped or the process is gone.
pub(super) struct Held {
    _lock: File,
    stop: PathBuf,
}

impl Place {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The repository of a node.
    pub(super) fn repo(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where a node logs.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Takes the lock, and the directory with it: makes it where there is none.
    pub(super) fn hold(&self) -> Result<Held, Failure> {
        fs::create_dir_all(&self.dir).map_err(failed("make", &self.dir))?;
        let path = self.dir.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut lock = opened.map_err(failed("open", &path))?;
        let mut tries = 0..LOCK_TRIES;
        while let Err(error) = fs4::FileExt::try_lock(&lock) {
            let TryLockError::WouldBlock = error else {
                return Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())).into());
            };
            if tries.next().is_none() {
                let message = format!("a testnet runs in {} already{}", self.dir.display(), holder(&lock));
                return Err(Failure::new(Exit::Refused, "testnet-runs", message)
                    .with_hint("`spool testnet down` stops it, --dir names another place"));
            }
            std::thread::sleep(LOCK_AGAIN);
        }
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(failed("write", &path))?;
        // Meant for one that is gone.
        self.clear_stop()?;
        Ok(Held { _lock: lock, stop: self.stop() })
    }

    /// Whether a testnet runs here.
    pub(super) fn is_held(&self) -> Result<bool, Failure> {
        let path = self.dir.join("lock");
        let lock = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(failed("open", &path))?,
        };
        match fs4::FileExt::try_lock_shared(&lock) {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    /// The process that holds the lock, in words.
    pub(super) fn holder(&self) -> String {
        File::open(self.dir.join("lock")).map_or_else(|_| String::new(), |lock| holder(&lock))
    }

    /// Asks whoever has the lock to end.
    pub(super) fn ask_to_stop(&self) -> Result<(), Failure> {
        File::create(self.stop()).map(|_| ()).map_err(failed("write", &self.stop()))
    }

    /// Whether it was asked to end.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.stop().exists()
    }

    fn stop(&self) -> PathBuf {
        self.dir.join("stop")
    }

    fn clear_stop(&self) -> Result<(), Failure> {
        match fs::remove_file(self.stop()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &self.stop())(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether some process still uses the repository of a node.
    pub(super) fn is_in_use(&self, name: &str) -> bool {
        Repo::open(self.repo(name)).is_ok_and(|repo| matches!(repo.lock(), Err(repo::Error::InUse { .. })))
    }

    /// Writes down who the nodes are.
    pub(super) fn save(&self, state: &State) -> Result<(), Failure> {
        let path = self.dir.join("testnet.json");
        let written = Partial::create(&path, false).and_then(|mut file| {
            serde_json::to_writer_pretty(&mut file, state)?;
            file.finish()
        });
        written.map_err(failed("write", &path))
    }

    /// The nodes that were started last.
    pub(super) fn load(&self) -> Result<State, Failure> {
        let path = self.dir.join("testnet.json");
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("there is no testnet in {}; `spool testnet up` starts one", self.dir.display());
                return Err(Failure::new(Exit::NotFound, "no-testnet", message));
            }
            opened => opened.map_err(failed("open", &path))?,
        };
        let damaged = |why: String| {
            let message = format!("{} is damaged: {why}; remove it and start the testnet again", path.display());
            Failure::new(Exit::Damaged, "damaged", message)
        };
        let state: State =
            serde_json::from_reader(file.take(MAX_STATE_BYTES)).map_err(|error| damaged(error.to_string()))?;
        match state.nodes.iter().find(|node| !is_plain(&node.name)) {
            // Names become paths.
            Some(node) => Err(damaged(format!("{:?} is no name of a node", node.name))),
            None => Ok(state),
        }
    }

    /// Removes the repositories and logs of all nodes, and what says that there were any.
    pub(super) fn remove(&self, state: &State) -> Result<(), Failure> {
        for node in &state.nodes {
            let repo = self.repo(&node.name);
            fs::remove_dir_all(&repo).map_err(failed("remove", &repo))?;
            // A node that never logged has none.
            let _ = fs::remove_file(self.log(&node.name));
        }
        for name in ["testnet.json", "stop", "lock"] {
            let _ = fs::remove_file(self.dir.join(name));
        }
        // Unless somebody keeps other things there.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The next `up` removes what could not be removed.
        let _ = fs::remove_file(&self.stop);
    }
}

/// Letters and digits: what `up` calls nodes.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn holder(lock: &File) -> String {
    let mut text = String::new();
    let read = lock.take(16).read_to_string(&mut text);
    let pid: Option<u32> = read.ok().and_then(|_| text.trim().parse().ok());
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Failure + use<'a> {
    move |error| anyhow::Error::new(error).context(format!("cannot {what} {}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_testnet_at_a_time_and_another_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("net"));
        assert!(!place.is_held().unwrap());
        let held = place.hold().unwrap();
        assert!(place.is_held().unwrap());
        let refused = place.hold().err().unwrap();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.error.to_string().contains(&std::process::id().to_string()), "{refused:?}");
        place.ask_to_stop().unwrap();
        assert!(place.is_asked_to_stop());
        drop(held);
        assert!(!place.is_held().unwrap() && !place.is_asked_to_stop());
        place.ask_to_stop().unwrap();
        let _held = place.hold().unwrap();
        assert!(!place.is_asked_to_stop(), "that was for another");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().into());
        assert_eq!(place.load().unwrap_err().exit, Exit::NotFound);
        let node = Member { name: "../home".into(), ..Member::default() };
        place.save(&State { thread: "t".into(), nodes: vec![node] }).unwrap();
        assert_eq!(place.load().unwrap_err().exit, Exit::Damaged);
        let node = Member { name: "writer1".into(), ..Member::default() };
        place.save(&State { thread: "t".into(), nodes: vec![node] }).unwrap();
        assert_eq!(place.load().unwrap().nodes[0].name, "writer1");
    }
}

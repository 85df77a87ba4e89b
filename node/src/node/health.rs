//! Whether the node is alive, and whether it is ready for work.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::{
    Node,
    limits::{DISK_CHECK_AGE, LEAST_FREE_BYTES, LOOP_PATIENCE},
};

/// One thing that was looked at; `Err` says in words what is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// A stable name.
    pub(crate) name: &'static str,
    pub(crate) found: Result<(), String>,
}

/// What became of the last look at the disk.
#[derive(Default)]
pub(super) struct Disk(Mutex<Option<(Instant, Result<(), String>)>>);

impl Node {
    /// Whether the loops of the node turn.
    pub(crate) async fn health(&self) -> Vec<Check> {
        let (engine, network) = tokio::join!(
            tokio::time::timeout(LOOP_PATIENCE, self.inspect(|_| ())),
            tokio::time::timeout(LOOP_PATIENCE, self.network().status()),
        );
        let late = || Err(format!("it has not answered within {} s", LOOP_PATIENCE.as_secs()));
        vec![
            Check { name: "engine", found: engine.map_or_else(|_| late(), |answer| answer.map_err(|_| ended())) },
            Check {
                name: "network",
                found: network.map_or_else(|_| late(), |answer| answer.map(drop).map_err(|_| ended())),
            },
        ]
    }

    /// Whether the node can do all that it is there for.
    pub(crate) async fn readiness(&self) -> Vec<Check> {
        let mut checks = self.health().await;
        let listening = match tokio::time::timeout(LOOP_PATIENCE, self.network().status()).await {
            Ok(Ok(status)) if status.listening.is_empty() && !self.config().listen.is_empty() => {
                Err("no address is listened on".into())
            }
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err("the network does not say".into()),
        };
        checks.push(Check { name: "listening", found: listening });
        let store = match self.store().is_poisoned() {
            true => Err("the disk did not confirm a sync: check the disk, then restart the node".into()),
            false => Ok(()),
        };
        checks.push(Check { name: "store", found: store });
        let threads = self.inspect(|engine| engine.threads().count()).await;
        let threads = match threads {
            Ok(loaded) if loaded < self.keyring().len() => {
                Err(format!("{loaded} of {} threads are loaded", self.keyring().len()))
            }
            Ok(_) => Ok(()),
            Err(_) => Err(ended()),
        };
        checks.push(Check { name: "threads", found: threads });
        let node = self.clone();
        let disk = self.blocking(move || Ok(node.disk())).await.unwrap_or_else(|error| Err(error.to_string()));
        checks.push(Check { name: "disk", found: disk });
        checks
    }

    /// Looked at anew only after a while: it writes.
    fn disk(&self) -> Result<(), String> {
        let Some(repo) = self.repo() else { return Ok(()) };
        let mut last = self.counters().disk.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, found)) = &*last
            && at.elapsed() < DISK_CHECK_AGE
        {
            return found.clone();
        }
        let found = disk(repo.dir());
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

fn ended() -> String {
    "it has ended".into()
}

/// Whether the disk under a directory can be written, in words.
pub(crate) fn disk(directory: &Path) -> Result<(), String> {
    let words = |error: io::Error| format!("cannot write in {}: {error}", directory.display());
    let free = fs4::available_space(directory).map_err(words)?;
    if free < LEAST_FREE_BYTES {
        let (free, least) = (free >> 20, LEAST_FREE_BYTES >> 20);
        return Err(format!("the disk is full: {free} MiB are free, {least} are needed; free some space"));
    }
    // Its own name for each process; gone again when it is dropped, however this ends.
    let mut file = tempfile::Builder::new().prefix(".write-test-").tempfile_in(directory).map_err(words)?;
    io::Write::write_all(&mut file, &[0; 4096]).and_then(|()| file.as_file().sync_all()).map_err(words)
}

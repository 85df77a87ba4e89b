//! A backup of the repository of a running node.

use std::path::PathBuf;

use futures::{StreamExt as _, stream::BoxStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::{Node, limits::PROGRESS_INTERVAL};
use crate::model::{BackupStep, Error};

impl Node {
    /// Makes a backup of the state of this moment in a directory of this machine, while the node goes on. Going away ends the telling, not the backup.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a relative path, or for a node without a repository; [`Error::Busy`] while another backup is made. As a step of the stream
    /// [`Error::Repository`].
    pub async fn back_up(&self, directory: PathBuf) -> Result<BoxStream<'static, Result<BackupStep, Error>>, Error> {
        if !directory.is_absolute() {
            return Err(Error::Invalid(format!("{} is not an absolute path", directory.display())));
        }
        let Some(repo) = self.repo().cloned() else {
            return Err(Error::Invalid("this node has no repository".into()));
        };
        let permit = self.counters().backup.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Error::Busy("a backup is being made"))?;
        let (sender, steps) = mpsc::channel(4);
        let store = self.store().clone();
        tokio::task::spawn_blocking(move || {
            let mut told = Instant::now();
            let mut tell = |progress| {
                if told.elapsed() >= PROGRESS_INTERVAL {
                    told = Instant::now();
                    // A slow listener misses some.
                    let _ = sender.try_send(Ok(BackupStep::Progress(progress)));
                }
            };
            let made = repo.back_up(&directory, |place| store.checkpoint(place), &mut tell);
            match &made {
                Ok(done) => tracing::info!(files = done.files, bytes = done.bytes, "backup made"),
                Err(error) => tracing::warn!(error = crate::chain(error), "no backup was made"),
            }
            // Before the caller hears: it may ask for another one at once.
            drop((store, permit));
            // The caller may have gone.
            let _ = sender.blocking_send(made.map(BackupStep::Done).map_err(Error::from));
        });
        Ok(ReceiverStream::new(steps).boxed())
    }
}

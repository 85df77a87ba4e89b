//! The database as a whole: its hash, and folding it anew.

use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::ThreadId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Open, damaged};
use crate::{
    model::{DatabaseState, Error, Folded},
    node::Node,
};

impl Node {
    /// The hash over all documents, and what is held back.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`], [`Error::Storage`].
    pub async fn database_state(&self, thread: &ThreadId) -> Result<DatabaseState, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || {
            // Before the hash: what is folded meanwhile is in it.
            let is_folding = database.is_folding();
            let (hash, documents) = database.hash_and_count().map_err(damaged)?;
            Ok(DatabaseState { hash, held: database.held(), is_folding, documents })
        })
        .await
    }

    /// Drops what was folded of a thread and folds it anew. Tells how far it is.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`], [`Error::Storage`].
    pub async fn rebuild_database(
        &self,
        thread: &ThreadId,
    ) -> Result<BoxStream<'static, Result<Folded, Error>>, Error> {
        let open = self.open_database(thread).await?;
        let database = open.database.clone();
        self.blocking(move || database.rebuild().map_err(damaged)).await?;
        open.nudge.notify_one();
        let (sender, steps) = mpsc::channel(1);
        tokio::spawn(self.clone().tell_folding(open, sender));
        Ok(ReceiverStream::new(steps).boxed())
    }

    async fn tell_folding(self, mut open: Open, sender: mpsc::Sender<Result<Folded, Error>>) {
        loop {
            open.steps.mark_unchanged();
            let database = open.database.clone();
            let step = self.blocking(move || {
                let done = !database.is_folding();
                let (records, total) = database.folded();
                Ok(Folded { records, total, done })
            });
            let step = step.await;
            let is_end = step.as_ref().map_or(true, |step| step.done);
            if sender.send(step).await.is_err() || is_end {
                return;
            }
            tokio::select! {
                changed = open.steps.changed() => if changed.is_err() { return },
                () = self.ended() => return,
            }
        }
    }
}

//! The database as a whole: its hash, and folding it anew.

use std::{ops::ControlFlow, sync::PoisonError};

use futures::{StreamExt as _, stream::BoxStream};
use spool_db::{
    database::Verification,
    documents::{SCRATCH_VIEW, VIEW},
};
use spool_proto::ThreadId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Open, damaged};
use crate::{
    model::{DatabaseState, Error, Folded},
    node::{Node, threads::storage},
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

    /// Waits until all is folded that is here now.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`], [`Error::Stopping`].
    pub(crate) async fn caught_up(&self, thread: &ThreadId) -> Result<(), Error> {
        let mut open = self.open_database(thread).await?;
        // A step may be under way that began before: the one after it sees all.
        let mut steps = 0;
        while steps < 2 || open.database.is_folding() {
            open.steps.mark_unchanged();
            open.nudge.notify_one();
            open.steps.changed().await.map_err(|_| Error::Stopping)?;
            steps += 1;
        }
        Ok(())
    }

    /// Holds what a database has folded against its events; `None` where it has folded nothing yet. Blocks.
    pub(in crate::node) fn verify_database(&self, thread: &ThreadId) -> Result<Option<Verification>, Error> {
        let room = |number| {
            let view = self.store().view(thread, number).map_err(storage)?;
            view.ok_or_else(|| Error::ThreadNotFound(thread.clone()))
        };
        let mut is_used = false;
        let used = room(VIEW)?.reader().scan_prefix(&[], &mut |_, _| {
            is_used = true;
            ControlFlow::Break(())
        });
        used.map_err(storage)?;
        if !is_used {
            return Ok(None);
        }
        let database = self.start_database(thread)?.database;
        // There is one room to fold in: who comes second waits.
        let _one_at_a_time = self.databases().verifying.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(database.verify(&room(SCRATCH_VIEW)?, &mut |_, _| {})?))
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

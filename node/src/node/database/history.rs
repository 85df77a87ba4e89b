//! What documents were, and ways back there.

use std::ops::ControlFlow;

use futures::{StreamExt as _, stream::BoxStream};
use spool_db::{
    Database, Target,
    history::{Page, Scope, Tag, Version},
    limits::MAX_ID_BYTES,
    operation::check_id,
    transaction::Error as Refused,
};
use spool_proto::{ThreadId, limits::MAX_CLOCK_AHEAD_MILLIS};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    commit::{outcome, wait},
    reading::{known_part, resolve, time},
    tasks::now_millis,
};
use crate::{
    model::{Error, Point, Restored, Reverted},
    node::Node,
};

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Take back the last own change.
    Undo,
    /// Take back the last undo.
    Redo,
}

impl Node {
    /// The versions of a document.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if it never had one.
    pub async fn versions(&self, thread: &ThreadId, target: Target, page: Page) -> Result<Vec<Version>, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || {
            let is_first = page.after.is_none() && page.count > 0;
            let versions = database.versions(&target, page)?;
            if is_first && versions.is_empty() {
                return Err(Refused::NotFound(target).into());
            }
            Ok(versions)
        })
        .await
    }

    /// Takes back this node's own last change, or its last undo.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if there is none, or others have made it impossible.
    pub async fn revert(&self, thread: &ThreadId, scope: Scope, way: Way) -> Result<Reverted, Error> {
        let database = self.database(thread).await?;
        let (reverted, outcome) = self
            .blocking(move || {
                known_part(&database, &scope, None)?;
                super::commit::again(|| {
                    let (done, told) = outcome();
                    let reverted = match way {
                        Way::Undo => database.undo(&scope, done)?,
                        Way::Redo => database.redo(&scope, done)?,
                    };
                    Ok((reverted, told))
                })
            })
            .await?;
        let receipt = wait(outcome).await?;
        Ok(Reverted { counter: reverted.counter, documents: reverted.documents, receipt })
    }

    /// Brings documents back to what they were. Tells how far it is, and ends early if nobody listens any more: what was brought back by then stays.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`]; the stream has what is wrong with the point.
    pub async fn restore(
        &self,
        thread: &ThreadId,
        scope: Scope,
        point: Point,
    ) -> Result<BoxStream<'static, Result<Restored, Error>>, Error> {
        let database = self.database(thread).await?;
        let (sender, steps) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let mut told = |documents, transactions| {
                // A step that is not read in time is left out; the last one is not.
                match sender.try_send(Ok(Restored { documents, transactions, done: false })) {
                    Err(mpsc::error::TrySendError::Closed(_)) => ControlFlow::Break(()),
                    Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => ControlFlow::Continue(()),
                }
            };
            let result = restore(&database, &scope, &point, &mut told);
            let _ = sender.blocking_send(result);
        });
        Ok(ReceiverStream::new(steps).boxed())
    }

    /// Names a point in time; without one, what is folded now. Returns the tag.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Invalid`].
    pub async fn set_tag(&self, thread: &ThreadId, name: String, point: Option<Point>) -> Result<Tag, Error> {
        if check_id(&name).is_err() {
            let message =
                format!("{name:?} cannot be the name of a tag: 1 to {MAX_ID_BYTES} bytes without control characters");
            return Err(Error::Invalid(message));
        }
        point.as_ref().map_or(Ok(()), not_to_come)?;
        let database = self.database(thread).await?;
        let (tag, outcome) = self
            .blocking(move || {
                let time = point.map_or_else(|| Ok(database.now()), |point| time(&database, &point))?;
                super::commit::again(|| {
                    let (done, told) = outcome();
                    database.set_tag(&name, time, done)?;
                    Ok((Tag { name: name.clone(), time }, told))
                })
            })
            .await?;
        wait(outcome).await?;
        Ok(tag)
    }

    /// Takes the name of a point in time away.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn remove_tag(&self, thread: &ThreadId, name: String) -> Result<(), Error> {
        let database = self.database(thread).await?;
        let outcome = self
            .blocking(move || {
                super::commit::again(|| {
                    let (done, told) = outcome();
                    database.remove_tag(&name, done)?;
                    Ok(told)
                })
            })
            .await?;
        wait(outcome).await.map(drop)
    }

    /// All names of points in time.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn tags(&self, thread: &ThreadId) -> Result<Vec<Tag>, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || Ok(database.tags()?)).await
    }
}

/// Refuses a point that nobody can have seen yet: what a thread comes to by then is not known, and a tag on it would name something else each day. The clocks of others may
/// be ahead as far as their events still count.
fn not_to_come(point: &Point) -> Result<(), Error> {
    match point {
        Point::Time(time) if time.millis() > now_millis().saturating_add(MAX_CLOCK_AHEAD_MILLIS) => {
            Err(Error::Invalid("that point is in the future: name one that has been".into()))
        }
        Point::Time(_) | Point::Tag(_) | Point::Version(_) => Ok(()),
    }
}

fn restore(
    database: &Database,
    scope: &Scope,
    point: &Point,
    told: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Restored, Error> {
    not_to_come(point)?;
    let at = resolve(database, point)?;
    known_part(database, scope, Some(at))?;
    let restored = database.restore(scope, at, told)?;
    Ok(Restored { documents: restored.documents, transactions: restored.transactions, done: restored.complete })
}

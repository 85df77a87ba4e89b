//! One thread's database: the view of its documents, kept up to date, and the way in for new transactions.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use spool_proto::{IdentityKey, LogId, clock::Time};
use spool_store::{View, view::Reader};

use crate::{
    Projector, Target,
    collection::Ids,
    documents::{self, Change, Documents},
    judge::Judge,
    limits::{ATTEMPT_PAUSE, MAX_ATTEMPTS, POSITIONS_PER_MILLISECOND, RECENT_CHANGES, RECENT_CHANGES_BYTES},
    operation::Reverts,
    projector::{self, Progress},
    query::Documents as _,
    source::Source,
    transaction::{Draft, Error, Read, Seen, Write},
};

mod commits;
mod conflicts;
mod history;
mod judging;
mod limits;
mod recent;
mod restore;
mod revert;
mod schemas;
mod standing;
mod unique;
mod verify;

use commits::Commits;
pub use limits::{Limit, Limits};
pub use recent::Changes;
use recent::Recent;
pub use restore::Restored;
pub use revert::Reverted;
use schemas::Schemas;
use standing::Standing;
pub use verify::{Fault, Verification, What};

/// What a database needs of the node that it is on.
pub trait Appender: Send + Sync {
    /// The wall clock, milliseconds since 1970.
    fn now_millis(&self) -> u64;

    /// Random bytes, for ids.
    fn random(&self) -> [u8; 10];

    /// The log that events go to; `None` as long as there is none, because nothing was written yet.
    fn own_log(&self) -> Option<LogId>;

    /// Puts an event at the end of a log: that of a client of the node, or the node's own. Those that are given one after another get their places in that order.
    /// Calls `done` once it is there, or is not going to be; never before this has returned.
    fn append(&self, client: Option<IdentityKey>, body: Vec<u8>, done: Done);

    /// Who writes the node's own log, as long as it has no record that says so; `None` if that is not known, and rules are asked only when the event is folded
    /// in.
    fn writer(&self) -> Option<IdentityKey> {
        None
    }
}

/// Is told what became of an event.
pub type Done = Box<dyn FnOnce(Result<Receipt, Box<dyn std::error::Error + Send + Sync>>) + Send>;

/// An event that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its log.
    pub log: LogId,
    /// Its place there.
    pub counter: u64,
    /// Its time.
    pub time: Time,
}

/// Is told what became of a transaction: where its event is, once its effect can be read; `None` if there was nothing to do.
pub type Committed = Box<dyn FnOnce(Result<Option<Receipt>, Error>) + Send>;

/// One thread's database. Clones share it.
#[derive(Clone)]
pub struct Database(Arc<Shared>);

struct Shared {
    view: View,
    appender: Box<dyn Appender>,
    limits: Limits,
    judge: Option<Arc<dyn Judge>>,
    /// The same as the projector's, for those who only read.
    source: Mutex<Arc<dyn Source>>,
    standing: Mutex<Standing>,
    /// Held while an undo or redo is found and queued: two that were found at once would take back the same.
    reverting: Mutex<()>,
    projector: Mutex<Projector<Documents>>,
    /// Locked after the projector, never before it.
    commits: Mutex<Commits>,
    recent: Mutex<Recent>,
    schemas: Mutex<Schemas>,
    ids: Mutex<Ids>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Database {
    /// Takes a thread's database up where it was left. Local writes and queries keep to these limits, as far as they are not beyond what every peer keeps to.
    /// `judge` runs rules; without one, what they would have to decide on is held back, and not written here.
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn open(
        view: View,
        source: Arc<dyn Source>,
        appender: Box<dyn Appender>,
        limits: Limits,
        judge: Option<Arc<dyn Judge>>,
    ) -> Result<Self, projector::Error> {
        // A power cut can take positions that were told already: what is folded again has to come after them, or whoever has them would miss it.
        let start = appender.now_millis().saturating_mul(POSITIONS_PER_MILLISECOND);
        let documents = Documents::default().with_positions_after(start).judged_by(judge.clone());
        let projector = Projector::open(view.clone(), source.clone(), documents)?;
        let standing = Standing::at_rest(&projector)?;
        let position = documents::changes::last(&view.reader())?;
        Ok(Self(Arc::new(Shared {
            view,
            appender,
            limits: limits.clamped(),
            judge,
            source: Mutex::new(source),
            standing: Mutex::new(standing),
            reverting: Mutex::default(),
            projector: Mutex::new(projector),
            commits: Mutex::default(),
            schemas: Mutex::default(),
            ids: Mutex::default(),
            recent: Mutex::new(Recent::new(position, start, RECENT_CHANGES, RECENT_CHANGES_BYTES)),
        })))
    }

    /// Folds one batch of new events. `now_millis` is the wall clock, milliseconds since 1970; `blocks_arrived` says that bodies that were missing may be
    /// here. To be called whenever events may have arrived, again while there is more, and when what is held back has come of age.
    ///
    /// # Errors
    ///
    /// [`projector::Error`]; the view is as it was.
    pub fn step(&self, now_millis: u64, blocks_arrived: bool) -> Result<Progress, projector::Error> {
        let mut projector = lock(&self.0.projector);
        let progress = projector.step(now_millis, blocks_arrived)?;
        lock(&self.0.standing).moved(&projector, &progress);
        lock(&self.0.recent).extend(projector.reducer_mut().take_changes());
        let mut commits = lock(&self.0.commits);
        let done = commits.folded(projector.positions(), &self.0.view.reader());
        drop((commits, projector));
        // Not under a lock: whoever is told may come back at once.
        done.into_iter().for_each(|(done, result)| done(result.map(Some)));
        Ok(progress)
    }

    /// Reads one state as often as it takes.
    pub fn read<T>(&self, read: impl FnOnce(&Read<'_>) -> T) -> T {
        self.0.view.snapshot(|reader| read(&self.reading(reader)))
    }

    /// Runs a transaction and queues its event; `done` is told when its effect can be read. What is returned is what `write` returned.
    ///
    /// The first to commit wins: if a document on which it relies was changed since the transaction began, or is about to be, it is refused, and may be tried
    /// again. What other peers write at the same time never makes it wait.
    ///
    /// # Errors
    ///
    /// The error of `write`; nothing has happened then, and `done` is not called.
    pub fn write<T>(
        &self,
        reverts: Option<Reverts>,
        write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>,
        done: Committed,
    ) -> Result<T, Error> {
        self.run(None, reverts, write, done)
    }

    /// As [`write`](Self::write), in the name of a client of the node.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_for<T>(
        &self,
        client: IdentityKey,
        write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>,
        done: Committed,
    ) -> Result<T, Error> {
        self.run(Some(client), None, write, done)
    }

    fn run<T>(
        &self,
        client: Option<IdentityKey>,
        reverts: Option<Reverts>,
        write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>,
        done: Committed,
    ) -> Result<T, Error> {
        let (result, draft) = self.0.view.snapshot(|reader| {
            let mut transaction = Write::new(self.reading(reader));
            let result = write(&mut transaction)?;
            Ok::<_, Error>((result, Draft { client, ..transaction.into_draft(reverts)? }))
        })?;
        self.queue(draft, done)?;
        Ok(result)
    }

    /// Runs a transaction, again if another was faster, and waits until its effect can be read. Blocks: not for tasks, and not for whoever folds.
    ///
    /// # Errors
    ///
    /// The error of `write`, [`Error::Conflict`] after [`MAX_ATTEMPTS`], or [`Error::Append`].
    pub fn commit<T>(&self, write: impl Fn(&mut Write<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut attempts = 1;
        loop {
            let (tell, told) = mpsc::sync_channel(1);
            let done = move |result| {
                // Whoever waited may have gone.
                let _ = tell.send(result);
            };
            match self.write(None, &write, Box::new(done)) {
                Err(error) if error.is_retryable() && attempts < MAX_ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
                Ok(result) => {
                    let gone = |_| Error::Append("the node has ended".into());
                    return told.recv().map_err(gone)?.map(|_| result);
                }
            }
            std::thread::sleep(ATTEMPT_PAUSE);
        }
    }

    /// What local writes and queries may use.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// An id for a new document: a lower-case ULID, above all that were given out before.
    pub fn new_id(&self) -> String {
        lock(&self.0.ids).next(self.0.appender.now_millis(), self.0.appender.random())
    }

    /// Runs a transaction as [`write`](Self::write) does, perhaps in the name of a client, looks at all that it would be refused for, and does nothing.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn rehearse<T>(
        &self,
        client: Option<IdentityKey>,
        write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (result, draft) = self.0.view.snapshot(|reader| {
            let mut transaction = Write::new(self.reading(reader));
            let result = write(&mut transaction)?;
            Ok::<_, Error>((result, transaction.into_draft(None)?))
        })?;
        lock(&self.0.schemas).check(&draft.written, &draft.definitions)?;
        self.judge(client, &draft.transaction)?;
        self.0.view.snapshot(|reader| unique::check(reader, &draft.written, &draft.definitions))?;
        Ok(result)
    }

    fn reading<'a>(&'a self, reader: &'a Reader<'a>) -> Read<'a> {
        Read::new(reader, self.0.limits, self.0.judge.as_deref())
    }

    fn queue(&self, draft: Draft, done: Committed) -> Result<(), Error> {
        // What reverts a transaction of which nothing is left has no operations, but is remembered.
        let is_nothing = draft.transaction.operations.is_empty() && draft.transaction.reverts.is_none();
        if is_nothing && !draft.has_saved {
            done(Ok(None));
            return Ok(());
        }
        let Draft { client, transaction, seen, written, touched, definitions, has_saved: _ } = draft;
        lock(&self.0.schemas).check(&written, &definitions)?;
        self.judge(client, &transaction)?;
        // All operations were found to be good one by one, and to fit together.
        let body = transaction.encode().map_err(|source| {
            let target = written.keys().next().cloned().unwrap_or_else(|| Target::new("", ""));
            Error::Operation { target, source }
        })?;
        let mut commits = lock(&self.0.commits);
        if commits.is_stopped() {
            return Err(Error::Append("the node has ended".into()));
        }
        let reader = self.0.view.reader();
        for (target, seen) in &seen {
            let hidden = commits.is_in_flight(target) && *seen != Seen::Existence(true);
            if hidden || !seen.holds(target, &reader)? {
                return Err(Error::Conflict(target.clone()));
            }
        }
        if is_nothing {
            drop(commits);
            done(Ok(None));
            return Ok(());
        }
        let claims = unique::check(&reader, &written, &definitions)?;
        if let Some(target) = commits.claimed(&claims) {
            return Err(Error::Conflict(target));
        }
        let touched: BTreeSet<Target> = written.into_keys().chain(touched).collect();
        let number = commits.begin(touched.into_iter().collect(), claims, done);
        let shared = Arc::downgrade(&self.0);
        // Under the lock, so that events are queued in the order in which their transactions were found to be free of conflict.
        self.0.appender.append(
            client,
            body,
            Box::new(move |result| {
                let Some(shared) = shared.upgrade() else { return };
                // A view that is ahead of its waiters has folded the event already.
                let done = lock(&shared.commits).appended(number, result, &shared.view.reader());
                let Some((done, result)) = done else { return };
                done(result.map(Some));
            }),
        );
        Ok(())
    }

    /// What has changed after a position, oldest first, up to `count` documents.
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn changes(&self, after: u64, count: usize) -> Result<Changes, projector::Error> {
        if let Some(changes) = lock(&self.0.recent).after(after, count) {
            return Ok(changes);
        }
        // Before reading: what is changed from here on is among the last changes, so whoever has all that is stored need not be told again to have lagged.
        let last = self.position();
        let (items, position) = documents::changes::after(&self.0.view.reader(), after, count)?;
        let position = if items.is_empty() { position.max(last) } else { position };
        Ok(Changes { items, position, lagged: true })
    }

    /// The last position of the feed of changes.
    pub fn position(&self) -> u64 {
        lock(&self.0.recent).position()
    }

    /// How many documents of a collection exist.
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn count(&self, collection: &str) -> Result<u64, projector::Error> {
        documents::Collection::new(&self.0.view.reader(), collection).count()
    }

    /// That hash, and how many documents exist, of one state.
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn hash_and_count(&self) -> Result<([u8; 32], u64), projector::Error> {
        self.0.view.snapshot(|reader| Ok((documents::hash(reader)?, documents::count(reader)?)))
    }

    /// A hash over all documents, equal on all peers that have folded the same events.
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn hash(&self) -> Result<[u8; 32], projector::Error> {
        self.0.view.snapshot(documents::hash)
    }

    /// Nothing will be folded any more: whoever waits for the effect of a transaction is told that it is not known.
    pub fn stop(&self) {
        let waiting = lock(&self.0.commits).stop();
        // Not under a lock: whoever is told may come back at once.
        waiting.into_iter().for_each(|done| done(Err(Error::Append("the node has ended".into()))));
    }

    /// Drops the view and folds it anew. Readers see it grow, and whoever reads changes is given all documents once more.
    ///
    /// # Errors
    ///
    /// [`projector::Error`].
    pub fn rebuild(&self) -> Result<(), projector::Error> {
        let mut projector = lock(&self.0.projector);
        projector.rebuild()?;
        *lock(&self.0.standing) = Standing::at_rest(&projector)?;
        let position = documents::changes::last(&self.0.view.reader())?;
        lock(&self.0.recent).clear(position);
        Ok(())
    }

    /// Reads events with other keys from now on.
    pub fn set_source(&self, source: Arc<dyn Source>) {
        *lock(&self.0.source) = source.clone();
        lock(&self.0.projector).set_source(source);
    }
}

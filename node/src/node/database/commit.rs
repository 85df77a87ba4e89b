//! Transactions that are given as a whole.

use serde_json::Value;
use spool_db::{
    Database, Target,
    collection::{Builder, Definition},
    database::Receipt,
    judge::{Failure, Filtered, Verdict},
    limits::{ATTEMPT_PAUSE, MAX_ATTEMPTS},
    operation::check_id,
    transaction::{Error as Refused, Write},
};
use spool_proto::ThreadId;
use tokio::sync::{mpsc, oneshot};

use super::judge;
use crate::{
    model::{CollectionInfo, Committed, DefinitionChange, DocumentChange, DocumentWrite, Error},
    node::{Node, limits::DATABASE_APPENDS},
};

/// What became of a transaction, when its effect can be read.
pub(in crate::node) type Outcome = oneshot::Receiver<Result<Option<Receipt>, Refused>>;

/// A way to be told what became of a transaction, and the end at which to wait for that.
pub(in crate::node) fn outcome() -> (spool_db::database::Committed, Outcome) {
    let (tell, told) = oneshot::channel();
    let done = move |result| {
        // Whoever waited may have gone.
        let _ = tell.send(result);
    };
    (Box::new(done), told)
}

/// Waits for it.
pub(in crate::node) async fn wait(outcome: Outcome) -> Result<Option<Receipt>, Error> {
    Ok(outcome.await.map_err(|_| Error::Stopping)??)
}

/// A transaction whose event is on its way; resolves once its effect can be read.
pub struct Committing {
    ids: Vec<String>,
    outcome: Outcome,
}

impl Committing {
    /// Waits until the effect can be read.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if the event was not appended, [`Error::Stopping`].
    pub async fn done(self) -> Result<Committed, Error> {
        Ok(Committed { ids: self.ids, receipt: wait(self.outcome).await? })
    }
}

impl Node {
    /// Runs one transaction, again if another was faster.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] says what was refused; nothing has happened then.
    pub async fn commit(&self, thread: &ThreadId, writes: Vec<DocumentWrite>) -> Result<Committed, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || run(&database, writes)).await?.done().await
    }

    /// Runs many transactions one after another, without waiting for the events of those before. What becomes of each is told in their order; the first
    /// that is refused is the last that is told. Ends when `transactions` does, or when nobody listens any more.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`].
    pub async fn commit_all(
        &self,
        thread: &ThreadId,
        mut transactions: mpsc::Receiver<Vec<DocumentWrite>>,
    ) -> Result<mpsc::Receiver<Result<Committing, Error>>, Error> {
        let database = self.database(thread).await?;
        let (tell, told) = mpsc::channel(DATABASE_APPENDS);
        tokio::task::spawn_blocking(move || {
            while let Some(writes) = transactions.blocking_recv() {
                let result = run(&database, writes);
                let refused = result.is_err();
                if tell.blocking_send(result).is_err() || refused {
                    return;
                }
            }
        });
        Ok(told)
    }

    /// Defines a collection, or changes what is defined for it.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Invalid`].
    pub async fn define(
        &self,
        thread: &ThreadId,
        collection: &str,
        change: DefinitionChange,
    ) -> Result<CollectionInfo, Error> {
        let (database, name) = (self.database(thread).await?, collection.to_owned());
        let outcome = self.blocking(move || {
            try_rules(change.validator.as_deref(), change.filter.as_deref())?;
            define(&database, &name, &change)
        });
        let outcome = outcome.await?;
        wait(outcome).await?;
        self.collection(thread, collection).await
    }

    /// A collection as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if it is not defined.
    pub async fn collection(&self, thread: &ThreadId, collection: &str) -> Result<CollectionInfo, Error> {
        let (database, name) = (self.database(thread).await?, collection.to_owned());
        self.blocking(move || {
            let unknown = || Refused::NoCollection(name.clone());
            Ok(info(&database, &name)?.ok_or_else(unknown)?)
        })
        .await
    }

    /// All collections that are defined, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn collections(&self, thread: &ThreadId) -> Result<Vec<CollectionInfo>, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || {
            let names = database.read(|read| read.collections())?;
            let infos = names.iter().filter_map(|name| info(&database, name).transpose());
            Ok(infos.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn info(database: &Database, name: &str) -> Result<Option<CollectionInfo>, Refused> {
    let Some((definition, indexes)) = database.read(|read| {
        let definition = read.definition(name)?;
        definition.map(|definition| Ok::<_, Refused>((definition, read.indexes(name)?))).transpose()
    })?
    else {
        return Ok(None);
    };
    Ok(Some(CollectionInfo { definition, indexes, documents: database.count(name)? }))
}

/// Refuses rules that are no code. It takes as long as they run on nothing, which is bounded. Empty ones are none.
///
/// # Errors
///
/// [`Error::Invalid`].
pub(crate) fn try_rules(validator: Option<&str>, filter: Option<&str>) -> Result<(), Error> {
    let is_there = |rule: &&str| !rule.is_empty();
    let (validator, filter) = (validator.filter(is_there), filter.filter(is_there));
    if validator.is_none() && filter.is_none() {
        return Ok(());
    }
    let judge = judge().ok_or_else(|| Error::Invalid("this node cannot run rules: see its log".into()))?;
    let validated = validator.map(|rule| judge.verdict(rule, None, &Value::Null, None));
    let filtered = filter.map(|rule| judge.filter(rule, None, &Value::Null));
    let failures = [
        validated.and_then(|verdict| if let Verdict::Failed(failure) = verdict { Some(failure) } else { None }),
        filtered.and_then(|filtered| if let Filtered::Failed(failure) = filtered { Some(failure) } else { None }),
    ];
    // Whatever else they do on nothing says little.
    let is_no_code = |failure: &Failure| matches!(failure, Failure::Source(_) | Failure::SourceSize);
    match failures.into_iter().flatten().find(is_no_code) {
        Some(failure) => Err(Error::Invalid(failure.to_string())),
        None => Ok(()),
    }
}

fn define(database: &Database, name: &str, change: &DefinitionChange) -> Result<Outcome, Error> {
    again(|| {
        let (done, told) = outcome();
        let target = Target::new(spool_db::collection::COLLECTIONS, name);
        database.write(
            None,
            |write| {
                let before = write.definition(name)?;
                if before.is_some() && change.must_be_new {
                    return Err(Refused::Exists(target.clone()));
                }
                write.define(&changed(name, before, change)?)
            },
            done,
        )?;
        Ok(told)
    })
}

fn changed(
    name: &str,
    before: Option<Definition>,
    change: &DefinitionChange,
) -> Result<Definition, spool_db::collection::Error> {
    let mut builder = before.map_or_else(|| Builder::new(name), |before| Ok(Builder::from(before)))?;
    for path in &change.remove_indexes {
        builder = builder.without_index(path)?;
    }
    for (path, unique) in &change.add_indexes {
        builder = builder.index(path, *unique)?;
    }
    for path in &change.remove_keep_both {
        builder = builder.without_keep_both(path)?;
    }
    for path in &change.add_keep_both {
        builder = builder.keep_both(path)?;
    }
    if let Some(schema) = &change.schema {
        builder = builder.schema(schema.clone())?;
    }
    let rule = |source: &'_ String| (!source.is_empty()).then(|| source.clone());
    if let Some(validator) = &change.validator {
        builder = builder.validator(rule(validator).as_deref())?;
    }
    if let Some(filter) = &change.filter {
        builder = builder.filter(rule(filter).as_deref())?;
    }
    Ok(builder.build())
}

/// Begins a transaction. Blocks.
fn run(database: &Database, mut writes: Vec<DocumentWrite>) -> Result<Committing, Error> {
    let ids = writes.iter_mut().map(|write| name(database, write)).collect::<Result<Vec<_>, _>>()?;
    let outcome = again(|| {
        let (done, told) = outcome();
        database.write(
            None,
            |transaction| {
                writes.iter().zip(&ids).try_for_each(|(write, id)| {
                    apply(transaction, &Target::new(write.collection.as_str(), id.as_str()), write)
                })
            },
            done,
        )?;
        Ok(told)
    })?;
    Ok(Committing { ids, outcome })
}

/// Tries again what another transaction was faster than. Blocks.
pub(in crate::node) fn again<T>(mut attempt: impl FnMut() -> Result<T, Refused>) -> Result<T, Error> {
    let mut attempts = 1;
    loop {
        match attempt() {
            Err(error) if error.is_retryable() && attempts < MAX_ATTEMPTS => attempts += 1,
            result => return Ok(result?),
        }
        std::thread::sleep(ATTEMPT_PAUSE);
    }
}

/// The id of the document that is written, which is taken out of its fields; a new one where the caller names none.
pub(super) fn name(database: &Database, write: &mut DocumentWrite) -> Result<String, Error> {
    let makes = matches!(write.change, DocumentChange::Create(_) | DocumentChange::Save(_));
    if let DocumentChange::Create(fields) | DocumentChange::Save(fields) | DocumentChange::Merge(fields) =
        &mut write.change
    {
        fields.remove(spool_db::query::MODIFIED);
        match (fields.remove(spool_db::query::ID), &write.id) {
            (None, _) => {}
            (Some(serde_json::Value::String(within)), None) => write.id = Some(within),
            (Some(within), Some(id)) if within == **id => {}
            (Some(_), None) => return Err(Error::Invalid("`_id` has to be a string".into())),
            (Some(_), Some(id)) => {
                return Err(Error::Invalid(format!(
                    "the document {id:?} has another `_id` among its fields: leave it out"
                )));
            }
        }
    }
    match &write.id {
        Some(id) => {
            check_id(id).map_err(|error| Error::Invalid(error.to_string()))?;
            Ok(id.clone())
        }
        None if makes => Ok(database.new_id()),
        None => Err(Error::Invalid("name the document: only one that is made can do without an id".into())),
    }
}

/// One write within a transaction.
pub(super) fn apply(transaction: &mut Write<'_>, target: &Target, write: &DocumentWrite) -> Result<(), Refused> {
    if let Some(version) = write.if_version {
        transaction.expect(target, version)?;
    }
    match write.change.clone() {
        DocumentChange::Create(fields) => transaction.create(target, fields),
        DocumentChange::Save(fields) => transaction.save(target, fields),
        DocumentChange::Merge(fields) => transaction.merge(target, fields),
        DocumentChange::Set(path, value) => transaction.set(target, path, value),
        DocumentChange::Unset(path) => transaction.unset(target, path),
        DocumentChange::Increment(path, by) => transaction.increment(target, path, by),
        DocumentChange::Add(path, value) => transaction.add(target, path, value),
        DocumentChange::Remove(path, value) => transaction.remove(target, path, value),
        DocumentChange::Resolve(path, value) => transaction.resolve(target, path, value),
        DocumentChange::Delete => transaction.delete(target),
        DocumentChange::Undelete => transaction.undelete(target),
    }
}

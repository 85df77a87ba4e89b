//! Reading documents.

use futures::stream::BoxStream;
use spool_db::{
    Database, Target,
    collection::COLLECTIONS,
    conflicts::Conflict,
    history::{At, Scope, VersionId},
    query::{self, Options, Plan, Query},
    transaction::Error as Refused,
};
use spool_proto::{ThreadId, clock::Time};

use super::pages::pages;
use crate::{
    model::{DocumentInfo, Error, Point},
    node::Node,
};

impl Node {
    /// A document, now or as it was.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if it does not exist, or did not then.
    pub async fn document(&self, thread: &ThreadId, target: Target, at: Option<Point>) -> Result<DocumentInfo, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || {
            let document = match &at {
                None => database.read(|read| read.document(&target))?,
                Some(point) => database.document_at(&target, resolve(&database, point)?)?.unwrap_or_default(),
            };
            let conflicts = if at.is_none() { database.conflicts_of(&target)? } else { Vec::new() };
            let version = document.version();
            let fields = document.shown(&target.id).ok_or_else(|| Refused::NotFound(target.clone()))?;
            Ok(DocumentInfo { target, fields, version, conflicts })
        })
        .await
    }

    /// The documents that answer a query, as JSON, page by page, all of one state.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`]; the stream has what is wrong with the query, or that there is no such collection.
    pub async fn find(
        &self,
        thread: &ThreadId,
        collection: String,
        query: Query,
        options: Options,
        at: Option<Point>,
    ) -> Result<BoxStream<'static, Result<Vec<String>, Error>>, Error> {
        let database = self.database(thread).await?;
        Ok(pages(move |pages| {
            let mut push = |document: query::Document| {
                let json = serde_json::Value::Object(document.fields).to_string();
                let bytes = json.len();
                pages.push(json, bytes)
            };
            let time = at.map(|point| time(&database, &point)).transpose()?;
            known(&database, &collection, time)?;
            match time {
                None => database.read(|read| read.find_each(&collection, query, options, &mut push)).map(drop)?,
                Some(time) => database.find_each_at(&collection, query, options, time, &mut push).map(drop)?,
            }
            Ok(())
        }))
    }

    /// How a query would be answered, now or in the past.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn explain(
        &self,
        thread: &ThreadId,
        collection: String,
        query: Query,
        at: Option<Point>,
    ) -> Result<Plan, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || {
            let time = at.map(|point| time(&database, &point)).transpose()?;
            known(&database, &collection, time)?;
            Ok(match time {
                None => database.read(|read| read.plan(&collection, query))?,
                Some(time) => database.plan_at(&collection, query, time)?,
            })
        })
        .await
    }

    /// What merging has left for people to decide, in a collection or in all, page by page.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`]; the stream has that there is no such collection.
    pub async fn conflicts(
        &self,
        thread: &ThreadId,
        collection: Option<String>,
    ) -> Result<BoxStream<'static, Result<Vec<Conflict>, Error>>, Error> {
        let database = self.database(thread).await?;
        Ok(pages(move |pages| {
            collection.as_deref().map_or(Ok(()), |collection| known(&database, collection, None))?;
            database.conflicts(collection.as_deref(), &mut |conflict| {
                let bytes = conflict.bytes();
                pages.push(conflict, bytes)
            })?;
            Ok(())
        }))
    }
}

/// Refuses a collection that nobody has defined, most likely a slip of the pen. One whose definition is gone can be read as long as it has documents, and in the
/// past.
pub(super) fn known(database: &Database, collection: &str, time: Option<Time>) -> Result<(), Refused> {
    let is_own = collection.starts_with('_');
    if is_own || database.read(|read| read.definition(collection))?.is_some() || database.count(collection)? > 0 {
        return Ok(());
    }
    let was_defined = match time {
        Some(time) => database.document_at(&Target::new(COLLECTIONS, collection), At::Time(time))?,
        None => None,
    };
    if was_defined.is_some_and(|definition| definition.is_alive()) {
        return Ok(());
    }
    Err(Refused::NoCollection(collection.to_owned()))
}

/// The same for what is to be changed back: documents as they were at a point.
pub(super) fn known_part(database: &Database, scope: &Scope, at: Option<At>) -> Result<(), Refused> {
    let collection = match scope {
        Scope::Database => return Ok(()),
        Scope::Collection(collection) => collection,
        Scope::Document(target) => &target.collection,
    };
    let time = at.and_then(|at| match at {
        At::Time(time) => Some(time),
        At::Version(_) | At::Stamp(_) => None,
    });
    known(database, collection, time)
}

/// A point in the history of a document.
pub(super) fn resolve(database: &Database, point: &Point) -> Result<At, Error> {
    Ok(match point {
        Point::Version(version) => At::Version(*version),
        Point::Time(_) | Point::Tag(_) => At::Time(time(database, point)?),
    })
}

/// A point in the history of a thread.
pub(super) fn time(database: &Database, point: &Point) -> Result<Time, Error> {
    match point {
        Point::Time(time) => Ok(*time),
        Point::Tag(name) => Ok(database.tagged(name)?.ok_or_else(|| Refused::NoTag(name.clone()))?),
        Point::Version(version) => Err(of_one_document(version)),
    }
}

fn of_one_document(version: &VersionId) -> Error {
    Error::Invalid(format!("{version} is a version of one document: name a time or a tag"))
}

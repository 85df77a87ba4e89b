//! Reading documents.

use futures::stream::BoxStream;
use spool_db::{
    Database, Target,
    conflicts::Conflict,
    history::{At, VersionId},
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
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`]; the stream has what is wrong with the query.
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
            match at {
                None => database.read(|read| read.find_each(&collection, query, options, &mut push)).map(drop)?,
                Some(point) => {
                    let time = time(&database, &point)?;
                    database.find_each_at(&collection, query, options, time, &mut push)?;
                }
            }
            Ok(())
        }))
    }

    /// How a query would be answered.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn explain(&self, thread: &ThreadId, collection: String, query: Query) -> Result<Plan, Error> {
        let database = self.database(thread).await?;
        self.blocking(move || Ok(database.read(|read| read.plan(&collection, query))?)).await
    }

    /// What merging has left for people to decide, in a collection or in all, page by page.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`].
    pub async fn conflicts(
        &self,
        thread: &ThreadId,
        collection: Option<String>,
    ) -> Result<BoxStream<'static, Result<Vec<Conflict>, Error>>, Error> {
        let database = self.database(thread).await?;
        Ok(pages(move |pages| {
            database.conflicts(collection.as_deref(), &mut |conflict| {
                let bytes = conflict.bytes();
                pages.push(conflict, bytes)
            })?;
            Ok(())
        }))
    }
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
        Point::Tag(name) => {
            let tagged = database.tagged(name)?;
            tagged.ok_or_else(|| Error::Invalid(format!("there is no tag {name:?}; list them with `spool db tag`")))
        }
        Point::Version(version) => Err(of_one_document(version)),
    }
}

fn of_one_document(version: &VersionId) -> Error {
    Error::Invalid(format!("{version} is a version of one document: name a time or a tag"))
}

//! A database as it was, and names for points in time.

use std::{ops::ControlFlow, sync::Arc};

use spool_proto::clock::Time;

use super::{Committed, Database, lock};
use crate::{
    Document, Target,
    history::{self, At, Page, PastCollection, Tag, Version},
    query::{self, Options, Plan, Query, Work},
    source::Source,
    transaction::{Error, of},
};

impl Database {
    /// Where events are read.
    pub(super) fn source(&self) -> Arc<dyn Source> {
        lock(&self.0.source).clone()
    }

    /// The versions of a document, page by page.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn versions(&self, target: &Target, page: Page) -> Result<Vec<Version>, Error> {
        let source = self.source();
        Ok(self.0.view.snapshot(|reader| history::versions(reader, &*source, target, page))?)
    }

    /// A document as it was; `None` if nothing had been written to it, or if it was never in that version.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn document_at(&self, target: &Target, at: At) -> Result<Option<Document>, Error> {
        let source = self.source();
        Ok(self.0.view.snapshot(|reader| history::document_at(reader, &*source, target, at))?)
    }

    /// The documents of a collection that answered a query at a time, as far as is known of it by now. Without indexes: each document of the collection is folded as
    /// it was then, one after another.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn find_at(
        &self,
        collection: &str,
        query: Query,
        options: Options,
        time: Time,
    ) -> Result<Vec<query::Document>, Error> {
        self.in_the_past(collection, query, time, |plan, documents| {
            plan.collect(documents, self.permitted(options)).map_err(of(collection))
        })
    }

    /// The same, handed over one by one until told to stop. They do not count as memory of the query.
    ///
    /// # Errors
    ///
    /// [`Error::Query`]; documents may have been handed over before.
    pub fn find_each_at(
        &self,
        collection: &str,
        query: Query,
        options: Options,
        time: Time,
        visit: &mut dyn FnMut(query::Document) -> ControlFlow<()>,
    ) -> Result<Work, Error> {
        self.in_the_past(collection, query, time, |plan, documents| {
            plan.run(documents, self.permitted(options), visit).map_err(of(collection))
        })
    }

    /// How it would be answered.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn plan_at(&self, collection: &str, query: Query, time: Time) -> Result<Plan, Error> {
        self.in_the_past(collection, query, time, |plan, _| Ok(plan.clone()))
    }

    fn permitted(&self, options: Options) -> Options {
        Options { memory: options.memory.min(self.0.limits.query_memory) }
    }

    fn in_the_past<T>(
        &self,
        collection: &str,
        query: Query,
        time: Time,
        act: impl FnOnce(&Plan, &PastCollection<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(name) = query.index {
            return Err(of(collection)(query::Error::IndexOfThePast { name }));
        }
        let source = self.source();
        self.0.view.snapshot(|reader| {
            let documents = PastCollection::new(reader, &*source, collection, time);
            let plan = Plan::new(query, &[], &documents).map_err(of(collection))?;
            act(&plan, &documents)
        })
    }

    /// Gives a name to a point in time, for all peers. A tag of that name moves.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); [`Error::Operation`] if it is no name for a tag.
    pub fn set_tag(&self, name: &str, time: Time, done: Committed) -> Result<(), Error> {
        let (target, change) = history::tag(name, time);
        self.write(None, |write| write.change(&target, change), done)
    }

    /// Takes a name away.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); [`Error::NoTag`].
    pub fn remove_tag(&self, name: &str, done: Committed) -> Result<(), Error> {
        let target = history::tag_target(name);
        let remove = |write: &mut crate::transaction::Write<'_>| match write.delete(&target) {
            Err(Error::NotFound(_)) => Err(Error::NoTag(name.to_owned())),
            result => result,
        };
        self.write(None, remove, done)
    }

    /// All tags, by name.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.0.view.snapshot(history::tags)?)
    }

    /// The time of a tag; `None` if there is no such tag.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn tagged(&self, name: &str) -> Result<Option<Time>, Error> {
        Ok(self.0.view.snapshot(|reader| history::tagged(reader, name))?)
    }
}

//! Reads of one state.

use std::ops::ControlFlow;

use serde_json::{Map, Value};
use spool_store::view::Reader;

use super::{Error, Filter};
use crate::{
    Document, Target,
    collection::{COLLECTIONS, Definition, FILTER, rule},
    database::Limits,
    documents::{self, Collection},
    history::Present,
    judge::Judge,
    projector,
    query::{self, Options, Plan, Query, Work},
};

/// Says of which collection a query was.
pub(crate) fn of(collection: &str) -> impl Fn(query::Error<projector::Error>) -> Error + use<'_> {
    |source| Error::Query { collection: collection.to_owned(), source }
}

/// Reads of one state.
pub struct Read<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) limits: Limits,
    judge: Option<&'a dyn Judge>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>, limits: Limits, judge: Option<&'a dyn Judge>) -> Self {
        Self { reader, limits, judge }
    }

    /// What the filter of a collection lets readers see; one for all documents that are read of it. Nothing else here filters.
    ///
    /// # Errors
    ///
    /// [`Error::View`], or [`Error::NoJudge`] if there is a filter and nothing runs it.
    pub fn filter(&self, collection: &str) -> Result<Filter<'a>, Error> {
        let definition = documents::document(self.reader, &Target::new(COLLECTIONS, collection))?;
        let rule = definition.filter(Document::is_alive).and_then(|definition| rule(&definition.fields, FILTER));
        Filter::new(collection, rule, self.judge)
    }

    /// A document, given out by this or by a query, as the filter of its collection shows it to a reader, whose key is given as text; `None` if it does not. For more
    /// than one document, [`filter`](Self::filter).
    ///
    /// # Errors
    ///
    /// As [`filter`](Self::filter), and [`Error::Filter`].
    pub fn filtered(
        &self,
        collection: &str,
        reader: Option<&str>,
        document: Map<String, Value>,
    ) -> Result<Option<Map<String, Value>>, Error> {
        self.filter(collection)?.shown(reader, document)
    }

    /// A document with `_id` and `_mod`; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn get(&self, target: &Target) -> Result<Option<Map<String, Value>>, Error> {
        Ok(self.document(target)?.shown(&target.id))
    }

    /// The documents of a collection that answer a query, with no more memory than this node permits.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn find(&self, collection: &str, query: Query, options: Options) -> Result<Vec<query::Document>, Error> {
        let indexes = documents::indexes::list(self.reader, collection)?;
        let options = self.permitted(options);
        query::find(query, &indexes, &Collection::new(self.reader, collection), options).map_err(of(collection))
    }

    /// Hands the documents that answer a query over one by one, until told to stop. They do not count as memory of the query, so that there may be any number of them.
    ///
    /// # Errors
    ///
    /// [`Error::Query`]; documents may have been handed over before.
    pub fn find_each(
        &self,
        collection: &str,
        query: Query,
        options: Options,
        visit: &mut dyn FnMut(query::Document) -> ControlFlow<()>,
    ) -> Result<Work, Error> {
        let plan = self.plan(collection, query)?;
        plan.run(&Collection::new(self.reader, collection), self.permitted(options), visit).map_err(of(collection))
    }

    /// The names of all collections that are defined, sorted.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn collections(&self) -> Result<Vec<String>, Error> {
        let (mut documents, mut names) = (Present::new(&documents::keys::collection(COLLECTIONS)), Vec::new());
        while let Some((target, document)) = documents.next(self.reader)? {
            names.extend(document.is_alive().then_some(target.id));
        }
        Ok(names)
    }

    pub(super) fn permitted(&self, options: Options) -> Options {
        Options { memory: options.memory.min(self.limits.query_memory) }
    }

    /// A collection, for reading as queries do.
    pub fn collection<'b>(&'b self, name: &'b str) -> Collection<'b> {
        Collection::new(self.reader, name)
    }

    /// How a query would be answered.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn plan(&self, collection: &str, query: Query) -> Result<Plan, Error> {
        let indexes = documents::indexes::list(self.reader, collection)?;
        Plan::new(query, &indexes, &Collection::new(self.reader, collection)).map_err(of(collection))
    }

    /// What is defined for a collection; `None` if it is not defined.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn definition(&self, collection: &str) -> Result<Option<Definition>, Error> {
        Ok(documents::indexes::definition(self.reader, collection)?)
    }

    /// The indexes of a collection, with how far they are.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn indexes(&self, collection: &str) -> Result<Vec<query::Index>, Error> {
        Ok(documents::indexes::list(self.reader, collection)?)
    }

    /// A document with all that is known of it, existing or not.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn document(&self, target: &Target) -> Result<Document, Error> {
        Ok(documents::document(self.reader, target)?.unwrap_or_default())
    }
}

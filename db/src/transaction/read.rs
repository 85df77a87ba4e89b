//! Reads of one state.

use std::ops::ControlFlow;

use serde_json::{Map, Value};
use spool_store::view::Reader;

use super::Error;
use crate::{
    Document, Path, Target,
    collection::{COLLECTIONS, Definition},
    documents::{self, Collection},
    query::{self, Options, Plan, Query},
};

/// Reads of one state.
pub struct Read<'a> {
    pub(super) reader: &'a Reader<'a>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>) -> Self {
        Self { reader }
    }

    /// A document with `_id` and `_mod`; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn get(&self, target: &Target) -> Result<Option<Map<String, Value>>, Error> {
        Ok(self.document(target)?.shown(&target.id))
    }

    /// The documents of a collection that answer a query.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn find(&self, collection: &str, query: Query, options: Options) -> Result<Vec<query::Document>, Error> {
        let indexes = documents::indexes::list(self.reader, collection)?;
        Ok(query::find(query, &indexes, &Collection::new(self.reader, collection), options)?)
    }

    /// The same, handed over one by one until told to stop, so that they need no memory together.
    ///
    /// # Errors
    ///
    /// [`Error::Query`]; documents may have been handed over before.
    pub fn find_each(
        &self,
        collection: &str,
        query: Query,
        options: Options,
        visit: impl FnMut(query::Document) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let indexes = documents::indexes::list(self.reader, collection)?;
        let documents = Collection::new(self.reader, collection);
        Plan::new(query, &indexes, &documents)?.run(&documents, options, visit)?;
        Ok(())
    }

    /// The names of all collections that are defined, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Query`].
    pub fn collections(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        let query = Query { fields: vec![Path::new([query::ID])], ..Query::default() };
        self.find_each(COLLECTIONS, query, Options::default(), |definition| {
            names.push(definition.id);
            ControlFlow::Continue(())
        })?;
        Ok(names)
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
        Ok(Plan::new(query, &indexes, &Collection::new(self.reader, collection))?)
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

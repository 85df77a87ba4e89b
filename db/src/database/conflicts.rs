//! What merging has left to decide, asked of a database.

use std::ops::ControlFlow;

use super::{Database, lock};
use crate::{
    Target,
    conflicts::{self, Conflict},
    transaction::Error,
};

impl Database {
    /// Hands over all conflicts of a collection, or of all of them, until told to stop: collection by collection, first those of its documents, by id, then
    /// duplicates, by value. All of one state, and without holding more than a page of it.
    ///
    /// # Errors
    ///
    /// [`Error::View`]; conflicts may have been handed over before.
    pub fn conflicts(
        &self,
        collection: Option<&str>,
        visit: &mut dyn FnMut(Conflict) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let compile = |definition: &_| lock(&self.0.schemas).get(definition);
        self.0.view.snapshot(|reader| conflicts::each(reader, collection, &compile, visit))
    }

    /// The conflicts of one document. While a unique index is being built, that takes reading its whole collection.
    ///
    /// # Errors
    ///
    /// [`Error::View`].
    pub fn conflicts_of(&self, target: &Target) -> Result<Vec<Conflict>, Error> {
        let compile = |definition: &_| lock(&self.0.schemas).get(definition);
        self.0.view.snapshot(|reader| conflicts::of(reader, target, &compile))
    }
}

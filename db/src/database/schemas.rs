//! Documents against the schemas of their collections, when they are written here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Database, lock};
use crate::{
    Document, Target,
    collection::{Definition, Schema},
    limits::CACHED_SCHEMAS,
    transaction::Error,
};

impl Database {
    /// Whether a document with these fields would be as the schema of its collection says.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`], [`Error::BrokenSchema`].
    pub fn check(&self, definition: &Definition, id: &str, fields: &Map<String, Value>) -> Result<(), Error> {
        let Some(schema) = lock(&self.0.schemas).get(definition)? else { return Ok(()) };
        let target = || Target::new(definition.name.as_str(), id);
        schema.validate(id, None, fields).map_err(|violations| Error::Schema { target: target(), violations })
    }
}

/// Schemas that were compiled: that costs milliseconds.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, (Value, Schema)>);

impl Schemas {
    /// Whether all documents that exist are as their collections' schemas say.
    pub(super) fn check(
        &mut self,
        written: &BTreeMap<Target, Document>,
        definitions: &BTreeMap<String, Definition>,
    ) -> Result<(), Error> {
        for (target, document) in written.iter().filter(|(_, document)| document.is_alive()) {
            let Some(definition) = definitions.get(&target.collection) else { continue };
            let Some(schema) = self.get(definition)? else { continue };
            let broken = |violations| Error::Schema { target: target.clone(), violations };
            schema.validate(&target.id, None, &document.fields).map_err(broken)?;
        }
        Ok(())
    }

    /// The schema of a collection, if it has one.
    pub(super) fn get(&mut self, definition: &Definition) -> Result<Option<Schema>, Error> {
        let Some(text) = &definition.schema else { return Ok(None) };
        let name = &definition.name;
        if self.0.get(name).is_none_or(|(known, _)| known != text) {
            let broken = |source| Error::BrokenSchema { collection: name.clone(), source };
            let schema = Schema::compile(text).map_err(broken)?;
            if self.0.len() >= CACHED_SCHEMAS {
                self.0.pop_first();
            }
            self.0.insert(name.clone(), (text.clone(), schema));
        }
        Ok(self.0.get(name).map(|(_, schema)| schema.clone()))
    }
}

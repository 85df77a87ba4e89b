//! Values that no two documents of a collection may have, when they are written here.

use std::{collections::BTreeMap, ops::ControlFlow};

use serde_json::Value;
use spool_store::view::Reader;

use crate::{
    Document, Path, Target,
    collection::Definition,
    documents::{self, Collection, indexes},
    order::{compare, index_key, successor},
    query::Documents as _,
    transaction::Error,
};

/// A value in an index.
pub(super) type Claim = (String, Path, Vec<u8>);

/// The values that documents take; an error if another one has one of them. Nothing, and null, any number of documents may have.
pub(super) fn check(
    reader: &Reader<'_>,
    written: &BTreeMap<Target, Document>,
    definitions: &BTreeMap<String, Definition>,
) -> Result<BTreeMap<Claim, Target>, Error> {
    let mut claims: BTreeMap<Claim, Target> = BTreeMap::new();
    for (target, document) in written.iter().filter(|(_, document)| document.is_alive()) {
        let Some(definition) = definitions.get(&target.collection) else { continue };
        for index in definition.indexes.iter().filter(|index| index.unique) {
            let value = indexes::value(&target.id, document, &index.path).filter(|value| !value.is_null());
            let Some(value) = value else { continue };
            let key = index_key(Some(&*value));
            let duplicate = |other: &str| Error::Duplicate {
                target: target.clone(),
                path: index.path.clone(),
                other: other.to_owned(),
            };
            let claim = (target.collection.clone(), index.path.clone(), key);
            if let Some(other) = claims.get(&claim)
                && written.get(other).is_some_and(|document| has(&other.id, document, &index.path, &value))
            {
                return Err(duplicate(&other.id));
            }
            if let Some(other) = taken(reader, target, &claim, &value, written)? {
                return Err(duplicate(&other));
            }
            claims.insert(claim, target.clone());
        }
    }
    Ok(claims)
}

/// Whether a document has this value, as queries compare: `1` and `1.0` are one.
fn has(id: &str, document: &Document, path: &Path, value: &Value) -> bool {
    compare(indexes::value(id, document, path).as_deref(), Some(value)).is_eq()
}

/// Another document that has the value and is not written by the same transaction. Keys are not exact, so the documents are asked.
fn taken(
    reader: &Reader<'_>,
    target: &Target,
    (collection, path, key): &Claim,
    value: &Value,
    written: &BTreeMap<Target, Document>,
) -> Result<Option<String>, Error> {
    let mut candidates = Vec::new();
    let documents = Collection::new(reader, collection);
    documents.index(&path.to_string(), key, &successor(key), false, &mut |_, id| {
        let other = Target::new(collection.as_str(), id);
        if other != *target && !written.contains_key(&other) {
            candidates.push(other);
        }
        ControlFlow::Continue(())
    })?;
    for other in candidates {
        let document = documents::document(reader, &other)?.unwrap_or_default();
        if document.is_alive() && has(&other.id, &document, path, value) {
            return Ok(Some(other.id));
        }
    }
    Ok(None)
}

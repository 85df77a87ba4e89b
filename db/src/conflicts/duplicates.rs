//! Documents with the same value where no two may have one.
//!
//! Keys of indexes are not exact: documents with one key may have many values, and whoever writes documents decides how many. So the documents of a key are gone through in parts,
//! by the hash of their values, and no more is remembered at once than one part needs.

use std::{collections::HashMap, ops::ControlFlow};

use serde_json::Value;
use spool_store::view::Reader;

use super::{Conflict, ConflictKind, Visit};
use crate::{
    Document, Target,
    documents::{self, Collection, indexes, keys},
    history::Present,
    limits::{CONFLICT_VALUES, MAX_CONFLICT_OTHERS, SCANNED_DOCUMENTS},
    order::{Class, compare, hash, index_key, successor},
    path::Path,
    projector,
    query::Documents as _,
    transaction::Error,
};

/// Which documents may have equal values.
#[derive(Clone)]
struct Group<'a> {
    collection: &'a str,
    path: &'a Path,
    /// Those with this key in the index; without it all documents, because the index has not all of them yet.
    key: Option<Vec<u8>>,
}

/// Hands over all duplicates of a collection at a path.
pub(super) fn each(
    reader: &Reader<'_>,
    collection: &str,
    path: &Path,
    visit: Visit<'_>,
) -> Result<ControlFlow<()>, Error> {
    if !is_built(reader, collection, path)? {
        let count = Collection::new(reader, collection).count()?;
        return Group { collection, path, key: None }.each(reader, count, visit);
    }
    // Behind nothing and null, which any number of documents may have, and before the elements of arrays.
    let mut from = Class::Boolean.first();
    while let Some((key, count)) = next_group(reader, collection, path, &from)? {
        from = successor(&key);
        let group = Group { collection, path, key: Some(key) };
        if group.each(reader, count, visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Other documents that have the value of a document, some of them.
pub(super) fn others(reader: &Reader<'_>, target: &Target, path: &Path, value: &Value) -> Result<Vec<String>, Error> {
    let collection = target.collection.as_str();
    let key = is_built(reader, collection, path)?.then(|| index_key(Some(value)));
    let mut others = Vec::new();
    let _ = Group { collection, path, key }.scan(reader, &mut |id, document| {
        let found = indexes::value(id, document, path);
        if id != target.id && compare(found.as_deref(), Some(value)).is_eq() {
            others.push(id.to_owned());
        }
        if others.len() < MAX_CONFLICT_OTHERS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(others)
}

fn is_built(reader: &Reader<'_>, collection: &str, path: &Path) -> Result<bool, projector::Error> {
    let indexes = indexes::list(reader, collection)?;
    Ok(indexes.iter().any(|index| index.path == *path && index.built))
}

/// The next key that several documents have, and how many.
fn next_group(
    reader: &Reader<'_>,
    collection: &str,
    path: &Path,
    from: &[u8],
) -> Result<Option<(Vec<u8>, u64)>, projector::Error> {
    let (mut key, mut count) = (Vec::new(), 0u64);
    let documents = Collection::new(reader, collection);
    documents.index(&path.to_string(), from, &Class::Object.end(), false, &mut |next, _| {
        if key == next {
            count += 1;
        } else if count > 1 {
            return ControlFlow::Break(());
        } else {
            (key, count) = (next.to_vec(), 1);
        }
        ControlFlow::Continue(())
    })?;
    Ok((count > 1).then_some((key, count)))
}

/// The first documents with one value: one more than are told of each.
type Found = HashMap<[u8; 16], Vec<String>>;

impl Group<'_> {
    fn each(&self, reader: &Reader<'_>, count: u64, visit: Visit<'_>) -> Result<ControlFlow<()>, Error> {
        let parts = count / CONFLICT_VALUES + 1;
        for part in 0..parts {
            let mut found = Found::new();
            let _ = self.scan(reader, &mut |id, document| {
                if let Some(name) = self.name(id, document, (part, parts)) {
                    let ids = found.entry(name).or_default();
                    if ids.len() <= MAX_CONFLICT_OTHERS {
                        ids.push(id.to_owned());
                    }
                }
                ControlFlow::Continue(())
            })?;
            found.retain(|_, ids| ids.len() > 1);
            if found.is_empty() {
                continue;
            }
            let flow = self.scan(reader, &mut |id, document| {
                let Some(ids) = self.name(id, document, (part, parts)).and_then(|name| found.get(&name)) else {
                    return ControlFlow::Continue(());
                };
                let value = indexes::value(id, document, self.path).map(|value| value.into_owned());
                let others = ids.iter().filter(|other| *other != id).take(MAX_CONFLICT_OTHERS).cloned().collect();
                let kind =
                    ConflictKind::Duplicate { path: self.path.clone(), value: value.unwrap_or_default(), others };
                visit(Conflict { target: Target::new(self.collection, id), kind })
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The name of a document's value, if it has one that belongs to a part.
    fn name(&self, id: &str, document: &Document, (part, parts): (u64, u64)) -> Option<[u8; 16]> {
        let value = indexes::value(id, document, self.path).filter(|value| !value.is_null())?;
        let name = hash(&value);
        let number = u64::from_be_bytes(*name.first_chunk()?);
        (number % parts == part).then_some(name)
    }

    /// Visits the documents, page by page: a visitor may read.
    fn scan(
        &self,
        reader: &Reader<'_>,
        visit: &mut dyn FnMut(&str, &Document) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, projector::Error> {
        let Some(key) = &self.key else {
            let mut documents = Present::new(&keys::collection(self.collection));
            while let Some((target, document)) = documents.next(reader)? {
                if document.is_alive() && visit(&target.id, &document).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            return Ok(ControlFlow::Continue(()));
        };
        let mut after: Option<String> = None;
        loop {
            let page = self.page(reader, key, after.as_deref())?;
            for id in &page {
                let document = documents::document(reader, &Target::new(self.collection, id.as_str()))?;
                if document.is_some_and(|document| document.is_alive() && visit(id, &document).is_break()) {
                    return Ok(ControlFlow::Break(()));
                }
            }
            let Some(last) = page.into_iter().next_back() else { return Ok(ControlFlow::Continue(())) };
            after = Some(last);
        }
    }

    /// The next ids of a key.
    fn page(&self, reader: &Reader<'_>, key: &[u8], after: Option<&str>) -> Result<Vec<String>, projector::Error> {
        // An id follows its key.
        let from = after.map_or_else(|| key.to_vec(), |after| [key, after.as_bytes(), &[0]].concat());
        let mut page = Vec::new();
        let documents = Collection::new(reader, self.collection);
        documents.index(&self.path.to_string(), &from, &successor(key), false, &mut |_, id| {
            page.push(id.to_owned());
            if page.len() < SCANNED_DOCUMENTS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(page)
    }
}

//! Indexes of collections: kept with the documents, built and dropped in steps while everything else goes on.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use serde_json::Value;
use spool_store::view::{Batch, Reader, after_prefix};

use super::{keys, stored};
use crate::{
    Path,
    collection::{COLLECTIONS, Definition},
    document::Document,
    limits::INDEX_STEP,
    operation::Target,
    order::index_entries,
    projector::Error,
    query::{self, ID, MODIFIED},
};

/// An index as the view has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Index {
    path: Path,
    unique: bool,
    state: State,
}

/// How far an index is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It has the entries of all documents.
    Built,
    /// It has those of the documents up to this id, and of all that have changed since it was begun.
    Building(String),
    /// It is being dropped.
    Dropping,
}

impl Index {
    fn to_bytes(&self) -> Vec<u8> {
        let (state, progress) = match &self.state {
            State::Built => (0, ""),
            State::Building(progress) => (1, progress.as_str()),
            State::Dropping => (2, ""),
        };
        [&[state, u8::from(self.unique)], progress.as_bytes()].concat()
    }

    fn parse(path: &str, value: &[u8]) -> Option<Self> {
        let [state, unique, progress @ ..] = value else { return None };
        let state = match state {
            0 => State::Built,
            1 => State::Building(std::str::from_utf8(progress).ok()?.to_owned()),
            2 => State::Dropping,
            _ => return None,
        };
        Some(Self { path: Path::parse(path).ok()?, unique: *unique == 1, state })
    }
}

/// The indexes of all collections, kept in memory.
#[derive(Default)]
pub(super) struct Indexes(Option<BTreeMap<String, Vec<Index>>>);

impl Indexes {
    /// Forgets what may not have been written.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    fn load(&mut self, reader: &Reader<'_>) -> Result<&mut BTreeMap<String, Vec<Index>>, Error> {
        if self.0.is_none() {
            self.0 = Some(read_all(reader)?);
        }
        Ok(self.0.get_or_insert_default())
    }

    /// A document has changed: its entries move.
    pub(super) fn update(
        &mut self,
        target: &Target,
        before: Option<&Document>,
        after: Option<&Document>,
        reader: &Reader<'_>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let Some(indexes) = self.load(reader)?.get(&target.collection) else { return Ok(()) };
        for index in indexes.iter().filter(|index| index.state != State::Dropping) {
            let (old, new) = (entries(&target.id, before, &index.path), entries(&target.id, after, &index.path));
            let name = index.path.to_string();
            for gone in old.difference(&new) {
                batch.delete(keys::index_entry(target, &name, gone));
            }
            for key in new.difference(&old) {
                batch.put(keys::index_entry(target, &name, key), keys::index_value(&target.id));
            }
        }
        Ok(())
    }

    /// A collection was defined otherwise: some indexes are to be built, others to be dropped.
    pub(super) fn define(
        &mut self,
        collection: &str,
        document: Option<&Document>,
        reader: &Reader<'_>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let fields = document.filter(|document| document.is_alive()).map(|document| &document.fields);
        let wanted = fields.map(|fields| Definition::from_fields(collection, fields).indexes).unwrap_or_default();
        let indexes = self.load(reader)?.entry(collection.to_owned()).or_default();
        for index in indexes.iter_mut() {
            match wanted.iter().find(|wanted| wanted.path == index.path) {
                None => index.state = State::Dropping,
                Some(wanted) => {
                    // What was being dropped has lost entries.
                    if index.state == State::Dropping {
                        index.state = State::Building(String::new());
                    }
                    index.unique = wanted.unique;
                }
            }
        }
        for wanted in wanted {
            if !indexes.iter().any(|index| index.path == wanted.path) {
                let state = State::Building(String::new());
                indexes.push(Index { path: wanted.path, unique: wanted.unique, state });
            }
        }
        for index in indexes {
            batch.put(keys::index_state(collection, &index.path.to_string()), index.to_bytes());
        }
        Ok(())
    }

    /// Builds or drops a part of an index; returns whether anything is left to do. To be called with nothing else in the batch.
    pub(super) fn work(&mut self, reader: &Reader<'_>, batch: &mut Batch) -> Result<bool, Error> {
        let all = self.load(reader)?;
        let unfinished = all.iter_mut().find_map(|(collection, indexes)| {
            let at = indexes.iter().position(|index| index.state != State::Built)?;
            Some((collection.clone(), indexes, at))
        });
        let Some((collection, indexes, at)) = unfinished else { return Ok(false) };
        let index = &mut indexes[at];
        let name = index.path.to_string();
        let state = keys::index_state(&collection, &name);
        let done = match &mut index.state {
            State::Built => true,
            State::Dropping => drop_some(&collection, &name, reader, batch)?,
            State::Building(progress) => build_some(&collection, &index.path, progress, reader, batch)?,
        };
        if done && index.state == State::Dropping {
            indexes.remove(at);
            batch.delete(state);
        } else {
            if done {
                index.state = State::Built;
            }
            batch.put(state, index.to_bytes());
        }
        Ok(true)
    }
}

/// Returns whether that was all.
fn build_some(
    collection: &str,
    path: &Path,
    progress: &mut String,
    reader: &Reader<'_>,
    batch: &mut Batch,
) -> Result<bool, Error> {
    let prefix = keys::collection(collection);
    let from = if progress.is_empty() {
        prefix.clone()
    } else {
        after_prefix(&keys::document(&Target::new(collection, progress.as_str())))
    };
    let (mut result, mut seen) = (Ok(()), 0);
    reader.scan(&from, &after_prefix(&prefix), &mut |key, value| {
        let document = keys::id(key, &prefix).ok_or(Error::Damaged("the key of a document"));
        match document.and_then(|id| Ok((id, stored::parse(value)?.document))) {
            Err(error) => {
                result = Err(error);
                return ControlFlow::Break(());
            }
            Ok((id, document)) => {
                let target = Target::new(collection, id);
                for key in entries(id, Some(&document), path) {
                    batch.put(keys::index_entry(&target, &path.to_string(), &key), keys::index_value(id));
                }
                *progress = target.id;
            }
        }
        seen += 1;
        if seen < INDEX_STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result.map(|()| seen < INDEX_STEP)
}

/// Returns whether that was all.
fn drop_some(collection: &str, name: &str, reader: &Reader<'_>, batch: &mut Batch) -> Result<bool, Error> {
    let mut seen = 0;
    reader.scan_prefix(&keys::index(collection, name), &mut |key, _| {
        batch.delete(key);
        seen += 1;
        if seen < INDEX_STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(seen < INDEX_STEP)
}

fn entries(id: &str, document: Option<&Document>, path: &Path) -> BTreeSet<Vec<u8>> {
    let Some(document) = document.filter(|document| document.is_alive()) else { return BTreeSet::new() };
    index_entries(value(id, document, path).as_deref()).into_iter().collect()
}

/// What a document has at the path of an index, as it shows: its id and the time of its last change are no fields of it.
pub(crate) fn value<'a>(id: &str, document: &'a Document, path: &Path) -> Option<Cow<'a, Value>> {
    match path.names() {
        [name] if name == ID => Some(Cow::Owned(id.into())),
        [name] if name == MODIFIED => Some(Cow::Owned(document.last.map_or(0, |last| last.modified()).into())),
        _ => path.get(&document.fields).map(Cow::Borrowed),
    }
}

fn read_all(reader: &Reader<'_>) -> Result<BTreeMap<String, Vec<Index>>, Error> {
    let mut all: BTreeMap<String, Vec<Index>> = BTreeMap::new();
    let mut damaged = false;
    reader.scan_prefix(keys::INDEX_STATES, &mut |key, value| {
        let parsed = keys::index_of_state(key).and_then(|(name, path)| Some((name, Index::parse(path, value)?)));
        match parsed {
            None => damaged = true,
            Some((collection, index)) => all.entry(collection.to_owned()).or_default().push(index),
        }
        ControlFlow::Continue(())
    })?;
    if damaged { Err(Error::Damaged("the state of an index")) } else { Ok(all) }
}

/// What a stored state says of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It has the entries of all documents.
    Whole { unique: bool },
    /// It is being built.
    Partial { unique: bool },
    /// It is being dropped.
    Dropping,
    /// Nothing that can be read.
    Damaged,
}

impl Known {
    pub(crate) fn of(state: &[u8]) -> Self {
        match Index::parse("", state) {
            None => Known::Damaged,
            Some(Index { state: State::Built, unique, .. }) => Known::Whole { unique },
            Some(Index { state: State::Building(_), unique, .. }) => Known::Partial { unique },
            Some(Index { state: State::Dropping, .. }) => Known::Dropping,
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Known::Whole { unique: true } | Known::Partial { unique: true })
    }

    /// How what is known is not what it is to be.
    pub(crate) fn differs(found: Option<Self>, fresh: Option<Self>) -> Option<&'static str> {
        match (found, fresh) {
            (Some(Known::Damaged), _) => Some("cannot be read"),
            (Some(Known::Dropping) | None, None) => None,
            (Some(Known::Whole { .. } | Known::Partial { .. }), None) => Some("is not defined"),
            (Some(Known::Dropping) | None, Some(_)) => Some("is missing"),
            (Some(found), Some(fresh)) if found.is_unique() != fresh.is_unique() => Some("is unique, or is not"),
            (Some(_), Some(_)) => None,
        }
    }
}

/// The indexes of a collection, as queries know them. The name of an index is its path.
pub(crate) fn list(reader: &Reader<'_>, collection: &str) -> Result<Vec<query::Index>, Error> {
    let mut list = Vec::new();
    reader.scan_prefix(&keys::index_states(collection), &mut |key, value| {
        let index = keys::index_of_state(key).and_then(|(_, path)| Index::parse(path, value));
        let index = index.filter(|index| index.state != State::Dropping);
        list.extend(index.map(|index| query::Index {
            name: index.path.to_string(),
            built: index.state == State::Built,
            unique: index.unique,
            path: index.path,
        }));
        ControlFlow::Continue(())
    })?;
    Ok(list)
}

/// The definition of a collection; `None` if it is not defined.
pub(crate) fn definition(reader: &Reader<'_>, collection: &str) -> Result<Option<Definition>, Error> {
    let document = super::document(reader, &Target::new(COLLECTIONS, collection))?.filter(Document::is_alive);
    Ok(document.map(|document| Definition::from_fields(collection, &document.fields)))
}

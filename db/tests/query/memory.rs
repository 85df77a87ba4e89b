//! Documents and indexes in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::{Bound, ControlFlow};

use serde_json::{Map, Value};
use spool_db::Path;
use spool_db::order::index_entries;
use spool_db::query::{Documents, Index, RawDocument};

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) documents: BTreeMap<String, (u64, Vec<u8>)>,
    pub(crate) indexes: Vec<Index>,
    entries: BTreeMap<String, BTreeSet<(Vec<u8>, String)>>,
}

impl Memory {
    /// With an index on each of these paths, named like it.
    pub(crate) fn with_indexes(paths: &[&str]) -> Self {
        let index = |path: &&str| Index {
            name: (*path).to_owned(),
            path: Path::parse(path).unwrap(),
            unique: false,
            built: true,
        };
        Self { indexes: paths.iter().map(index).collect(), ..Self::default() }
    }

    pub(crate) fn insert(&mut self, id: &str, modified: u64, fields: &Map<String, Value>) {
        self.remove(id);
        self.documents.insert(id.to_owned(), (modified, serde_ipld_dagcbor::to_vec(fields).unwrap()));
        for (name, key) in self.keys_of(id) {
            self.entries.entry(name).or_default().insert((key, id.to_owned()));
        }
    }

    pub(crate) fn remove(&mut self, id: &str) {
        for (name, key) in self.keys_of(id) {
            self.entries.entry(name).or_default().remove(&(key, id.to_owned()));
        }
        self.documents.remove(id);
    }

    fn keys_of(&self, id: &str) -> Vec<(String, Vec<u8>)> {
        let Some(fields) = self.fields(id) else { return Vec::new() };
        let keys = |index: &Index| -> Vec<_> {
            index_entries(index.path.get(&fields)).into_iter().map(|key| (index.name.clone(), key)).collect()
        };
        self.indexes.iter().flat_map(keys).collect()
    }

    fn raw<'a>(&self, id: &'a str, stored: &'a (u64, Vec<u8>)) -> RawDocument<'a> {
        RawDocument { id, modified: stored.0, bytes: &stored.1 }
    }

    pub(crate) fn fields(&self, id: &str) -> Option<Map<String, Value>> {
        self.documents.get(id).map(|stored| self.raw(id, stored).decode().unwrap())
    }
}

impl Documents for Memory {
    type Error = Infallible;

    fn count(&self) -> Result<u64, Infallible> {
        Ok(self.documents.len() as u64)
    }

    fn get(&self, id: &str, visit: &mut dyn FnMut(RawDocument<'_>)) -> Result<(), Infallible> {
        if let Some(stored) = self.documents.get(id) {
            visit(self.raw(id, stored));
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&str>,
        reverse: bool,
        visit: &mut dyn FnMut(RawDocument<'_>) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let _ = if reverse {
            self.documents
                .range::<str, _>((Bound::Unbounded, behind))
                .rev()
                .try_for_each(|(id, stored)| visit(self.raw(id, stored)))
        } else {
            self.documents
                .range::<str, _>((behind, Bound::Unbounded))
                .try_for_each(|(id, stored)| visit(self.raw(id, stored)))
        };
        Ok(())
    }

    fn index(
        &self,
        name: &str,
        from: &[u8],
        until: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &str) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let Some(entries) = self.entries.get(name) else { return Ok(()) };
        // As a store would: it compares whole entries, of key and id.
        if from >= until {
            return Ok(());
        }
        let mut range = entries.range((from.to_vec(), String::new())..(until.to_vec(), String::new()));
        let _ = if reverse {
            range.rev().try_for_each(|(key, id)| visit(key, id))
        } else {
            range.try_for_each(|(key, id)| visit(key, id))
        };
        Ok(())
    }
}

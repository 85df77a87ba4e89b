//! A [`Kv`] in memory, for tests.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, RwLock},
};

use bytes::Bytes;

use super::{Batch, Error, Kv, Operation, Reads, Space, SpaceStatistics, Statistics, Visit};

/// Keys and values of all spaces. A copy is cheap until one of both changes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Contents([Arc<BTreeMap<Vec<u8>, Bytes>>; Space::ALL.len()]);

impl Contents {
    pub(super) fn apply(&mut self, batch: &Batch) {
        for operation in batch.operations() {
            match operation {
                Operation::Put { space, key, value } => {
                    Arc::make_mut(&mut self.0[*space as usize]).insert(key.clone(), value.clone());
                }
                Operation::Delete { space, key } => {
                    Arc::make_mut(&mut self.0[*space as usize]).remove(key);
                }
            }
        }
    }

    fn range(&self, space: Space, from: &[u8], until: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
        if !until.is_empty() && from >= until {
            return Vec::new();
        }
        let end = if until.is_empty() { Bound::Unbounded } else { Bound::Excluded(until) };
        let range = self.0[space as usize].range::<[u8], _>((Bound::Included(from), end));
        range.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn statistics(&self) -> Statistics {
        let bytes =
            |space: Space| self.0[space as usize].iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        let of = |space| SpaceStatistics { space, keys: self.0[space as usize].len() as u64, disk_bytes: bytes(space) };
        Statistics { spaces: Space::ALL.map(of).to_vec(), memory_bytes: Space::ALL.map(bytes).iter().sum() }
    }
}

impl Reads for Contents {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0[space as usize].get(key).cloned())
    }

    fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        visit_all(&self.range(space, from, until), visit);
        Ok(())
    }

    fn scan_back(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut items = self.range(space, from, until);
        items.reverse();
        visit_all(&items, visit);
        Ok(())
    }
}

fn visit_all(items: &[(Vec<u8>, Bytes)], visit: &mut Visit<'_>) {
    for (key, value) in items {
        if visit(key, value).is_break() {
            return;
        }
    }
}

/// A store without a disk. Its writes never fail, and it ends with the process.
#[derive(Default)]
pub struct Memory(RwLock<Contents>);

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The contents of this moment; not locked, so that a visitor may call back into the store.
    fn contents(&self) -> Contents {
        self.0.read().expect("no panic while locked").clone()
    }
}

impl Reads for Memory {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.read().expect("no panic while locked").get(space, key)
    }

    fn scan(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.contents().scan(space, from, until, visit)
    }

    fn scan_back(&self, space: Space, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.contents().scan_back(space, from, until, visit)
    }
}

impl Kv for Memory {
    fn snapshot(&self, read: &mut dyn FnMut(&dyn Reads)) {
        read(&self.contents());
    }

    fn write(&self, batch: &Batch, _sync: bool) -> Result<(), Error> {
        self.0.write().expect("no panic while locked").apply(batch);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    fn statistics(&self) -> Result<Statistics, Error> {
        Ok(self.contents().statistics())
    }
}

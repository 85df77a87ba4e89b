//! A batch under construction that reads see as if it were written.

use std::{collections::BTreeMap, ops::Bound, ops::ControlFlow};

use bytes::Bytes;

use crate::{
    keys,
    kv::{Batch, Error, Kv, Space},
};

/// Changes over a store, the last one of each key.
pub(super) struct Staging<'a> {
    kv: &'a dyn Kv,
    changes: [BTreeMap<Vec<u8>, Option<Bytes>>; Space::ALL.len()],
}

impl<'a> Staging<'a> {
    pub(super) fn new(kv: &'a dyn Kv) -> Self {
        Self { kv, changes: Default::default() }
    }

    pub(super) fn kv(&self) -> &'a dyn Kv {
        self.kv
    }

    pub(super) fn put(&mut self, space: Space, key: Vec<u8>, value: impl Into<Bytes>) {
        self.changes[space as usize].insert(key, Some(value.into()));
    }

    pub(super) fn delete(&mut self, space: Space, key: Vec<u8>) {
        self.changes[space as usize].insert(key, None);
    }

    pub(super) fn contains(&self, space: Space, key: &[u8]) -> Result<bool, Error> {
        match self.changes[space as usize].get(key) {
            Some(change) => Ok(change.is_some()),
            None => self.kv.contains(space, key),
        }
    }

    /// All keys with this prefix, in no particular order. For the few references to one block.
    pub(super) fn keys(&self, space: Space, prefix: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let changes = &self.changes[space as usize];
        let mut found = Vec::new();
        self.kv.scan(space, prefix, &keys::after_prefix(prefix), &mut |key, _| {
            if !changes.contains_key(key) {
                found.push(key.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let changed = changes.range::<[u8], _>(from).take_while(|(key, _)| key.starts_with(prefix));
        found.extend(changed.filter(|(_, change)| change.is_some()).map(|(key, _)| key.clone()));
        Ok(found)
    }

    pub(super) fn into_batch(self) -> Batch {
        let mut batch = Batch::default();
        for (space, changes) in Space::ALL.into_iter().zip(self.changes) {
            for (key, change) in changes {
                match change {
                    Some(value) => batch.put(space, key, value),
                    None => batch.delete(space, key),
                }
            }
        }
        batch
    }
}

//! Room for what is folded from a thread's events. It can be folded again, so losing it costs time only; it goes with its thread.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use spool_proto::ThreadId;

use crate::{
    keys,
    kv::{self, Reads, Space, Visit},
    secrets::Secrets,
    store::{Error, Shared, Store},
};

/// The room of one view of one thread. Keys are relative to it: no view can reach into another.
#[derive(Clone)]
pub struct View {
    shared: Arc<Shared>,
    thread: keys::ThreadNumber,
    prefix: Vec<u8>,
}

/// Changes of one view that are applied together or not at all, in order.
#[derive(Debug, Default)]
pub struct Batch(Vec<(Vec<u8>, Option<Bytes>)>);

impl Batch {
    /// Sets a value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) {
        self.0.push((key.into(), Some(value.into())));
    }

    /// Removes a value; no error if there is none.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store {
    /// The room of view number `number` of a thread; `None` if the thread is not here.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn view(&self, thread: &ThreadId, number: u8) -> Result<Option<View>, Error> {
        let thread = self.shared().numbers.thread(self.kv(), thread)?;
        Ok(thread.map(|thread| View { shared: self.shared().clone(), thread, prefix: keys::view(thread, number) }))
    }
}

impl View {
    /// Reads what is there now; two reads may see different states.
    pub fn reader(&self) -> Reader<'_> {
        Reader { reads: self.shared.kv(), prefix: &self.prefix, secrets: &self.shared.secrets }
    }

    /// Reads the state of this moment as often as it takes.
    pub fn snapshot<T>(&self, read: impl FnOnce(&Reader<'_>) -> T) -> T {
        let (mut read, mut result) = (Some(read), None);
        self.shared.kv().snapshot(&mut |reads| {
            if let Some(read) = read.take() {
                result = Some(read(&Reader { reads, prefix: &self.prefix, secrets: &self.shared.secrets }));
            }
        });
        result.expect("a snapshot is read once")
    }

    /// Applies a batch: all of it or nothing. Not synced: what a power cut takes is folded again.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`], or [`Error::NoThread`] if the thread was removed meanwhile; nothing was applied.
    pub fn write(&self, batch: Batch) -> Result<(), Error> {
        if !self.shared.kv().contains(Space::Threads, &keys::threads::by_number(self.thread))? {
            return Err(Error::NoThread);
        }
        let mut writes = kv::Batch::default();
        for (key, value) in batch.0 {
            let key = [&self.prefix[..], &key].concat();
            match value {
                Some(value) => {
                    let value = self.shared.secrets.seal_view(&key, value);
                    writes.put(Space::Views, key, value);
                }
                None => writes.delete(Space::Views, key),
            }
        }
        Ok(self.shared.write(&writes, false)?)
    }

    /// Deletes up to `count` keys, all but one; returns whether any other is left.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`].
    pub fn clear(&self, count: usize, but: &[u8]) -> Result<bool, Error> {
        let mut batch = Batch::default();
        let mut left = false;
        let (from, until) = self.reader().range(&[], &[]);
        // Whatever the values are: one that does not open is best cleared.
        self.shared.kv().scan(Space::Views, &from, &until, &mut |key, _| {
            left = batch.0.len() >= count;
            if left {
                return ControlFlow::Break(());
            }
            let key = &key[self.prefix.len()..];
            if key != but {
                batch.delete(key);
            }
            ControlFlow::Continue(())
        })?;
        self.write(batch)?;
        Ok(left)
    }
}

/// Reads of one view.
pub struct Reader<'a> {
    reads: &'a dyn Reads,
    prefix: &'a [u8],
    secrets: &'a Secrets,
}

impl Reader<'_> {
    /// The value at `key`.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`], [`Error::Sealed`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let key = [self.prefix, key].concat();
        let value = self.reads.get(Space::Views, &key)?;
        value.map(|value| self.secrets.open_view_bytes(&key, value)).transpose()
    }

    /// Visits all keys with `from <= key < until` in ascending order of bytes. An empty `until` is no bound.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`], [`Error::Sealed`]; what was visited before stays visited.
    pub fn scan(&self, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let (from, until) = self.range(from, until);
        let mut opening = Opening { reader: self, visit, result: Ok(()) };
        self.reads.scan(Space::Views, &from, &until, &mut |key, value| opening.visit(key, value))?;
        opening.result
    }

    /// As [`scan`](Self::scan), in descending order.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    pub fn scan_back(&self, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let (from, until) = self.range(from, until);
        let mut opening = Opening { reader: self, visit, result: Ok(()) };
        self.reads.scan_back(Space::Views, &from, &until, &mut |key, value| opening.visit(key, value))?;
        opening.result
    }

    /// Visits all keys that begin with `prefix`, in ascending order.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`].
    pub fn scan_prefix(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        self.scan(prefix, &keys::after_prefix(prefix), visit)
    }

    fn range(&self, from: &[u8], until: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let end = if until.is_empty() { keys::after_prefix(self.prefix) } else { [self.prefix, until].concat() };
        ([self.prefix, from].concat(), end)
    }
}

/// A scan that opens what it visits.
struct Opening<'a, 'v> {
    reader: &'a Reader<'a>,
    visit: &'a mut Visit<'v>,
    result: Result<(), Error>,
}

impl Opening<'_, '_> {
    fn visit(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match self.reader.secrets.open_view(key, value) {
            Ok(value) => (self.visit)(&key[self.reader.prefix.len()..], &value),
            Err(error) => {
                self.result = Err(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// The first key after all that begin with `prefix`; empty (no bound) if there is none.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    keys::after_prefix(prefix)
}

#[cfg(test)]
mod tests;

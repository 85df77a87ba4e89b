//! One collection of the view, as queries read it.

use std::ops::ControlFlow;

use spool_store::view::{Reader, after_prefix};

use super::{keys, stored};
use crate::{
    operation::Target,
    projector::Error,
    query::{Documents, RawDocument},
};

/// Sees keys and values, and may stop or fail.
type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error> + 'a;

/// The documents of a collection, and the entries of its indexes.
pub struct Collection<'a> {
    reader: &'a Reader<'a>,
    name: &'a str,
}

impl<'a> Collection<'a> {
    /// Reads a collection.
    pub fn new(reader: &'a Reader<'a>, name: &'a str) -> Self {
        Self { reader, name }
    }

    /// Visits keys until the visitor stops or fails.
    fn visit(&self, (from, until): (&[u8], &[u8]), reverse: bool, visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut result = Ok(());
        let mut step = |key: &[u8], value: &[u8]| match visit(key, value) {
            Ok(flow) => flow,
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        };
        if reverse {
            self.reader.scan_back(from, until, &mut step)?;
        } else {
            self.reader.scan(from, until, &mut step)?;
        }
        result
    }
}

impl Documents for Collection<'_> {
    type Error = Error;

    fn count(&self) -> Result<u64, Error> {
        let Some(value) = self.reader.get(&keys::count(self.name))? else { return Ok(0) };
        value.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged("the size of a collection"))
    }

    fn get(&self, id: &str, visit: &mut dyn FnMut(RawDocument<'_>)) -> Result<(), Error> {
        if let Some(value) = self.reader.get(&keys::document(&Target::new(self.name, id)))?
            && let Some(raw) = stored::raw(id, &value)?
        {
            visit(raw);
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&str>,
        reverse: bool,
        visit: &mut dyn FnMut(RawDocument<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let prefix = keys::collection(self.name);
        let (mut from, mut until) = (prefix.clone(), after_prefix(&prefix));
        if let Some(id) = after {
            let at = keys::document(&Target::new(self.name, id));
            if reverse {
                until = at;
            } else {
                from = after_prefix(&at);
            }
        }
        self.visit((&from, &until), reverse, &mut |key, value| {
            let id = keys::id(key, &prefix).ok_or(Error::Damaged("the key of a document"))?;
            Ok(stored::raw(id, value)?.map_or(ControlFlow::Continue(()), &mut *visit))
        })
    }

    fn index(
        &self,
        name: &str,
        from: &[u8],
        until: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &str) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let prefix = keys::index(self.name, name);
        let until = if until.is_empty() { after_prefix(&prefix) } else { [&prefix[..], until].concat() };
        self.visit((&[&prefix[..], from].concat(), &until), reverse, &mut |key, value| {
            let damaged = Error::Damaged("an entry of an index");
            let entry = key.strip_prefix(&prefix[..]).zip(value.first());
            let Some((entry, length)) = entry else { return Err(damaged) };
            let split = entry.len().checked_sub(usize::from(*length)).map(|at| entry.split_at(at));
            let Some((key, id)) = split else { return Err(damaged) };
            let Ok(id) = std::str::from_utf8(id) else { return Err(damaged) };
            Ok(visit(key, id))
        })
    }
}

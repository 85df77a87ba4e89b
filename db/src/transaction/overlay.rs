//! What a transaction finds: the documents of the state that it reads, with its own writes over them.

use std::{collections::BTreeMap, iter::Peekable, ops::ControlFlow};

use super::{Error, Write, of, write::Working};
use crate::{
    Document, Path, Target,
    documents::{self, Collection},
    order::index_entries,
    projector,
    query::{self, Documents, Options, Query, RawDocument},
};

impl Write<'_> {
    /// The documents of a collection that answer a query, as this transaction leaves them so far. Each one that is found counts as read.
    ///
    /// What is not found does not: another transaction may make a document that would have been found here, or change one so that it would have been. Where that matters,
    /// have both write one document.
    ///
    /// # Errors
    ///
    /// [`Error::Query`], [`Error::TooLarge`].
    pub fn find(&mut self, collection: &str, query: Query, options: Options) -> Result<Vec<query::Document>, Error> {
        let indexes = documents::indexes::list(self.read.reader, collection)?;
        let options = self.read.permitted(options);
        let found = {
            let first = Target::new(collection, "");
            let written = self.written.range(first..).take_while(|(target, _)| target.collection == collection);
            let overlay = Overlay {
                stored: Collection::new(self.read.reader, collection),
                written: written.map(|(target, working)| (target.id.as_str(), working)).collect(),
            };
            query::find(query, &indexes, &overlay, options).map_err(of(collection))?
        };
        for document in &found {
            self.rely(&Target::new(collection, document.id.as_str()))?;
        }
        Ok(found)
    }
}

struct Overlay<'a> {
    stored: Collection<'a>,
    written: BTreeMap<&'a str, &'a Working>,
}

/// A document of the transaction, if it exists there.
fn show<T>(id: &str, document: &Document, visit: impl FnOnce(RawDocument<'_>) -> T) -> Option<T> {
    let bytes = document.is_alive().then(|| document.encode())?;
    let modified = document.last.map_or(0, |last| last.modified());
    Some(visit(RawDocument { id, modified, bytes: bytes.bytes.get(bytes.fields)? }))
}

/// What a transaction has itself, sorted as it is read.
type Own<K, T> = Peekable<std::vec::IntoIter<(K, T)>>;

/// Hands over what comes before a key; all that is left if there is none.
fn before<K: Ord, T>(
    own: &mut Own<K, T>,
    key: Option<&K>,
    reverse: bool,
    visit: &mut dyn FnMut(&K, T) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let is_before = |own: &K| key.is_none_or(|key| if reverse { own > key } else { own < key });
    while let Some((key, item)) = own.next_if(|(own, _)| is_before(own)) {
        visit(&key, item)?;
    }
    ControlFlow::Continue(())
}

impl Documents for Overlay<'_> {
    type Error = projector::Error;

    fn count(&self) -> Result<u64, projector::Error> {
        self.stored.count()
    }

    fn get(&self, id: &str, visit: &mut dyn FnMut(RawDocument<'_>)) -> Result<(), projector::Error> {
        match self.written.get(id) {
            Some(working) => {
                show(id, &working.document, visit);
                Ok(())
            }
            None => self.stored.get(id, visit),
        }
    }

    fn scan(
        &self,
        after: Option<&str>,
        reverse: bool,
        visit: &mut dyn FnMut(RawDocument<'_>) -> ControlFlow<()>,
    ) -> Result<(), projector::Error> {
        let is_behind = |id: &str| after.is_none_or(|after| if reverse { id < after } else { id > after });
        let own = self.written.iter().filter(|(id, _)| is_behind(id));
        let mut own: Vec<_> = own.map(|(id, working)| ((*id).to_owned(), *working)).collect();
        if reverse {
            own.reverse();
        }
        let mut own = own.into_iter().peekable();
        let mut next = |key: Option<&str>, visit: &mut dyn FnMut(RawDocument<'_>) -> ControlFlow<()>| {
            before(&mut own, key.map(str::to_owned).as_ref(), reverse, &mut |id, working| {
                show(id, &working.document, &mut *visit).unwrap_or(ControlFlow::Continue(()))
            })
        };
        let mut flow = ControlFlow::Continue(());
        self.stored.scan(after, reverse, &mut |raw| {
            flow = next(Some(raw.id), visit);
            if flow.is_continue() && !self.written.contains_key(raw.id) {
                flow = visit(raw);
            }
            flow
        })?;
        if flow.is_continue() {
            let _ = next(None, visit);
        }
        Ok(())
    }

    fn index(
        &self,
        name: &str,
        from: &[u8],
        until: &[u8],
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &str) -> ControlFlow<()>,
    ) -> Result<(), projector::Error> {
        // The name of an index is its path.
        let path = Path::parse(name).map_err(|_| projector::Error::Damaged("the name of an index"))?;
        let mut own: Vec<((Vec<u8>, String), ())> = Vec::new();
        for (id, working) in self.written.iter().filter(|(_, working)| working.document.is_alive()) {
            let keys = index_entries(documents::indexes::value(id, &working.document, &path).as_deref());
            let keys = keys.into_iter().filter(|key| key[..] >= *from && (until.is_empty() || key[..] < *until));
            own.extend(keys.map(|key| ((key, (*id).to_owned()), ())));
        }
        own.sort_unstable();
        if reverse {
            own.reverse();
        }
        let mut own = own.into_iter().peekable();
        let mut next = |key: Option<&(Vec<u8>, String)>, visit: &mut dyn FnMut(&[u8], &str) -> ControlFlow<()>| {
            before(&mut own, key, reverse, &mut |(key, id), ()| visit(key, id))
        };
        let mut flow = ControlFlow::Continue(());
        self.stored.index(name, from, until, reverse, &mut |key, id| {
            flow = next(Some(&(key.to_vec(), id.to_owned())), visit);
            if flow.is_continue() && !self.written.contains_key(id) {
                flow = visit(key, id);
            }
            flow
        })?;
        if flow.is_continue() {
            let _ = next(None, visit);
        }
        Ok(())
    }
}

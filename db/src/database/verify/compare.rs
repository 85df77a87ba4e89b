//! Two views of the same events, key by key.

use std::{cmp::Ordering, ops::ControlFlow};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use spool_store::view::{Reader, after_prefix};

use super::{Fault, Verification, What};
use crate::{
    Target,
    documents::{self, history, indexes::Known, keys, stored},
    limits::{COMPARED_KEYS, MAX_FAULTS, READ_BYTES},
    projector::{self, Error},
};

/// One key of both views.
type Pair<'a> = (&'a [u8], Option<&'a Bytes>, Option<&'a Bytes>);

pub(super) fn compare(found: &Reader<'_>, fresh: &Reader<'_>, result: &mut Verification) -> Result<(), Error> {
    let mut hash = Sha256::new_with_prefix(documents::HASH_PREFIX);
    each(found, fresh, keys::DOCUMENTS, &mut |(key, found, fresh)| {
        result.documents += 1;
        if let Some(state) = fresh.and_then(|value| stored::state(value)) {
            documents::hash_one(&mut hash, key, state);
        }
        // Where a document is in the feed, and how long ago its state was kept, is this node's own.
        let shared = |value: Option<&Bytes>| value.map(|value| stored::shared(value).map(<[u8]>::to_vec));
        if let Some(detail) = differs(&shared(found), &shared(fresh)) {
            result.fault(What::Document, keys::target(key), detail);
        }
    })?;
    result.hash = hash.finalize().into();
    each(found, fresh, keys::HISTORY, &mut |(key, found, fresh)| {
        // Which states are kept depends on the order of arrival.
        let is_kept = |value: Option<&Bytes>| value.is_some_and(|value| history::kept(value).is_some());
        let detail = if is_kept(found) == is_kept(fresh) {
            differs(&found, &fresh)
        } else {
            differs(&found.map(|_| ()), &fresh.map(|_| ()))
        };
        if let Some(detail) = detail {
            result.fault(What::History, keys::target(key), detail);
        }
    })?;
    each(found, fresh, projector::DENIED, &mut |(key, found, fresh)| {
        if let Some(detail) = differs(&found, &fresh) {
            let record = projector::denied_record(key);
            let name = record.map(|(log, counter)| format!("{log}-{counter}")).unwrap_or_default();
            result.fault(What::Verdict, Some(Target::new("", name)), detail);
        }
    })?;
    each(found, fresh, keys::COUNTS, &mut |(key, found, fresh)| {
        // A collection of which nothing is left has a count or none.
        let number = |value: Option<&Bytes>| value.filter(|value| value.iter().any(|byte| *byte != 0)).cloned();
        if let Some(detail) = differs(&number(found), &number(fresh)) {
            let collection = key.get(1..).map(String::from_utf8_lossy).unwrap_or_default();
            result.fault(What::Count, Some(Target::new(collection, "")), detail);
        }
    })?;
    compare_indexes(found, fresh, result)
}

fn compare_indexes(found: &Reader<'_>, fresh: &Reader<'_>, result: &mut Verification) -> Result<(), Error> {
    let mut states = Vec::new();
    each(found, fresh, keys::INDEX_STATES, &mut |(key, found, fresh)| {
        let of = |value: Option<&Bytes>| value.map(|value| Known::of(value));
        states.push((key.to_vec(), of(found), of(fresh)));
    })?;
    for (key, found_state, fresh_state) in states {
        let Some((collection, path)) = keys::index_of_state(&key) else {
            result.fault(What::Index, None, "the name of an index cannot be read");
            continue;
        };
        if let Some(detail) = Known::differs(found_state, fresh_state) {
            result.fault(What::Index, Some(Target::new(collection, "")), &format!("{path} {detail}"));
        }
        // One that is being built or dropped has some of its entries.
        if !matches!(found_state, Some(Known::Whole { .. })) {
            continue;
        }
        each(found, fresh, &keys::index(collection, path), &mut |(key, found, fresh)| {
            result.entries += 1;
            if let Some(detail) = differs(&found, &fresh) {
                let id = found.or(fresh).and_then(|value| keys::id_of_entry(key, value));
                let target = Target::new(collection, id.unwrap_or_default());
                result.fault(What::Entry, Some(target), &format!("{path}: {detail}"));
            }
        })?;
    }
    Ok(())
}

/// How what was found is not what it is to be.
fn differs<T: PartialEq>(found: &Option<T>, fresh: &Option<T>) -> Option<&'static str> {
    match (found, fresh) {
        (Some(found), Some(fresh)) if found == fresh => None,
        (None, None) => None,
        (None, Some(_)) => Some("missing"),
        (Some(_), None) => Some("too many"),
        (Some(_), Some(_)) => Some("another one"),
    }
}

impl Verification {
    fn fault(&mut self, what: What, target: Option<Target>, detail: &str) {
        self.found += 1;
        if self.faults.len() < MAX_FAULTS {
            let Target { collection, id } = target.unwrap_or_else(|| Target::new("", ""));
            self.faults.push(Fault { what, collection, id, detail: detail.to_owned() });
        }
    }
}

/// Hands over all keys that begin with a prefix and are in either view, in their order.
fn each(found: &Reader<'_>, fresh: &Reader<'_>, prefix: &[u8], visit: &mut dyn FnMut(Pair<'_>)) -> Result<(), Error> {
    let (mut left, mut right) = (Pages::new(found, prefix), Pages::new(fresh, prefix));
    let (mut one, mut two) = (left.next()?, right.next()?);
    loop {
        let order = match (&one, &two) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((two, _))) => one.cmp(two),
        };
        let key = if order.is_gt() { &two } else { &one }.as_ref().map_or(&[][..], |(key, _)| key);
        let of = |item: &'_ Option<(Vec<u8>, Bytes)>, is_there: bool| {
            item.as_ref().filter(|_| is_there).map(|(_, value)| value.clone())
        };
        let (ours, theirs) = (of(&one, order.is_le()), of(&two, order.is_ge()));
        visit((key, ours.as_ref(), theirs.as_ref()));
        if order.is_le() {
            one = left.next()?;
        }
        if order.is_ge() {
            two = right.next()?;
        }
    }
}

/// Keys and values of a view, page by page.
struct Pages<'a> {
    reader: &'a Reader<'a>,
    from: Vec<u8>,
    until: Vec<u8>,
    page: std::vec::IntoIter<(Vec<u8>, Bytes)>,
}

impl<'a> Pages<'a> {
    fn new(reader: &'a Reader<'a>, prefix: &[u8]) -> Self {
        Self { reader, from: prefix.to_vec(), until: after_prefix(prefix), page: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        if self.page.len() == 0 {
            let (mut page, mut bytes) = (Vec::new(), 0);
            self.reader.scan(&self.from, &self.until, &mut |key, value| {
                bytes += key.len() + value.len();
                page.push((key.to_vec(), Bytes::copy_from_slice(value)));
                let is_full = page.len() >= COMPARED_KEYS || bytes >= READ_BYTES;
                if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if let Some((last, _)) = page.last() {
                self.from = [&last[..], &[0]].concat();
            }
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

//! A document in the view, with what is local to this node.

use spool_store::view::{Batch, Reader};

use super::{fold::Folded, keys};
use crate::{
    Document,
    document::{Encoded, Existence},
    operation::Target,
    projector::Error,
    query::RawDocument,
};

/// Bytes before the document itself: events since the last kept state (2), position in the feed (8), `_mod` (8), where its fields begin (2) and
/// end (4), and whether it exists (1).
const HEAD: usize = 25;

/// A stored document.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The document.
    pub document: Document,
    /// Bytes of its stored form.
    pub bytes: usize,
    /// Events since the last kept state.
    pub since: u16,
    /// Its last change in the feed; 0 for none.
    pub position: u64,
}

/// The document within a stored value: the same bytes on every peer.
pub(crate) fn state(value: &[u8]) -> Option<&[u8]> {
    value.get(HEAD..)
}

/// All of a stored value that is not this node's own affair: the same on every peer.
pub(crate) fn shared(value: &[u8]) -> Option<&[u8]> {
    value.get(10..)
}

fn number(value: &[u8], range: std::ops::Range<usize>) -> Option<u64> {
    Some(value.get(range)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// The fields of a stored document, not decoded; `None` if it does not exist.
pub(crate) fn raw<'a>(id: &'a str, value: &'a [u8]) -> Result<Option<RawDocument<'a>>, Error> {
    let damaged = || Error::Damaged("a document");
    if value.get(HEAD - 1).ok_or_else(damaged)? == &0 {
        return Ok(None);
    }
    let parts = || Some((number(value, 10..18)?, number(value, 18..20)?, number(value, 20..24)?));
    let (modified, start, end) = parts().ok_or_else(damaged)?;
    let bytes = state(value).and_then(|state| state.get(start as usize..end as usize)).ok_or_else(damaged)?;
    Ok(Some(RawDocument { id, modified, bytes }))
}

pub(crate) fn parse(value: &[u8]) -> Result<Entry, Error> {
    let damaged = Error::Damaged("a document");
    let (Some(since), Some(position), Some(state)) = (number(value, 0..2), number(value, 2..10), state(value)) else {
        return Err(damaged);
    };
    let document = Document::from_bytes(state).map_err(|_| damaged)?;
    Ok(Entry { document, bytes: state.len(), since: since as u16, position })
}

pub(crate) fn read(reader: &Reader<'_>, target: &Target) -> Result<Option<Entry>, Error> {
    reader.get(&keys::document(target))?.map(|value| parse(&value)).transpose()
}

pub(super) fn write(target: &Target, folded: &Folded, batch: &mut Batch) {
    let key = keys::document(target);
    let Some(entry) = &folded.after else { return batch.delete(key) };
    let Encoded { bytes, fields } = &folded.state;
    let mut value = Vec::with_capacity(HEAD + bytes.len());
    value.extend(entry.since.to_be_bytes());
    value.extend(entry.position.to_be_bytes());
    value.extend(entry.document.last.map_or(0, |last| last.modified()).to_be_bytes());
    // What stands before the fields has a few dozen bytes, and a document at most some megabytes.
    value.extend((fields.start as u16).to_be_bytes());
    value.extend((fields.end as u32).to_be_bytes());
    value.push(u8::from(entry.document.existence == Existence::Alive));
    value.extend(bytes);
    batch.put(key, value);
}

//! A document in the view, with what is local to this node.

use spool_store::view::{Batch, Reader};

use super::{fold::Folded, keys};
use crate::{Document, operation::Target, projector::Error};

/// Bytes before the document itself.
const HEAD: usize = 10;

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

pub(crate) fn parse(value: &[u8]) -> Result<Entry, Error> {
    let damaged = Error::Damaged("a document");
    let (Some((since, rest)), Some(state)) = (value.split_first_chunk(), state(value)) else { return Err(damaged) };
    let Some(position) = rest.first_chunk() else { return Err(damaged) };
    let document = Document::from_bytes(state).map_err(|_| damaged)?;
    let (since, position) = (u16::from_be_bytes(*since), u64::from_be_bytes(*position));
    Ok(Entry { document, bytes: state.len(), since, position })
}

pub(super) fn read(reader: &Reader<'_>, target: &Target) -> Result<Option<Entry>, Error> {
    reader.get(&keys::document(target))?.map(|value| parse(&value)).transpose()
}

pub(super) fn write(target: &Target, folded: &Folded, batch: &mut Batch) {
    let key = keys::document(target);
    match &folded.after {
        None => batch.delete(key),
        Some(entry) => {
            let mut value = Vec::with_capacity(HEAD + folded.state.len());
            value.extend(entry.since.to_be_bytes());
            value.extend(entry.position.to_be_bytes());
            value.extend(&folded.state);
            batch.put(key, value);
        }
    }
}

//! What the view of documents keeps. Names and ids have no control characters, so a zero ends them.
//!
//! | key | value |
//! |---|---|
//! | 1 ‖ collection ‖ 0 ‖ id ‖ 0 | see [`super::stored`] |
//! | 2 ‖ collection ‖ 0 ‖ id ‖ 0 ‖ stamp | see [`super::history`] |
//! | 3 ‖ position | kind ‖ collection ‖ 0 ‖ id; the last change of that document |
//! | 5 | the last position of the feed |
//! | 6 ‖ collection ‖ 0 ‖ length of the index's name (2 bytes) ‖ its name ‖ key ‖ id | length of the id (1 byte) |
//! | 8 ‖ collection ‖ 0 ‖ path of an index | how far the index is |
//! | 9 ‖ collection | the first event that gives it a validator ‖ how far what was folded before was looked through |
//! | 7 ‖ collection | how many of its documents exist, 8 bytes |

use crate::{Stamp, operation::Target};

pub(crate) const DOCUMENTS: &[u8] = &[1];
pub(crate) const HISTORY: &[u8] = &[2];
pub(crate) const FEED: &[u8] = &[3];
pub(crate) const LAST_POSITION: &[u8] = &[5];
pub(crate) const COUNTS: &[u8] = &[7];
pub(crate) const INDEX_STATES: &[u8] = &[8];
pub(crate) const GOVERNED: &[u8] = &[9];

fn at(space: u8, target: &Target) -> Vec<u8> {
    [&[space], target.collection.as_bytes(), &[0], target.id.as_bytes(), &[0]].concat()
}

pub(crate) fn document(target: &Target) -> Vec<u8> {
    at(1, target)
}

/// What the documents of a collection begin with.
pub(crate) fn collection(name: &str) -> Vec<u8> {
    [&[1], name.as_bytes(), &[0]].concat()
}

/// The id in the key of a document of the collection with this prefix.
pub(crate) fn id<'a>(key: &'a [u8], collection: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.strip_prefix(collection)?.strip_suffix(&[0])?).ok()
}

/// What the entries of an index begin with.
pub(crate) fn index(collection: &str, name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    [&[6], collection.as_bytes(), &[0], &length.to_be_bytes(), name.as_bytes()].concat()
}

/// One entry of an index.
pub(crate) fn index_entry(target: &Target, name: &str, key: &[u8]) -> Vec<u8> {
    [&index(&target.collection, name)[..], key, target.id.as_bytes()].concat()
}

/// What an entry has beside its key: how much of that is the id.
pub(crate) fn index_value(id: &str) -> Vec<u8> {
    vec![u8::try_from(id.len()).unwrap_or(u8::MAX)]
}

/// The id in an entry of an index.
pub(crate) fn id_of_entry(key: &[u8], value: &[u8]) -> Option<String> {
    let length = usize::from(*value.first()?);
    std::str::from_utf8(key.get(key.len().checked_sub(length)?..)?).ok().map(str::to_owned)
}

/// What the states of a collection's indexes begin with.
pub(crate) fn index_states(collection: &str) -> Vec<u8> {
    [INDEX_STATES, collection.as_bytes(), &[0]].concat()
}

pub(crate) fn index_state(collection: &str, path: &str) -> Vec<u8> {
    [&index_states(collection)[..], path.as_bytes()].concat()
}

/// The collection and the path of an index in the key of its state.
pub(crate) fn index_of_state(key: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(key.strip_prefix(INDEX_STATES)?).ok()?.split_once('\0')
}

pub(crate) fn count(collection: &str) -> Vec<u8> {
    [COUNTS, collection.as_bytes()].concat()
}

/// The collection and id in the key of a document.
pub(crate) fn target(key: &[u8]) -> Option<Target> {
    let mut parts = key.get(1..)?.split(|byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    Some(Target { collection: text()?.to_owned(), id: text()?.to_owned() })
}

/// What the histories of a collection's documents begin with.
pub(crate) fn collection_history(name: &str) -> Vec<u8> {
    [HISTORY, name.as_bytes(), &[0]].concat()
}

/// What the history of a document begins with.
pub(crate) fn history(target: &Target) -> Vec<u8> {
    at(2, target)
}

pub(crate) fn event(target: &Target, stamp: &Stamp) -> Vec<u8> {
    [&history(target)[..], &stamp.to_bytes()].concat()
}

/// The stamp at the end of a key.
pub(crate) fn stamp(key: &[u8]) -> Option<Stamp> {
    key.last_chunk().map(Stamp::from_bytes)
}

pub(crate) fn position(position: u64) -> Vec<u8> {
    [FEED, &position.to_be_bytes()].concat()
}

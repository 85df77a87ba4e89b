//! Tags: names for points in time, the same on every peer. A tag is a document of the collection `_tags` with the name as its id.

use serde_json::{Map, Value};
use spool_proto::clock::Time;
use spool_store::view::Reader;

use super::past::Present;
use crate::{
    Document,
    documents::{self, keys},
    operation::{Change, Target},
    projector::Error,
};

/// The collection of tags.
const TAGS: &str = "_tags";
/// The collection of definitions.
pub(super) const COLLECTIONS: &str = "_collections";
/// The field with the 64-bit form of a tag's time.
const TIME: &str = "time";

/// A name for a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The point.
    pub time: Time,
}

/// What gives a name to a point in time. A tag of that name moves.
pub fn tag(name: &str, time: Time) -> (Target, Change) {
    (tag_target(name), Change::Create(Map::from_iter([(TIME.to_owned(), time.as_u64().into())])))
}

/// The document of a tag. Names of tags are ids of documents.
pub fn tag_target(name: &str) -> Target {
    Target::new(TAGS, name)
}

/// The time of a tag; `None` if there is no such tag, or somebody wrote something else there.
///
/// # Errors
///
/// [`Error`].
pub fn tagged(reader: &Reader<'_>, name: &str) -> Result<Option<Time>, Error> {
    Ok(documents::document(reader, &Target::new(TAGS, name))?.as_ref().and_then(time))
}

/// All tags, by name.
///
/// # Errors
///
/// [`Error`].
pub fn tags(reader: &Reader<'_>) -> Result<Vec<Tag>, Error> {
    let (mut documents, mut tags) = (Present::new(&keys::collection(TAGS)), Vec::new());
    while let Some((target, document)) = documents.next(reader)? {
        tags.extend(time(&document).map(|time| Tag { name: target.id, time }));
    }
    Ok(tags)
}

fn time(document: &Document) -> Option<Time> {
    document.fields.get(TIME).filter(|_| document.is_alive()).and_then(Value::as_u64).map(Time::from_u64)
}

//! Results as JSON. Fields are never left out; what is not known is `null`.

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::exit::Failure;
use super::super::format::{self, rfc3339};
use super::super::view::Author;
use crate::api::pb;

/// A value that the daemon sends as text.
pub(super) fn value(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| anyhow::Error::new(error).context("the daemon sent a value that is not JSON").into())
}

/// A document that the daemon sends as text.
pub(super) fn document(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text)
        .map_err(|error| anyhow::Error::new(error).context("the daemon sent a document that is none").into())
}

pub(super) fn values(texts: &[String]) -> Result<Vec<Value>, Failure> {
    texts.iter().map(|text| value(text)).collect()
}

/// Where and when an event is. All are `null` where there was nothing to do.
#[derive(Serialize)]
pub(super) struct Place {
    pub(super) log: Option<String>,
    pub(super) counter: Option<u64>,
    pub(super) time: Option<String>,
    pub(super) point: Option<String>,
}

impl From<Option<pb::Place>> for Place {
    fn from(place: Option<pb::Place>) -> Self {
        Self {
            counter: place.as_ref().map(|place| place.counter),
            time: place.as_ref().map(|place| rfc3339(place.time >> 16)),
            point: place.as_ref().map(|place| format::point(place.time)),
            log: place.map(|place| place.log),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Written<'a> {
    pub(super) thread: &'a str,
    pub(super) collection: &'a str,
    pub(super) id: &'a str,
    #[serde(flatten)]
    pub(super) place: &'a Place,
}

#[derive(Serialize)]
pub(super) struct Collection {
    pub(super) name: String,
    pub(super) documents: u64,
    pub(super) schema: Option<Value>,
    pub(super) validator: Option<String>,
    pub(super) filter: Option<String>,
    pub(super) indexes: Vec<Index>,
    pub(super) keep_both: Vec<String>,
    pub(super) problems: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Index {
    pub(super) path: String,
    pub(super) unique: bool,
    pub(super) ready: bool,
}

impl TryFrom<pb::Collection> for Collection {
    type Error = Failure;

    fn try_from(collection: pb::Collection) -> Result<Self, Failure> {
        let index = |index: pb::Index| Index { path: index.path, unique: index.unique, ready: index.ready };
        Ok(Self {
            name: collection.name,
            documents: collection.documents,
            schema: collection.schema.as_deref().map(value).transpose()?,
            validator: collection.validator,
            filter: collection.filter,
            indexes: collection.indexes.into_iter().map(index).collect(),
            keep_both: collection.keep_both,
            problems: collection.problems,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Document {
    pub(super) collection: String,
    pub(super) id: String,
    pub(super) version: String,
    pub(super) document: Value,
    pub(super) conflicts: Vec<Conflict>,
}

impl TryFrom<pb::Document> for Document {
    type Error = Failure;

    fn try_from(document: pb::Document) -> Result<Self, Failure> {
        Ok(Self {
            collection: document.collection,
            id: document.id,
            version: document.version,
            document: value(&document.json)?,
            conflicts: document.conflicts.into_iter().map(Conflict::try_from).collect::<Result<_, _>>()?,
        })
    }
}

/// One shape for all kinds: `values` of `kept-both`, of which the first shows; `message` of `schema`; `value` and `others` of `duplicate`.
#[derive(Serialize)]
pub(super) struct Conflict {
    pub(super) collection: String,
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) path: Option<String>,
    pub(super) values: Option<Vec<Value>>,
    pub(super) message: Option<String>,
    pub(super) value: Option<Value>,
    pub(super) others: Option<Vec<String>>,
}

impl TryFrom<pb::Conflict> for Conflict {
    type Error = Failure;

    fn try_from(conflict: pb::Conflict) -> Result<Self, Failure> {
        use pb::conflict::Kind;
        let pb::Conflict { collection, id, kind } = conflict;
        let none = Self {
            collection,
            id,
            kind: "unknown",
            path: None,
            values: None,
            message: None,
            value: None,
            others: None,
        };
        Ok(match kind {
            Some(Kind::KeptBoth(kept)) => {
                Self { kind: "kept-both", path: Some(kept.path), values: Some(values(&kept.values)?), ..none }
            }
            Some(Kind::Schema(schema)) => {
                Self { kind: "schema", path: Some(schema.path), message: Some(schema.message), ..none }
            }
            Some(Kind::Duplicate(duplicate)) => Self {
                kind: "duplicate",
                path: Some(duplicate.path),
                value: Some(value(&duplicate.value)?),
                others: Some(duplicate.others),
                ..none
            },
            None => none,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) time: String,
    pub(super) point: String,
    pub(super) log: String,
    pub(super) counter: u64,
    pub(super) author: Option<Author>,
    pub(super) changes: Vec<Value>,
    pub(super) exists: bool,
}

impl TryFrom<pb::Version> for Version {
    type Error = Failure;

    fn try_from(version: pb::Version) -> Result<Self, Failure> {
        Ok(Self {
            version: version.version,
            time: rfc3339(version.time >> 16),
            point: format::point(version.time),
            log: version.log,
            counter: version.counter,
            author: version.author.map(Into::into),
            changes: values(&version.changes)?,
            exists: version.exists,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conflicts_have_one_shape() {
        use pb::conflict::{Duplicate, KeptBoth, Kind};
        let shown = |kind| {
            let conflict = pb::Conflict { collection: "films".into(), id: "x".into(), kind: Some(kind) };
            serde_json::to_value(Conflict::try_from(conflict).unwrap()).unwrap()
        };
        let kept = KeptBoth { path: "year".into(), values: vec!["1985".into(), "\"1986\"".into()] };
        let expected = json!({
            "collection": "films", "id": "x", "kind": "kept-both", "path": "year", "values": [1985, "1986"], "message": null,
            "value": null, "others": null,
        });
        assert_eq!(shown(Kind::KeptBoth(kept)), expected);
        let duplicate = Duplicate { path: "title".into(), value: "\"Brazil\"".into(), others: vec!["y".into()] };
        let shown = shown(Kind::Duplicate(duplicate));
        assert_eq!(
            (&shown["value"], &shown["others"], &shown["values"]),
            (&json!("Brazil"), &json!(["y"]), &json!(null))
        );
    }

    #[test]
    fn a_write_that_had_nothing_to_do_has_no_place() {
        let place = Place::from(None);
        let written = Written { thread: "t", collection: "films", id: "x", place: &place };
        let expected = json!({
            "thread": "t", "collection": "films", "id": "x", "log": null, "counter": null, "time": null, "point": null,
        });
        assert_eq!(serde_json::to_value(written).unwrap(), expected);
        let place = pb::Place { log: "12D3".into(), counter: 3, time: 1_517_966_773_840 << 16 | 7 };
        let place = serde_json::to_value(Place::from(Some(place))).unwrap();
        assert_eq!(place["point"], json!(format!("time:{}", 1_517_966_773_840_u64 << 16 | 7)));
        assert_eq!(place["time"], json!("2018-02-07T01:26:13.840Z"));
    }
}

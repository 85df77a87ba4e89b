//! JSON text, paths and versions of requests as values.

use data_encoding::HEXLOWER;
use serde_json::{Map, Number, Value};
use spool_db::{
    Path, Stamp,
    history::VersionId,
    limits::{MAX_DOCUMENT_BYTES, MAX_SCHEMA_BYTES},
    query::{self, Query},
};

use crate::model::Error;

/// Bytes of a path as text: as many names as a path may have, of some length.
const MAX_PATH_BYTES: usize = 4_096;

pub(super) fn missing(field: &str) -> Error {
    Error::Invalid(format!("`{field}` is missing"))
}

pub(super) fn only_first(field: &str) -> Error {
    Error::Invalid(format!("only the first message names the `{field}`"))
}

/// The size is checked before anything is made of it. serde_json goes 128 levels deep and no further.
pub(super) fn json(field: &str, text: &str, most: usize) -> Result<Value, Error> {
    if text.len() > most {
        return Err(Error::Invalid(format!("`{field}` has {} bytes, the limit is {most}", text.len())));
    }
    serde_json::from_str(text).map_err(|error| Error::Invalid(format!("`{field}` is not JSON: {error}")))
}

pub(super) fn value(field: &str, text: &str) -> Result<Value, Error> {
    json(field, text, MAX_DOCUMENT_BYTES)
}

pub(super) fn object(field: &str, text: &str) -> Result<Map<String, Value>, Error> {
    match value(field, text)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Error::Invalid(format!("`{field}` has to be a JSON object"))),
    }
}

pub(super) fn number(field: &str, text: &str) -> Result<Number, Error> {
    match value(field, text)? {
        Value::Number(number) => Ok(number),
        _ => Err(Error::Invalid(format!("`{field}` has to be a number"))),
    }
}

pub(super) fn schema(text: &str) -> Result<Value, Error> {
    json("schema", text, MAX_SCHEMA_BYTES)
}

pub(super) fn path(field: &str, text: &str) -> Result<Path, Error> {
    if text.len() > MAX_PATH_BYTES {
        return Err(Error::Invalid(format!("`{field}` has {} bytes, the limit is {MAX_PATH_BYTES}", text.len())));
    }
    Path::parse(text).map_err(|error| Error::Invalid(format!("`{field}` is not a path: {error}")))
}

pub(super) fn version(field: &str, text: &str) -> Result<VersionId, Error> {
    super::id(field, text)
}

/// No text finds all.
pub(super) fn query(text: &str) -> Result<Query, Error> {
    if text.is_empty() {
        return Ok(Query::default());
    }
    query::json::parse(text).map_err(|error| Error::Invalid(format!("`query`: {error}")))
}

/// Where a page of versions ended.
pub(super) fn stamp_text(stamp: &Stamp) -> String {
    HEXLOWER.encode(&stamp.to_bytes())
}

pub(super) fn stamp(field: &str, text: &str) -> Result<Stamp, Error> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let invalid = || Error::Invalid(format!("`{field}` is not what `next` of a page was"));
    Ok(Stamp::from_bytes(&bytes.ok_or_else(invalid)?))
}

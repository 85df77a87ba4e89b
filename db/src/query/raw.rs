//! Single fields of a stored document, without decoding the rest of it.

use std::convert::Infallible;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_ipld_dagcbor::DecodeError;
use serde_json::{Map, Value};

use crate::path::Path;
use crate::query::{ID, MODIFIED};

/// A document as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct RawDocument<'a> {
    /// Its id, which stands in for whatever it has under `_id`.
    pub id: &'a str,
    /// The time of its last change, which stands in for whatever it has under `_mod`.
    pub modified: u64,
    /// DAG-CBOR of the map of its fields.
    pub bytes: &'a [u8],
}

/// The parts of a document that someone looks at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// All of it, so that what is named below does not matter.
    whole: bool,
    fields: Vec<(String, Wanted)>,
}

impl Wanted {
    pub(crate) fn add(&mut self, path: &Path) {
        let mut wanted = self;
        for name in path.names() {
            let position = wanted.fields.iter().position(|(field, _)| field == name).unwrap_or_else(|| {
                wanted.fields.push((name.clone(), Self::default()));
                wanted.fields.len() - 1
            });
            wanted = &mut wanted.fields[position].1;
        }
        wanted.whole = true;
    }

    fn has(&self, name: &str) -> bool {
        self.whole || self.fields.iter().any(|(field, _)| field == name)
    }

    fn is_nothing(&self) -> bool {
        !self.whole && self.fields.is_empty()
    }
}

impl RawDocument<'_> {
    /// The whole document.
    ///
    /// # Errors
    ///
    /// The bytes are no document.
    pub fn decode(&self) -> Result<Map<String, Value>, DecodeError<Infallible>> {
        self.fields(&Wanted { whole: true, fields: Vec::new() })
    }

    /// A document in which the wanted paths have the values that they have in this one.
    pub(crate) fn fields(&self, wanted: &Wanted) -> Result<Map<String, Value>, DecodeError<Infallible>> {
        let mut fields = if wanted.is_nothing() { Map::new() } else { self.read(wanted)? };
        if wanted.has(ID) {
            fields.insert(ID.to_owned(), self.id.into());
        }
        if wanted.has(MODIFIED) {
            fields.insert(MODIFIED.to_owned(), self.modified.into());
        }
        Ok(fields)
    }

    fn read(&self, wanted: &Wanted) -> Result<Map<String, Value>, DecodeError<Infallible>> {
        let mut deserializer = serde_ipld_dagcbor::de::Deserializer::from_slice(self.bytes);
        let value = Part(wanted).deserialize(&mut deserializer)?;
        deserializer.end()?;
        match value {
            Value::Object(fields) => Ok(fields),
            _ => Err(DecodeError::custom("not a map")),
        }
    }
}

/// Reads the wanted parts of the value that follows.
struct Part<'w>(&'w Wanted);

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0.whole { Value::deserialize(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

/// Nothing lies within a scalar, so that it does not matter which it is.
impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(position) = map.next_key_seed(Position(&self.0.fields))? {
            match position {
                Some(position) => {
                    let (name, wanted) = &self.0.fields[position];
                    fields.insert(name.clone(), map.next_value_seed(Part(wanted))?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        // All elements, because a name within an array is a position.
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Reads a name and finds it among the wanted ones.
struct Position<'w>(&'w [(String, Wanted)]);

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(wanted, _)| wanted == name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(document: &Value, paths: &[&str]) -> Value {
        let bytes = serde_ipld_dagcbor::to_vec(document).unwrap();
        let mut wanted = Wanted::default();
        paths.iter().for_each(|path| wanted.add(&Path::parse(path).unwrap()));
        Value::Object(RawDocument { id: "one", modified: 7, bytes: &bytes }.fields(&wanted).unwrap())
    }

    #[test]
    fn only_the_wanted_fields_are_taken() {
        let document = json!({"_id": "other", "a": {"b": 1, "c": [1, 2]}, "d": [{"e": 1.5, "f": null}], "g": "text", "h": -1, "i": true});
        assert_eq!(fields(&document, &["a.b", "i"]), json!({"a": {"b": 1}, "i": true}));
        assert_eq!(fields(&document, &["a.c", "a", "_id"]), json!({"_id": "one", "a": {"b": 1, "c": [1, 2]}}));
        assert_eq!(fields(&document, &["d.0.e", "_mod"]), json!({"_mod": 7, "d": [{"e": 1.5, "f": null}]}));
        assert_eq!(fields(&document, &["g.x", "h.x", "i.x", "z"]), json!({"g": null, "h": null, "i": null}));
        assert_eq!(fields(&document, &[]), json!({}));
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for bytes in [&[0x81, 0x01][..], &[0xa1, 0x61, b'a'], &[0xa0, 0x00], &[0xa1, 0x61, b'a', 0x41, 0x00], &[]] {
            assert!(RawDocument { id: "", modified: 0, bytes }.decode().is_err(), "{bytes:?}");
        }
    }
}

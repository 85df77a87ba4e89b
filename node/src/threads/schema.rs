//! Schemas as the reference implementation keeps them.
//!
//! It reads a schema into the fields of a Go struct (alecthomas/jsonschema of October 2019) and writes these out again. So clients get another schema back than they
//! sent: what the struct does not know is gone, and so is every zero, empty text, empty list and `false`. Documents are held against what is left.
//!
//! `exclusiveMaximum` and `exclusiveMinimum` are `true` or `false` there, as in draft 4 of JSON Schema; in the draft 7 that the database checks they are numbers. So
//! there is a way from one form to the other, and back.

use serde_json::{Map, Value};
use spool_db::Path;

use super::refused::Refused;

/// Levels of schemas within schemas.
const MAX_DEPTH: usize = 64;
const DRAFT_7: &str = "http://json-schema.org/draft-07/schema#";

/// What a field of the struct holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Texts,
    Values,
    Value,
    Raw,
    Schema,
    Schemas,
    Named,
}

impl Kind {
    /// Its type in Go, for errors.
    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "int",
            Self::Boolean => "bool",
            Self::Texts => "[]string",
            Self::Values => "[]interface {}",
            Self::Value | Self::Raw => "interface {}",
            Self::Schema => "jsonschema.Type",
            Self::Schemas => "[]*jsonschema.Type",
            Self::Named => "map[string]*jsonschema.Type",
        }
    }
}

const FIELDS: [(&str, Kind); 36] = [
    ("$schema", Kind::Text),
    ("$ref", Kind::Text),
    ("multipleOf", Kind::Integer),
    ("maximum", Kind::Integer),
    ("exclusiveMaximum", Kind::Boolean),
    ("minimum", Kind::Integer),
    ("exclusiveMinimum", Kind::Boolean),
    ("maxLength", Kind::Integer),
    ("minLength", Kind::Integer),
    ("pattern", Kind::Text),
    ("additionalItems", Kind::Schema),
    ("items", Kind::Schema),
    ("maxItems", Kind::Integer),
    ("minItems", Kind::Integer),
    ("uniqueItems", Kind::Boolean),
    ("maxProperties", Kind::Integer),
    ("minProperties", Kind::Integer),
    ("required", Kind::Texts),
    ("properties", Kind::Named),
    ("patternProperties", Kind::Named),
    ("additionalProperties", Kind::Raw),
    ("dependencies", Kind::Named),
    ("enum", Kind::Values),
    ("type", Kind::Text),
    ("allOf", Kind::Schemas),
    ("anyOf", Kind::Schemas),
    ("oneOf", Kind::Schemas),
    ("not", Kind::Schema),
    ("definitions", Kind::Named),
    ("title", Kind::Text),
    ("description", Kind::Text),
    ("default", Kind::Value),
    ("format", Kind::Text),
    ("examples", Kind::Values),
    ("media", Kind::Schema),
    ("binaryEncoding", Kind::Text),
];

/// A schema as the reference would keep it, in the form in which the database checks it; none if the client sent none.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Value>, Refused> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| Refused::unknown(error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(mismatch(&value, "", Kind::Schema));
    };
    let schema = keep(&fields, 0)?;
    if !has_text_id(&schema) {
        return Err(Refused::unknown("the collection schema _id property must be a string"));
    }
    let mut schema = map(schema, &checked);
    if schema.contains_key("$schema") {
        schema.insert("$schema".to_owned(), DRAFT_7.into());
    }
    Ok(Some(Value::Object(schema)))
}

/// A schema that the database checks, as a client is told it.
pub(super) fn show(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => Value::Object(map(fields.clone(), &shown)),
        other => other.clone(),
    }
}

/// The property of a path with dots between names, if the schema has one.
pub(super) fn property<'a>(schema: &'a Value, path: &Path) -> Option<&'a Value> {
    let mut here = root(schema.as_object()?)?;
    let (last, outer) = path.names().split_last()?;
    for name in outer {
        here = here.get("properties")?.get(name.as_str())?.as_object()?;
    }
    here.get("properties")?.get(last.as_str())
}

/// The schema itself, or the definition that it names.
fn root(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    match schema.get("$ref").and_then(Value::as_str) {
        None => Some(schema),
        Some(reference) => {
            let name = reference.strip_prefix("#/definitions/")?;
            schema.get("definitions")?.get(name)?.as_object()
        }
    }
}

fn has_text_id(schema: &Map<String, Value>) -> bool {
    let id = root(schema).and_then(|root| root.get("properties")?.get("_id"));
    id.and_then(|id| id.get("type")).is_some_and(|kind| kind == "string")
}

fn mismatch(value: &Value, field: &str, kind: Kind) -> Refused {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let place = if field.is_empty() { "Go value".to_owned() } else { format!("Go struct field Type.{field}") };
    Refused::unknown(format!("json: cannot unmarshal {found} into {place} of type {}", kind.name()))
}

/// The fields that the struct has, without those that say nothing.
fn keep(fields: &Map<String, Value>, depth: usize) -> Result<Map<String, Value>, Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::unknown(format!("the schema is nested deeper than {MAX_DEPTH} levels")));
    }
    let mut kept = Map::new();
    for (name, kind) in FIELDS {
        // Go finds a field whatever the case of its letters.
        let value = fields.get(name).or_else(|| {
            let found = fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        });
        let Some(value) = value.filter(|value| !value.is_null()) else { continue };
        if let Some(value) = field(name, kind, value, depth)? {
            kept.insert(name.to_owned(), value);
        }
    }
    Ok(kept)
}

fn field(name: &str, kind: Kind, value: &Value, depth: usize) -> Result<Option<Value>, Refused> {
    let wrong = || mismatch(value, name, kind);
    let schema = |value: &Value| match value {
        Value::Object(fields) => Ok(Value::Object(keep(fields, depth + 1)?)),
        other => Err(mismatch(other, name, Kind::Schema)),
    };
    Ok(match kind {
        Kind::Text => Some(value.as_str().ok_or_else(wrong)?).filter(|text| !text.is_empty()).map(Value::from),
        Kind::Integer => Some(value.as_i64().ok_or_else(wrong)?).filter(|number| *number != 0).map(Value::from),
        Kind::Boolean => Some(value.as_bool().ok_or_else(wrong)?).filter(|yes| *yes).map(Value::from),
        Kind::Texts => {
            let texts = value.as_array().ok_or_else(wrong)?;
            if texts.iter().any(|text| !text.is_string()) {
                return Err(wrong());
            }
            Some(value.clone()).filter(|_| !texts.is_empty())
        }
        Kind::Values => Some(value.clone()).filter(|value| value.as_array().is_some_and(|list| !list.is_empty())),
        Kind::Value | Kind::Raw => Some(value.clone()),
        Kind::Schema => Some(schema(value)?),
        Kind::Schemas => {
            let list = value.as_array().ok_or_else(wrong)?;
            let list = list.iter().map(schema).collect::<Result<Vec<_>, _>>()?;
            Some(Value::Array(list)).filter(|list| list.as_array().is_some_and(|list| !list.is_empty()))
        }
        Kind::Named => {
            let named = value.as_object().ok_or_else(wrong)?;
            let named = named.iter().map(|(name, value)| Ok((name.clone(), schema(value)?)));
            let named = named.collect::<Result<Map<_, _>, Refused>>()?;
            Some(Value::Object(named)).filter(|named| named.as_object().is_some_and(|named| !named.is_empty()))
        }
    })
}

/// Changes a schema and all schemas within it.
fn map(schema: Map<String, Value>, change: &dyn Fn(&mut Map<String, Value>)) -> Map<String, Value> {
    let within = |value: Value| match value {
        Value::Object(fields) => Value::Object(map(fields, change)),
        other => other,
    };
    let mut schema: Map<String, Value> = schema
        .into_iter()
        .map(|(name, value)| {
            let kind = FIELDS.iter().find(|(field, _)| *field == name).map(|(_, kind)| *kind);
            let value = match (kind, value) {
                (Some(Kind::Schema | Kind::Raw), value) => within(value),
                (Some(Kind::Schemas), Value::Array(list)) => Value::Array(list.into_iter().map(within).collect()),
                (Some(Kind::Named), Value::Object(named)) => {
                    Value::Object(named.into_iter().map(|(name, value)| (name, within(value))).collect())
                }
                (_, value) => value,
            };
            (name, value)
        })
        .collect();
    change(&mut schema);
    schema
}

const BOUNDS: [(&str, &str); 2] = [("exclusiveMaximum", "maximum"), ("exclusiveMinimum", "minimum")];

fn checked(schema: &mut Map<String, Value>) {
    for (exclusive, bound) in BOUNDS {
        // One without a bound says nothing.
        if schema.remove(exclusive).is_some()
            && let Some(bound) = schema.remove(bound)
        {
            schema.insert(exclusive.to_owned(), bound);
        }
    }
}

fn shown(schema: &mut Map<String, Value>) {
    for (exclusive, bound) in BOUNDS {
        if schema.get(exclusive).is_some_and(Value::is_number)
            && let Some(number) = schema.insert(exclusive.to_owned(), true.into())
        {
            schema.insert(bound.to_owned(), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(schema: &Value) -> Result<Value, String> {
        read(schema.to_string().as_bytes()).map(Option::unwrap).map_err(|refused| refused.text)
    }

    #[test]
    fn what_the_struct_does_not_know_and_what_is_zero_is_gone() {
        let schema = json!({
            "$id": "https://example.com/person.schema.json",
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Person", "type": "object", "required": ["_id"], "additionalProperties": false,
            "properties": {
                "_id": {"type": "string", "const": "x"},
                "age": {"type": "integer", "minimum": 0, "maximum": 120, "exclusiveMaximum": true, "description": "Age"},
                "tags": {"type": "array", "items": {"type": "string", "minLength": 0}, "uniqueItems": false},
            },
        });
        let kept = read_json(&schema).unwrap();
        let as_checked = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Person", "type": "object", "required": ["_id"], "additionalProperties": false,
            "properties": {
                "_id": {"type": "string"},
                "age": {"type": "integer", "exclusiveMaximum": 120, "description": "Age"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
        });
        assert_eq!(kept, as_checked);
        let mut as_shown = as_checked;
        as_shown["properties"]["age"] =
            json!({"type": "integer", "maximum": 120, "exclusiveMaximum": true, "description": "Age"});
        assert_eq!(show(&kept), as_shown);
    }

    #[test]
    fn what_the_struct_cannot_hold_is_refused_as_go_does() {
        let of = |name: &str, value: Value| {
            read_json(&json!({"properties": {"_id": {"type": "string"}, "x": {name: value}}})).unwrap_err()
        };
        assert_eq!(
            of("type", json!(["string", "null"])),
            "json: cannot unmarshal array into Go struct field Type.type of type string"
        );
        assert_eq!(
            of("minimum", json!(0.5)),
            "json: cannot unmarshal number into Go struct field Type.minimum of type int"
        );
        assert_eq!(
            of("items", json!([])),
            "json: cannot unmarshal array into Go struct field Type.items of type jsonschema.Type"
        );
    }

    #[test]
    fn the_id_has_to_be_text() {
        let error = "the collection schema _id property must be a string";
        for schema in
            [json!({}), json!({"properties": {"_id": {"type": "number"}}}), json!({"$ref": "#/definitions/x"})]
        {
            assert_eq!(read_json(&schema).unwrap_err(), error);
        }
        let named = json!({"$ref": "#/definitions/person", "definitions": {"person": {"properties": {"_id": {"type": "string"}, "a": {"properties": {"b": {"type": "number"}}}}}}});
        let schema = read_json(&named).unwrap();
        assert_eq!(property(&schema, &Path::parse("a.b").unwrap()), Some(&json!({"type": "number"})));
        assert_eq!(property(&schema, &Path::parse("a.c").unwrap()), None);
    }

    #[test]
    fn depth_is_bounded() {
        let mut schema = json!({"type": "string"});
        for _ in 0..100 {
            schema = json!({"not": schema});
        }
        schema["properties"] = json!({"_id": {"type": "string"}});
        assert!(read_json(&schema).unwrap_err().contains("nested deeper"));
    }
}

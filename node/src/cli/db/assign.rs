//! Paths and values as arguments: `title=Brazil`, `crew.director="Terry Gilliam"`.

use std::str::FromStr;

use serde_json::Value;
use spool_db::Path;

use crate::api::pb;

/// A value for a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assign {
    path: Path,
    value: Value,
}

impl FromStr for Assign {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, text) = split(text)?;
        Ok(Self { path: field_path(&path)?, value: value(text)? })
    }
}

impl From<Assign> for pb::PathValue {
    fn from(assign: Assign) -> Self {
        Self { path: assign.path.to_string(), value: assign.value.to_string() }
    }
}

/// The path and the text of the value. A path with an equals sign in it stands in double quotes, as it does in filters.
fn split(text: &str) -> Result<(String, &str), String> {
    const EXPECTED: &str = "expected PATH=VALUE";
    if !text.starts_with('"') {
        let (path, value) = text.split_once('=').ok_or(EXPECTED)?;
        return Ok((path.to_owned(), value));
    }
    let mut quoted = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let path = quoted.next().ok_or(EXPECTED)?.map_err(|error| format!("a path in quotes: {error}"))?;
    let value = text[quoted.byte_offset()..].strip_prefix('=').ok_or(EXPECTED)?;
    Ok((path, value))
}

/// A value of JSON; what is none is a string, unless it begins like a string, an array or an object.
pub(super) fn value(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if text.trim_start().starts_with(['"', '[', '{']) => Err(format!("this is not JSON: {error}")),
        Err(_) => Ok(Value::from(text)),
    }
}

/// A number for a path.
pub(super) fn increment(text: &str) -> Result<Assign, String> {
    let assign: Assign = text.parse()?;
    if assign.value.is_number() { Ok(assign) } else { Err("expected PATH=NUMBER".into()) }
}

/// A JSON object.
pub(super) fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => Ok(Value::Object(fields).to_string()),
        Ok(_) => Err("expected a JSON object".into()),
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

/// A path that is not the whole document.
pub(super) fn field_path(text: &str) -> Result<Path, String> {
    let path = Path::parse(text).map_err(|error| error.to_string())?;
    if path.is_root() { Err("a path names at least one field".into()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> (String, Value) {
        let pb::PathValue { path, value } =
            text.parse::<Assign>().unwrap_or_else(|error| panic!("{text}: {error}")).into();
        (path, serde_json::from_str(&value).unwrap())
    }

    #[test]
    fn values_are_json_and_all_else_is_a_string() {
        for (text, path, value) in [
            ("title=Brazil", "title", json!("Brazil")),
            ("title=a = b", "title", json!("a = b")),
            ("title=", "title", json!("")),
            ("year=1985", "year", json!(1985)),
            ("year=\"1985\"", "year", json!("1985")),
            ("year=1985a", "year", json!("1985a")),
            ("seen=true", "seen", json!(true)),
            ("seen=null", "seen", json!(null)),
            ("crew.director={\"name\": \"Gilliam\"}", "crew.director", json!({"name": "Gilliam"})),
            ("a\\.b=[1, 2]", "a\\.b", json!([1, 2])),
            ("\"a=b.c\"=1", "a=b.c", json!(1)),
        ] {
            assert_eq!(parsed(text), (path.to_owned(), value), "{text}");
        }
    }

    #[test]
    fn what_begins_like_json_has_to_be_json() {
        for text in ["a={\"b\": ", "a=[1,", "a=\"open", "a= {x}"] {
            assert!(text.parse::<Assign>().unwrap_err().starts_with("this is not JSON"), "{text}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for text in ["title", "=1", "a..b=1", "\"a\"", "\"a=1", "\"\"=1", ""] {
            assert!(text.parse::<Assign>().is_err(), "{text}");
        }
        assert!(increment("year=-1.5").is_ok());
        assert!(increment("year=more").is_err());
        assert_eq!(object("{\"a\": 1}").unwrap(), "{\"a\":1}");
        assert!(object("[]").is_err());
        assert!(object("").is_err());
        assert!(field_path("").is_err());
    }
}

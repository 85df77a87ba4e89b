//! What is kept of a document.

use serde_json::{Map, Value};

use crate::path::Path;
use crate::query::ID;

/// The document with these paths alone, and its id. Of an array of which positions are named, the elements there are kept, in their order.
/// Without paths all is kept.
pub(crate) fn project(document: Map<String, Value>, fields: &[Path]) -> Map<String, Value> {
    if fields.is_empty() {
        return document;
    }
    let mut paths: Vec<&[String]> = fields.iter().map(Path::names).collect();
    let id = [ID.to_owned()];
    paths.push(&id);
    match keep(Value::Object(document), &paths) {
        Some(Value::Object(kept)) => kept,
        _ => Map::new(),
    }
}

fn keep(value: Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value);
    }
    let within = |name: &str| -> Vec<&[String]> {
        paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| *first == name)
            .map(|(_, rest)| rest)
            .collect()
    };
    match value {
        Value::Object(map) => {
            let kept: Map<_, _> = map
                .into_iter()
                .filter_map(|(name, value)| keep_some(value, &within(&name)).map(|kept| (name, kept)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(elements) => {
            let elements = elements.into_iter().enumerate();
            let kept: Vec<_> =
                elements.filter_map(|(position, value)| keep_some(value, &within(&position.to_string()))).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn keep_some(value: Value, paths: &[&[String]]) -> Option<Value> {
    if paths.is_empty() { None } else { keep(value, paths) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_paths_and_the_id_are_kept() {
        let Value::Object(document) =
            json!({"_id": "x", "a": {"b": 1, "c": {"d": 2}}, "e": [1, {"f": 2, "g": 3}, 4], "h": 5})
        else {
            panic!("a map")
        };
        let kept = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
            Value::Object(project(document.clone(), &paths))
        };
        assert_eq!(kept(&["a.c", "h"]), json!({"_id": "x", "a": {"c": {"d": 2}}, "h": 5}));
        assert_eq!(kept(&["a.b", "a"]), json!({"_id": "x", "a": {"b": 1, "c": {"d": 2}}}));
        assert_eq!(kept(&["e.1.f", "e.2"]), json!({"_id": "x", "e": [{"f": 2}, 4]}));
        assert_eq!(kept(&["a.x", "h.y"]), json!({"_id": "x"}));
        assert_eq!(kept(&[]), Value::Object(document.clone()));
    }
}

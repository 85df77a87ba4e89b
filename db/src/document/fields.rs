//! Nested maps, changed at a path.

use serde_json::{Map, Number, Value, map::Entry};

use crate::Path;

/// Puts a value at a path. What stands in the way and is not a map makes way for one.
pub(super) fn put(fields: &mut Map<String, Value>, path: &Path, value: Value) {
    let Some((last, parents)) = path.names().split_last() else { return };
    let mut map = fields;
    for name in parents {
        let inner = map.entry(name.as_str()).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        map = inner.as_object_mut().expect("made one just now");
    }
    map.insert(last.clone(), value);
}

/// Removes what is at a path; returns whether there was something. Maps around it stay, even if they are empty now.
pub(super) fn remove(fields: &mut Map<String, Value>, path: &Path) -> bool {
    let Some((last, parents)) = path.names().split_last() else { return false };
    let mut map = fields;
    for name in parents {
        let Entry::Occupied(entry) = map.entry(name.as_str()) else { return false };
        let Value::Object(inner) = entry.into_mut() else { return false };
        map = inner;
    }
    map.remove(last).is_some()
}

/// Whether only maps, or nothing, are on the way to a path.
pub(super) fn has_room(fields: &Map<String, Value>, path: &Path) -> bool {
    let Some((_, parents)) = path.names().split_last() else { return false };
    let mut map = fields;
    for name in parents {
        match map.get(name) {
            None => return true,
            Some(Value::Object(inner)) => map = inner,
            Some(_) => return false,
        }
    }
    true
}

/// A sum: exact while both are integers and so is the sum, else in floating point; none where that is not finite.
pub(crate) fn sum(one: &Number, two: &Number) -> Option<Number> {
    let integer = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    if let (Some(one), Some(two)) = (integer(one), integer(two))
        && let Some(sum) = Number::from_i128(one + two)
    {
        return Some(sum);
    }
    Number::from_f64(one.as_f64()? + two.as_f64()?)
}

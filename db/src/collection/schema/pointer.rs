//! References within a schema: JSON pointers, RFC 6901, as fragments of a URI.

use serde_json::Value;

use super::Error;

/// A name as a segment of a pointer.
pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// What a reference names. Only pointers into the schema itself are followed.
pub(super) fn resolve<'a>(schema: &'a Value, reference: &str) -> Result<&'a Value, Error> {
    let Some(fragment) = reference.strip_prefix('#') else { return Err(Error::Remote(reference.to_owned())) };
    let fragment = decode(fragment).ok_or_else(|| Error::Dangling(reference.to_owned()))?;
    if fragment.is_empty() {
        return Ok(schema);
    }
    let Some(segments) = fragment.strip_prefix('/') else { return Err(Error::Anchor(reference.to_owned())) };
    let mut at = schema;
    for segment in segments.split('/') {
        at = step(at, segment).ok_or_else(|| Error::Dangling(reference.to_owned()))?;
    }
    Ok(at)
}

fn step<'a>(value: &'a Value, segment: &str) -> Option<&'a Value> {
    let next = match value {
        Value::Object(fields) => fields.get(&unescape(segment))?,
        Value::Array(items) => {
            // One form for each position.
            let position = segment.parse::<usize>().ok().filter(|position| position.to_string() == segment)?;
            items.get(position)?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    // Within something that has an id of its own, references would mean something else.
    if next.get("$id").is_some_and(Value::is_string) { None } else { Some(next) }
}

/// Resolves percent signs.
fn decode(fragment: &str) -> Option<String> {
    let mut parts = fragment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push((digit(digits[0])? << 4) | digit(digits[1])?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_pointers_within_the_schema() {
        let schema = json!({"$defs": {"a b": 1, "c/d": 2, "e~f": [3, 4], "g": {"$id": "x", "h": 5}}});
        let at = |reference: &str| resolve(&schema, reference).cloned();
        assert_eq!(at("#"), Ok(schema.clone()));
        assert_eq!(at("#/$defs/a%20b"), Ok(json!(1)));
        assert_eq!(at("#/%24defs/c~1d"), Ok(json!(2)));
        assert_eq!(at("#/$defs/e~0f/1"), Ok(json!(4)));
        for dangling in ["#/nothing", "#/$defs/e~0f/01", "#/$defs/e~0f/2", "#/%2", "#/%zz", "#/%ff", "#/$defs/g/h"] {
            assert_eq!(at(dangling), Err(Error::Dangling(dangling.to_owned())));
        }
        assert_eq!(at("#name"), Err(Error::Anchor("#name".to_owned())));
        for remote in ["http://127.0.0.1/x", "file:///etc/passwd", "other.json#/a", "", "/etc/passwd"] {
            assert_eq!(at(remote), Err(Error::Remote(remote.to_owned())));
        }
    }
}

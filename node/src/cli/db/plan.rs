//! Plans of queries for people.

use serde_json::Value;

use super::super::format;

/// What a plan says, line by line. What this version does not know is shown as it came.
pub(super) fn fields(plan: &Value) -> Vec<(&str, String)> {
    let Some(parts) = plan.as_object() else { return vec![("plan", json(plan))] };
    let mut fields = Vec::new();
    for (name, part) in parts {
        match (name.as_str(), part) {
            ("access", part) => fields.extend(access(part)),
            ("checks", Value::Null) => fields.push(("checks", "nothing".into())),
            (name, Value::String(text)) => fields.push((name, format::shown(text))),
            (name, part) => fields.push((name, json(part))),
        }
    }
    fields
}

fn access(access: &Value) -> Vec<(&'static str, String)> {
    if access == "scan" {
        return vec![("reads", "all documents".into())];
    }
    if let Some(id) = access["id"].as_str() {
        return vec![("reads", format!("the document {}", format::shown(id)))];
    }
    let Some(ranges) = access["ranges"].as_array() else { return vec![("reads", json(access))] };
    let mut fields: Vec<_> = ranges.iter().map(|range| ("reads", range_text(range))).collect();
    if ranges.is_empty() {
        fields.push(("reads", "nothing".into()));
    }
    fields.extend(access["entries"].as_u64().map(|entries| ("entries", format::number(entries))));
    fields
}

fn range_text(range: &Value) -> String {
    let (Some(index), Some(bounds)) = (range["index"].as_str(), range["bounds"].as_str()) else { return json(range) };
    let bounds = if bounds.is_empty() { "all of it" } else { bounds };
    format!("the index {}: {}", format::shown(index), format::shown(bounds))
}

fn json(value: &Value) -> String {
    format::shown_json(&value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plans_read_well() {
        let plan = json!({
            "access": {"ranges": [{"index": "year", "bounds": "year >= 1985"}], "entries": 1234},
            "checks": "year >= 1985", "sort": "in memory",
        });
        assert_eq!(
            fields(&plan),
            [
                ("reads", "the index year: year >= 1985".to_owned()),
                ("entries", "1,234".into()),
                ("checks", "year >= 1985".into()),
                ("sort", "in memory".into()),
            ]
        );
        assert_eq!(
            fields(&json!({"access": "scan", "checks": null})),
            [("reads", "all documents".to_owned()), ("checks", "nothing".into())]
        );
        assert_eq!(fields(&json!({"access": {"id": "x"}})), [("reads", "the document x".to_owned())]);
        assert_eq!(fields(&json!({"access": {"ranges": [], "entries": 0}}))[0], ("reads", "nothing".into()));
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_came() {
        assert_eq!(fields(&json!({"new": [1]})), [("new", "[1]".to_owned())]);
        assert_eq!(fields(&json!({"access": {"new": 1}})), [("reads", "{\"new\":1}".to_owned())]);
        assert_eq!(fields(&json!("new")), [("plan", "\"new\"".to_owned())]);
    }
}

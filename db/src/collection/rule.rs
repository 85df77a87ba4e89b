//! Rules in code, as definitions have them.

use serde_json::{Map, Value};

use crate::judge::limits::SOURCE_BYTES;

/// The field of a definition with the body of a function that decides on writes.
pub(crate) const VALIDATOR: &str = "validator";
/// The field with the body of one that decides what a reader sees.
pub(crate) const FILTER: &str = "filter";

/// A rule of a collection, as merged from what all peers have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The body of a function.
    Source(String),
    /// No text, or too much of it. It lets nothing through: a rule that everybody could break by writing nonsense would be none.
    Unusable,
}

impl Rule {
    /// What stands in the document of the definition.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Rule::Source(source) => source.as_str().into(),
            Rule::Unusable => false.into(),
        }
    }
}

/// A rule among the fields of a definition; `None` if there is none, or null.
pub(crate) fn rule(fields: &Map<String, Value>, name: &str) -> Option<Rule> {
    match fields.get(name)? {
        Value::Null => None,
        Value::String(source) if source.len() <= SOURCE_BYTES => Some(Rule::Source(source.clone())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Some(Rule::Unusable)
        }
    }
}

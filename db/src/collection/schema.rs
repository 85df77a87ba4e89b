//! JSON Schemas for the documents of a collection: draft 7 and draft 2020-12.
//!
//! A schema may come from a peer that means harm. So nothing that is outside of it is ever looked for, regular expressions are matched in linear time, and
//! what it takes to validate a document is counted before it begins; see [`crate::limits`]. For the same reason some of JSON Schema is refused
//! when a schema is compiled: look-around in patterns, `unevaluatedProperties` and `unevaluatedItems`, `$dynamicRef`, references by anchor,
//! and `$id` below the root.
//!
//! `format`, `contentEncoding` and `contentMediaType` say something about a value and are not checked, in either draft: what counts as, say, a mail address
//! changes between programs, and a document must not be valid for one peer and not for another. `pattern` is checked everywhere alike.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    Path,
    limits::{
        MAX_DETAILED_STEPS, MAX_MESSAGE_BYTES, MAX_PATTERN_MEMORY, MAX_PATTERN_WEIGHT, MAX_PATTERNS, MAX_SCHEMA_BYTES,
        MAX_SCHEMA_DEPTH, MAX_VIOLATIONS,
    },
};

mod cost;
mod graph;
mod pattern;
mod pointer;
#[cfg(test)]
mod tests;

pub use pattern::Unbounded;

/// Which JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draft {
    /// Draft 7.
    Draft7,
    /// Draft 2020-12, where a schema does not say.
    Draft202012,
}

/// A compiled schema. Cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    draft: Draft,
    validator: jsonschema::Validator,
    graph: graph::Graph,
}

/// What of a document is not as its schema says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: the text of a [`Path`], with positions in arrays as names; empty for the whole document.
    pub path: String,
    /// What, without the value itself.
    pub message: String,
}

/// Why a schema cannot be used. All are the fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a map.
    #[error("a schema is a JSON object")]
    NotAnObject,
    /// Too many bytes.
    #[error("a schema of {0} bytes is too large (at most {MAX_SCHEMA_BYTES})")]
    TooLarge(usize),
    /// Too many levels.
    #[error("a schema is at most {MAX_SCHEMA_DEPTH} levels deep: move inner parts to $defs")]
    TooDeep,
    /// `$schema` names something else.
    #[error("$schema {} is not supported: use draft 7 (http://json-schema.org/draft-07/schema#) or 2020-12 (https://json-schema.org/draft/2020-12/schema)", short(.0))]
    Draft(String),
    /// `$ref` leads out of the schema.
    #[error("$ref {} leads out of the schema, and nothing is ever fetched: copy what it names to $defs and refer to it as #/$defs/<name>", short(.0))]
    Remote(String),
    /// `$ref` by name.
    #[error("$ref {} is an anchor: refer to it by its place, as in #/$defs/<name>", short(.0))]
    Anchor(String),
    /// `$ref` to nothing.
    #[error("$ref {} names nothing in the schema", short(.0))]
    Dangling(String),
    /// An endless schema.
    #[error("the schema at {} comes back to itself without going deeper into a document: it would never end", place(.at))]
    Endless {
        /// Where in the schema.
        at: String,
    },
    /// `$id` or `$schema` below the root.
    #[error("{} has a place only at the root of a schema: remove it", place(.at))]
    Embedded {
        /// Where in the schema.
        at: String,
    },
    /// A keyword whose cost has no bound.
    #[error("{} is not supported: use additionalProperties, items, or $ref", place(.at))]
    Unsupported {
        /// Where in the schema.
        at: String,
    },
    /// A regular expression whose cost has no bound.
    #[error("the regular expression at {}: {why}", place(.at))]
    Unbounded {
        /// Where in the schema.
        at: String,
        /// Why.
        why: Unbounded,
    },
    /// A regular expression that costs too much.
    #[error("the regular expression at {} weighs {weight} (at most {MAX_PATTERN_WEIGHT}): lower its counted repetitions", place(.at))]
    HeavyPattern {
        /// Where in the schema.
        at: String,
        /// Its atoms, with repetitions.
        weight: u64,
    },
    /// Not a regular expression, or one that compiles to too much.
    #[error("the regular expression at {} cannot be read, or takes more than {MAX_PATTERN_MEMORY} bytes", place(.at))]
    Pattern {
        /// Where in the schema.
        at: String,
    },
    /// More regular expressions than permitted.
    #[error("a schema has at most {MAX_PATTERNS} regular expressions")]
    TooManyPatterns,
    /// Not what its draft permits.
    #[error("the schema is not valid at {}: {message}", place(.at))]
    Invalid {
        /// Where in the schema.
        at: String,
        /// What is wrong.
        message: String,
    },
}

impl Schema {
    /// Compiles a schema. Costs milliseconds: keep what comes out.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong with it.
    pub fn compile(schema: &Value) -> Result<Self, Error> {
        check(schema)?;
        let Value::Object(fields) = schema else { return Err(Error::NotAnObject) };
        let draft = draft(fields)?;
        // What it calls itself means nothing here: references do not leave it, and its draft is known.
        let mut fields = fields.clone();
        fields.remove("$schema");
        fields.remove("$id");
        let schema = Value::Object(fields);
        let graph = graph::read(&schema, draft)?;
        let patterns =
            jsonschema::PatternOptions::regex().size_limit(MAX_PATTERN_MEMORY).dfa_size_limit(MAX_PATTERN_MEMORY);
        let validator = jsonschema::options()
            .with_draft(match draft {
                Draft::Draft7 => jsonschema::Draft::Draft7,
                Draft::Draft202012 => jsonschema::Draft::Draft202012,
            })
            .offline()
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .without_content_encoding_support("base64")
            .without_content_media_type_support("application/json")
            .build(&schema)
            .map_err(|error| invalid(&error))?;
        Ok(Self(Arc::new(Inner { draft, validator, graph })))
    }

    /// Which JSON Schema it is written in.
    pub fn draft(&self) -> Draft {
        self.0.draft
    }

    /// Whether a document is as the schema says. The schema sees its id as the field `_id`, and the time of its last change, if there is one, as `_mod`.
    ///
    /// # Errors
    ///
    /// The violations, at most [`MAX_VIOLATIONS`]. A document that would cost too much to validate has one, which says so.
    pub fn validate(
        &self,
        id: &str,
        modified: Option<&Value>,
        fields: &Map<String, Value>,
    ) -> Result<(), Vec<Violation>> {
        let mut document = fields.clone();
        document.insert("_id".to_owned(), id.into());
        if let Some(modified) = modified {
            document.insert("_mod".to_owned(), modified.clone());
        }
        let document = Value::Object(document);
        let whole = |message: &str| vec![Violation { path: String::new(), message: message.to_owned() }];
        let Ok(steps) = cost::steps(&self.0.graph, &document) else {
            return Err(whole("too large or too deep to be validated with this schema: make either simpler"));
        };
        if self.0.validator.is_valid(&document) {
            return Ok(());
        }
        if steps > MAX_DETAILED_STEPS {
            return Err(whole("not as the schema says; too large to tell where"));
        }
        Err(self.0.validator.iter_errors(&document).take(MAX_VIOLATIONS).map(|error| violation(&error)).collect())
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("draft", &self.0.draft).finish_non_exhaustive()
    }
}

/// Whether a schema has the form and size of one; the cheap part of [`Schema::compile`].
///
/// # Errors
///
/// [`Error`].
pub fn check(schema: &Value) -> Result<(), Error> {
    if !schema.is_object() {
        return Err(Error::NotAnObject);
    }
    if !is_within(schema, MAX_SCHEMA_DEPTH) {
        return Err(Error::TooDeep);
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA_BYTES { Err(Error::TooLarge(bytes)) } else { Ok(()) }
}

/// Recurses no deeper than it permits.
fn is_within(value: &Value, depth: usize) -> bool {
    let within = |value: &Value| depth > 0 && is_within(value, depth - 1);
    match value {
        Value::Array(items) => items.iter().all(within),
        Value::Object(fields) => fields.values().all(within),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn draft(schema: &Map<String, Value>) -> Result<Draft, Error> {
    let Some(named) = schema.get("$schema") else { return Ok(Draft::Draft202012) };
    let refused = || Error::Draft(named.as_str().map_or_else(|| named.to_string(), str::to_owned));
    let uri = named.as_str().ok_or_else(refused)?;
    let uri = uri.strip_suffix('#').unwrap_or(uri);
    match uri.split_once("://") {
        Some(("http" | "https", "json-schema.org/draft-07/schema")) => Ok(Draft::Draft7),
        Some(("http" | "https", "json-schema.org/draft/2020-12/schema")) => Ok(Draft::Draft202012),
        Some(_) | None => Err(refused()),
    }
}

fn invalid(error: &jsonschema::ValidationError<'_>) -> Error {
    let at = error.instance_path().as_str().to_owned();
    match error.kind() {
        jsonschema::error::ValidationErrorKind::Format { format } if format == "regex" => Error::Pattern { at },
        _ => Error::Invalid { at, message: clip(&error.masked().to_string()) },
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    let names = error.instance_path().into_iter().map(|segment| segment.to_string());
    Violation { path: clip(&Path::new(names).to_string()), message: clip(&error.masked().to_string()) }
}

/// A text that somebody else has chosen, quoted, as part of a message.
pub(super) fn short(text: &str) -> String {
    const BYTES: usize = 64;
    match text.char_indices().find(|(at, character)| at + character.len_utf8() > BYTES) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A message that has parts of somebody else's choice.
pub(super) fn clip(message: &str) -> String {
    match message.char_indices().find(|(at, character)| at + character.len_utf8() > MAX_MESSAGE_BYTES) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "its root".to_owned() } else { clip(pointer) }
}

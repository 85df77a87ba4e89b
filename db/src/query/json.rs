//! Queries as JSON.
//!
//! ```json
//! {"where": {"and": [{"year": {">=": 1985, "<": 1988}}, {"or": [{"title": "Brazil"}, {"genres": {"contains": "Drama"}}]}]},
//!  "sort": [{"year": "desc"}, "title"], "skip": 0, "limit": 10, "after": "an id", "fields": ["title", "year"], "index": "year"}
//! ```
//!
//! All parts may be left out. `where` is a filter as text (see [`super::text`]) or an object: each of its fields is a condition, and all have to hold. `and`, `or`
//! and `not` with a list connect filters (`not` of a list: not all of these hold); every other name is a path, with an object of operators (`=`, `!=`, `<`, `<=`, `>`, `>=`,
//! `exists`, `contains`), or with a plain value that it has to be equal to. To be equal to an array or object takes `{"=": …}`.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::limits::{MAX_DEPTH, MAX_FIELDS, MAX_QUERY_BYTES, MAX_SORT_KEYS};
use crate::path::{self, Path};
use crate::query::filter::{Filter, Operator, TooLarge};
use crate::query::{Query, Sort, text};

const PARTS: &str = "where, sort, skip, limit, after, fields and index";

/// Why a value is no query, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The place, like `where.and[1].year`; empty for the whole.
    pub at: String,
    /// What is wrong.
    pub kind: Kind,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// Something else has to be here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A part that queries do not have.
    #[error("a query has no part of this name, only {PARTS}")]
    Part,
    /// An operator that there is not.
    #[error("no such operator, only =, !=, <, <=, >, >=, exists and contains")]
    Operator,
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] path::Error),
    /// A filter as text that is none.
    #[error(transparent)]
    Text(#[from] text::Error),
    /// A filter beyond its bounds.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A list beyond its bound.
    #[error("at most {0} of these")]
    TooMany(usize),
    /// Too long a text.
    #[error("a query has at most {MAX_QUERY_BYTES} bytes")]
    TooLong,
    /// No JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { write!(f, "{}", self.kind) } else { write!(f, "{}: {}", self.at, self.kind) }
    }
}

/// Where the reader is: the names down to here.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    name: Name<'a>,
}

enum Name<'a> {
    Whole,
    Field(&'a str),
    Position(usize),
}

impl Place<'_> {
    const WHOLE: Self = Self { parent: None, name: Name::Whole };

    fn field<'a>(&'a self, name: &'a str) -> Place<'a> {
        Place { parent: Some(self), name: Name::Field(name) }
    }

    fn position(&self, position: usize) -> Place<'_> {
        Place { parent: Some(self), name: Name::Position(position) }
    }

    fn error(&self, kind: impl Into<Kind>) -> Error {
        Error { at: self.to_string(), kind: kind.into() }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        write!(f, "{parent}")?;
        match self.name {
            Name::Whole => Ok(()),
            Name::Field(name) if parent.parent.is_some() => write!(f, ".{name}"),
            Name::Field(name) => f.write_str(name),
            Name::Position(position) => write!(f, "[{position}]"),
        }
    }
}

/// Reads a query from JSON text.
///
/// # Errors
///
/// [`Error`] says what is wrong and where.
pub fn parse(text: &str) -> Result<Query, Error> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(Place::WHOLE.error(Kind::TooLong));
    }
    let value = serde_json::from_str(text).map_err(|error| Place::WHOLE.error(Kind::Syntax(error.to_string())))?;
    read(&value)
}

/// Reads a query from a value.
///
/// # Errors
///
/// [`Error`] says what is wrong and where.
pub fn read(value: &Value) -> Result<Query, Error> {
    let parts = value.as_object().ok_or_else(|| Place::WHOLE.error(Kind::Expected("an object")))?;
    let mut query = Query::default();
    for (name, part) in parts {
        let place = Place::WHOLE.field(name);
        match name.as_str() {
            "where" => query.filter = read_where(part, &place)?,
            "sort" => query.sort = list(part, MAX_SORT_KEYS, &place, sort)?,
            "skip" => query.skip = count(part, &place)?,
            "limit" => query.limit = Some(count(part, &place)?),
            "after" => query.after = Some(string(part, &place)?.to_owned()),
            "fields" => {
                query.fields = list(part, MAX_FIELDS, &place, |field, place| path(string(field, place)?, place))?;
            }
            "index" => query.index = Some(string(part, &place)?.to_owned()),
            _ => return Err(place.error(Kind::Part)),
        }
    }
    Ok(query)
}

/// Reads a filter from a value: what stands under `where`.
///
/// # Errors
///
/// [`Error`] says what is wrong and where.
pub fn read_filter(value: &Value) -> Result<Filter, Error> {
    read_where(value, &Place::WHOLE)
}

fn read_where(value: &Value, place: &Place<'_>) -> Result<Filter, Error> {
    let filter = match value {
        Value::String(text) => Filter::parse(text).map_err(|error| place.error(error))?,
        _ => filter(value, MAX_DEPTH, place)?,
    };
    filter.check().map_err(|error| place.error(error))?;
    Ok(filter)
}

fn filter(value: &Value, depth: usize, place: &Place<'_>) -> Result<Filter, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| place.error(TooLarge::Depth))?;
    let fields = value.as_object().ok_or_else(|| place.error(Kind::Expected("an object of conditions")))?;
    let mut filters = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        filters.push(condition(name, value, depth, &place.field(name))?);
    }
    Ok(one_or_all(filters))
}

fn condition(name: &str, value: &Value, depth: usize, place: &Place<'_>) -> Result<Filter, Error> {
    if let Value::Array(values) = value {
        if !["and", "or", "not"].contains(&name) {
            return Err(place.error(Kind::Expected("operators, as in {\"=\": […]}")));
        }
        let mut filters = Vec::with_capacity(values.len());
        for (position, value) in values.iter().enumerate() {
            filters.push(filter(value, depth, &place.position(position))?);
        }
        return Ok(match name {
            "and" => Filter::All(filters),
            "or" => Filter::Any(filters),
            _ => Filter::Not(Box::new(one_or_all(filters))),
        });
    }
    let path = path(name, place)?;
    let Value::Object(operators) = value else {
        return Ok(Filter::Compare { path, operator: Operator::Equal, value: value.clone() });
    };
    let mut filters = Vec::with_capacity(operators.len());
    for (symbol, value) in operators {
        filters.push(operation(path.clone(), symbol, value, &place.field(symbol))?);
    }
    if filters.is_empty() {
        return Err(place.error(Kind::Expected("operators, as in {\"=\": {}}")));
    }
    Ok(one_or_all(filters))
}

fn operation(path: Path, symbol: &str, value: &Value, place: &Place<'_>) -> Result<Filter, Error> {
    match symbol {
        "exists" => {
            let exists = value.as_bool().ok_or_else(|| place.error(Kind::Expected("true or false")))?;
            Ok(Filter::Exists { path, exists })
        }
        "contains" => Ok(Filter::Contains { path, value: value.clone() }),
        _ => {
            let operator = Operator::EVERY.into_iter().find(|operator| operator.symbol() == symbol);
            let operator = operator.ok_or_else(|| place.error(Kind::Operator))?;
            Ok(Filter::Compare { path, operator, value: value.clone() })
        }
    }
}

fn one_or_all(mut filters: Vec<Filter>) -> Filter {
    match filters.pop() {
        Some(filter) if filters.is_empty() => filter,
        Some(filter) => {
            filters.push(filter);
            Filter::All(filters)
        }
        None => Filter::default(),
    }
}

fn sort(value: &Value, place: &Place<'_>) -> Result<Sort, Error> {
    if let Value::String(text) = value {
        return Ok(Sort { path: path(text, place)?, descending: false });
    }
    const EXPECTED: Kind = Kind::Expected("a path, or {\"path\": \"asc\"} or {\"path\": \"desc\"}");
    let mut fields = value.as_object().ok_or_else(|| place.error(EXPECTED))?.iter();
    let (Some((name, direction)), None) = (fields.next(), fields.next()) else { return Err(place.error(EXPECTED)) };
    let place = place.field(name);
    match direction.as_str() {
        Some("asc") => Ok(Sort { path: path(name, &place)?, descending: false }),
        Some("desc") => Ok(Sort { path: path(name, &place)?, descending: true }),
        _ => Err(place.error(Kind::Expected("\"asc\" or \"desc\""))),
    }
}

fn list<T>(
    value: &Value,
    most: usize,
    place: &Place<'_>,
    read: fn(&Value, &Place<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let values = value.as_array().ok_or_else(|| place.error(Kind::Expected("a list")))?;
    if values.len() > most {
        return Err(place.error(Kind::TooMany(most)));
    }
    values.iter().enumerate().map(|(position, value)| read(value, &place.position(position))).collect()
}

fn string<'a>(value: &'a Value, place: &Place<'_>) -> Result<&'a str, Error> {
    value.as_str().ok_or_else(|| place.error(Kind::Expected("a string")))
}

fn path(text: &str, place: &Place<'_>) -> Result<Path, Error> {
    match Path::parse(text) {
        Ok(path) if path.is_root() => Err(place.error(Kind::Expected("a path, which is not empty"))),
        Ok(path) => Ok(path),
        Err(error) => Err(place.error(error)),
    }
}

fn count(value: &Value, place: &Place<'_>) -> Result<usize, Error> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| place.error(Kind::Expected("a whole number that is not negative")))
}

/// Writes a query as [`read`] reads it, without the parts that have their default.
pub fn write(query: &Query) -> Value {
    let mut parts = Map::new();
    let mut part = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            parts.insert(name.to_owned(), value);
        }
    };
    part("where", (!query.filter.is_everything()).then(|| write_filter(&query.filter)));
    part("sort", (!query.sort.is_empty()).then(|| query.sort.iter().map(write_sort).collect()));
    part("skip", (query.skip > 0).then(|| query.skip.into()));
    part("limit", query.limit.map(Value::from));
    part("after", query.after.clone().map(Value::from));
    part("fields", (!query.fields.is_empty()).then(|| query.fields.iter().map(Path::to_string).collect()));
    part("index", query.index.clone().map(Value::from));
    Value::Object(parts)
}

fn write_sort(sort: &Sort) -> Value {
    json!({ sort.path.to_string(): if sort.descending { "desc" } else { "asc" } })
}

/// Writes a filter as [`read_filter`] reads it.
pub fn write_filter(filter: &Filter) -> Value {
    let all = |filters: &[Filter]| filters.iter().map(write_filter).collect::<Value>();
    match filter {
        Filter::All(filters) => json!({ "and": all(filters) }),
        Filter::Any(filters) => json!({ "or": all(filters) }),
        Filter::Not(filter) => json!({ "not": [write_filter(filter)] }),
        Filter::Compare { path, operator, value } => json!({ path.to_string(): { operator.symbol(): value } }),
        Filter::Exists { path, exists } => json!({ path.to_string(): { "exists": exists } }),
        Filter::Contains { path, value } => json!({ path.to_string(): { "contains": value } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_query_is_read() {
        let query = parse(
            r#"{"where": {"and": [{"year": {">=": 1985, "<": 1988}}, {"or": [{"title": "Brazil"}, {"genres": {"contains": "Drama"}}]}]},
                "sort": [{"year": "desc"}, "title"], "skip": 2, "limit": 10, "after": "x", "fields": ["title", "a.b"], "index": "year"}"#,
        );
        let expected = Query {
            filter: Filter::parse(r#"(year < 1988 and year >= 1985) and (title = Brazil or genres contains "Drama")"#)
                .unwrap(),
            sort: vec![
                Sort { path: Path::new(["year"]), descending: true },
                Sort { path: Path::new(["title"]), descending: false },
            ],
            skip: 2,
            limit: Some(10),
            after: Some("x".to_owned()),
            fields: vec![Path::new(["title"]), Path::new(["a", "b"])],
            index: Some("year".to_owned()),
        };
        assert_eq!(query, Ok(expected));
        assert_eq!(parse("{}"), Ok(Query::default()));
        assert_eq!(parse(r#"{"where": "a = 1"}"#), parse(r#"{"where": {"a": 1}}"#));
    }

    #[test]
    fn a_field_may_be_named_like_a_connective() {
        assert_eq!(read_filter(&json!({"or": {"=": 1}})), Ok(Filter::parse(r#""or" = 1"#).unwrap()));
        assert_eq!(
            read_filter(&json!({"not": [{"a": 1}, {"b": 2}]})),
            Ok(Filter::parse("not (a = 1 and b = 2)").unwrap())
        );
    }

    #[test]
    fn errors_say_where() {
        for (value, message) in [
            (json!(7), "expected an object"),
            (json!({"were": {}}), "were: a query has no part of this name"),
            (
                json!({"where": {"and": [{}, {"or": [{"year": {"~": 1}}]}]}}),
                "where.and[1].or[0].year.~: no such operator",
            ),
            (json!({"where": {"genres": ["Drama"]}}), "where.genres: expected operators"),
            (json!({"where": {"and": [1]}}), "where.and[0]: expected an object"),
            (json!({"where": {"a..b": 1}}), "where.a..b: a name in the path \"a..b\" is empty"),
            (json!({"where": {"a": {"exists": 1}}}), "where.a.exists: expected true or false"),
            (json!({"where": {"a": {}}}), "where.a: expected operators"),
            (json!({"where": "a = "}), "where: expected a value"),
            (json!({"sort": [{"a": "up"}]}), "sort[0].a: expected \"asc\" or \"desc\""),
            (json!({"sort": ["a", 1]}), "sort[1]: expected a path"),
            (json!({"sort": vec!["a"; MAX_SORT_KEYS + 1]}), "sort: at most 16 of these"),
            (json!({"limit": -1}), "limit: expected a whole number"),
            (json!({"fields": [""]}), "fields[0]: expected a path"),
        ] {
            let error = read(&value).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = (0..MAX_DEPTH).fold(json!({"a": 1}), |inner, _| json!({ "not": [inner] }));
        assert_eq!(read_filter(&deep).unwrap_err().kind, Kind::TooLarge(TooLarge::Depth));
        let wide = json!({"or": vec![json!({"a": 1}); 1_000]});
        assert_eq!(read_filter(&wide).unwrap_err().kind, Kind::TooLarge(TooLarge::Conditions));
        assert_eq!(parse(&" ".repeat(MAX_QUERY_BYTES + 1)).unwrap_err().kind, Kind::TooLong);
        assert!(matches!(parse(&"{\"where\":".repeat(20_000)).unwrap_err().kind, Kind::Syntax(_)));
    }
}

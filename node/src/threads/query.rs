//! Queries of the reference's clients.
//!
//! Where the reference ends a search silently or takes the node down, a condition just does not hold: the field is missing or `null`, or of another type. Skip and limit are applied
//! after the sort.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use spool_db::{
    Path,
    query::{Filter, ID, Operator, Query, Sort},
};

use super::{limits::QUERY_DEPTH, refused::Refused};

/// A query as it is sent. The names are read whatever the case of their letters.
#[derive(Default)]
struct Sent {
    ands: Vec<Criterion>,
    ors: Vec<Sent>,
    sort: Option<(String, bool)>,
    seek: String,
    limit: i64,
    skip: i64,
}

struct Criterion {
    path: String,
    operation: i64,
    value: Value,
}

/// Reads a query.
pub(super) fn read(bytes: &[u8]) -> Result<Query, Refused> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| match error.is_eof() {
        true => Refused::unknown("unexpected end of JSON input"),
        false => Refused::unknown(error.to_string()),
    })?;
    let sent = match &value {
        Value::Null => Sent::default(),
        value => Sent::read(value, 0)?,
    };
    let mut filter = sent.filter()?;
    let sort = sent.sort.as_ref().filter(|(path, _)| !path.is_empty());
    let sort = sort
        .map(|(path, descending)| Ok::<_, Refused>(Sort { path: self::path(path)?, descending: *descending }))
        .transpose()?;
    // In the order of the ids they come by themselves.
    let id = Path::new([ID]);
    let descending = sort.as_ref().is_some_and(|sort| sort.descending);
    let sort: Vec<_> = sort.into_iter().filter(|sort| sort.descending || sort.path != id).collect();
    if !sent.seek.is_empty() {
        // The reference begins at that id, the id itself included, in the order of the ids.
        let operator = if descending { Operator::AtMost } else { Operator::AtLeast };
        let seek = Filter::Compare { path: id, operator, value: sent.seek.clone().into() };
        filter = Filter::All(vec![filter, seek]);
    }
    let limit = usize::try_from(sent.limit).ok().filter(|limit| *limit > 0);
    let skip = usize::try_from(sent.skip).unwrap_or(0);
    Ok(Query { filter, sort, skip, limit, ..Query::default() })
}

/// The field of an object with this name, whatever the case of its letters, as Go reads it.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = object
        .get(name)
        .or_else(|| object.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

fn get<'a, T: Deserialize<'a> + Default>(object: &'a Map<String, Value>, name: &str) -> Result<T, Refused> {
    let Some(value) = field(object, name) else { return Ok(T::default()) };
    T::deserialize(value).map_err(|error| Refused::unknown(format!("invalid query: {name}: {error}")))
}

/// A whole number, however it is written.
#[derive(Default)]
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Number::deserialize(deserializer)?;
        let float =
            || value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15).map(|float| float as i64);
        value.as_i64().or_else(float).map(Whole).ok_or_else(|| serde::de::Error::custom("not a whole number"))
    }
}

impl Sent {
    fn read(value: &Value, depth: usize) -> Result<Self, Refused> {
        if depth > QUERY_DEPTH {
            return Err(Refused::unknown(format!("invalid query: nested deeper than {QUERY_DEPTH} levels")));
        }
        let object = value.as_object().ok_or_else(|| Refused::unknown("invalid query: not an object"))?;
        let list = |name| match field(object, name) {
            None => Ok(&[][..]),
            Some(Value::Array(list)) => Ok(&list[..]),
            Some(_) => Err(Refused::unknown(format!("invalid query: {name} is not a list"))),
        };
        let sort = match field(object, "sort") {
            Some(Value::Object(sort)) => Some((get(sort, "fieldPath")?, get(sort, "desc")?)),
            _ => None,
        };
        Ok(Self {
            ands: list("ands")?.iter().map(Criterion::read).collect::<Result<_, _>>()?,
            ors: list("ors")?.iter().map(|query| Sent::read(query, depth + 1)).collect::<Result<_, _>>()?,
            sort,
            seek: get(object, "seek")?,
            limit: get::<Whole>(object, "limit")?.0,
            skip: get::<Whole>(object, "skip")?.0,
        })
    }

    /// All conditions hold, or one of the other queries matches. Without conditions there is nothing that does not hold, so the others say nothing.
    fn filter(&self) -> Result<Filter, Refused> {
        let all = self.ands.iter().map(Criterion::filter).collect::<Result<Vec<_>, _>>()?;
        if self.ors.is_empty() || all.is_empty() {
            return Ok(Filter::All(all));
        }
        let ors = self.ors.iter().map(Sent::filter).collect::<Result<Vec<_>, _>>()?;
        Ok(Filter::Any(std::iter::once(Filter::All(all)).chain(ors).collect()))
    }
}

impl Criterion {
    fn read(value: &Value) -> Result<Self, Refused> {
        let object =
            value.as_object().ok_or_else(|| Refused::unknown("invalid query: a criterion is not an object"))?;
        let one = || Refused::unknown("invalid query: value type should describe exactly one type");
        let value = field(object, "value").and_then(Value::as_object).ok_or_else(one)?;
        let kinds = ["string", "bool", "float"].into_iter().filter_map(|kind| Some((kind, field(value, kind)?)));
        let (kind, value) = match kinds.collect::<Vec<_>>()[..] {
            [found] => found,
            _ => return Err(one()),
        };
        let fits = match kind {
            "string" => value.is_string(),
            "bool" => value.is_boolean(),
            _ => value.is_number(),
        };
        if !fits {
            return Err(Refused::unknown(format!("invalid query: the value is not a {kind}")));
        }
        Ok(Self {
            path: get(object, "fieldPath")?,
            operation: get::<Whole>(object, "operation")?.0,
            value: value.clone(),
        })
    }

    fn filter(&self) -> Result<Filter, Refused> {
        let path = path(&self.path)?;
        let compare = |operator| Filter::Compare { path: path.clone(), operator, value: self.value.clone() };
        let operator = match self.operation {
            0 => Operator::Equal,
            // What is missing, or of another type, is not compared at all.
            1 => return Ok(Filter::Any(self.others(&path))),
            2 => Operator::Greater,
            3 => Operator::Less,
            4 => Operator::AtLeast,
            5 => Operator::AtMost,
            other => return Err(Refused::unknown(format!("invalid query: there is no operation {other}"))),
        };
        // To the reference two booleans that differ are in this order: the document's is the smaller one.
        Ok(match (self.value.is_boolean(), operator) {
            (true, Operator::Greater) => Filter::Any(Vec::new()),
            (true, Operator::AtLeast) => compare(Operator::Equal),
            (true, Operator::Less) => Filter::Any(self.others(&path)),
            (true, Operator::AtMost) => {
                Filter::Any(std::iter::once(compare(Operator::Equal)).chain(self.others(&path)).collect())
            }
            _ => compare(operator),
        })
    }

    /// Conditions of which one holds for each other value of the same type.
    fn others(&self, path: &Path) -> Vec<Filter> {
        let compare = |operator, value| Filter::Compare { path: path.clone(), operator, value };
        match &self.value {
            Value::Bool(value) => vec![compare(Operator::Equal, (!value).into())],
            value => vec![compare(Operator::Less, value.clone()), compare(Operator::Greater, value.clone())],
        }
    }
}

fn path(text: &str) -> Result<Path, Refused> {
    Path::parse(text).map_err(|error| Refused::unknown(format!("invalid query: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spool_db::query::filter::matches;

    use super::*;

    fn query(sent: &Value) -> Query {
        read(sent.to_string().as_bytes()).unwrap()
    }

    /// Which of the values of `x` a condition finds.
    fn found(operation: u8, value: &Value) -> Vec<Value> {
        let filter = query(&json!({"ands": [{"fieldPath": "x", "operation": operation, "value": value}]})).filter;
        let values = [
            json!(1),
            json!(2),
            json!(3.5),
            json!("a"),
            json!("b"),
            json!(true),
            json!(false),
            json!(null),
            json!([2]),
        ];
        let documents = values.into_iter().map(|value| json!({"x": value})).chain([json!({})]);
        let found = documents.filter(|document| matches(&filter, document.as_object().unwrap()));
        found.map(|document| document["x"].clone()).collect()
    }

    #[test]
    fn conditions_compare_within_a_type_and_hold_for_nothing_else() {
        let two = json!({"float": 2});
        assert_eq!(found(0, &two), [json!(2)]);
        assert_eq!(found(1, &two), [json!(1), json!(3.5)], "not of what is missing or of another type");
        assert_eq!(found(2, &two), [json!(3.5)]);
        assert_eq!(found(3, &two), [json!(1)]);
        assert_eq!(found(4, &two), [json!(2), json!(3.5)]);
        assert_eq!(found(5, &two), [json!(1), json!(2)]);
        assert_eq!(found(2, &json!({"string": "a"})), [json!("b")]);
    }

    #[test]
    fn booleans_are_compared_as_the_reference_does() {
        let yes = json!({"bool": true});
        let of = |operation| found(operation, &yes);
        let (equal, other) = ([json!(true)], [json!(false)]);
        assert_eq!((of(0), of(1)), (equal.to_vec(), other.to_vec()));
        assert_eq!((of(2), of(3)), (vec![], other.to_vec()));
        assert_eq!((of(4), of(5)), (equal.to_vec(), vec![json!(true), json!(false)]));
    }

    #[test]
    fn without_conditions_the_alternatives_say_nothing() {
        let or = json!({"ands": [{"fieldPath": "x", "operation": 0, "value": {"float": 1}}]});
        assert!(query(&json!({"ors": [or]})).filter.is_everything());
        let either = query(&json!({"ands": [{"fieldPath": "x", "operation": 0, "value": {"float": 2}}], "ors": [or]}));
        let is_found = |x: i64| matches(&either.filter, json!({"x": x}).as_object().unwrap());
        assert_eq!([1, 2, 3].map(is_found), [true, true, false]);
    }

    #[test]
    fn names_are_read_in_any_case_and_null_is_everything() {
        assert!(query(&json!(null)).filter.is_everything());
        let sent =
            json!({"Ands": [], "SORT": {"FieldPath": "year", "Desc": true}, "Limit": 3, "skip": 2.0, "Seek": ""});
        let read = query(&sent);
        assert_eq!((read.limit, read.skip), (Some(3), 2));
        assert_eq!(read.sort, [Sort { path: Path::new(["year"]), descending: true }]);
    }

    #[test]
    fn what_is_no_query_is_refused() {
        let text = |sent: &str| read(sent.as_bytes()).unwrap_err().text;
        assert_eq!(text(""), "unexpected end of JSON input");
        let value = |value: Value| json!({"ands": [{"fieldPath": "x", "operation": 0, "value": value}]}).to_string();
        let one_type = "invalid query: value type should describe exactly one type";
        assert_eq!(text(&value(json!({}))), one_type);
        assert_eq!(text(&value(json!({"string": "a", "bool": true}))), one_type);
        assert_eq!(text(r#"{"ands": [null]}"#), "invalid query: a criterion is not an object");
        assert!(
            text(r#"{"ands": [{"fieldPath": "x", "operation": 9, "value": {"bool": true}}]}"#)
                .contains("no operation 9")
        );
        let deep = format!("{}{{}}{}", r#"{"ors":["#.repeat(50), "]}".repeat(50));
        assert!(text(&deep).contains("nested deeper"));
    }
}

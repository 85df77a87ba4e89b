//! Random documents and queries that often have to do with each other.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use spool_db::Path;
use spool_db::query::{Filter, Operator, Query, Sort};

pub(crate) const PATHS: [&str; 7] = ["a", "b.c", "tags", "text", "tags.0", "_id", "_mod"];
pub(crate) const INDEXES: [&str; 5] = ["a", "b.c", "tags", "text", "_mod"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (-2_i64..5).prop_map(Value::from),
        2 => (-2_i32..9).prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        1 => (0_u64..3).prop_map(|more| Value::from((1_u64 << 53) + more)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        3 => "[ab]{0,2}".prop_map(Value::from),
        1 => "[ab]{0,1}".prop_map(|tail| Value::from("a".repeat(256) + &tail)),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => scalar(),
        1 => vec(scalar(), 0..3).prop_map(Value::from),
        1 => scalar().prop_map(|value| json!({ "c": value })),
    ]
}

pub(crate) fn document() -> impl Strategy<Value = Map<String, Value>> {
    let tags = prop_oneof![4 => vec(scalar(), 0..4).prop_map(Value::from), 1 => scalar()];
    let fields = (option::of(value()), option::of(value()), option::of(tags), option::of("[ab]{0,4}"));
    fields.prop_map(|(a, c, tags, text)| {
        let b = c.map(|c| json!({ "c": c }));
        let fields = [("a", a), ("b", b), ("tags", tags), ("text", text.map(Value::from))];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

pub(crate) fn id() -> impl Strategy<Value = String> {
    (0_u8..50).prop_map(|number| format!("{number:02}"))
}

fn path() -> impl Strategy<Value = Path> {
    proptest::sample::select(&PATHS[..]).prop_map(|path| Path::parse(path).unwrap())
}

fn condition() -> impl Strategy<Value = Filter> {
    let operator = proptest::sample::select(&Operator::EVERY[..]);
    let id_is = |path: Path, operator: Operator, id: String| Filter::Compare { path, operator, value: id.into() };
    prop_oneof![
        6 => (path(), operator.clone(), value()).prop_map(|(path, operator, value)| Filter::Compare { path, operator, value }),
        1 => (operator, id()).prop_map(move |(operator, id)| id_is(Path::new(["_id"]), operator, id)),
        1 => (path(), any::<bool>()).prop_map(|(path, exists)| Filter::Exists { path, exists }),
        3 => (path(), value()).prop_map(|(path, value)| Filter::Contains { path, value }),
    ]
}

/// Lists of conditions have any length but those that `lengths` leaves out.
pub(crate) fn filter(lengths: &'static [usize]) -> impl Strategy<Value = Filter> {
    condition().prop_recursive(3, 12, 3, move |inner| {
        let list = proptest::sample::select(lengths).prop_flat_map(move |length| vec(inner.clone(), length));
        prop_oneof![
            3 => list.clone().prop_map(Filter::All),
            2 => list.clone().prop_map(Filter::Any),
            1 => list.prop_map(|filters| Filter::Not(Box::new(Filter::All(filters)))),
        ]
    })
}

fn sort() -> impl Strategy<Value = Sort> {
    (path(), any::<bool>()).prop_map(|(path, descending)| Sort { path, descending })
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    let filter = option::weighted(0.8, filter(&[0, 1, 2, 2, 3])).prop_map(Option::unwrap_or_default);
    let fields = vec(proptest::sample::select(&["a", "b", "tags", "_mod"][..]), 0..3);
    let fields = fields.prop_map(|fields| fields.into_iter().map(|field| Path::new([field])).collect());
    let bounds = (prop_oneof![2 => Just(0), 1 => 0_usize..5], option::of(0_usize..12), option::weighted(0.3, id()));
    (filter, vec(sort(), 0..3), bounds, fields).prop_map(|(filter, sort, (skip, limit, after), fields)| Query {
        filter,
        sort,
        skip,
        limit,
        after,
        fields,
        index: None,
    })
}

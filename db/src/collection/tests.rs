use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};
use spool_proto::clock::Time;

use super::*;
use crate::{
    Change, Document, Operation, Path, Stamp, Target, Transaction,
    document::Size,
    limits::{MAX_INDEX_DEPTH, MAX_INDEX_PATH_BYTES, MAX_INDEXES, MAX_KEEP_BOTH, MAX_MESSAGE_BYTES, MAX_PROBLEMS},
};

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// What events come to, each a list of changes of the same document. They are what a transaction may hold.
fn merged(events: &[Vec<Change>]) -> Document {
    let mut document = Document::default();
    let mut size = Size::default();
    for (time, changes) in (1..).zip(events) {
        let target = Target::new(COLLECTIONS, "people");
        let operations = changes.iter().map(|change| Operation::Change(target.clone(), change.clone())).collect();
        Transaction { reverts: None, operations }.encode().unwrap();
        let stamp = Stamp { time: Time::from_u64(time), log: [1; 32], counter: time };
        assert!(document.apply(stamp, (0..).zip(changes), &mut size));
    }
    document
}

fn read(document: &Document) -> Definition {
    assert!(document.is_alive());
    Definition::from_fields("people", &document.fields)
}

fn defined(indexes: &[(&str, bool)], schema: Option<Value>) -> Definition {
    let builder = Builder::new("people").unwrap().schema(schema).unwrap();
    indexes.iter().try_fold(builder, |builder, (path, unique)| builder.index(path, *unique)).unwrap().build()
}

#[test]
fn concurrent_changes_of_different_indexes_all_survive() {
    let base = defined(&[("age", false), ("old", false)], None);
    let one = Builder::from(base.clone()).index("name", true).unwrap().without_index("old").unwrap().build();
    let two = Builder::from(base.clone()).index("a\\.b.c", false).unwrap().keep_both("title").unwrap().build();
    let created = changes(None, &base);
    let [one, two] = [&one, &two].map(|to| changes(Some(&base), to));
    let events =
        [[created.clone(), one.clone(), two.clone()], [created, two, one]].map(|events| read(&merged(&events)));
    assert_eq!(events[0], events[1]);
    let indexes: Vec<_> = events[0].indexes.iter().map(|index| (index.path.to_string(), index.unique)).collect();
    assert_eq!(
        indexes,
        [("a\\.b.c", false), ("age", false), ("name", true)].map(|(path, unique)| (path.to_owned(), unique))
    );
    assert_eq!(events[0].keep_both, [path("title")]);
}

#[test]
fn concurrent_schemas_are_never_mixed() {
    let schema = |field: &str| json!({"type": "object", "properties": {field: {"type": "string"}}});
    let [one, two] = ["one", "two"].map(|field| defined(&[(field, false)], Some(schema(field))));
    // Both created without having seen each other.
    let both = read(&merged(&[changes(None, &one), changes(None, &two)]));
    assert_eq!(both.schema, two.schema, "the last one");
    assert_eq!(both.indexes.len(), 2);
    let base = defined(&[], Some(schema("base")));
    let both = merged(&[changes(None, &base), changes(Some(&base), &two), changes(Some(&base), &one)]);
    assert_eq!(read(&both).schema, one.schema);
    let none = merged(&[changes(None, &base), changes(Some(&base), &defined(&[], None))]);
    assert_eq!(read(&none).schema, None);
    assert_eq!(changes(Some(&base), &base), []);
}

#[test]
fn what_a_newer_program_has_written_stays() {
    let fields =
        map(json!({"indexes": {"a": {"unique": true, "order": "descending"}}, "judge": "code", "schema": null}));
    let definition = Definition::from_fields("people", &fields);
    assert_eq!(definition.problems, [""; 0]);
    assert_eq!(definition.to_fields()["judge"], "code");
    let changed = Builder::from(definition.clone()).index("b", false).unwrap().build();
    let after = merged(&[vec![Change::Create(fields)], changes(Some(&definition), &changed)]);
    assert_eq!(after.fields["indexes"], json!({"a": {"unique": true, "order": "descending"}, "b": {"unique": false}}));
    assert_eq!(after.fields["judge"], "code");
}

#[test]
fn what_makes_no_sense_is_left_out_and_listed() {
    let deep = vec!["a"; MAX_INDEX_DEPTH + 1].join(".");
    let fields = map(json!({
        "schema": "text",
        "indexes": {"": {}, "a..b": {}, "good": {}, "odd": {"unique": "yes"}, "flat": true, deep.clone(): {}, "x".repeat(600): {}},
        "keep_both": {"a": true, "a.b": true, "b": false, "c": 1, "_id": true},
    }));
    let definition = Definition::from_fields("_own", &fields);
    assert_eq!(definition.schema, None);
    assert_eq!(definition.indexes, [Index { path: path("good"), unique: false }]);
    assert_eq!(definition.keep_both, [path("a")]);
    let problems = definition.problems.join("\n");
    for part in [
        "\"_own\" is no name",
        "schema: a schema is a JSON object",
        "the path \"\" cannot be used: it names the whole document",
        "a name in the path \"a..b\" is empty",
        "unique of odd",
        "flat is not a map",
        "names deep",
        "more than 512 bytes",
        "the path \"a.b\" cannot be used: one of it and \"a\" lies within the other",
        "c is neither",
        "\"_id\" cannot be used: it is not written to",
    ] {
        assert!(problems.contains(part), "{part} is not in:\n{problems}");
    }
    assert_eq!(definition.problems.len(), 11);
    for field in ["indexes", "keep_both"] {
        let definition = Definition::from_fields("people", &map(json!({field: ["a"]})));
        assert_eq!(definition.problems, [format!("{field}: not a map")]);
    }
}

#[test]
fn a_hostile_definition_is_cut_to_size() {
    let many = |value: Value| Value::Object((0..5_000).map(|n| (format!("field{n:04}"), value.clone())).collect());
    let fields = map(json!({"indexes": many(json!({})), "keep_both": many(json!(true))}));
    let definition = Definition::from_fields("people", &fields);
    assert_eq!((definition.indexes.len(), definition.keep_both.len()), (MAX_INDEXES, MAX_KEEP_BOTH));
    assert_eq!(definition.indexes[31].path, path("field0031"), "the first of them on every peer");
    assert!(
        definition.problems[0].contains("5000 of them, of which only the first 32 count"),
        "{:?}",
        definition.problems
    );
    let definition = Definition::from_fields("people", &map(json!({"indexes": many(json!(7))})));
    assert_eq!((definition.indexes.len(), definition.problems.len()), (0, MAX_PROBLEMS));
    let deep = (0..60).fold(json!({}), |inner, _| json!({"not": inner}));
    let definition = Definition::from_fields("people", &map(json!({"schema": deep})));
    assert!(definition.schema.is_none() && definition.problems[0].contains("levels deep"));
    let unusable = Definition::from_fields("people", &map(json!({"schema": {"$ref": "http://127.0.0.1:9/"}})));
    assert!(matches!(unusable.compile(), Err(schema::Error::Remote(_))), "it has a schema still");
}

#[test]
fn local_callers_are_told_what_is_wrong() {
    for name in ["", "-", "a-", "a--b", "-a", "a b", "a.b", "ä", "_collections", &"a".repeat(65)] {
        let error = Builder::new(name).unwrap_err();
        assert_eq!(error, Error::Name(name.to_owned()));
        assert!(error.to_string().contains("letters, digits and single hyphens"), "{error}");
    }
    for name in ["a", "A-1", "0", &"a".repeat(64)] {
        assert!(Builder::new(name).is_ok());
    }
    let new = || Builder::new("people").unwrap();
    let reason = |error: Error| match error {
        Error::Path { reason, .. } => reason,
        error => panic!("{error}"),
    };
    assert!(reason(new().index("", false).unwrap_err()).contains("name a field"));
    assert!(reason(new().index("a.", false).unwrap_err()).contains("empty"));
    let deep = |names: usize| vec!["a"; names].join(".");
    assert!(new().index(&deep(MAX_INDEX_DEPTH), false).is_ok());
    assert!(reason(new().index(&deep(MAX_INDEX_DEPTH + 1), false).unwrap_err()).contains("names deep"));
    assert!(new().index(&"a".repeat(MAX_INDEX_PATH_BYTES), false).is_ok());
    assert!(reason(new().index(&"a".repeat(MAX_INDEX_PATH_BYTES + 1), false).unwrap_err()).contains("bytes"));
    let once = new().index("a", false).unwrap();
    assert_eq!(once.clone().index("a", true).unwrap_err(), Error::IndexTwice("a".to_owned()));
    assert_eq!(once.clone().without_index("b").unwrap_err(), Error::NoIndex("b".to_owned()));
    assert!(once.without_index("a").unwrap().index("a", true).unwrap().build().index(&path("a")).unwrap().unique);
    let full = (0..MAX_INDEXES).try_fold(new(), |builder, n| builder.index(&n.to_string(), false)).unwrap();
    assert_eq!(full.index("more", false).unwrap_err(), Error::TooManyIndexes);
    let full = (0..MAX_KEEP_BOTH).try_fold(new(), |builder, n| builder.keep_both(&n.to_string())).unwrap();
    assert!(full.clone().keep_both("0").is_ok(), "it does already");
    assert_eq!(full.keep_both("more").unwrap_err(), Error::TooManyKept);
    let kept = new().keep_both("a.b").unwrap();
    assert!(reason(kept.clone().keep_both("a").unwrap_err()).contains("lies within"));
    assert!(reason(new().keep_both("_mod").unwrap_err()).contains("not written"));
    assert_eq!(kept.clone().without_keep_both("a").unwrap_err(), Error::NotKept("a".to_owned()));
    assert!(kept.without_keep_both("a.b").unwrap().build().keep_both.is_empty());
    let error = new().schema(Some(json!({"$ref": "http://example.com"}))).unwrap_err();
    assert!(matches!(error, Error::Schema(schema::Error::Remote(_))), "{error}");
    let compiled = new().schema(Some(json!({"type": "object"}))).unwrap().build().compile();
    assert!(compiled.unwrap().is_some());
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "schema", "indexes", "keep_both", "unique", "a", "b", "a.b", "a..b", "", "_id", "$ref", "$id", "$schema", "$defs", "properties", "items",
            "allOf", "anyOf", "not", "pattern", "patternProperties", "additionalProperties", "type", "enum", "required", "dependencies", "prefixItems",
            "uniqueItems", "multipleOf", "minLength", "propertyNames", "contains", "if", "then", "dependentSchemas", "const", "format",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,8}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..10_i64).prop_map(Value::from),
        prop::sample::select(vec![
            "#",
            "#/properties/a",
            "#/$defs/a",
            "#a",
            "http://127.0.0.1:9/x",
            "string",
            "object",
            "integer",
            "(a+)+$",
            "^a",
            "[",
            "(?=a)",
            "http://json-schema.org/draft-07/schema#",
            "%",
            "#/%2",
        ])
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::Array),
            4 => fields(inner).prop_map(Value::Object),
        ]
    })
}

fn fields(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    vec((name(), value), 0..6).prop_map(|fields| fields.into_iter().collect())
}

/// A definition as local callers make it.
fn definition() -> impl Strategy<Value = Definition> {
    let texts = || prop::sample::subsequence(vec!["a", "b", "c.d", "e\\.f", "_id", "g.h.0", "ä"], 0..7);
    let schema = prop_oneof![
        Just(None),
        Just(Some(json!({"type": "object", "properties": {"a": {"type": "string"}}}))),
        Just(Some(json!({"properties": {"a": {"minLength": 1}, "b": {}}, "$defs": {"x.y": {"enum": [1, 1.5, null]}}}))),
    ];
    (texts(), any::<u8>(), texts(), schema).prop_map(|(indexes, unique, kept, schema)| {
        let mut builder = Builder::new("people").unwrap().schema(schema).unwrap();
        for (bit, index) in indexes.into_iter().enumerate() {
            builder = builder.index(index, unique & (1 << bit) != 0).unwrap();
        }
        for path in kept.into_iter().filter(|path| *path != "_id") {
            builder = builder.keep_both(path).unwrap();
        }
        builder.build()
    })
}

proptest! {
    #[test]
    fn definitions_round_trip_through_documents(first in definition(), second in definition()) {
        prop_assert_eq!(&Definition::from_fields("people", &first.to_fields()), &first);
        let created = merged(&[changes(None, &first)]);
        prop_assert_eq!(&read(&created), &first);
        let stored = Document::from_bytes(&created.to_bytes()).unwrap();
        prop_assert_eq!(&read(&stored), &first);
        let changed = merged(&[changes(None, &first), changes(Some(&first), &second)]);
        prop_assert_eq!(&read(&changed), &second);
    }

    #[test]
    fn additions_of_indexes_survive_each_other(base in definition(), one in definition(), two in definition()) {
        // Both only add to the base.
        let more = |to: &Definition| to.indexes.iter().fold(Builder::from(base.clone()), |builder, index| {
            builder.clone().index(&index.path.to_string(), index.unique).unwrap_or(builder)
        }).build();
        let [one, two] = [more(&one), more(&two)];
        let both = merged(&[changes(None, &base), changes(Some(&base), &one), changes(Some(&base), &two)]);
        let both = read(&both);
        for index in one.indexes.iter().chain(&two.indexes) {
            prop_assert!(both.index(&index.path).is_some());
        }
        prop_assert_eq!(&both.schema, &base.schema);
    }

    #[test]
    fn whatever_is_read_gives_one_definition(fields in fields(value()), document in fields(value())) {
        let definition = Definition::from_fields("people", &fields);
        prop_assert_eq!(&definition, &Definition::from_fields("people", &fields.clone()));
        prop_assert!(definition.indexes.len() <= MAX_INDEXES && definition.problems.len() <= MAX_PROBLEMS);
        prop_assert!(definition.problems.iter().all(|problem| problem.len() <= MAX_MESSAGE_BYTES + 3));
        // What was read is sound: it is read from its own fields without a problem.
        let again = Definition::from_fields("people", &definition.to_fields());
        prop_assert_eq!(&again, &Definition { problems: Vec::new(), ..definition.clone() });
        if let Ok(Some(schema)) = definition.compile() {
            let _ = schema.validate("id", None, &document);
        }
    }

    #[test]
    fn no_schema_does_harm(schema in fields(value()), document in fields(value())) {
        let schema = Value::Object(schema);
        match (Schema::compile(&schema), Schema::compile(&schema)) {
            (Ok(one), Ok(two)) => {
                let [one, two] = [one, two].map(|schema| schema.validate("id", None, &document));
                prop_assert_eq!(&one, &two);
                if let Err(violations) = one {
                    prop_assert!(!violations.is_empty());
                    prop_assert!(violations.iter().all(|one| one.message.len() <= MAX_MESSAGE_BYTES + 3));
                }
            }
            (Err(one), Err(two)) => {
                prop_assert_eq!(one.to_string(), two.to_string());
                prop_assert!(one.to_string().len() <= 2 * MAX_MESSAGE_BYTES + 64);
            }
            (one, two) => prop_assert!(false, "{:?} and {:?}", one, two),
        }
    }
}

//! Writes of whole documents, of several fields, of one value in place of two; and what a transaction finds while it is open.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use spool_db::{
    Change, Path, Target,
    collection::Builder,
    query::{Error as QueryError, Options, Query, json},
    testing::{Peer, Rooms},
    transaction::{Error, Kind, Write},
};

#[path = "query/random.rs"]
mod random;

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("a path")
}

fn films() -> Builder {
    Builder::new("films").expect("a name")
}

/// Two writers that have the same.
fn two(definition: Builder) -> (Rooms, Peer, Peer) {
    let rooms = Rooms::default();
    let (one, two) = (rooms.peer(1), rooms.peer(2));
    one.commit(|write| write.define(&definition.build())).expect("defined");
    two.catch_up();
    (rooms, one, two)
}

fn save(fields: Value) -> impl FnOnce(&mut Write<'_>) -> Result<(), Error> {
    move |write| write.save(&film("1"), map(fields))
}

#[test]
fn a_saved_document_is_what_was_saved() {
    let (_rooms, one, _) = two(films());
    let states = [
        json!({"a": 1, "b": {"c": [1], "d": 2}}),
        json!({"a": 1, "b": {"c": [1, 2]}}),
        json!({"b": 3, "_id": "1", "_mod": 77}),
        json!({}),
        json!({"a": {"x": {}}}),
    ];
    for state in states {
        one.commit(save(state.clone())).expect("saved");
        let mut expected = map(state);
        expected.retain(|name, _| !name.starts_with('_'));
        assert_eq!(one.fields(&film("1")), Value::Object(expected));
    }
    // What was deleted does not come back with it, and neither does what was written to a document that nobody had created.
    one.commit(|write| write.delete(&film("1"))).expect("deleted");
    one.commit(save(json!({"z": 1}))).expect("saved");
    assert_eq!(one.fields(&film("1")), json!({"z": 1}));
    one.commit(|write| write.change(&film("2"), Change::Set(path("a"), json!(1)))).expect("set");
    one.commit(|write| write.save(&film("2"), map(json!({"b": 1})))).expect("saved");
    assert_eq!(one.fields(&film("2")), json!({"b": 1}));
    // Nothing to change is no event.
    let length = one.database.folded().1;
    one.commit(save(json!({"z": 1}))).expect("saved");
    assert_eq!(one.database.folded().1, length);
}

#[test]
fn a_document_keeps_its_id() {
    let (_rooms, one, _) = two(films());
    for id in [json!("2"), json!(1), json!(null)] {
        let error = one.commit(save(json!({"_id": id}))).expect_err("another id");
        assert_eq!((error.kind(), error.reason()), (Kind::Invalid, "other-id"));
    }
    one.commit(save(json!({"a": 1}))).expect("saved");
    let merged = one.commit(|write| write.merge(&film("1"), map(json!({"_id": "2", "a": 2}))));
    assert!(matches!(merged, Err(Error::OtherId { .. })));
    one.commit(|write| write.merge(&film("1"), map(json!({"_id": "1", "_mod": 1, "a": 2})))).expect("its own");
    assert_eq!(one.fields(&film("1")), json!({"a": 2}));
}

#[test]
fn what_others_write_to_other_fields_is_merged_with_a_save() {
    let (_rooms, one, two) = two(films());
    one.commit(save(json!({"a": 1, "b": {"c": 1, "d": 1}}))).expect("saved");
    two.catch_up();
    one.commit(save(json!({"a": 2, "b": {"c": 1, "d": 1}}))).expect("saved");
    two.commit(save(json!({"a": 1, "b": {"c": 1, "d": 2}, "e": 1}))).expect("saved");
    [&one, &two].into_iter().for_each(Peer::catch_up);
    for peer in [one, two] {
        assert_eq!(peer.fields(&film("1")), json!({"a": 2, "b": {"c": 1, "d": 2}, "e": 1}));
    }
}

/// Here there is an order: of two saves the later one counts, though it was made before the effect of the earlier could be read.
#[test]
fn of_two_saves_of_one_node_the_later_one_counts() {
    let (_rooms, one, _) = two(films());
    one.commit(save(json!({"a": 1}))).expect("saved");
    one.database.write(None, save(json!({"a": 2})), Box::new(|_| {})).expect("queued");
    let again = one.database.write(None, save(json!({"a": 1})), Box::new(|_| {}));
    assert!(matches!(again, Err(Error::Conflict(_))), "there would be nothing to change");
    one.push();
    one.commit(save(json!({"a": 1}))).expect("saved");
    assert_eq!(one.fields(&film("1")), json!({"a": 1}));
}

#[test]
fn a_merge_sets_what_it_names() {
    let (_rooms, one, _) = two(films());
    let merge = |fields: Value| one.commit(|write| write.merge(&film("1"), map(fields)));
    assert!(matches!(merge(json!({"a": 1})), Err(Error::NotFound(_))));
    one.commit(save(json!({"a": {"b": 1, "c": 1}, "d": 1}))).expect("saved");
    merge(json!({"a": {"b": 2}, "e": []})).expect("merged");
    assert_eq!(one.fields(&film("1")), json!({"a": {"b": 2, "c": 1}, "d": 1, "e": []}));
    merge(json!({})).expect("nothing");
}

/// The values that stand side by side at a path.
fn side_by_side(peer: &Peer, at: &str) -> Vec<Value> {
    let document = peer.database.read(|read| read.document(&film("1"))).expect("readable");
    let found = document.conflicts().find(|(found, _)| **found == path(at));
    found.map(|(_, values)| values.iter().map(|(_, value)| value.clone()).collect()).unwrap_or_default()
}

type Act = fn(&mut Write<'_>, Value) -> Result<(), Error>;

/// Whoever writes a field that keeps both values keeps, however it is written: by itself, with what is around it, or a part of it.
#[test]
fn fields_that_keep_both_values_do_so_however_they_are_written() {
    let around = |value: Value| json!({"x": {"title": value, "y": 1}, "z": 1});
    let before = || around(json!({"de": "Brasilien"}));
    let ways: [(&str, Act); 6] = [
        ("save", |write, value| {
            let mut fields = write.get(&film("1"))?.expect("there");
            fields["x"]["title"] = value;
            write.save(&film("1"), fields)
        }),
        ("merge", |write, value| write.merge(&film("1"), map(json!({"x": {"title": value}})))),
        ("set", |write, value| write.set(&film("1"), Path::new(["x", "title"]), value)),
        ("set around", |write, value| write.set(&film("1"), Path::new(["x"]), json!({"title": value}))),
        ("set within", |write, value| match value {
            Value::Object(fields) => fields.into_iter().try_for_each(|(name, value)| {
                write.set(&film("1"), Path::new(["x".to_owned(), "title".to_owned(), name]), value)
            }),
            value => write.set(&film("1"), Path::new(["x", "title"]), value),
        }),
        ("resolve", |write, value| write.resolve(&film("1"), Path::new(["x", "title"]), value)),
    ];
    for (name, way) in ways {
        let (_rooms, one, two) = two(films().keep_both("x.title").expect("a path"));
        one.commit(save(before())).expect("saved");
        two.catch_up();
        one.commit(|write| way(write, json!({"de": "Brazil"}))).expect(name);
        two.commit(|write| way(write, json!({"de": "Brésil"}))).expect(name);
        [&one, &two].into_iter().for_each(Peer::catch_up);
        let values = vec![json!({"de": "Brazil"}), json!({"de": "Brésil"})];
        for peer in [&one, &two] {
            assert_eq!(side_by_side(peer, "x.title"), values, "{name}");
            assert_eq!(peer.fields(&film("1"))["z"], json!(1), "{name}");
            assert_eq!(peer.fields(&film("1"))["x"]["y"], json!(1), "{name}");
        }
        // A save that leaves it as it shows decides nothing.
        let shown = one.get(&film("1")).expect("there");
        one.commit(|write| write.save(&film("1"), shown)).expect("saved");
        assert_eq!(side_by_side(&one, "x.title").len(), 2, "{name}");
        one.commit(|write| way(write, json!({"de": "one"}))).expect(name);
        assert!(side_by_side(&one, "x.title").is_empty(), "{name}");
        assert_eq!(one.fields(&film("1")), around(json!({"de": "one"})), "{name}");
    }
}

#[test]
fn documents_that_are_made_apart_keep_both_values() {
    let (_rooms, one, two) = two(films().keep_both("title").expect("a path"));
    one.commit(|write| write.create(&film("1"), map(json!({"title": "one", "n": 1})))).expect("created");
    two.commit(save(json!({"title": "two", "m": 2}))).expect("saved");
    [&one, &two].into_iter().for_each(Peer::catch_up);
    assert_eq!(side_by_side(&one, "title"), [json!("one"), json!("two")]);
    assert_eq!(one.fields(&film("1")), json!({"title": "two", "n": 1, "m": 2}));
}

/// Both were on their way at once, so neither knew of the other; and both are by the same hand, which has decided.
#[test]
fn one_node_does_not_disagree_with_itself() {
    let (_rooms, one, _) = two(films().keep_both("title").expect("a path"));
    one.commit(save(json!({"title": "", "tags": []}))).expect("saved");
    let begin = |write: &dyn Fn(&mut Write<'_>) -> Result<(), Error>| one.database.write(None, write, Box::new(|_| {}));
    begin(&|write| write.set(&film("1"), path("title"), "one".into())).expect("queued");
    assert!(matches!(begin(&|write| write.set(&film("1"), path("title"), "two".into())), Err(Error::Conflict(_))));
    one.push();
    begin(&|write| write.add(&film("1"), path("tags"), "x".into())).expect("queued");
    assert!(matches!(begin(&|write| write.remove(&film("1"), path("tags"), "x".into())), Err(Error::Conflict(_))));
    one.push();
    assert_eq!(one.fields(&film("1")), json!({"title": "one", "tags": ["x"]}));
}

#[test]
fn a_resolved_field_has_one_value_and_what_was_not_known_stays() {
    let (_rooms, one, two) = two(films().keep_both("title").expect("a path"));
    one.commit(save(json!({"title": ""}))).expect("saved");
    two.catch_up();
    let set = |peer: &Peer, value: &str| {
        peer.commit(|write| write.set(&film("1"), path("title"), value.into())).expect("set");
    };
    set(&one, "one");
    set(&two, "two");
    one.catch_up();
    // While the other one has something new.
    set(&two, "three");
    one.commit(|write| write.resolve(&film("1"), path("title"), "both".into())).expect("resolved");
    assert!(side_by_side(&one, "title").is_empty());
    [&one, &two].into_iter().for_each(Peer::catch_up);
    assert_eq!(side_by_side(&one, "title").len(), 2);
    // A field like any other can be written so as well.
    one.commit(|write| write.resolve(&film("1"), path("other"), json!({"a": 1}))).expect("resolved");
    assert_eq!(one.fields(&film("1"))["other"], json!({"a": 1}));
    assert!(matches!(one.commit(|write| write.resolve(&film("2"), path("a"), json!(1))), Err(Error::NotFound(_))));
}

/// A transaction with some documents before it and some writes of its own; the same as they would be after it.
fn overlaid(
    indexes: bool,
    documents: &BTreeMap<String, Map<String, Value>>,
    own: &BTreeMap<String, Option<Map<String, Value>>>,
    query: &Query,
) -> Result<(), TestCaseError> {
    let rooms = Rooms::default();
    let (peer, after) = (rooms.peer(1), rooms.peer(2));
    let definition = if indexes {
        random::INDEXES.iter().fold(films(), |builder, path| builder.index(path, false).expect("a path"))
    } else {
        films()
    };
    peer.commit(|write| write.define(&definition.build())).expect("defined");
    peer.commit(|write| documents.iter().try_for_each(|(id, fields)| write.create(&film(id), fields.clone())))
        .expect("created");
    let act = |write: &mut Write<'_>| {
        own.iter().try_for_each(|(id, fields)| match fields {
            Some(fields) => write.save(&film(id), fields.clone()),
            None if write.exists(&film(id))? => write.delete(&film(id)),
            None => Ok(()),
        })
    };
    let mut within = None;
    let answer = peer.commit(|write| {
        act(write)?;
        within = Some(write.find("films", query.clone(), Options::default()));
        Ok(())
    });
    answer.expect("committed");
    after.catch_up();
    let expected = after.database.read(|read| read.find("films", query.clone(), Options::default()));
    match (within.expect("asked"), expected) {
        (Ok(found), Ok(expected)) => {
            let ids = |found: &[spool_db::query::Document]| found.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
            prop_assert_eq!(ids(&found), ids(&expected));
            for (found, expected) in found.into_iter().zip(expected) {
                let without = |mut fields: Map<String, Value>| {
                    fields.remove("_mod");
                    fields
                };
                prop_assert_eq!(without(found.fields), without(expected.fields));
            }
        }
        (
            Err(Error::Query { source: QueryError::After { .. }, .. }),
            Err(Error::Query { source: QueryError::After { .. }, .. }),
        ) => {}
        (found, expected) => prop_assert!(false, "{:?} is not {:?}", found, expected),
    }
    Ok(())
}

/// The time of the last change is not known yet while the transaction is open.
fn is_of_no_time(query: &Query) -> bool {
    !json::write(query).to_string().contains("_mod")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_transaction_finds_what_will_be_there_after_it(
        documents in proptest::collection::btree_map(random::id(), random::document(), 0..25),
        own in proptest::collection::btree_map(random::id(), proptest::option::weighted(0.7, random::document()), 0..12),
        query in random::query().prop_filter("of no time", is_of_no_time),
        indexes: bool,
    ) {
        overlaid(indexes, &documents, &own, &query)?;
    }
}

#[test]
fn what_is_found_counts_as_read() {
    let (_rooms, one, _) = two(films());
    let year = |year: u64| json::read(&json!({"where": {"year": {"=": year}}})).expect("a query");
    one.commit(|write| {
        write.create(&film("1"), map(json!({"year": 1985})))?;
        write.create(&film("2"), map(json!({"year": 1999})))?;
        write.create(&film("sum"), Map::new())
    })
    .expect("created");
    let count = |meanwhile: &dyn Fn()| {
        one.commit(|write| {
            let found = write.find("films", year(1985), Options::default())?.len();
            meanwhile();
            write.set(&film("sum"), path("n"), found.into())
        })
    };
    let set = |id: &'static str, field: &'static str| {
        one.commit(|write| write.set(&film(id), path(field), 1.into())).expect("set");
    };
    let error = count(&|| set("1", "seen")).expect_err("it has changed");
    assert!(matches!(&error, Error::Conflict(target) if *target == film("1")), "{error}");
    count(&|| set("2", "seen")).expect("it was not found");
    assert_eq!(one.fields(&film("sum")), json!({"n": 1}));
}

/// What is read after a write to it is read.
#[test]
fn a_document_that_was_written_blindly_counts_as_read_once_it_is_read() {
    let (_rooms, one, _) = two(films());
    one.commit(save(json!({"n": 1}))).expect("saved");
    let error = one.commit(|write| {
        write.increment(&film("1"), path("n"), 1.into())?;
        let n = write.get(&film("1"))?.expect("there")["n"].clone();
        one.commit(|write| write.increment(&film("1"), path("n"), 1.into()))?;
        write.set(&film("1"), path("copy"), n)
    });
    assert!(matches!(error, Err(Error::Conflict(_))), "{error:?}");
}

fn refused(result: Result<(), Error>, reason: &str, at: &str) {
    let error = result.expect_err(reason);
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, reason), "{error}");
    let Error::Misfit { target, path, .. } = &error else { panic!("{error}") };
    assert_eq!((target, path.to_string().as_str()), (&film("1"), at));
    let text = error.to_string();
    assert!(["films", "\"1\"", &format!("{at:?}")].iter().all(|part| text.contains(part)), "{text}");
}

type Try = (fn(&mut Write<'_>) -> Result<(), Error>, &'static str, &'static str);

/// `--set cast.0=X` made a map of the list and took all other elements away, an increment of a string did nothing, and both looked as if they had been done.
#[test]
fn what_would_be_lost_without_a_word_is_refused() {
    let (_rooms, one, _) = two(films());
    let before =
        json!({"cast": ["a", "b"], "title": "x", "n": 1, "m": {"a": 1}, "z": null, "big": f64::MAX, "yes": true});
    one.commit(save(before.clone())).expect("saved");
    let tries: [Try; 17] = [
        (|write| write.set(&film("1"), path("cast.0"), "X".into()), "within-no-map", "cast"),
        (|write| write.set(&film("1"), path("title.de.short"), "X".into()), "within-no-map", "title"),
        (|write| write.set(&film("1"), path("m.a.b"), 1.into()), "within-no-map", "m.a"),
        (|write| write.set(&film("1"), path("z.a"), 1.into()), "within-no-map", "z"),
        (|write| write.unset(&film("1"), path("cast.0")), "within-no-map", "cast"),
        (|write| write.increment(&film("1"), path("n.a"), 1.into()), "within-no-map", "n"),
        (|write| write.add(&film("1"), path("cast.0"), 1.into()), "within-no-map", "cast"),
        (|write| write.remove(&film("1"), path("cast.0"), 1.into()), "within-no-map", "cast"),
        (|write| write.resolve(&film("1"), path("cast.0"), 1.into()), "within-no-map", "cast"),
        (|write| write.keep(&film("1"), path("cast.0"), 1.into()), "within-no-map", "cast"),
        (|write| write.increment(&film("1"), path("title"), 1.into()), "no-number", "title"),
        (|write| write.increment(&film("1"), path("cast"), 1.into()), "no-number", "cast"),
        (
            |write| write.increment(&film("1"), path("big"), serde_json::Number::from_f64(f64::MAX).expect("finite")),
            "sum-not-finite",
            "big",
        ),
        (|write| write.add(&film("1"), path("title"), 1.into()), "no-set", "title"),
        (|write| write.add(&film("1"), path("m"), 1.into()), "no-set", "m"),
        (|write| write.add(&film("1"), path("yes"), 1.into()), "no-set", "yes"),
        (|write| write.remove(&film("1"), path("n"), 1.into()), "no-set", "n"),
    ];
    for (attempt, reason, at) in tries {
        refused(one.commit(attempt), reason, at);
        // Whoever is told so can go on, and may say what is meant.
        one.commit(|write| {
            refused(attempt(write), reason, at);
            write.unset(&film("1"), path(at))?;
            write.set(&film("1"), path(at), json!({}))
        })
        .expect(at);
        one.commit(save(before.clone())).expect("saved");
    }
    let changes = [Change::Set(path("new"), 1.into()), Change::Increment(path("title"), 1.into())];
    refused(one.commit(|write| write.update(&film("1"), changes.clone())), "no-number", "title");
    assert_eq!(one.fields(&film("1")), before, "all changes of an update or none");
}

#[test]
fn what_fits_is_written() {
    let (_rooms, one, _) = two(films());
    one.commit(save(json!({"cast": ["a"], "title": "x", "z": null, "m": {}}))).expect("saved");
    one.commit(|write| {
        // A value may be anything in place of what was there.
        write.set(&film("1"), path("title"), json!({"de": "X"}))?;
        write.increment(&film("1"), path("z"), 2.into())?;
        write.increment(&film("1"), path("m.new.n"), 1.into())?;
        write.add(&film("1"), path("cast"), "b".into())?;
        write.add(&film("1"), path("m.tags"), "b".into())?;
        write.remove(&film("1"), path("cast"), "a".into())?;
        // What this transaction has written is seen.
        write.set(&film("1"), path("title.en"), "Y".into())?;
        write.set(&film("1"), path("title"), "string".into())?;
        refused(write.set(&film("1"), path("title.en"), 1.into()), "within-no-map", "title");
        write.unset(&film("1"), path("title"))?;
        write.set(&film("1"), path("title.en"), "Z".into())?;
        write.update(
            &film("1"),
            [
                Change::Unset(path("m.tags")),
                Change::Set(path("m.tags.x"), 1.into()),
                Change::Increment(path("m.tags.x"), 1.into()),
            ],
        )
    })
    .expect("written");
    let expected = json!({"cast": ["b"], "title": {"en": "Z"}, "z": 2, "m": {"new": {"n": 1}, "tags": {"x": 2}}});
    assert_eq!(one.fields(&film("1")), expected);
    // What others write at the same time is merged as ever.
    one.commit(|write| write.change(&film("1"), Change::Set(path("cast.0"), 1.into()))).expect("as it is");
    assert_eq!(one.fields(&film("1"))["cast"], json!({"0": 1}));
}

#[test]
fn nothing_is_written_where_there_is_nothing_to_take_away() {
    let (_rooms, one, _) = two(films());
    one.commit(save(json!({"cast": ["a"], "m": {}}))).expect("saved");
    let events = one.database.folded().1;
    for path_of_nothing in ["none", "none.deeper", "m.none"] {
        one.commit(|write| write.unset(&film("1"), path(path_of_nothing))).expect("nothing");
        one.commit(|write| write.remove(&film("1"), path(path_of_nothing), 1.into())).expect("nothing");
    }
    one.commit(|write| write.remove(&film("1"), path("cast"), "b".into())).expect("nothing");
    assert_eq!(one.database.folded().1, events);
    assert!(matches!(one.commit(|write| write.unset(&film("2"), path("a"))), Err(Error::NotFound(_))));
    assert!(matches!(one.commit(|write| write.remove(&film("2"), path("a"), 1.into())), Err(Error::NotFound(_))));
    // Beside something else it is left out, and what the transaction itself has written is there.
    one.commit(|write| {
        write.unset(&film("1"), path("none"))?;
        write.set(&film("1"), path("new"), 1.into())?;
        write.add(&film("1"), path("cast"), "b".into())?;
        write.unset(&film("1"), path("new"))?;
        write.remove(&film("1"), path("cast"), "b".into())
    })
    .expect("written");
    assert_eq!(one.database.folded().1, events + 1);
    assert_eq!(one.fields(&film("1")), json!({"cast": ["a"], "m": {}}));
}

/// That there is nothing was read before something else that is on its way; what is said later holds.
#[test]
fn what_is_on_its_way_is_taken_away() {
    let (_rooms, one, _) = two(films());
    one.commit(save(json!({"cast": ["a"]}))).expect("saved");
    let unset = || one.database.write(None, |write| write.unset(&film("1"), path("new")), Box::new(|_| {}));
    one.database.write(None, |write| write.set(&film("1"), path("new"), 1.into()), Box::new(|_| {})).expect("queued");
    assert!(matches!(unset(), Err(Error::Conflict(_))));
    one.push();
    unset().expect("queued");
    one.push();
    assert_eq!(one.fields(&film("1")), json!({"cast": ["a"]}));
}

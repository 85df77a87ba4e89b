use proptest::prelude::*;
use serde_json::json;
use spool_proto::clock::Time;

use super::*;
use crate::testing::drafts::{Draft, meeting};

fn stamp(time: u64) -> Stamp {
    Stamp { time: Time::from_u64(time), log: [1; 32], counter: time }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn set(at: &str, value: Value) -> Change {
    Change::Set(path(at), value)
}

/// What these changes, each of an event of its own, come to.
fn document(changes: &[Change]) -> Document {
    let mut document = Document::default();
    let mut size = Size::default();
    for (index, change) in changes.iter().enumerate() {
        assert!(document.apply(stamp(index as u64 + 1), [(0, change)], &mut size));
        let bytes = document.to_bytes();
        assert!(bytes.len() <= size.0, "{change:?} is larger than its bound");
        assert_eq!(Document::from_bytes(&bytes).unwrap(), document);
    }
    document
}

fn fields(changes: &[Change]) -> Value {
    Value::Object(document(changes).fields)
}

fn create(value: Value) -> Change {
    Change::Create(map(value))
}

#[test]
fn maps_merge_and_scalars_shadow() {
    let base = create(json!({"a": {"b": 1, "c": {"d": 2}}, "e": 3}));
    assert_eq!(fields(&[base.clone(), set("a", json!({"c": {"x": 1}}))])["a"], json!({"b": 1, "c": {"d": 2, "x": 1}}));
    assert_eq!(fields(&[base.clone(), set("a", json!(5))])["a"], json!(5));
    assert_eq!(fields(&[base.clone(), set("e.f.g", json!(5))])["e"], json!({"f": {"g": 5}}));
    assert_eq!(fields(&[base.clone(), set("", json!({"e": 4}))])["e"], 4);
    assert_eq!(fields(&[base.clone(), Change::Replace(path("a"), json!({"x": 1}))])["a"], json!({"x": 1}));
    assert_eq!(fields(&[base.clone(), Change::Replace(path(""), json!({"x": 1}))]), json!({"x": 1}));
    assert_eq!(fields(&[base, Change::Unset(path("a.c"))])["a"], json!({"b": 1}));
}

#[test]
fn arrays_are_values() {
    let base = create(json!({"a": [1, 2]}));
    assert_eq!(fields(&[base.clone(), set("a", json!([3]))])["a"], json!([3]));
    assert_eq!(fields(&[base.clone(), set("a.0", json!(3))])["a"], json!({"0": 3}));
    assert_eq!(fields(&[base, Change::Unset(path("a.0"))])["a"], json!([1, 2]));
}

#[test]
fn existence_is_a_register_of_its_own() {
    let base = create(json!({"a": 1}));
    let written = document(&[base.clone(), Change::Delete, set("b", json!(2))]);
    assert_eq!(written.existence, Existence::Deleted, "a field write resurrects nothing");
    let undeleted = document(&[base.clone(), Change::Delete, set("b", json!(2)), Change::Undelete]);
    assert!(undeleted.is_alive());
    assert_eq!(Value::Object(undeleted.fields), json!({"a": 1, "b": 2}));
    let created = document(&[base, Change::Delete, set("b", json!(2)), create(json!({"c": 3}))]);
    assert_eq!(Value::Object(created.fields), json!({"c": 3}), "a create after a delete hides older fields");
    assert_eq!(document(&[set("a", json!(1))]).existence, Existence::Unborn);
    assert_eq!(document(&[set("a", json!(1)), Change::Undelete]).existence, Existence::Unborn);
    assert_eq!(fields(&[set("a", json!(1)), create(json!({"b": 2}))]), json!({"a": 1, "b": 2}));
}

#[test]
fn increments_add_to_numbers_only() {
    let by = |at: &str, by: Value| Change::Increment(path(at), serde_json::from_value(by).unwrap());
    assert_eq!(fields(&[by("n", json!(2)), by("n", json!(-5))])["n"], -3);
    assert_eq!(fields(&[set("n", json!(1)), by("n", json!(0.5))])["n"], 1.5);
    assert_eq!(fields(&[set("n", json!(null)), by("n", json!(1))])["n"], 1);
    assert_eq!(fields(&[set("n", json!("text")), by("n", json!(1))])["n"], "text");
    assert_eq!(fields(&[set("n", json!(3)), by("n.deeper", json!(1))])["n"], 3);
    assert_eq!(fields(&[by("a.b", json!(1))])["a"]["b"], 1);
    assert_eq!(fields(&[set("n", json!(u64::MAX)), by("n", json!(1))])["n"], json!(18_446_744_073_709_551_616.0));
    assert_eq!(fields(&[set("n", json!(1.7e308)), by("n", json!(1.7e308))])["n"], json!(1.7e308), "no infinity");
}

#[test]
fn sets_keep_what_a_removal_had_not_seen() {
    let add = |value: &str| Change::Add(path("tags"), value.into());
    let remove = |document: &Document, value: &str| {
        Change::Remove(path("tags"), value.into(), document.observed(&path("tags"), &value.into()))
    };
    let seen = document(&[create(json!({"tags": ["plain"]})), add("one")]);
    assert_eq!(seen.fields["tags"], json!(["one", "plain"]));
    let changes = |last: Change| vec![create(json!({"tags": ["plain"]})), add("one"), add("one"), last];
    assert_eq!(
        fields(&changes(remove(&seen, "one")))["tags"],
        json!(["one", "plain"]),
        "the second addition was not seen"
    );
    let all = document(&changes(add("two")));
    assert_eq!(
        fields(&[changes(add("two")), vec![remove(&all, "one"), remove(&all, "plain")]].concat())["tags"],
        json!(["two"])
    );
    assert_eq!(fields(&[add("a"), set("tags", json!("text")), add("b")])["tags"], json!(["b"]));
    assert_eq!(fields(&[set("tags", json!("text")), remove(&seen, "one")])["tags"], "text");
}

#[test]
fn values_that_had_not_seen_each_other_stand_side_by_side() {
    let keep = |value: &str, seen: &Document| Change::Keep(path("title"), value.into(), seen.seen(&path("title")));
    let base = document(&[create(json!({"title": "old"}))]);
    let both = [create(json!({"title": "old"})), keep("one", &base), keep("two", &base)];
    let conflicted = document(&both);
    assert_eq!(conflicted.fields["title"], "two", "the last one shows");
    let conflicts: Vec<_> = conflicted.conflicts().map(|(path, values)| (path.to_string(), values.len())).collect();
    assert_eq!(conflicts, [("title".to_owned(), 2)]);
    let resolved = document(&[both.to_vec(), vec![keep("three", &conflicted)]].concat());
    assert_eq!((resolved.conflicts().count(), &resolved.fields["title"]), (0, &json!("three")));
    let overwritten = document(&[both.to_vec(), vec![set("title", json!("four"))]].concat());
    assert_eq!((overwritten.conflicts().count(), &overwritten.fields["title"]), (0, &json!("four")));
}

#[test]
fn what_would_make_a_document_too_large_has_no_effect() {
    let mut document = Document::default();
    let mut size = Size::default();
    let text = |bytes: usize| set("text", "x".repeat(bytes).into());
    assert!(document.apply(stamp(1), [(0, &text(MAX_DOCUMENT_BYTES - 1_000))], &mut size));
    let more = set("more", "y".repeat(2_000).into());
    assert!(!document.apply(stamp(2), [(0, &set("small", json!(1))), (1, &more)], &mut size));
    assert_eq!((document.fields.len(), document.last), (1, Some(stamp(2))), "none of the event's changes");
    assert!(document.apply(stamp(3), [(0, &text(10)), (1, &more)], &mut size));
    assert_eq!(document.fields.len(), 2);
}

/// Arrays of some length among the values that the drafts have, so that one addition turns much into a set.
fn changes_with_arrays() -> impl Strategy<Value = Draft> {
    let array = prop::collection::vec(prop_oneof![any::<u64>(), 0..300u64], 0..60).prop_map(Value::from);
    let at = prop::sample::select(vec!["a", "a.b", "s", "m", "a.0"]);
    prop_oneof![3 => meeting(), 1 => (at, array).prop_map(|(at, array)| Draft::Set(at, array))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// From whatever stored document an event begins, of which its changes know nothing.
    #[test]
    fn no_event_makes_a_document_larger_than_its_bound(
        events in prop::collection::vec((any::<[u64; 2]>(), prop::collection::vec(changes_with_arrays(), 1..6)), 1..20),
    ) {
        let mut document = Document::default();
        for ([time, counter], drafts) in events {
            let mut size = Size::stored(document.to_bytes().len());
            let changes: Vec<_> = drafts.iter().map(|draft| draft.change(&document)).collect();
            let stamp = Stamp { time: Time::from_u64(time), log: [1; 32], counter };
            document.apply(stamp, (0..).zip(&changes), &mut size);
            prop_assert!(document.to_bytes().len() <= size.0, "{:?}", changes);
        }
    }
}

/// One event may add ten thousand elements to the largest set that there can be: while the whole set was shown anew for each of them, that took seconds.
#[test]
fn many_additions_to_a_large_set_take_the_time_of_few() {
    let mut document = Document::default();
    let items: Vec<Value> = (0..25_000).map(|n| Value::from(n.to_string())).collect();
    let mut size = Size::default();
    let create = [create(json!({})), set("s", Value::Array(items.clone()))];
    assert!(document.apply(stamp(1), (0..).zip(&create), &mut size));
    let adds: Vec<Change> = items.iter().take(10_000).map(|item| Change::Add(path("s"), item.clone())).collect();
    let begin = std::time::Instant::now();
    assert!(document.apply(stamp(2), (0..).zip(&adds), &mut size));
    let took = begin.elapsed();
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    assert_eq!(document.fields["s"].as_array().map(Vec::len), Some(items.len()));
}

/// Changes of sets, and of what lies at positions within them.
fn within_sets() -> impl Strategy<Value = Draft> {
    let anywhere = || prop::sample::select(vec!["s", "s.0", "s.1", "s.0.b", "a", "a.s"]);
    let values = || prop::sample::select(vec![json!(1), json!([1]), json!({"b": 2}), json!({}), json!("x")]);
    prop_oneof![
        2 => meeting(),
        2 => (anywhere(), 0u8..3).prop_map(|(at, value)| Draft::Add(at, value)),
        1 => (anywhere(), 0u8..3).prop_map(|(at, value)| Draft::Remove(at, value)),
        1 => (anywhere(), any::<i8>()).prop_map(|(at, by)| Draft::Increment(at, by)),
        1 => (anywhere(), values()).prop_map(|(at, value)| Draft::Set(at, value)),
        1 => anywhere().prop_map(|at| Draft::Set(at, json!([{"b": 1}, 1, [2], "x"]))),
        1 => anywhere().prop_map(Draft::Unset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Sets show anew at the end of an event; what comes in between sees them as they are.
    #[test]
    fn changes_of_one_event_come_to_what_they_come_to_one_by_one(
        before in prop::collection::vec(within_sets(), 0..6),
        drafts in prop::collection::vec(within_sets(), 1..12),
    ) {
        let mut one_by_one = Document::default();
        for (index, draft) in (1..).zip(&before) {
            let change = draft.change(&one_by_one);
            one_by_one.apply(stamp(index), [(0, &change)], &mut Size::default());
        }
        let (mut at_once, mut changes) = (one_by_one.clone(), Vec::new());
        for (index, draft) in (0..).zip(&drafts) {
            let change = draft.change(&one_by_one);
            one_by_one.apply(stamp(100), [(index, &change)], &mut Size::default());
            changes.push(change);
        }
        at_once.apply(stamp(100), (0..).zip(&changes), &mut Size::default());
        prop_assert_eq!(at_once, one_by_one);
    }
}

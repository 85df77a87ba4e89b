//! Stories of undo and redo.

use serde_json::{Value, json};
use spool_db::{
    Change, Operation, Target, Transaction,
    document::Existence,
    history::{Error, Scope, undo},
    limits::UNDO_RECORDS,
    operation::Reverts,
    testing::{
        World,
        drafts::{path, remove},
    },
};

use crate::common::{Rig, film};

const ALL: Scope = Scope::Database;

fn create(fields: Value) -> Change {
    let Value::Object(fields) = fields else { panic!("{fields} is no map") };
    Change::Create(fields)
}

fn set(at: &str, value: Value) -> Change {
    Change::Set(path(at), value)
}

fn increment(by: i64) -> Change {
    Change::Increment(path("n"), by.into())
}

fn add(value: &str) -> Change {
    Change::Add(path("s"), value.into())
}

/// A film that somebody else has made, before anything can be undone.
fn rig(fields: Value) -> Rig {
    let mut rig = Rig::default();
    rig.change(9, &film(1), [create(fields)]);
    rig
}

#[test]
fn one_goes_back_step_by_step_and_forth_again() {
    let mut rig = rig(json!({"a": 0}));
    (1..=3).for_each(|value| {
        rig.change(1, &film(1), [set("a", json!(value))]);
    });
    for value in [2, 1, 0] {
        rig.undo(1, &ALL).unwrap();
        assert_eq!(rig.fields(&film(1)), json!({"a": value}));
    }
    assert!(matches!(rig.undo(1, &ALL), Err(Error::NothingToUndo)));
    for value in [1, 2] {
        rig.redo(1, &ALL).unwrap();
        assert_eq!(rig.fields(&film(1)), json!({"a": value}));
    }
    for value in [1, 0] {
        rig.undo(1, &ALL).unwrap();
        assert_eq!(rig.fields(&film(1)), json!({"a": value}));
    }
    for value in [1, 2, 3] {
        rig.redo(1, &ALL).unwrap();
        assert_eq!(rig.fields(&film(1)), json!({"a": value}));
    }
    assert!(matches!(rig.redo(1, &ALL), Err(Error::NothingToRedo)));
}

#[test]
fn a_new_change_leaves_nothing_to_redo() {
    let mut rig = rig(json!({"a": 0}));
    rig.change(1, &film(1), [set("a", json!(1))]);
    rig.undo(1, &ALL).unwrap();
    rig.change(1, &film(1), [set("b", json!(1))]);
    assert!(matches!(rig.redo(1, &ALL), Err(Error::NothingToRedo)));
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 0}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 0, "b": 1}));
    assert!(matches!(rig.redo(1, &ALL), Err(Error::NothingToRedo)));
}

#[test]
fn marks_name_the_record_that_is_taken_back() {
    let mut rig = rig(json!({"a": 0}));
    let written = rig.change(1, &film(1), [set("a", json!(1))]);
    let log = World::log(1);
    let transaction = undo(&rig.replica.view.reader(), &rig.replica.delivered, &log, &ALL).unwrap();
    assert_eq!(transaction.reverts, Some(Reverts::Undo(written.counter)));
    assert_eq!(transaction.operations, [Operation::Change(film(1), set("a", json!(0)))]);
}

#[test]
fn later_writes_of_others_stay() {
    let mut rig = rig(json!({"a": 1, "b": 1, "c": {"x": 1}}));
    rig.change(
        1,
        &film(1),
        [set("a", json!(2)), set("b", json!(2)), Change::Replace(path("c"), json!({"y": 1, "z": 1}))],
    );
    rig.change(2, &film(1), [set("b", json!(3)), set("c.z", json!(3))]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 1, "b": 3, "c": {"x": 1, "z": 3}}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 2, "b": 3, "c": {"y": 1, "z": 3}}));
}

#[test]
fn what_others_have_written_before_comes_out_again_even_if_it_came_late() {
    let mut rig = rig(json!({"a": 0}));
    let late = Transaction { reverts: None, operations: vec![Operation::Change(film(1), set("a", json!(5)))] };
    rig.write_unseen(2, 0, &late);
    rig.change(1, &film(1), [set("a", json!(1))]);
    rig.deliver_all();
    assert_eq!(rig.fields(&film(1)), json!({"a": 1}));
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 5}));
}

#[test]
fn increments_are_taken_back_beside_those_of_others() {
    let mut rig = rig(json!({"n": 1}));
    rig.change(1, &film(1), [increment(5), increment(2)]);
    rig.change(2, &film(1), [increment(10)]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"n": 11}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"n": 18}));
    rig.change(2, &film(1), [set("n", json!(100))]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"n": 100}), "somebody has set it: nothing of the increments is left");
}

#[test]
fn a_counter_and_a_set_stay_where_there_was_nothing() {
    let mut rig = rig(json!({}));
    rig.change(1, &film(1), [increment(5), add("x")]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"n": 0, "s": []}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"n": 5, "s": ["x"]}));
}

#[test]
fn additions_are_taken_back_by_name() {
    let mut rig = rig(json!({"s": ["plain"]}));
    rig.change(1, &film(1), [add("x"), add("y"), add("plain")]);
    rig.change(2, &film(1), [add("y"), add("z")]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"s": ["y", "z", "plain"]}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"s": ["x", "y", "z", "plain"]}));
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"s": ["y", "z", "plain"]}));
}

#[test]
fn a_removed_element_comes_back_and_its_return_can_be_taken_back() {
    let mut rig = rig(json!({"s": ["p"]}));
    rig.change(2, &film(1), [add("x")]);
    let document = rig.replica.document(&film(1));
    rig.change(1, &film(1), [remove(&document, "s", &json!("x")), remove(&document, "s", &json!("p"))]);
    assert_eq!(rig.fields(&film(1)), json!({"s": []}));
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"s": ["p", "x"]}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"s": []}));
}

#[test]
fn a_set_that_took_the_place_of_a_text_makes_way_for_it() {
    let mut rig = rig(json!({"s": "text", "a": 5}));
    rig.change(1, &film(1), [add("x"), Change::Add(path("a.b"), json!(1))]);
    assert_eq!(rig.fields(&film(1)), json!({"s": ["x"], "a": {"b": [1]}}));
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"s": "text", "a": 5}));
}

#[test]
fn values_side_by_side_stand_side_by_side_again() {
    let mut rig = rig(json!({"t": "old"}));
    rig.change(2, &film(1), [Change::Keep(path("t"), json!("two"), Vec::new())]);
    rig.change(3, &film(1), [Change::Keep(path("t"), json!("three"), Vec::new())]);
    let seen = rig.replica.document(&film(1)).seen(&path("t"));
    rig.change(1, &film(1), [Change::Keep(path("t"), json!("one"), seen)]);
    rig.undo(1, &ALL).unwrap();
    let document = rig.replica.document(&film(1));
    let values: Vec<_> =
        document.conflicts().flat_map(|(_, values)| values.iter().map(|(_, value)| value.clone())).collect();
    assert_eq!(values, [json!("two"), json!("three")]);
    assert_eq!(document.fields["t"], "three");
}

#[test]
fn existence_is_taken_back_unless_somebody_has_decided_since() {
    let mut rig = Rig::default();
    rig.change(1, &film(1), [create(json!({"a": 1}))]);
    rig.change(2, &film(1), [set("b", json!(2))]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.replica.document(&film(1)).existence, Existence::Deleted);
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 1, "b": 2}));
    rig.change(1, &film(1), [Change::Delete]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 1, "b": 2}));
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), Value::Null);
    rig.change(2, &film(1), [Change::Delete]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), Value::Null, "somebody else has deleted it, too");
}

#[test]
fn a_create_over_a_deleted_document_gives_its_fields_back() {
    let mut rig = rig(json!({"old": 1}));
    rig.change(1, &film(1), [Change::Delete]);
    rig.change(1, &film(1), [create(json!({"new": 1}))]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), Value::Null);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"old": 1}));
    rig.redo(1, &ALL).unwrap();
    rig.redo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"new": 1}));
}

#[test]
fn a_scope_finds_its_own_last_change() {
    let mut rig = Rig::default();
    let (one, two, other) = (film(1), film(2), Target::new("people", "1"));
    for target in [&one, &two, &other] {
        rig.change(9, target, [create(json!({"a": 0}))]);
    }
    for target in [&one, &two, &other] {
        rig.change(1, target, [set("a", json!(1))]);
    }
    rig.undo(1, &Scope::Collection("films".to_owned())).unwrap();
    assert_eq!([&one, &two, &other].map(|target| rig.fields(target)["a"].clone()), [1, 0, 1]);
    rig.undo(1, &Scope::Document(one.clone())).unwrap();
    assert_eq!([&one, &two, &other].map(|target| rig.fields(target)["a"].clone()), [0, 0, 1]);
    assert!(matches!(rig.undo(1, &Scope::Document(one.clone())), Err(Error::NothingToUndo)));
    rig.change(1, &other, [set("a", json!(2))]);
    rig.redo(1, &Scope::Document(two.clone())).unwrap();
    assert_eq!(rig.fields(&two)["a"], 1, "what was written elsewhere since is out of scope");
    assert!(matches!(rig.redo(1, &ALL), Err(Error::NothingToRedo)));
}

#[test]
fn a_transaction_is_taken_back_as_a_whole() {
    let mut rig = Rig::default();
    let operations = [1, 2].map(|number| Operation::Change(film(number), create(json!({"a": number}))));
    rig.write(1, &Transaction { reverts: None, operations: operations.into() });
    rig.undo(1, &Scope::Document(film(1))).unwrap();
    assert_eq!((rig.fields(&film(1)), rig.fields(&film(2))), (Value::Null, Value::Null));
}

#[test]
fn an_undo_that_finds_nothing_left_is_committed_and_the_next_goes_on() {
    let mut rig = rig(json!({"a": 0, "b": 0}));
    rig.change(1, &film(1), [set("b", json!(1))]);
    rig.change(1, &film(1), [set("a", json!(1))]);
    rig.change(2, &film(1), [set("a", json!(2))]);
    rig.undo(1, &ALL).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 2, "b": 1}));
    rig.undo(1, &Scope::Document(film(1))).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 2, "b": 0}));
    rig.redo(1, &Scope::Document(film(1))).unwrap();
    assert_eq!(rig.fields(&film(1)), json!({"a": 2, "b": 1}));
    rig.redo(1, &Scope::Document(film(1))).unwrap();
    assert!(matches!(rig.redo(1, &ALL), Err(Error::NothingToRedo)));
}

#[test]
fn what_a_fork_has_taken_away_is_not_undone() {
    let mut rig = rig(json!({"a": 0}));
    rig.change(1, &film(1), [set("a", json!(1))]);
    rig.change(1, &film(1), [set("a", json!(2))]);
    rig.fork(1, 2);
    assert_eq!(rig.fields(&film(1)), json!({"a": 1}));
    let log = World::log(1);
    let transaction = undo(&rig.replica.view.reader(), &rig.replica.delivered, &log, &ALL).unwrap();
    assert_eq!(transaction.operations, [Operation::Change(film(1), set("a", json!(0)))]);
}

#[test]
fn an_event_that_takes_no_effect_is_passed_over() {
    let mut rig = rig(json!({"a": 0}));
    rig.change(1, &film(1), [set("a", json!(1))]);
    // Not above the one before in its log, so void on every peer.
    let void = Transaction { reverts: None, operations: vec![Operation::Change(film(1), set("b", json!(1)))] };
    let log = World::log(1);
    let counter =
        rig.rooms.world().append(log, spool_proto::clock::Time::default(), Vec::new(), spool_db::testing::body(&void));
    rig.replica.deliver(log, counter);
    rig.replica.settle();
    assert_eq!(rig.fields(&film(1)), json!({"a": 1}));
    let transaction = undo(&rig.replica.view.reader(), &rig.replica.delivered, &log, &ALL).unwrap();
    assert_eq!(transaction.operations, [Operation::Change(film(1), set("a", json!(0)))]);
}

#[test]
fn looking_back_has_an_end() {
    let mut rig = rig(json!({"a": 0}));
    rig.change(1, &film(1), [set("a", json!(1))]);
    let elsewhere = Transaction {
        reverts: None,
        operations: vec![Operation::Change(Target::new("people", "1"), set("a", json!(1)))],
    };
    for _ in 1..UNDO_RECORDS {
        rig.write_unseen(1, 0, &elsewhere);
    }
    rig.deliver_all();
    let films = Scope::Collection("films".to_owned());
    let log = World::log(1);
    assert!(undo(&rig.replica.view.reader(), &rig.replica.delivered, &log, &films).is_ok());
    rig.write(1, &elsewhere);
    assert!(matches!(rig.undo(1, &films), Err(Error::TooFarBack)));
}

/// Undo and redo put the same thing back as another operation. Later events name that one, and a fold without both of them has the first one: each of these
/// once came out wrong.
#[test]
fn what_was_put_back_stands_for_what_was_there_before() {
    let there_and_back = |rig: &mut Rig, steps: usize| {
        let before = rig.fields(&film(1));
        (0..steps).for_each(|_| {
            rig.undo(1, &ALL).unwrap();
        });
        let between = rig.fields(&film(1));
        (0..steps).for_each(|_| {
            rig.redo(1, &ALL).unwrap();
        });
        assert_eq!(rig.fields(&film(1)), before);
        between
    };
    let put_back = |rig: &mut Rig| {
        rig.undo(1, &ALL).unwrap();
        rig.redo(1, &ALL).unwrap();
    };
    let mut removed = rig(json!({"s": []}));
    removed.change(1, &film(1), [add("x")]);
    put_back(&mut removed);
    let document = removed.replica.document(&film(1));
    removed.change(1, &film(1), [remove(&document, "s", &json!("x"))]);
    assert_eq!(there_and_back(&mut removed, 2), json!({"s": []}));

    let mut replaced = rig(json!({"n": 1, "a": 1}));
    replaced.change(1, &film(1), [Change::Replace(path(""), json!({"a": 2}))]);
    put_back(&mut replaced);
    replaced.change(1, &film(1), [increment(1)]);
    assert_eq!(there_and_back(&mut replaced, 2), json!({"n": 1, "a": 1}));

    let mut set_back = rig(json!({}));
    set_back.change(1, &film(1), [add("x")]);
    set_back.change(1, &film(1), [set("s", json!([]))]);
    set_back.undo(1, &ALL).unwrap();
    assert_eq!(set_back.fields(&film(1)), json!({"s": ["x"]}));
    assert_eq!(there_and_back(&mut set_back, 1), json!({"s": []}));

    let mut unborn = Rig::default();
    unborn.change(1, &film(1), [set("a", json!(1))]);
    put_back(&mut unborn);
    unborn.change(1, &film(1), [create(json!({"a": 2}))]);
    assert_eq!(there_and_back(&mut unborn, 2), Value::Null);
}

//! Restoring, and tags.

use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Limits, Operation, Target, Transaction,
    history::{self, At, Scope, Tag},
    limits::PACKED_TRANSACTION_BYTES,
    testing::drafts::path,
};
use spool_proto::clock::Time;

use crate::common::{Rig, film, played, steps, visible};

/// A writer that has written nothing else: the others' logs may be forked.
const RESTORER: u8 = 7;

fn create(fields: Value) -> Change {
    let Value::Object(fields) = fields else { panic!("{fields} is no map") };
    Change::Create(fields)
}

fn tag(rig: &mut Rig, writer: u8, name: &str, time: Time) {
    let (target, change) = history::tag(name, time);
    rig.change(writer, &target, [change]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_earlier_time_comes_back_as_it_was(steps in steps(), seed in any::<u64>()) {
        let mut rig = played(&steps);
        let mut prefixes = rig.prefixes();
        prefixes.dedup_by(|later, earlier| {
            let same = later.0.time == earlier.0.time;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        // One after another, forth and back: what one restores is the present of the next.
        let length = prefixes.len() as u64;
        for number in 0..length {
            let at = (number.wrapping_mul(7).wrapping_add(seed) % length) as usize;
            let (stamp, documents) = &prefixes[at];
            rig.restore(RESTORER, &Scope::Database, stamp.time);
            prop_assert_eq!(rig.visible(), visible(documents));
            prop_assert_eq!(rig.restore(RESTORER, &Scope::Database, stamp.time), 0, "nothing is left to do");
        }
    }
}

#[test]
fn a_scope_restores_no_more_than_itself() {
    let mut rig = Rig::default();
    let (one, two, other) = (film(1), film(2), Target::new("people", "1"));
    let all = [&one, &two, &other];
    let mut then = Time::default();
    all.iter().for_each(|target| then = rig.change(1, target, [create(json!({"a": 0}))]).time);
    for target in all {
        rig.change(2, target, [Change::Set(path("a"), json!(1))]);
    }
    let fields = |rig: &Rig| all.map(|target| rig.fields(target)["a"].clone());
    rig.restore(3, &Scope::Document(one.clone()), then);
    assert_eq!(fields(&rig), [0, 1, 1]);
    rig.restore(3, &Scope::Collection("films".to_owned()), then);
    assert_eq!(fields(&rig), [0, 0, 1]);
    rig.restore(3, &Scope::Database, then);
    assert_eq!(fields(&rig), [0, 0, 0]);
}

#[test]
fn the_database_is_restored_with_its_definitions_first_and_without_tags() {
    let mut rig = Rig::default();
    let definition = Target::new("_collections", "films");
    let own = Target::new("_other", "1");
    let then = rig.change(1, &definition, [create(json!({"schema": 1}))]).time;
    rig.change(1, &film(1), [create(json!({}))]);
    rig.change(1, &Target::new("Actors", "1"), [create(json!({}))]);
    rig.change(1, &own, [create(json!({}))]);
    rig.change(1, &definition, [Change::Set(path("schema"), json!(2))]);
    tag(&mut rig, 1, "before", then);
    let reader = rig.replica.view.reader();
    let restored: Vec<_> =
        history::restore(&reader, &rig.replica.delivered, &Scope::Database, At::Time(then), Limits::default())
            .map(Result::unwrap)
            .collect();
    assert_eq!(
        restored,
        [Transaction {
            reverts: None,
            operations: vec![
                Operation::Change(definition, Change::Set(path("schema"), json!(1))),
                Operation::Change(Target::new("Actors", "1"), Change::Delete),
                Operation::Change(film(1), Change::Delete),
            ]
        }]
    );
}

#[test]
fn large_documents_are_restored_piece_by_piece() {
    let mut rig = Rig::default();
    let text = |letter: &str| letter.repeat(PACKED_TRANSACTION_BYTES / 3);
    rig.change(1, &film(1), [create(json!({}))]);
    for name in ["map.a", "map.b", "map.c", "map.d"] {
        rig.change(1, &film(1), [Change::Set(path(name), text("x").into())]);
    }
    for letter in ["c", "a", "b", "d"] {
        rig.change(1, &film(2), [create(json!({})), Change::Add(path("s"), text(letter).into())]);
    }
    let then = rig.change(1, &film(3), [create(json!({"small": 1}))]).time;
    let before = rig.visible();
    for number in [1, 2, 3] {
        rig.change(2, &film(number), [Change::Replace(path(""), json!({}))]);
        rig.change(2, &film(number), [Change::Delete]);
    }
    assert!(rig.restore(3, &Scope::Database, then) > 2);
    assert!(rig.visible() == before, "the large documents are back");
}

#[test]
fn a_document_stays_in_one_transaction_if_it_fits_one() {
    let mut rig = Rig::default();
    let names = ["a", "b", "c", "d", "e"];
    let text = "x".repeat(PACKED_TRANSACTION_BYTES / 8);
    let mut then = Time::default();
    for number in 0..3 {
        rig.change(1, &film(number), [create(json!({}))]);
        for name in names {
            then = rig.change(1, &film(number), [Change::Set(path(name), text.clone().into())]).time;
        }
    }
    (0..3).for_each(|number| {
        rig.change(1, &film(number), [Change::Replace(path(""), json!({}))]);
    });
    let reader = rig.replica.view.reader();
    let restored: Vec<_> =
        history::restore(&reader, &rig.replica.delivered, &Scope::Database, At::Time(then), Limits::default())
            .map(Result::unwrap)
            .collect();
    assert_eq!(restored.iter().map(|transaction| transaction.operations.len()).collect::<Vec<_>>(), [5, 5, 5]);
}

#[test]
fn tags_name_times() {
    let mut rig = Rig::default();
    let (one, two) = (Time::from_u64(u64::MAX), Time::new(1_700_000_000_000, 3));
    tag(&mut rig, 1, "one", one);
    tag(&mut rig, 1, "two", one);
    tag(&mut rig, 2, "two", two);
    rig.change(2, &Target::new("_tags", "broken"), [create(json!({"time": "noon"}))]);
    let reader = rig.replica.view.reader();
    let named = |name: &str, time| Tag { name: name.to_owned(), time };
    assert_eq!(history::tags(&reader).unwrap(), [named("one", one), named("two", two)]);
    assert_eq!(history::tagged(&reader, "two").unwrap(), Some(two));
    assert_eq!(history::tagged(&reader, "broken").unwrap(), None);
    rig.change(1, &history::tag_target("one"), [Change::Delete]);
    assert_eq!(history::tags(&rig.replica.view.reader()).unwrap(), [named("two", two)]);
}

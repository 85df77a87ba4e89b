//! Undo and redo after anything at all.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Operation, Path, Stamp, Transaction,
    history::{Error, Scope},
    testing::{
        World,
        drafts::{Draft, apart, path, values},
    },
};

use crate::common::{Rig, Visible, film, without_traces};

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, Draft)>),
    Undo,
    Redo,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => prop::collection::vec((0u8..3, apart()), 1..4).prop_map(Step::Write),
        4 => Just(Step::Undo),
        3 => Just(Step::Redo),
    ];
    prop::collection::vec(step, 1..30)
}

fn shown(rig: &Rig) -> Visible {
    rig.visible().into_iter().map(|(target, fields)| (target, without_traces(&fields))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn undo_and_redo_walk_through_the_states_when_nobody_else_writes(steps in steps()) {
        let mut rig = Rig::default();
        (0..2).for_each(|number| {
            rig.change(9, &film(number), [Draft::Create(json!({"a": {"b": 1}, "n": 1, "s": [0]})).change(&Default::default())]);
        });
        let (mut undos, mut redos) = (Vec::new(), Vec::new());
        for step in steps {
            let before = shown(&rig);
            match step {
                Step::Write(drafts) => {
                    let transaction = rig.draft(&drafts);
                    rig.write(1, &transaction);
                    undos.push(before);
                    redos.clear();
                }
                Step::Undo => match undos.pop() {
                    Some(expected) => {
                        rig.undo(1, &Scope::Database).unwrap();
                        prop_assert_eq!(shown(&rig), expected);
                        redos.push(before);
                    }
                    None => prop_assert!(matches!(rig.undo(1, &Scope::Database), Err(Error::NothingToUndo))),
                },
                Step::Redo => match redos.pop() {
                    Some(expected) => {
                        rig.redo(1, &Scope::Database).unwrap();
                        prop_assert_eq!(shown(&rig), expected);
                        undos.push(before);
                    }
                    None => prop_assert!(matches!(rig.redo(1, &Scope::Database), Err(Error::NothingToRedo))),
                },
            }
        }
    }

    #[test]
    fn what_others_write_stays(steps in prop::collection::vec(foreign_steps(), 1..30)) {
        let mut rig = Rig::default();
        rig.change(9, &film(0), [Draft::Create(json!({"a": {"b": 1}, "n": 1})).change(&Default::default())]);
        // The texts that others have written, each once.
        let mut theirs: BTreeMap<String, (Path, Stamp)> = BTreeMap::new();
        for step in steps {
            let before = rig.replica.document(&film(0));
            let taken_back = match step {
                ForeignStep::Mine(draft) => {
                    let transaction = rig.draft(&[(0, draft)]);
                    rig.write(1, &transaction);
                    continue;
                }
                ForeignStep::Theirs { at, ago } => {
                    let text = format!("theirs {}", theirs.len());
                    let change = Operation::Change(film(0), Change::Set(path(at), json!(text)));
                    let stamp = rig.write_unseen(2, ago, &Transaction { reverts: None, operations: vec![change] });
                    rig.deliver_all();
                    theirs.insert(text, (path(at), stamp));
                    continue;
                }
                ForeignStep::Undo => rig.undo(1, &Scope::Database),
                ForeignStep::Redo => rig.redo(1, &Scope::Database),
            };
            let Ok(taken_back) = taken_back else { continue };
            let after = rig.replica.document(&film(0));
            for (text, (at, stamp)) in &theirs {
                if *stamp > taken_back && at.get(&before.fields) == Some(&json!(text)) {
                    prop_assert_eq!(at.get(&after.fields), Some(&json!(text)), "{} at {}", text, at);
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum ForeignStep {
    Mine(Draft),
    Theirs { at: &'static str, ago: u64 },
    Undo,
    Redo,
}

fn foreign_steps() -> impl Strategy<Value = ForeignStep> {
    let paths = || prop::sample::select(vec!["a", "a.b", "a.b.c", "n", "s", "m"]);
    prop_oneof![
        4 => apart().prop_map(ForeignStep::Mine),
        2 => (paths(), values()).prop_map(|(at, value)| ForeignStep::Mine(Draft::Set(at, value))),
        4 => (paths(), 0u64..60).prop_map(|(at, ago)| ForeignStep::Theirs { at, ago }),
        3 => Just(ForeignStep::Undo),
        2 => Just(ForeignStep::Redo),
    ]
}

/// Undo and redo agree with the others: they are events like all others.
#[test]
fn an_undo_is_the_same_on_every_replica() {
    let mut rig = Rig::default();
    rig.change(2, &film(0), [Draft::Create(json!({"n": 1, "s": [1]})).change(&Default::default())]);
    let transaction =
        rig.draft(&[(0, Draft::Increment("n", 4)), (0, Draft::Add("s", 2)), (0, Draft::Set("a", Value::Null))]);
    rig.write(1, &transaction);
    rig.undo(1, &Scope::Database).unwrap();
    let mut other = rig.rooms.replica(2);
    other.deliver(World::log(1), 2);
    other.settle();
    other.deliver(World::log(2), 1);
    other.settle();
    assert_eq!(other.hash(), rig.replica.hash());
    assert_eq!(rig.fields(&film(0)), json!({"n": 1, "s": [1]}));
}

//! Events of several logs, folded at once and step by step in an order of the input's choice: the documents are the same, and those that the rules
//! say.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use spool_db::{
    Change, Operation, Path, Stamp, Target, Transaction,
    operation::Observed,
    stamp::Dot,
    testing::{NOW, Replica, Rooms, World, oracle},
};
use spool_fuzz::Choices;
use spool_proto::clock::Time;

const LOGS: u8 = 3;
/// Few enough that an input takes a moment.
const MAX_EVENTS: u8 = 24;
const MAX_ACTIONS: u8 = 48;
const PATHS: [&[&str]; 8] = [&["a"], &["a", "b"], &["a", "b", "c"], &["a", "0"], &["n"], &["s"], &["s", "0"], &[]];

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let rooms = Rooms::default();
    let events = choices.below(MAX_EVENTS);
    (0..events).for_each(|_| write(&rooms, &mut choices));
    let (mut at_once, mut by_steps) = (rooms.replica(1), rooms.replica(2));
    let mut actions = 0;
    while !choices.is_empty() && actions < MAX_ACTIONS {
        act(&rooms, [&mut by_steps, &mut at_once], &mut choices);
        actions += 1;
    }
    let logs: Vec<_> = rooms.world().logs().collect();
    for replica in [&mut at_once, &mut by_steps] {
        for (log, length) in &logs {
            replica.deliver(*log, *length);
            (1..=*length).for_each(|counter| replica.set_missing(*log, counter, false));
        }
        let progress = replica.settle();
        assert!(progress.held.is_empty(), "{:?}", progress.held);
        let expected = oracle::documents(&oracle::events(&replica.delivered, NOW));
        assert_eq!(replica.hash(), oracle::hash(&expected));
    }
    assert_eq!(at_once.hash(), by_steps.hash());
});

/// An event at any time, that cites anything.
fn write(rooms: &Rooms, choices: &mut Choices<'_>) {
    let log = World::log(choices.below(LOGS));
    let time = Time::new(NOW - 1_000 + u64::from(choices.below(16)), choices.below(2).into());
    let others: Vec<_> = rooms.world().logs().filter(|(other, _)| *other != log).collect();
    let mut heads = Vec::new();
    for (other, length) in others {
        if choices.below(4) == 3 {
            let counter = length - u64::from(choices.below(4)).min(length - 1);
            heads.push(rooms.world().head(&other, counter));
        }
    }
    let body = match choices.below(8) {
        0 => Bytes::copy_from_slice(choices.bytes()),
        1 => [b"\x84\x68spool/db\x01\xf6", choices.bytes()].concat().into(),
        _ => {
            let operations = (0..=choices.below(4)).map(|_| Operation::Change(target(choices), change(choices)));
            let transaction = Transaction { reverts: None, operations: operations.collect() };
            transaction.encode().unwrap_or_default().into()
        }
    };
    rooms.world().append(log, time, heads, body);
}

/// Something happens to the first replica, or to both where they have to agree about it in the end.
fn act(rooms: &Rooms, [replica, other]: [&mut Replica; 2], choices: &mut Choices<'_>) {
    let log = World::log(choices.below(LOGS));
    let length = rooms.world().logs().find(|(known, _)| *known == log).map_or(0, |(_, length)| length);
    let until = (replica.delivered_of(&log) + u64::from(choices.below(4))).min(length);
    match choices.below(8) {
        0..=2 if until > 0 => replica.deliver(log, until),
        3 => replica.restart(),
        4 => replica.rebuild(),
        5 => {
            let at = u64::from(choices.below(6)) + 1;
            replica.fork(log, at);
            other.fork(log, at);
        }
        6 if replica.delivered_of(&log) < until => replica.set_missing(log, until, true),
        _ => drop(replica.step(NOW)),
    }
}

fn target(choices: &mut Choices<'_>) -> Target {
    match choices.below(8) {
        0 => Target::new("_collections", "things"),
        id => Target::new("things", (id % 2).to_string()),
    }
}

fn path(choices: &mut Choices<'_>) -> Path {
    Path::new(choices.of(&PATHS).iter().copied())
}

fn value(choices: &mut Choices<'_>, depth: u8) -> Value {
    match choices.below(12) {
        0 => Value::Null,
        1 => choices.below(2).into(),
        2 => true.into(),
        3 => (choices.number() as i64).into(),
        4 => choices.number().into(),
        5 => json!(f64::from_bits(choices.number())),
        6 => "x".repeat(usize::from(choices.below(3))).into(),
        // Enough of them, or of the next, makes a document too large.
        7 => "x".repeat(usize::from(choices.below(25)) * 10_000).into(),
        8 => (0..u64::from(choices.below(65)) * 1_000).map(|number| number + 256).collect(),
        9 if depth > 0 => (0..choices.below(4)).map(|_| value(choices, depth - 1)).collect(),
        _ if depth > 0 => Value::Object(fields(choices, depth - 1)),
        _ => json!({"unique": choices.below(2) == 1}),
    }
}

fn fields(choices: &mut Choices<'_>, depth: u8) -> Map<String, Value> {
    let names = ["a", "b", "c", "0", "n", "s", "indexes", "keep_both", "schema", "a.b"];
    (0..choices.below(4)).map(|_| (choices.of(&names).to_owned(), value(choices, depth))).collect()
}

fn dots(choices: &mut Choices<'_>) -> Vec<Dot> {
    let dot = |choices: &mut Choices<'_>| match choices.below(4) {
        0 => Dot::new(&Dot::HERE, choices.below(4).into()),
        _ => {
            let log = *World::log(choices.below(LOGS)).public_key();
            let stamp = Stamp { time: Time::default(), log, counter: u64::from(choices.below(8)) + 1 };
            Dot::new(&stamp, choices.below(4).into())
        }
    };
    (0..choices.below(4)).map(|_| dot(choices)).collect()
}

fn change(choices: &mut Choices<'_>) -> Change {
    const DEPTH: u8 = 3;
    match choices.below(10) {
        0 => Change::Create(fields(choices, DEPTH)),
        1 => Change::Set(path(choices), value(choices, DEPTH)),
        2 => Change::Replace(path(choices), value(choices, DEPTH)),
        3 => Change::Unset(path(choices)),
        4 => {
            let by = value(choices, 0).as_number().cloned();
            Change::Increment(path(choices), by.unwrap_or_else(|| 1.into()))
        }
        5 => Change::Add(path(choices), value(choices, 1)),
        6 => {
            let observed = Observed { dots: dots(choices), plain: choices.below(2) == 1 };
            Change::Remove(path(choices), value(choices, 1), observed)
        }
        7 => Change::Keep(path(choices), value(choices, 1), dots(choices)),
        8 => Change::Delete,
        _ => Change::Undelete,
    }
}

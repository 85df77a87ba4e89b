//! A view held against its events: every damage is found, and where there is none nothing is, whatever arrives meanwhile.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use spool_db::{
    Change, Operation, Path, Target, Transaction,
    collection::Builder,
    database::{Verification, What},
    testing::{NOW, Peer, Rooms, World, body},
};
use spool_proto::clock::Time;
use spool_store::{View, view::Batch};

const SCRATCH: u8 = 200;

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

/// A view with documents, some of them deleted, and indexes.
fn filled() -> (Rooms, Peer) {
    let rooms = Rooms::default();
    let peer = rooms.peer(1);
    let films = Builder::new("films").unwrap().index("year", false).unwrap().index("title", true).unwrap();
    peer.commit(|write| write.define(&films.build())).unwrap();
    for id in 0..30 {
        let fields = map(json!({"year": 1980 + id % 7, "title": id.to_string(), "tags": ["a", id]}));
        peer.commit(|write| write.create(&film(&id.to_string()), fields)).unwrap();
    }
    for id in (0..30).step_by(5) {
        peer.commit(|write| write.set(&film(&id.to_string()), Path::new(["year"]), 2000.into())).unwrap();
    }
    peer.commit(|write| write.delete(&film("3"))).unwrap();
    (rooms, peer)
}

fn verify(rooms: &Rooms, peer: &Peer) -> Verification {
    let scratch = rooms.view(SCRATCH);
    let mut told = Vec::new();
    let verification = peer.database.verify(&scratch, &mut |folded, total| told.push((folded, total))).unwrap();
    let last = told.last().copied().unwrap_or_default();
    assert_eq!(last, (verification.records, verification.records), "told of all of them");
    assert!(entries(&scratch, &[]).is_empty(), "nothing is left behind");
    verification
}

fn entries(view: &View, prefix: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
    let mut found = Vec::new();
    view.reader()
        .scan_prefix(prefix, &mut |key, value| {
            found.push((key.to_vec(), Bytes::copy_from_slice(value)));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn put(view: &View, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(key.to_vec(), Bytes::copy_from_slice(value));
    view.write(batch).unwrap();
}

fn delete(view: &View, key: &[u8]) {
    let mut batch = Batch::default();
    batch.delete(key.to_vec());
    view.write(batch).unwrap();
}

#[test]
fn a_healthy_view_is_found_to_be_so() {
    let (rooms, peer) = filled();
    let verification = verify(&rooms, &peer);
    assert_eq!((verification.found, verification.faults.len()), (0, 0), "{verification:?}");
    assert_eq!((verification.records, verification.documents), (38, 31));
    assert!(verification.entries >= 2 * 29, "{} entries", verification.entries);
    assert_eq!(verification.hash, peer.database.hash().unwrap());
}

/// Damages one key of a room in one way, and expects exactly that to be found; then mends it.
fn damaged(rooms: &Rooms, peer: &Peer, key: &[u8], value: Option<&[u8]>, expected: (What, &str, &str)) {
    let view = rooms.view(1);
    let before = view.reader().get(key).unwrap();
    match value {
        Some(value) => put(&view, key, value),
        None => delete(&view, key),
    }
    let Verification { faults, found, hash, .. } = verify(rooms, peer);
    assert_eq!((found, faults.len()), (1, 1), "{faults:?}");
    assert_eq!((faults[0].what, faults[0].collection.as_str(), faults[0].id.as_str()), expected, "{faults:?}");
    match before {
        Some(before) => put(&view, key, &before),
        None => delete(&view, key),
    }
    assert_eq!(hash, peer.database.hash().unwrap(), "it is the one that the events make");
}

#[test]
fn every_byte_of_a_document_counts() {
    let (rooms, peer) = filled();
    let key = [b"\x01films\x0017".as_slice(), &[0]].concat();
    let value = rooms.view(1).reader().get(&key).unwrap().unwrap();
    // Before that is where it is in the feed of this node.
    for at in (10..value.len()).step_by(7) {
        let mut other = value.to_vec();
        other[at] ^= 1;
        damaged(&rooms, &peer, &key, Some(&other), (What::Document, "films", "17"));
    }
    damaged(&rooms, &peer, &key, Some(&[]), (What::Document, "films", "17"));
    damaged(&rooms, &peer, &key, None, (What::Document, "films", "17"));
    damaged(&rooms, &peer, b"\x01films\x00new\x00", Some(&value), (What::Document, "films", "new"));
}

#[test]
fn histories_counts_and_indexes_count_as_well() {
    let (rooms, peer) = filled();
    let view = rooms.view(1);
    let history = entries(&view, b"\x02films\x005\x00");
    assert_eq!(history.len(), 2);
    damaged(&rooms, &peer, &history[0].0, None, (What::History, "films", "5"));
    let invented = [&history[0].0[..history[0].0.len() - 1], &[99]].concat();
    damaged(&rooms, &peer, &invented, Some(&[]), (What::History, "films", "5"));

    let count = [b"\x07films".as_slice()].concat();
    damaged(&rooms, &peer, &count, Some(&28u64.to_be_bytes()), (What::Count, "films", ""));
    damaged(&rooms, &peer, &count, None, (What::Count, "films", ""));
    damaged(&rooms, &peer, b"\x07people", Some(&1u64.to_be_bytes()), (What::Count, "people", ""));

    let index = entries(&view, b"\x06films\x00");
    let (key, value) = index.iter().find(|(key, _)| key.ends_with(b"17")).unwrap();
    damaged(&rooms, &peer, key, None, (What::Entry, "films", "17"));
    let other = [&key[..key.len() - 2], b"99"].concat();
    damaged(&rooms, &peer, &other, Some(value), (What::Entry, "films", "99"));
    // An entry of a document that is deleted.
    let deleted = [&key[..key.len() - 2], b"3"].concat();
    damaged(&rooms, &peer, &deleted, Some(&[1]), (What::Entry, "films", "3"));

    let state = b"\x08films\x00year";
    damaged(&rooms, &peer, state, Some(&[0, 1]), (What::Index, "films", ""));
    damaged(&rooms, &peer, state, Some(&[9, 9]), (What::Index, "films", ""));
    damaged(&rooms, &peer, b"\x08films\x00length", Some(&[0, 0]), (What::Index, "films", ""));
}

#[test]
fn more_faults_than_are_listed_are_counted() {
    let (rooms, peer) = filled();
    let view = rooms.view(1);
    for number in 0..500u64 {
        put(&view, &[b"\x01films\x00z".as_slice(), number.to_string().as_bytes(), &[0]].concat(), b"nonsense");
    }
    let verification = verify(&rooms, &peer);
    assert_eq!((verification.found, verification.faults.len()), (500, spool_db::limits::MAX_FAULTS));
}

fn create(id: u64) -> Bytes {
    let change = Change::Create(map(json!({"year": id % 9, "title": id.to_string()})));
    body(&Transaction { reverts: None, operations: vec![Operation::Change(film(&id.to_string()), change)] })
}

/// Others write, bodies come late, one log turns out to be forked, one has events that cite later ones: all while the view is verified, over and over.
#[test]
fn nothing_is_found_wrong_while_a_view_moves_on() {
    let (rooms, peer) = filled();
    let (honest, late, forked, liar) = (World::log(11), World::log(12), World::log(13), World::log(14));
    let time = |n: u64| Time::after(Time::default(), NOW - 500_000 + n);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..400u64 {
                let mut world = rooms.world();
                let on_time = world.append(honest, time(10 * n), Vec::new(), create(10_000 + n % 50));
                let bodiless = world.append(late, time(10 * n + 1), Vec::new(), create(20_000 + n % 50));
                let doubtful = world.append(forked, time(10 * n + 2), Vec::new(), create(30_000 + n % 50));
                // Cites what is later than itself, which is delivered before or after it.
                let cited = world.head(&honest, on_time);
                let lie = world.append(liar, time((10 * n).saturating_sub(5)), vec![cited], create(40_000 + n % 50));
                drop(world);
                let has = &peer.local.delivered;
                has.set_missing(late, bodiless, true);
                has.deliver(late, bodiless);
                if n % 2 == 0 {
                    has.deliver(liar, lie);
                    peer.database.step(NOW, false).unwrap();
                }
                has.deliver(honest, on_time);
                has.deliver(liar, lie);
                has.deliver(forked, doubtful);
                if n % 3 == 0 {
                    has.set_missing(late, bodiless / 2 + 1, false);
                }
                if n % 100 == 99 {
                    has.fork(forked, 150 - n / 4);
                }
                peer.database.step(NOW, n % 5 == 0).unwrap();
            }
            ended.store(true, Ordering::Relaxed);
        });
        let mut rounds = 0;
        while !ended.load(Ordering::Relaxed) || rounds < 3 {
            let verification = verify(&rooms, &peer);
            assert_eq!(verification.found, 0, "round {rounds}: {:?}", verification.faults);
            rounds += 1;
        }
    });
    peer.settle();
    assert_eq!(verify(&rooms, &peer).faults, []);
}

/// An event that cites a later one that is here but held back has no effect, though that one is not folded. Afresh it is not known: it must not be missed.
#[test]
fn what_is_void_because_of_something_that_is_held_back_is_not_missed() {
    let (rooms, peer) = filled();
    let (future, liar) = (World::log(11), World::log(12));
    let mut world = rooms.world();
    world.append(future, Time::new(NOW + 3_600_000, 0), Vec::new(), create(50));
    let cited = world.head(&future, 1);
    world.append(liar, Time::new(NOW - 10, 0), vec![cited], create(60));
    world.append(liar, Time::new(NOW - 9, 0), Vec::new(), create(61));
    drop(world);
    peer.catch_up();
    assert!(peer.get(&film("60")).is_none() && peer.get(&film("61")).is_some());
    assert_eq!(verify(&rooms, &peer).faults, []);
}

#[test]
fn an_index_that_is_being_built_is_no_fault() {
    let (rooms, peer) = filled();
    let films = Builder::new("films").unwrap().index("tags", false).unwrap();
    peer.database.write(None, |write| write.define(&films.build()), Box::new(|_| {})).unwrap();
    peer.local.append_queued();
    loop {
        let more = peer.database.step(NOW, true).unwrap().more;
        assert_eq!(verify(&rooms, &peer).faults, []);
        if !more {
            break;
        }
    }
}

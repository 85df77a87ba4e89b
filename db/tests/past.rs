//! A database as it was, and ways back there.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use spool_db::{
    Limits, Path, Target,
    collection::Builder,
    database::{Receipt, Restored},
    history::{At, Error as HistoryError, Order, Page, Scope, Tag},
    limits::RESTORE_IN_FLIGHT,
    query::{self, Error as QueryError, Options, Query},
    testing::{NOW, Peer, Rooms},
    transaction::{Error, Kind, Write},
};
use spool_proto::clock::Time;

#[path = "query/random.rs"]
mod random;

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn films() -> Builder {
    Builder::new("films").unwrap()
}

fn peer(definition: Builder) -> Peer {
    let peer = Rooms::default().peer(1);
    peer.commit(|write| write.define(&definition.build())).unwrap();
    peer
}

fn set(peer: &Peer, id: &str, field: &str, value: impl Into<Value>) {
    let value = value.into();
    peer.commit(|write| {
        let mut fields = Map::new();
        fields.insert(field.to_owned(), value);
        if write.exists(&film(id))? { write.merge(&film(id), fields) } else { write.create(&film(id), fields) }
    })
    .unwrap();
}

type Answer = Result<Vec<query::Document>, String>;

fn answer(result: Result<Vec<query::Document>, Error>) -> Answer {
    result.map_err(|error| match error {
        Error::Query { source: QueryError::After { id }, .. } => id,
        other => panic!("{other}"),
    })
}

/// A few documents that are saved or, without fields, deleted.
type Round = BTreeMap<String, Option<Map<String, Value>>>;

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let round =
        proptest::collection::btree_map(random::id(), proptest::option::weighted(0.7, random::document()), 1..8);
    proptest::collection::vec(round, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What is asked of the past is what the present said then, with whatever plan it had.
    #[test]
    fn the_past_answers_as_the_present_did(
        rounds in rounds(),
        queries in proptest::collection::vec(random::query(), 1..6),
        indexes: bool,
    ) {
        let definition = if indexes {
            random::INDEXES.iter().fold(films(), |builder, path| builder.index(path, false).unwrap())
        } else {
            films()
        };
        let peer = peer(definition);
        let ask = |query: &Query| peer.database.read(|read| read.find("films", query.clone(), Options::default()));
        let mut then = Vec::new();
        for round in rounds {
            peer.commit(|write| {
                round.into_iter().try_for_each(|(id, fields)| match fields {
                    Some(fields) => write.save(&film(&id), fields),
                    None if write.exists(&film(&id))? => write.delete(&film(&id)),
                    None => Ok(()),
                })
            })
            .unwrap();
            then.push((peer.database.now(), queries.iter().map(|query| answer(ask(query))).collect::<Vec<Answer>>()));
        }
        for (time, answers) in then {
            for (query, expected) in queries.iter().zip(answers) {
                let options = Options::default();
                let found = answer(peer.database.find_at("films", query.clone(), options, time));
                prop_assert_eq!(&found, &expected, "{:?} at {:?}", query, time);
                if let Ok(expected) = expected {
                    let mut each = Vec::new();
                    let mut visit = |document| {
                        each.push(document);
                        ControlFlow::Continue(())
                    };
                    peer.database.find_each_at("films", query.clone(), options, time, &mut visit).unwrap();
                    prop_assert_eq!(each, expected);
                }
            }
        }
    }
}

#[test]
fn the_past_has_the_limits_of_the_present() {
    let peer = Rooms::default().peer_within(1, Limits { query_memory: 1_000, ..Limits::default() });
    peer.commit(|write| write.define(&films().build())).unwrap();
    peer.commit(|write| (0..200).try_for_each(|id| write.create(&film(&id.to_string()), Map::new()))).unwrap();
    let (database, now) = (&peer.database, peer.database.now());
    let options = Options { memory: usize::MAX };
    let error = database.find_at("films", Query::default(), options, now).unwrap_err();
    assert_eq!(error.reason(), "query-memory");
    // One by one there may be any number.
    let mut count = 0;
    let mut visit = |_| {
        count += 1;
        if count == 150 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    database.find_each_at("films", Query::default(), options, now, &mut visit).unwrap();
    assert_eq!(count, 150);
    let index = Query { index: Some("year".to_owned()), ..Query::default() };
    assert_eq!(database.find_at("films", index.clone(), options, now).unwrap_err().reason(), "index-of-the-past");
    assert_eq!(database.plan_at("films", index, now).unwrap_err().reason(), "index-of-the-past");
}

#[test]
fn versions_of_a_document_are_read_through_the_database() {
    let peer = peer(films());
    (0..5).for_each(|n| set(&peer, "1", "n", n));
    let page = Page { order: Order::NewestFirst, after: None, count: 3, bytes: usize::MAX };
    let versions = peer.database.versions(&film("1"), page).unwrap();
    assert_eq!(versions.len(), 3);
    for (version, n) in versions.iter().zip([4, 3, 2]) {
        let document = peer.database.document_at(&film("1"), At::Version(version.id)).unwrap().unwrap();
        assert_eq!(document.fields["n"], n);
        let by_time = peer.database.document_at(&film("1"), At::Time(version.stamp.time)).unwrap();
        assert_eq!(by_time, Some(document));
    }
    assert_eq!(peer.database.document_at(&film("1"), At::Time(Time::default())).unwrap(), None);
}

fn revert(peer: &Peer, redo: bool, scope: &Scope) -> Result<spool_db::database::Reverted, Error> {
    let done =
        Box::new(|result: Result<Option<Receipt>, Error>| assert!(result.unwrap().is_some(), "there is an event"));
    let reverted = if redo { peer.database.redo(scope, done) } else { peer.database.undo(scope, done) }?;
    peer.push();
    Ok(reverted)
}

#[test]
fn own_changes_are_taken_back_one_by_one_and_made_again() {
    let rooms = Rooms::default();
    let (one, two) = (rooms.peer(1), rooms.peer(2));
    let error = one.database.undo(&Scope::Database, Box::new(|_| {})).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, "nothing-to-undo"), "it has no log yet");
    one.commit(|write| write.define(&films().build())).unwrap();
    (0..3).for_each(|n| set(&one, "1", "n", n));
    two.catch_up();
    set(&two, "1", "m", 1);
    one.catch_up();
    let reverted = revert(&one, false, &Scope::Database).unwrap();
    assert_eq!((reverted.counter, reverted.documents), (4, vec![film("1")]));
    assert_eq!(one.fields(&film("1")), json!({"n": 1, "m": 1}));
    assert_eq!(revert(&one, false, &Scope::Collection("films".to_owned())).unwrap().counter, 3);
    assert_eq!(one.fields(&film("1")), json!({"n": 0, "m": 1}));
    assert_eq!(revert(&one, true, &Scope::Document(film("1"))).unwrap().counter, 6);
    assert_eq!(one.fields(&film("1")), json!({"n": 1, "m": 1}));
    let error = revert(&one, false, &Scope::Document(film("2"))).unwrap_err();
    assert!(matches!(error, Error::Revert(HistoryError::NothingToUndo)));
    two.catch_up();
    assert_eq!(two.database.hash().unwrap(), one.database.hash().unwrap());
}

/// Two that are found at once would take back the same; and so would one whose transaction is on its way while nothing is left of what it takes back.
#[test]
fn the_same_is_not_taken_back_twice() {
    let rooms = Rooms::default();
    let (one, two) = (rooms.peer(1), rooms.peer(2));
    one.commit(|write| write.define(&films().build())).unwrap();
    set(&one, "1", "n", 1);
    set(&one, "1", "n", 2);
    two.catch_up();
    set(&two, "1", "n", 3);
    one.catch_up();
    // Somebody has written since: nothing is left to take back, and that is remembered.
    let first = one.database.undo(&Scope::Database, Box::new(|_| {})).unwrap();
    assert_eq!((first.counter, first.documents), (3, Vec::new()));
    let second = one.database.undo(&Scope::Database, Box::new(|_| {}));
    assert!(matches!(second, Err(Error::Conflict(_))), "{second:?}");
    one.push();
    assert_eq!(one.database.undo(&Scope::Database, Box::new(|_| {})).unwrap().counter, 2);
}

#[test]
fn an_undo_conflicts_as_every_transaction_does() {
    let one = peer(films().index("title", true).unwrap());
    set(&one, "1", "title", "Brazil");
    one.database.write(None, |write| write.set(&film("1"), Path::new(["n"]), 1.into()), Box::new(|_| {})).unwrap();
    let error = one.database.undo(&Scope::Database, Box::new(|_| {})).unwrap_err();
    assert!(matches!(&error, Error::Conflict(target) if *target == film("1")), "{error}");
    one.push();
    // What it brings back is held against the definition of today.
    set(&one, "1", "title", "Ran");
    set(&one, "2", "title", "Brazil");
    let titles = Scope::Document(film("1"));
    let error = one.database.undo(&titles, Box::new(|_| {})).unwrap_err();
    assert!(matches!(error, Error::Duplicate { .. }), "{error}");
}

#[test]
fn a_transaction_that_has_defined_its_collection_is_taken_back_as_a_whole() {
    let one = Rooms::default().peer(1);
    one.commit(|write| {
        write.define(&films().build())?;
        write.create(&film("1"), map(json!({"n": 1})))
    })
    .unwrap();
    let reverted = revert(&one, false, &Scope::Database).unwrap();
    assert_eq!(reverted.documents, [Target::new("_collections", "films"), film("1")]);
    assert_eq!(one.fields(&film("1")), Value::Null);
    revert(&one, true, &Scope::Database).unwrap();
    assert_eq!(one.fields(&film("1")), json!({"n": 1}));
}

#[test]
fn tags_are_set_moved_and_removed() {
    let one = peer(films());
    let (first, database) = (one.database.now(), &one.database);
    let done = || Box::new(|result: Result<Option<Receipt>, Error>| assert!(result.unwrap().is_some()));
    database.set_tag("start", first, done()).unwrap();
    one.push();
    assert_eq!(database.tags().unwrap(), [Tag { name: "start".to_owned(), time: first }]);
    let later = database.now();
    assert!(later > first);
    database.set_tag("start", later, done()).unwrap();
    one.push();
    assert_eq!(database.tagged("start").unwrap(), Some(later));
    let error = database.remove_tag("end", done()).unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::NotFound, "tag-not-found"));
    database.remove_tag("start", done()).unwrap();
    one.push();
    assert_eq!((database.tagged("start").unwrap(), database.tags().unwrap()), (None, Vec::new()));
    assert_eq!(database.set_tag("", later, done()).unwrap_err().reason(), "document-id");
}

/// Folds in the background what is committed, with something that somebody else does each time.
fn folding<T>(peer: &Peer, mut each: impl FnMut() + Send, act: impl FnOnce() -> T) -> T {
    let (database, local, end) = (peer.database.clone(), peer.local.clone(), Arc::new(AtomicBool::new(false)));
    std::thread::scope(|scope| {
        let ended = end.clone();
        scope.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if local.append_queued() > 0 {
                    each();
                }
                while database.step(NOW, true).unwrap().more {}
                std::thread::yield_now();
            }
        });
        // Also if `act` panics, or nobody would ever know.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        end.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Many documents, changed and some of them deleted since; and the time before that.
fn changed(peer: &Peer, count: u64) -> Time {
    let ids = || (0..count).map(|id| film(&format!("{id:05}")));
    peer.commit(|write| ids().try_for_each(|target| write.create(&target, map(json!({"n": 0, "m": 0}))))).unwrap();
    let then = peer.database.now();
    peer.commit(|write| ids().try_for_each(|target| write.set(&target, Path::new(["n"]), 1.into()))).unwrap();
    peer.commit(|write| ids().step_by(3).try_for_each(|target| write.delete(&target))).unwrap();
    then
}

#[test]
fn a_restore_takes_as_many_transactions_as_it_needs_and_tells_of_them() {
    let peer = Rooms::default().peer_within(1, Limits { transaction_operations: 100, ..Limits::default() });
    peer.commit(|write| write.define(&films().build())).unwrap();
    for page in 0..20 {
        let ids = (0..50).map(|id| film(&format!("{page:02}{id:02}")));
        peer.commit(|write| ids.clone().try_for_each(|target| write.create(&target, map(json!({"n": 0}))))).unwrap();
    }
    let (then, before) = (peer.database.now(), peer.database.hash().unwrap());
    for page in 0..20 {
        let ids = (0..50).map(|id| film(&format!("{page:02}{id:02}")));
        peer.commit(|write| ids.clone().try_for_each(|target| write.set(&target, Path::new(["n"]), 1.into()))).unwrap();
    }
    let mut steps = Vec::new();
    let mut told = |documents, transactions| {
        steps.push((documents, transactions));
        ControlFlow::Continue(())
    };
    let restored =
        folding(&peer, || {}, || peer.database.restore(&Scope::Database, At::Time(then), &mut told)).unwrap();
    assert_eq!(restored, Restored { documents: 1_000, transactions: 10, complete: true });
    assert_eq!(steps, (1..=10).map(|n| (100 * n, n)).collect::<Vec<_>>());
    let all = peer.database.read(|read| read.find("films", Query::default(), Options::default())).unwrap();
    assert!(all.len() == 1_000 && all.iter().all(|film| film.fields["n"] == 0));
    assert_ne!(peer.database.hash().unwrap(), before, "history is not rewritten");
    let again = folding(&peer, || {}, || peer.database.restore(&Scope::Database, At::Time(then), &mut go_on)).unwrap();
    assert_eq!(again, Restored { documents: 0, transactions: 0, complete: true });
}

#[test]
fn a_restore_can_be_stopped() {
    let rooms = Rooms::default();
    let (writer, peer) =
        (rooms.peer(2), rooms.peer_within(1, Limits { transaction_operations: 10, ..Limits::default() }));
    writer.commit(|write| write.define(&films().build())).unwrap();
    let then = changed(&writer, 1_000);
    peer.catch_up();
    let mut told = |_, transactions| if transactions == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let restore = || peer.database.restore(&Scope::Database, At::Time(then), &mut told);
    let restored = folding(&peer, || {}, restore).unwrap();
    // What was on its way is waited for.
    assert!(!restored.complete && (3..=3 + RESTORE_IN_FLIGHT as u64).contains(&restored.transactions), "{restored:?}");
    let changed = peer.database.folded().1 - writer.database.folded().1;
    assert_eq!(restored.transactions, changed, "nothing comes after the end");
}

/// Another writer of the same node changes documents while they are brought back.
#[test]
fn what_is_written_meanwhile_is_read_again() {
    let peer = peer(films());
    let then = changed(&peer, 2_000);
    let (database, mut left) = (peer.database.clone(), 3u32);
    let meddle = || {
        if left > 0 {
            left -= 1;
            for id in ["00000", "00001", "01999"] {
                let write = |write: &mut Write<'_>| {
                    if write.exists(&film(id))? { write.set(&film(id), Path::new(["m"]), 7.into()) } else { Ok(()) }
                };
                let _ = database.write(None, write, Box::new(|_| {}));
            }
        }
    };
    // The first of them is under way before anything is brought back.
    database.write(None, |write| write.set(&film("01999"), Path::new(["m"]), 7.into()), Box::new(|_| {})).unwrap();
    let restored =
        folding(&peer, meddle, || peer.database.restore(&Scope::Database, At::Time(then), &mut go_on)).unwrap();
    assert!(restored.complete && restored.documents >= 2_000, "{restored:?}");
    // Whatever came after it was brought back stays: asked once more, that is all there is to do.
    folding(&peer, || {}, || peer.database.restore(&Scope::Database, At::Time(then), &mut go_on)).unwrap();
    let all = peer.database.read(|read| read.find("films", Query::default(), Options::default())).unwrap();
    assert!(all.len() == 2_000 && all.iter().all(|film| film.fields["n"] == 0 && film.fields["m"] == 0));
}

#[test]
fn a_restore_gives_up_where_somebody_never_stops() {
    let peer = peer(films());
    set(&peer, "1", "n", 0);
    let then = peer.database.now();
    set(&peer, "1", "n", 1);
    // On its way for good: nobody folds.
    peer.database.write(None, |write| write.set(&film("1"), Path::new(["n"]), 2.into()), Box::new(|_| {})).unwrap();
    let error = peer.database.restore(&Scope::Database, At::Time(then), &mut go_on).unwrap_err();
    assert!(matches!(&error, Error::Conflict(target) if *target == film("1")), "{error}");
}

#[test]
fn one_document_goes_back_to_a_version() {
    let peer = peer(films());
    (0..5).for_each(|n| set(&peer, "1", "n", n));
    let page = Page { order: Order::NewestFirst, after: None, count: 10, bytes: usize::MAX };
    let version = peer.database.versions(&film("1"), page).unwrap()[3].id;
    let one = Scope::Document(film("1"));
    let restore = |scope: &Scope, at| folding(&peer, || {}, || peer.database.restore(scope, at, &mut go_on));
    assert_eq!(restore(&one, At::Version(version)).unwrap().documents, 1);
    assert_eq!(peer.fields(&film("1")), json!({"n": 1}));
    let error = restore(&Scope::Collection("films".to_owned()), At::Version(version)).unwrap_err();
    assert_eq!(error.reason(), "version-of-many");
    let error = restore(&Scope::Document(film("2")), At::Version(version)).unwrap_err();
    assert_eq!(error.reason(), "version-not-found");
}

/// The whole is brought back with what was defined then, so that what is defined now is nothing to hold it against.
#[test]
fn what_was_before_its_collection_comes_back() {
    let peer = Rooms::default().peer(1);
    peer.commit(|write| write.define(&Builder::new("other").unwrap().build())).unwrap();
    let then = peer.database.now();
    let schema = json!({"type": "object", "required": ["title"]});
    peer.commit(|write| write.define(&films().schema(Some(schema)).unwrap().build())).unwrap();
    set(&peer, "1", "title", "Brazil");
    folding(&peer, || {}, || peer.database.restore(&Scope::Database, At::Time(then), &mut go_on)).unwrap();
    assert_eq!(peer.fields(&film("1")), Value::Null);
    assert_eq!(peer.database.read(|read| read.collections()).unwrap(), ["other"]);
}

#[test]
fn a_restore_ends_with_the_node() {
    let peer = peer(films());
    set(&peer, "1", "n", 0);
    let then = peer.database.now();
    set(&peer, "1", "n", 1);
    let (local, database) = (peer.local.clone(), peer.database.clone());
    let failing = std::thread::spawn(move || {
        while local.fail_queued() == 0 {
            std::thread::yield_now();
        }
    });
    let error = database.restore(&Scope::Database, At::Time(then), &mut go_on).unwrap_err();
    failing.join().unwrap();
    assert_eq!((error.kind(), error.reason()), (Kind::Failed, "append"));
}

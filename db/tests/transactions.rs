//! Transactions of one node: all or nothing, the first to commit wins, and nobody waits for an open one.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use spool_db::{
    Change, Database, Limits, Path, Target,
    collection::Builder,
    database::{Appender, Done, Receipt},
    documents::Kind,
    history::VersionId,
    testing::{Local, NOW, Rooms},
    transaction::{Error, Write},
};
use spool_proto::{IdentityKey, LogId};

struct Rig {
    _rooms: Rooms,
    database: Database,
    local: Local,
}

/// What became of a transaction.
type Outcome = Arc<Mutex<Option<Result<Option<Receipt>, String>>>>;

impl Rig {
    fn new() -> Self {
        let rooms = Rooms::default();
        let (database, local) = rooms.database(1);
        let rig = Self { _rooms: rooms, database, local };
        let films = Builder::new("films").unwrap().build();
        rig.commit(|write| write.define(&films)).unwrap();
        rig
    }

    /// Begins to commit; the event is queued.
    fn begin<T>(&self, write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>) -> (Result<T, Error>, Outcome) {
        let outcome = Outcome::default();
        let told = outcome.clone();
        let done = Box::new(move |result: Result<_, Error>| {
            let earlier = told.lock().unwrap().replace(result.map_err(|error| error.to_string()));
            assert!(earlier.is_none(), "told twice");
        });
        (self.database.write(None, write, done), outcome)
    }

    fn step(&self) {
        while self.database.step(NOW, true).unwrap().more {}
    }

    /// Commits, and waits until the effect can be read.
    fn commit<T>(&self, write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let (result, outcome) = self.begin(write);
        let result = result?;
        self.local.append_queued();
        self.step();
        assert!(matches!(*outcome.lock().unwrap(), Some(Ok(_))), "the transaction is through");
        Ok(result)
    }

    fn get(&self, target: &Target) -> Option<Map<String, Value>> {
        self.database.read(|read| read.get(target)).unwrap()
    }

    fn version(&self, target: &Target) -> VersionId {
        self.database.read(|read| read.document(target)).unwrap().version()
    }
}

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn told(outcome: &Outcome) -> bool {
    outcome.lock().unwrap().is_some()
}

#[test]
fn a_transaction_shows_when_its_event_is_folded_and_not_before() {
    let rig = Rig::new();
    let (result, outcome) = rig.begin(|write| write.create(&film("1"), map(json!({"title": "Brazil"}))));
    result.unwrap();
    rig.step();
    assert!(rig.get(&film("1")).is_none());
    assert_eq!(rig.local.append_queued(), 1);
    assert!(!told(&outcome), "appended is not folded");
    rig.step();
    assert!(told(&outcome));
    let film = rig.get(&film("1")).unwrap();
    assert_eq!((&film["title"], &film["_id"]), (&json!("Brazil"), &json!("1")));
    assert!(film["_mod"].as_u64().unwrap() > 1_000_000 * (NOW - 10_000));
}

#[test]
fn a_transaction_sees_its_own_writes_and_one_that_fails_leaves_no_trace() {
    let rig = Rig::new();
    let before = rig.database.hash().unwrap();
    let error = rig.commit(|write| {
        write.create(&film("1"), map(json!({"n": 1})))?;
        write.increment(&film("1"), path("n"), 2.into())?;
        write.add(&film("1"), path("tags"), "x".into())?;
        write.remove(&film("1"), path("tags"), "x".into())?;
        let seen = write.get(&film("1"))?.unwrap();
        assert_eq!((&seen["n"], &seen["tags"]), (&json!(3), &json!([])));
        write.update(&film("2"), [Change::Delete])
    });
    assert!(matches!(error, Err(Error::NotFound(target)) if target == film("2")));
    rig.step();
    assert_eq!((rig.local.append_queued(), rig.database.hash().unwrap()), (0, before));
}

#[test]
fn what_was_added_in_the_same_transaction_can_be_removed_in_it() {
    let rig = Rig::new();
    rig.commit(|write| {
        write.create(&film("1"), map(json!({"tags": []})))?;
        write.add(&film("1"), path("tags"), "x".into())?;
        write.add(&film("1"), path("tags"), "y".into())?;
        write.remove(&film("1"), path("tags"), "x".into())
    })
    .unwrap();
    assert_eq!(rig.get(&film("1")).unwrap()["tags"], json!(["y"]));
    rig.commit(|write| write.remove(&film("1"), path("tags"), "y".into())).unwrap();
    assert_eq!(rig.get(&film("1")).unwrap()["tags"], json!([]));
}

#[test]
fn the_first_to_commit_wins_and_the_other_may_try_again() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), map(json!({"n": 1})))).unwrap();
    let double = |write: &mut Write<'_>| {
        let n = write.get(&film("1"))?.unwrap()["n"].as_i64().unwrap();
        write.set(&film("1"), path("n"), (2 * n).into())
    };
    // The other commits while this one is open; then its event is on its way, then it is there.
    let error = rig.commit(|write| {
        double(write)?;
        rig.commit(double)
    });
    assert!(matches!(&error, Err(error @ Error::Conflict(_)) if error.is_retryable()), "{error:?}");
    let (first, _) = rig.begin(double);
    first.unwrap();
    let (second, outcome) = rig.begin(double);
    assert!(matches!(second, Err(Error::Conflict(_))));
    assert!(!told(&outcome), "the error was returned, and nothing else is told");
    rig.local.append_queued();
    rig.step();
    rig.commit(double).unwrap();
    assert_eq!(rig.get(&film("1")).unwrap()["n"], 8);
}

#[test]
fn increments_do_not_get_in_each_others_way() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), map(json!({"n": 0})))).unwrap();
    let outcomes: Vec<_> = (0..10)
        .map(|_| {
            let (result, outcome) = rig.begin(|write| write.increment(&film("1"), path("n"), 1.into()));
            result.unwrap();
            outcome
        })
        .collect();
    rig.local.append_queued();
    rig.step();
    assert!(outcomes.iter().all(told));
    assert_eq!(rig.get(&film("1")).unwrap()["n"], 10);
}

#[test]
fn two_cannot_create_the_same_document() {
    let rig = Rig::new();
    let create = |write: &mut Write<'_>| write.create(&film("1"), Map::new());
    rig.begin(create).0.unwrap();
    assert!(matches!(rig.begin(create).0, Err(Error::Conflict(_))));
    rig.local.append_queued();
    rig.step();
    assert!(matches!(rig.begin(create).0, Err(Error::Exists(_))));
}

#[test]
fn a_stale_version_is_answered_with_the_current_one() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), map(json!({"n": 1})))).unwrap();
    let old = rig.version(&film("1"));
    let change = |version: VersionId| {
        rig.commit(|write| {
            write.expect(&film("1"), version)?;
            write.set(&film("1"), path("n"), 2.into())
        })
    };
    change(old).unwrap();
    let now = rig.version(&film("1"));
    assert!(matches!(change(old), Err(Error::Stale { current, .. }) if current == now));
    change(now).unwrap();
}

#[test]
fn events_of_others_are_folded_while_a_transaction_is_open() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), Map::new())).unwrap();
    let seen = rig.database.read(|open| {
        rig.commit(|write| write.create(&film("2"), Map::new())).unwrap();
        assert!(rig.get(&film("2")).is_some());
        open.get(&film("2")).unwrap()
    });
    assert!(seen.is_none(), "a snapshot stays as it is");
}

#[test]
fn an_event_that_cannot_be_appended_leaves_nothing_behind() {
    let rig = Rig::new();
    let (result, outcome) = rig.begin(|write| write.create(&film("1"), Map::new()));
    result.unwrap();
    rig.local.fail_queued();
    assert!(matches!(&*outcome.lock().unwrap(), Some(Err(error)) if error == "append the event"));
    rig.commit(|write| write.create(&film("1"), Map::new())).unwrap();
}

#[test]
fn a_transaction_of_nothing_is_no_event() {
    let rig = Rig::new();
    let (result, outcome) = rig.begin(|write| write.get(&film("1")));
    assert!(result.unwrap().is_none());
    assert!(matches!(*outcome.lock().unwrap(), Some(Ok(None))));
    assert_eq!(rig.local.append_queued(), 0);
}

#[test]
fn changes_can_be_followed_from_any_position() {
    let rig = Rig::new();
    let start = rig.database.position();
    rig.commit(|write| write.create(&film("1"), map(json!({"n": 1})))).unwrap();
    rig.commit(|write| write.set(&film("1"), path("n"), 2.into())).unwrap();
    rig.commit(|write| write.create(&film("2"), Map::new())).unwrap();
    rig.commit(|write| write.delete(&film("1"))).unwrap();
    let short = |database: &Database, after: u64| {
        let changes = database.changes(after, 100).unwrap();
        let items: Vec<_> = changes.items.into_iter().map(|change| (change.target.id, change.kind)).collect();
        (items, changes.lagged)
    };
    let all = [("1", Kind::Create), ("1", Kind::Save), ("2", Kind::Create), ("1", Kind::Delete)];
    let all = all.map(|(id, kind)| (id.to_owned(), kind));
    assert_eq!(short(&rig.database, start), (all.to_vec(), false));
    assert_eq!(short(&rig.database, start + 2), (all[2..].to_vec(), false));
    let (what_is_there, lagged) = short(&rig.database, 0);
    assert_eq!((&what_is_there[1..], lagged), (&all[2..], true), "and the definition");
    let two = rig.database.changes(start, 2).unwrap();
    assert_eq!((two.items.len(), two.position), (2, start + 2));

    // After a restart only the last change of each document is known.
    let (again, _) = rig._rooms.database(1);
    assert_eq!(short(&again, start), (all[2..].to_vec(), true));
    assert_eq!(again.position(), rig.database.position());
}

/// A power cut takes what was folded last, and with it positions that were told already. Given out once more, for other changes, they hid these from whoever had them.
#[test]
fn positions_are_beyond_all_that_were_given_out_before_the_start() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), Map::new())).unwrap();
    let at_start = NOW << 20;
    let changes = rig.database.changes(0, 10).unwrap();
    assert!(!changes.items.is_empty() && changes.items.iter().all(|change| change.position > at_start));
    // Whoever has an earlier one is given all of it; from the start itself, nothing is left out.
    assert_eq!(rig.database.changes(at_start - 1, 10).unwrap().items, changes.items);
    assert!(!rig.database.changes(at_start, 10).unwrap().lagged);
}

/// A writer whose node was started a second later.
struct Later(Local);

impl Appender for Later {
    fn now_millis(&self) -> u64 {
        self.0.now_millis() + 1_000
    }

    fn random(&self) -> [u8; 10] {
        self.0.random()
    }

    fn own_log(&self) -> Option<LogId> {
        self.0.own_log()
    }

    fn append(&self, client: Option<IdentityKey>, body: Vec<u8>, done: Done) {
        self.0.append(client, body, done);
    }
}

/// Positions go on at another place after a restart, and whoever had all that there was before was told that it might have missed something in between.
#[test]
fn whoever_has_all_before_a_restart_misses_nothing_by_it() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), Map::new())).unwrap();
    let before = rig.database.position();
    let source = Arc::new(rig.local.delivered.clone());
    let later = Box::new(Later(rig.local.clone()));
    let again = Database::open(rig._rooms.view(1), source, later, Limits::default(), None).unwrap();
    assert!(again.position() > before);
    for change in 0..2 {
        let set = |write: &mut Write<'_>| write.set(&film("1"), path("n"), change.into());
        again.write(None, set, Box::new(|_| {})).unwrap();
        rig.local.append_queued();
        while again.step(NOW, true).unwrap().more {}
    }
    let changes = again.changes(before, 10).unwrap();
    assert_eq!((changes.items.len(), changes.lagged), (2, false), "each of them");
    assert!(again.changes(before - 1, 10).unwrap().lagged, "the film was created before the restart");
}

#[test]
fn positions_go_on_after_a_rebuild() {
    let rig = Rig::new();
    rig.commit(|write| write.create(&film("1"), Map::new())).unwrap();
    let (position, hash) = (rig.database.position(), rig.database.hash().unwrap());
    rig.database.rebuild().unwrap();
    rig.step();
    assert_eq!(rig.database.hash().unwrap(), hash);
    let changes = rig.database.changes(position, 10).unwrap();
    assert_eq!((changes.items.len(), changes.position), (2, position + 2), "the definition and the film");
}

#[test]
fn an_event_may_be_folded_before_its_writer_is_told_that_it_is_appended() {
    let rig = Rig::new();
    let (result, outcome) = rig.begin(|write| write.create(&film("1"), Map::new()));
    result.unwrap();
    rig.local.append_queued_before_telling(|| rig.step());
    assert!(rig.get(&film("1")).is_some());
    assert!(told(&outcome), "nothing more will be folded");
}

//! An older program does not know some operations. It skips them, and a newer one that opens its view folds everything anew.

use std::sync::Arc;

use serde_json::{Map, json};
use spool_db::{
    Change, Operation, Path, Target, Transaction,
    documents::{self, Documents},
    projector::{self, Projector},
    source::{self, Body, Event, Page, Record, Source},
    testing::{NOW, Rooms, World, body},
};
use spool_proto::{LogId, clock::Time, event::CitedHead, owner::Author};
use spool_store::View;

/// Kind 4, which adds to a number.
const INCREMENT: u8 = 4;
/// A kind that nobody knows.
const UNKNOWN: u8 = 23;

/// Reads as a program that knows no increments: to it they are of some kind that it has never heard of.
struct Older<S>(S);

impl<S: Source> Source for Older<S> {
    fn logs(&self) -> Result<Vec<(LogId, u64)>, source::Error> {
        self.0.logs()
    }

    fn fork(&self, log: &LogId) -> Result<Option<u64>, source::Error> {
        self.0.fork(log)
    }

    fn records(&self, log: &LogId, after: u64, until: u64, page: Page) -> Result<Vec<Record>, source::Error> {
        let mut records = self.0.records(log, after, until, page)?;
        for record in &mut records {
            if let Event::Open { body: Body::Here(body), .. } = &mut record.event {
                // An operation of five parts that begins with the kind and the name of the collection.
                let known = [&[0x85, INCREMENT, 0x65][..], b"films"].concat();
                let mut bytes = body.to_vec();
                while let Some(at) = bytes.windows(known.len()).position(|window| window == known) {
                    bytes[at + 1] = UNKNOWN;
                }
                *body = bytes.into();
            }
        }
        Ok(records)
    }

    fn time_of(&self, head: &CitedHead) -> Result<Option<Time>, source::Error> {
        self.0.time_of(head)
    }

    fn author(&self, log: &LogId) -> Result<Option<Author>, source::Error> {
        self.0.author(log)
    }
}

fn settle(projector: &mut Projector<Documents>) {
    while projector.step(NOW, true).expect("the batch is folded").more {}
}

fn hash(view: &View) -> [u8; 32] {
    documents::hash(&view.reader()).expect("the view can be read")
}

#[test]
fn what_an_older_program_has_skipped_is_applied_after_an_upgrade() {
    let rooms = Rooms::default();
    let film = Target::new("films", "1");
    let change = |change: Change| Operation::Change(film.clone(), change);
    let increment = |by: i64| change(Change::Increment(Path::new(["n"]), by.into()));
    let set = |value: i64| change(Change::Set(Path::new(["a"]), value.into()));
    let transactions = [
        vec![change(Change::Create(Map::new())), increment(1)],
        vec![set(1)],
        vec![increment(2), set(2)],
        vec![increment(4)],
    ];
    let log = World::log(1);
    for (operations, millis) in transactions.into_iter().zip(0u64..) {
        let body = body(&Transaction { reverts: None, operations });
        rooms.world().append(log, Time::new(NOW - 1_000 + millis, 0), Vec::new(), body);
    }
    let (mut knowing, upgraded) = (rooms.replica(1), rooms.replica(2));
    [&knowing, &upgraded].into_iter().for_each(|replica| replica.deliver(log, 4));
    knowing.settle();
    let fields = json!({"n": 7, "a": 2});
    assert_eq!(json!(knowing.document(&film).fields), fields);

    // Another room, so that nobody newer has been there.
    let (view, source) = (rooms.view(3), upgraded.delivered.clone());
    let older = || Documents::default().of_version(1);
    let mut projector = Projector::open(view.clone(), Arc::new(Older(source.clone())), older()).expect("it is empty");
    settle(&mut projector);
    let document = documents::document(&view.reader(), &film).expect("readable").expect("there");
    assert_eq!(json!(document.fields), json!({"a": 2}), "what it knows of those transactions has taken effect");
    assert_ne!(hash(&view), knowing.hash());
    // Opening it again changes nothing.
    let mut projector = Projector::open(view.clone(), Arc::new(Older(source.clone())), older()).expect("its own");
    settle(&mut projector);
    assert_ne!(hash(&view), knowing.hash());

    let mut projector = Projector::open(view.clone(), Arc::new(source.clone()), Documents::default()).expect("older");
    settle(&mut projector);
    let document = documents::document(&view.reader(), &film).expect("readable").expect("there");
    assert_eq!(json!(document.fields), fields);
    assert_eq!(hash(&view), knowing.hash());

    // There is no way back: it would leave out what it does not know, and say nothing.
    let back = Projector::open(view, Arc::new(Older(source)), older());
    assert!(matches!(back.err(), Some(projector::Error::Newer { known: 1, .. })));
}

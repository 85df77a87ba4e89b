//! What a node permits itself, and what it says of itself.

use serde_json::{Map, Value, json};
use spool_db::{
    Change, Limits, Path, Target,
    collection::Builder,
    database::Limit,
    limits::{MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_INDEXES, MAX_OPERATIONS, MAX_TRANSACTION_BYTES},
    projector::Why,
    query::{Options, Query, Sort},
    testing::{NOW, Peer, Rooms, World},
    transaction::{Error, Kind, Write},
};
use spool_proto::clock::Time;

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

fn peer(limits: Limits) -> Peer {
    let peer = Rooms::default().peer_within(1, limits);
    peer.commit(|write| write.define(&Builder::new("films").expect("a name").build())).expect("defined");
    peer
}

fn assert_limited<T: std::fmt::Debug>(result: Result<T, Error>, expected: (&str, Limit, usize)) {
    let error = result.expect_err("it is too much");
    let Error::TooLarge { target, limit, permitted } = &error else { panic!("{error}") };
    assert_eq!((target.id.as_str(), *limit, *permitted), expected);
    assert_eq!(error.kind(), Kind::Refused);
    let text = error.to_string();
    assert!(text.contains(&format!("{:?}", target.id)) && text.contains(&target.collection), "{text}");
    assert!(text.contains(limit.name()) && text.contains(&permitted.to_string()), "{text}");
}

#[test]
fn no_node_permits_itself_more_than_has_an_effect() {
    let huge = usize::MAX;
    let limits = Limits {
        document_bytes: huge,
        transaction_bytes: huge,
        transaction_operations: huge,
        depth: huge,
        indexes: huge,
        query_memory: 7,
        transaction_memory: 8,
    };
    let expected = Limits { query_memory: 7, transaction_memory: 8, ..Limits::default() };
    assert_eq!(peer(limits).database.limits(), expected);
    assert_eq!(
        (expected.document_bytes, expected.transaction_bytes, expected.transaction_operations),
        (MAX_DOCUMENT_BYTES, MAX_TRANSACTION_BYTES, MAX_OPERATIONS)
    );
    assert_eq!((expected.depth, expected.indexes), (MAX_DEPTH, MAX_INDEXES));
}

#[test]
fn a_document_grows_no_further_than_permitted_and_may_shrink() {
    let rooms = Rooms::default();
    let peer = rooms.peer_within(1, Limits { document_bytes: 1_000, ..Limits::default() });
    let free = rooms.peer(2);
    free.commit(|write| {
        write.define(&Builder::new("films").expect("a name").build())?;
        write.create(&film("2"), map(json!({"text": "x".repeat(2_000), "more": "x".repeat(2_000)})))
    })
    .expect("it may be as large as anywhere");
    peer.catch_up();
    let text = |bytes: usize| map(json!({"text": "x".repeat(bytes)}));
    assert_limited(peer.commit(|write| write.create(&film("1"), text(1_000))), ("1", Limit::DocumentBytes, 1_000));
    peer.commit(|write| write.create(&film("1"), text(800))).expect("small enough");
    // A step that was refused leaves nothing behind, and the transaction open.
    peer.commit(|write| {
        assert_limited(
            write.merge(&film("1"), map(json!({"more": "x".repeat(300)}))),
            ("1", Limit::DocumentBytes, 1_000),
        );
        assert!(!write.get(&film("1"))?.expect("it is there").contains_key("more"));
        assert_limited(write.create(&film("3"), text(1_000)), ("3", Limit::DocumentBytes, 1_000));
        assert!(!write.exists(&film("3"))?);
        write.merge(&film("1"), map(json!({"n": 1})))
    })
    .expect("what was small enough");
    assert_eq!(peer.fields(&film("1"))["n"], 1);
    // What others have made larger.
    let more = peer.commit(|write| write.merge(&film("2"), map(json!({"another": "x".repeat(2_000)}))));
    assert_limited(more, ("2", Limit::DocumentBytes, 1_000));
    peer.commit(|write| write.update(&film("2"), [Change::Unset(Path::new(["more"]))])).expect("smaller than before");
}

/// The operations of a transaction can be small and the documents that they change large: ten thousand increments would have held ten gibibytes.
#[test]
fn the_documents_of_a_transaction_are_bounded() {
    let most = 10_000;
    let peer = peer(Limits { transaction_memory: most, ..Limits::default() });
    for id in ["1", "2", "3"] {
        peer.commit(|write| write.create(&film(id), map(json!({"text": "x".repeat(4_000)})))).expect("one by one");
    }
    let increment = |write: &mut Write<'_>, id: &str| write.increment(&film(id), Path::new(["n"]), 1.into());
    peer.commit(|write| {
        for _ in 0..10 {
            increment(write, "1")?;
            increment(write, "2")?;
        }
        assert_limited(increment(write, "3"), ("3", Limit::TransactionMemory, most));
        // What it makes is bounded by its own bytes.
        write.create(&film("4"), map(json!({"text": "x".repeat(4_000)})))?;
        increment(write, "1")
    })
    .expect("two of them and a new one");
    peer.commit(|write| increment(write, "3")).expect("another transaction");
    let n = |id: &str| peer.fields(&film(id))["n"].clone();
    assert_eq!([n("1"), n("2"), n("3")], [json!(11), json!(10), json!(1)]);
}

/// Until an event has its place, its operations name themselves in fewer bytes than afterwards: documents that were found to be just small enough were not then, and the
/// transaction had no effect on them.
#[test]
fn what_is_found_to_fit_has_an_effect() {
    let peer = peer(Limits::default());
    // A counter takes more bytes in a log that is longer.
    peer.commit(|write| write.create(&film("2"), Map::new())).expect("created");
    for _ in 0..300 {
        let increment = |write: &mut Write<'_>| write.increment(&film("2"), Path::new(["n"]), 1.into());
        peer.database.write(None, increment, Box::new(|_| {})).expect("incremented");
    }
    peer.push();
    let text = |bytes: usize| Value::from("x".repeat(bytes));
    peer.commit(|write| write.create(&film("1"), Map::new())).expect("created");
    for part in ["a", "b", "c", "d"] {
        peer.commit(|write| write.set(&film("1"), Path::new([part]), text(250 * 1024))).expect("set");
    }
    let fill = |bytes: usize, commits: bool| {
        peer.commit(|write| {
            write.set(&film("1"), Path::new(["e"]), text(bytes))?;
            (0..100).try_for_each(|n| write.add(&film("1"), Path::new(["s"]), n.into()))?;
            if commits { Ok(()) } else { Err(Error::VersionOfMany) }
        })
    };
    let (mut room, mut too_much) = (0, 30_000);
    while room + 1 < too_much {
        let middle = usize::midpoint(room, too_much);
        match fill(middle, false) {
            Err(Error::VersionOfMany) => room = middle,
            _ => too_much = middle,
        }
    }
    fill(room, true).expect("it was found to fit");
    assert!(room > 15_000, "{room} bytes more fit");
    let fields = peer.fields(&film("1"));
    assert_eq!(fields["e"].as_str().map(str::len), Some(room));
    assert_eq!(fields["s"].as_array().map(Vec::len), Some(100));
}

#[test]
fn a_transaction_has_no_more_than_permitted() {
    let peer = peer(Limits { transaction_operations: 3, transaction_bytes: 1_000, ..Limits::default() });
    let create = |ids: std::ops::Range<u64>, bytes: usize| {
        let fields = move || map(json!({"text": "x".repeat(bytes)}));
        peer.commit(|write| ids.clone().try_for_each(|id| write.create(&film(&id.to_string()), fields())))
    };
    create(0..3, 10).expect("three");
    assert_limited(create(3..7, 10), ("6", Limit::TransactionOperations, 3));
    assert_limited(create(3..5, 600), ("4", Limit::TransactionBytes, 1_000));
    assert_eq!(peer.database.count("films").expect("counted"), 3);
}

#[test]
fn values_and_paths_are_no_deeper_than_permitted() {
    let peer = peer(Limits { depth: 3, ..Limits::default() });
    peer.commit(|write| write.create(&film("1"), map(json!({"a": {"b": {"c": 1}}})))).expect("three levels");
    let set = |path: &[&str], value: Value| {
        peer.commit(|write| write.set(&film("1"), Path::new(path.iter().copied()), value.clone()))
    };
    let too_deep = ("1", Limit::Depth, 3);
    assert_limited(set(&["x"], json!({"b": {"c": {}}})), too_deep);
    assert_limited(set(&["x", "b", "c", "d"], json!(1)), too_deep);
    assert_limited(set(&["a", "b", "c"], json!([])), too_deep);
    set(&["a", "b", "c"], json!(2)).expect("three levels");
}

#[test]
fn a_collection_has_no_more_indexes_than_permitted() {
    let peer = peer(Limits { indexes: 2, ..Limits::default() });
    let with = |paths: &[&str]| {
        let builder = Builder::new("films").expect("a name");
        let builder = paths.iter().fold(builder, |builder, path| builder.index(path, false).expect("a path"));
        peer.commit(|write| write.define(&builder.build()))
    };
    with(&["a", "b"]).expect("two");
    assert_limited(with(&["a", "b", "c"]), ("films", Limit::Indexes, 2));
    with(&["c", "b"]).expect("one in place of another");
    // By hand as well.
    let by_hand = peer.commit(|write| {
        let path = Path::new(["indexes", "z"]);
        write.set(&Target::new("_collections", "films"), path, json!({"unique": false}))
    });
    assert_limited(by_hand, ("films", Limit::Indexes, 2));
}

#[test]
fn a_query_takes_no_more_memory_than_permitted() {
    let peer = peer(Limits { query_memory: 1_000, ..Limits::default() });
    peer.commit(|write| (0..100).try_for_each(|id| write.create(&film(&id.to_string()), Map::new()))).expect("created");
    let query = || Query { sort: vec![Sort { path: Path::new(["a"]), descending: false }], ..Query::default() };
    let options = Options { memory: usize::MAX };
    let found = peer.database.read(|read| read.find("films", query(), options));
    let error = found.expect_err("too much");
    assert_eq!((error.kind(), error.reason()), (Kind::Refused, "query-memory"));
    assert!(error.to_string().contains("films"), "{error}");
    let found = peer.commit(|write| write.find("films", query(), options));
    assert_eq!(found.expect_err("too much").reason(), "query-memory");
    peer.database.read(|read| read.find("films", Query { limit: Some(2), ..query() }, options)).expect("fewer");
}

/// A transaction is checked as it ends, whatever was defined last in it.
#[test]
fn a_schema_that_comes_after_the_document_counts() {
    let peer = peer(Limits::default());
    let schema = json!({"type": "object", "required": ["title"]});
    let definition = Builder::new("films").expect("a name").schema(Some(schema)).expect("a schema").build();
    let both = peer.commit(|write| {
        write.create(&film("1"), Map::new())?;
        write.define(&definition)
    });
    assert!(matches!(both, Err(Error::Schema { .. })), "{both:?}");
}

#[test]
fn a_database_says_how_far_it_is_and_what_it_holds_back() {
    let rooms = Rooms::default();
    let writer = rooms.peer(1);
    writer.commit(|write| write.define(&Builder::new("films").expect("a name").build())).expect("defined");
    for id in 0..5 {
        writer.commit(|write| write.create(&film(&id.to_string()), Map::new())).expect("created");
    }
    let ahead = Time::new(NOW + 3_600_000, 0);
    let future = World::log(9);
    rooms.world().append(future, ahead, Vec::new(), "not yet".into());
    let reader = rooms.peer(2);
    assert!(reader.database.is_folding(), "nobody has looked yet");
    assert_eq!(reader.database.now(), Time::default());
    reader.catch_up();
    assert_eq!((reader.database.is_folding(), reader.database.folded()), (false, (6, 7)));
    let held = reader.database.held();
    assert_eq!((held.len(), held[0].log, held[0].counter, held[0].why), (1, future, 1, Why::Ahead(ahead)));
    let last = rooms.world().record(&World::log(1), 6).stamp(&World::log(1)).expect("open").time;
    assert_eq!(reader.database.now(), last);
    // A rebuild begins again.
    reader.database.rebuild().expect("cleared");
    assert_eq!((reader.database.is_folding(), reader.database.folded()), (true, (0, 7)));
    assert!(reader.database.held().is_empty());
    reader.settle();
    assert_eq!((reader.database.is_folding(), reader.database.folded()), (false, (6, 7)));
    // And so does one that is opened again, where it was.
    let again = rooms.peer(2);
    assert_eq!((again.database.is_folding(), again.database.now()), (true, last));
}

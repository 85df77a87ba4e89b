//! Databases on real nodes: what peers write apart comes together.

use std::time::Duration;

use serde_json::{Map, Value, json};
use spool_db::{
    Change, Database, Path, Target,
    collection::Builder,
    transaction::{Error, Write},
};
use spool_integration_tests::{PATIENCE, Setup, TestNode, eventually};
use spool_node::model::Error as NodeError;
use spool_proto::{ThreadId, key_set::Scope};

fn film(id: u64) -> Target {
    Target::new("films", id.to_string())
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

/// Commits, and waits until the effect can be read.
async fn commit<T: Send + 'static>(
    database: &Database,
    write: impl FnOnce(&mut Write<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    let (told, outcome) = tokio::sync::oneshot::channel();
    let database = database.clone();
    let result = tokio::task::spawn_blocking(move || {
        database.write(
            None,
            write,
            Box::new(|result| {
                let _ = told.send(result);
            }),
        )
    });
    let result = result.await.expect("no panic").expect("the transaction is good");
    outcome.await.expect("it is told").expect("the event is appended");
    result
}

async fn define_films(database: &Database) {
    commit(database, |write| write.define(&Builder::new("films").expect("a name").build())).await;
}

async fn hash(node: &TestNode, thread: &ThreadId) -> [u8; 32] {
    node.database(thread).await.expect("the thread is here").hash().expect("the view can be read")
}

async fn same_hash(nodes: &[&TestNode], thread: &ThreadId) {
    eventually("all have the same hash", || async {
        let first = hash(nodes[0], thread).await;
        for node in nodes {
            if hash(node, thread).await != first {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// Its body is cut into chunks, each a block of its own, and folded when all of them are here.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_megabytes_is_one_event() {
    let one = TestNode::start(1).await;
    let thread = one.thread_with_name("films").await;
    let two = TestNode::start(2).await;
    two.join_from(&one, &thread, Scope::Read).await;
    let here = one.database(&thread).await.expect("the thread is here");
    define_films(&here).await;
    let text = |id: u64| format!("{id}").repeat(900_000);
    commit(&here, move |write| (1..=4).try_for_each(|id| write.create(&film(id), map(json!({"text": text(id)})))))
        .await;
    commit(&here, |write| write.set(&film(1), Path::new(["after"]), json!(true))).await;
    same_hash(&[&one, &two], &thread).await;
    let there = two.database(&thread).await.expect("the thread is here");
    let document = |id| there.read(|read| read.get(&film(id))).expect("readable").expect("there");
    assert_eq!(document(4)["text"], json!(text(4)));
    assert_eq!(document(1)["after"], json!(true));
    assert!(there.held().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn films_edited_apart_end_the_same() {
    let one = TestNode::start(1).await;
    let thread = one.thread_with_name("films").await;
    let two = TestNode::start(2).await;
    two.join_from(&one, &thread, Scope::Read).await;
    let here = one.database(&thread).await.expect("the thread is here");
    define_films(&here).await;
    for id in 0..20u64 {
        let fields = map(json!({"title": format!("film {id}"), "votes": 0, "tags": []}));
        commit(&here, move |write| write.create(&film(id), fields)).await;
    }
    same_hash(&[&one, &two], &thread).await;

    // Each goes on while the other one is away.
    let (setup, away) = (two.setup.clone(), one.setup.clone());
    two.stop().await;
    let path = |text: &str| Path::parse(text).expect("a path");
    commit(&here, move |write| {
        write.set(&film(1), path("title"), "by one".into())?;
        write.increment(&film(1), path("votes"), 2.into())?;
        write.delete(&film(2))?;
        write.add(&film(3), path("tags"), "one".into())
    })
    .await;
    one.stop().await;
    drop((one, here));
    let two = setup.start().await;
    let there = two.database(&thread).await.expect("the thread is here");
    commit(&there, move |write| {
        write.set(&film(1), path("director"), "by two".into())?;
        write.increment(&film(1), path("votes"), 3.into())?;
        write.update(&film(2), [Change::Set(path("title"), "kept for an undelete".into())])?;
        write.add(&film(3), path("tags"), "two".into())
    })
    .await;
    let one = away.start().await;
    let here = one.database(&thread).await.expect("the thread is here");
    two.connect_to(&one).await;
    eventually("both see both", || async {
        let get = |database: &Database, id| database.read(|read| read.get(&film(id))).expect("readable");
        for database in [&here, &there] {
            let (first, third) = (get(database, 1)?, get(database, 3)?);
            let merged = first.get("title") == Some(&json!("by one"))
                && first.get("director") == Some(&json!("by two"))
                && first.get("votes") == Some(&json!(5));
            if !merged || get(database, 2).is_some() || third["tags"] != json!(["one", "two"]) {
                return None;
            }
        }
        Some(())
    })
    .await;
    same_hash(&[&one, &two], &thread).await;

    // A third that comes late folds the same; a restart changes nothing.
    let three = TestNode::start(3).await;
    three.join_from(&two, &thread, Scope::Read).await;
    let expected = hash(&one, &thread).await;
    eventually("a late joiner has the same", || async { (hash(&three, &thread).await == expected).then_some(()) })
        .await;
    let three = three.restart().await;
    assert_eq!(hash(&three, &thread).await, expected);
    for node in [one, two, three] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_has_no_database() {
    let writer = TestNode::start(11).await;
    let thread = writer.thread_with_name("sealed").await;
    let follower = TestNode::start(12).await;
    follower.join_from(&writer, &thread, Scope::Follow).await;
    assert!(matches!(follower.database(&thread).await, Err(NodeError::NoReadKey(_))));
    // With the key it has one.
    follower.join_from(&writer, &thread, Scope::Read).await;
    let database = writer.database(&thread).await.expect("the thread is here");
    define_films(&database).await;
    commit(&database, |write| write.create(&film(1), Map::new())).await;
    let database = follower.database(&thread).await.expect("it may read now");
    eventually("the film arrives", || async { database.read(|read| read.get(&film(1))).expect("readable") }).await;
    writer.stop().await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_takes_back_what_both_copies_wrote() {
    let node = TestNode::start(21).await;
    let thread = node.thread_with_name("forked").await;
    let database = node.database(&thread).await.expect("the thread is here");
    define_films(&database).await;
    commit(&database, |write| write.create(&film(1), map(json!({"n": 1})))).await;
    let reader = TestNode::start(22).await;
    reader.join_from(&node, &thread, Scope::Read).await;
    let before = hash(&node, &thread).await;
    eventually("the film arrives", || async { (hash(&reader, &thread).await == before).then_some(()) }).await;
    let old = spool_integration_tests::copy_of(&*node.setup.kv);
    let set = |n: u64| move |write: &mut Write<'_>| write.set(&film(1), Path::parse("n").expect("a path"), n.into());
    commit(&database, set(2)).await;
    let after = hash(&node, &thread).await;
    eventually("the change arrives", || async { (hash(&reader, &thread).await == after).then_some(()) }).await;
    let setup = Setup { kv: old, ..node.setup.clone() };
    node.stop().await;
    // The older copy does not know what it had written, and writes something else there.
    let copy = setup.start().await;
    let database = copy.database(&thread).await.expect("the thread is here");
    commit(&database, set(3)).await;
    copy.connect_to(&reader).await;
    for node in [&copy, &reader] {
        eventually("what was written twice does not count", || async {
            (hash(node, &thread).await == before).then_some(())
        })
        .await;
    }
    tokio::time::timeout(PATIENCE, copy.stop()).await.expect("it ends");
    reader.stop().await;
}

/// The tasks of a database held the node, and the node the database: whoever stopped a node and started it again in the same process found the store locked.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_lets_go_of_the_stores_of_its_databases() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Setup::new(31).in_directory(directory.path()).start().await;
    let thread = node.thread_with_name("again").await;
    let database = node.database(&thread).await.expect("the thread is here");
    define_films(&database).await;
    commit(&database, |write| write.create(&film(1), Map::new())).await;
    let expected = database.hash().expect("the view can be read");
    let store = std::sync::Arc::downgrade(&node.setup.kv);
    node.stop().await;

    // Nobody folds any more, so nobody may wait for that.
    let (told, outcome) = std::sync::mpsc::sync_channel(1);
    let late = database.clone();
    let written = tokio::task::spawn_blocking(move || {
        let done = move |result| told.send(result).expect("it is waited for");
        late.write(None, |write| write.create(&film(2), Map::new()), Box::new(done))
    });
    let written = written.await.expect("no panic");
    if written.is_ok() {
        let outcome = tokio::task::spawn_blocking(move || outcome.recv_timeout(Duration::from_secs(10)));
        let outcome = outcome.await.expect("no panic").expect("it is told in time");
        assert!(matches!(outcome, Err(Error::Append(_))), "{outcome:?}");
    }
    drop((database, node));
    eventually("the store is closed", || async { store.upgrade().is_none().then_some(()) }).await;
    let node = Setup::new(31).in_directory(directory.path()).start().await;
    eventually("the database is as it was", || async { (hash(&node, &thread).await == expected).then_some(()) }).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_beyond_those_that_may_be_open_are_refused_and_go_on_when_one_has_ended() {
    let one = TestNode::start(90).await;
    let thread = one.thread_with_name("films").await;
    define_films(&one.database(&thread).await.expect("the thread is here")).await;
    let mut open = Vec::new();
    let refused = loop {
        match one.begin(&thread).await {
            Ok(transaction) => open.push(transaction),
            Err(error) => break error,
        }
        assert!(open.len() < 10_000, "there is no bound");
    };
    assert!(matches!(refused, NodeError::Busy(_)), "{refused}");
    assert!(open.len() > 1);
    drop(open.pop());
    // It gives its room back when its thread has noticed.
    eventually("there is room again", || async { one.begin(&thread).await.ok() }).await;
    drop(open);
    one.stop().await;
}

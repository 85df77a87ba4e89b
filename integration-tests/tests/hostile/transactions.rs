//! A member with valid keys writes what no program would: everybody keeps it and makes the same of it, and nobody stops for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use serde_json::{Value, json};
use spool_db::{
    Change, Operation, Path, Target, Transaction,
    collection::Builder,
    projector::{Held, Why},
    testing::{body, hostile},
    transaction::{Error, Write},
};
use spool_integration_tests::{Scripted, TestNode, Writer, eventually, keys_of, without_addresses};
use spool_node::model::{DatabaseState, VerifyEvent, VerifyOptions};
use spool_proto::{
    ThreadId, clock::Time, envelope::Run, key_set::Scope, limits::MAX_CLOCK_AHEAD_MILLIS, wire::Response,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

fn film(id: &str) -> Target {
    Target::new("films", id)
}

fn path(text: &str) -> Path {
    Path::parse(text).expect("a path")
}

fn now_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn transaction(change: Change) -> Vec<u8> {
    body(&Transaction { reverts: None, operations: vec![Operation::Change(film("1"), change)] }).into()
}

/// What the liar writes: three logs, each record as it is sent.
struct Lies {
    logs: Vec<(Writer, Vec<Run>)>,
    /// The first record of the last log that is of next year.
    ahead: (u64, Time),
}

/// Bodies of every kind that makes no sense; documents that grow too large; a clock that is a year ahead.
fn lies(thread: &ThreadId, ticket: &str) -> Lies {
    let keys = keys_of(ticket);
    let write = |seed, bodies: Vec<(Option<Time>, Vec<u8>)>| {
        let mut writer = Writer::new(seed, thread, &keys);
        let runs = bodies.into_iter().map(|(time, body)| writer.append_at(time, &body)).collect();
        (writer, runs)
    };
    let malformed = hostile::bodies("films").into_iter().map(|(_, body)| (None, body.to_vec())).collect();
    let mut too_large: Vec<_> = hostile::too_large(&film("1")).into_iter().map(|body| (None, body.to_vec())).collect();
    too_large.push((None, transaction(Change::Set(path("within"), true.into()))));
    let ahead = Time::new(now_millis() + YEAR.as_millis() as u64, 0);
    let set = |name: &str| transaction(Change::Set(path(name), true.into()));
    let clocks = vec![
        (None, set("before")),
        (Some(ahead), set("ahead")),
        (None, set("falling")),
        (Some(Time::MAX), set("never")),
    ];
    let logs = vec![write(4_100, malformed), write(4_101, too_large), write(4_102, clocks)];
    Lies { logs, ahead: (2, ahead) }
}

/// Pushes logs to a node one after another, and waits until all is there.
async fn tell<'a>(
    liar: &Scripted,
    node: &TestNode,
    thread: &ThreadId,
    logs: impl Iterator<Item = &'a (Writer, Vec<Run>)>,
) {
    let keys = keys_of(&node.ticket(thread, Scope::Read).await);
    for (writer, runs) in logs {
        for run in runs {
            let envelope = liar.sign(run.clone(), keys.access().topic());
            let answer = liar.push(node, envelope).await;
            assert!(matches!(&answer, Ok(Response::Push(acks)) if acks.len() == 1), "{answer:?}");
        }
        node.has(thread, &writer.log, runs.len() as u64).await;
    }
}

/// Commits, and waits until the effect can be read.
async fn commit(
    node: &TestNode,
    thread: &ThreadId,
    write: impl Fn(&mut Write<'_>) -> Result<(), Error> + Send + 'static,
) {
    let database = node.database(thread).await.expect("the thread is here");
    let committed = tokio::task::spawn_blocking(move || database.commit(write)).await;
    committed.expect("no panic").expect("the transaction is good");
}

async fn field(node: &TestNode, thread: &ThreadId, target: &Target, name: &str) -> Value {
    let database = node.database(thread).await.expect("the thread is here");
    let document = database.read(|read| read.get(target)).expect("the view can be read");
    document.and_then(|fields| fields.get(name).cloned()).unwrap_or_default()
}

/// The state of a node that has folded all that it has.
async fn settled(node: &TestNode, thread: &ThreadId) -> DatabaseState {
    eventually("all is folded", || async {
        let state = node.database_state(thread).await.expect("the thread is here");
        (!state.is_folding && state.held.len() == 1).then_some(state)
    })
    .await
}

async fn assert_sound(node: &TestNode, thread: &ThreadId) {
    let options = VerifyOptions { thread: thread.clone(), bodies: true };
    let mut steps = node.verify(options).await.expect("the thread is here");
    let mut done = None;
    while let Some(step) = steps.next().await {
        match step.expect("what is stored can be read") {
            VerifyEvent::Fault(fault) => panic!("{fault:?}"),
            VerifyEvent::Done(report) => done = Some(report),
            VerifyEvent::Progress(_) => {}
        }
    }
    let report = done.expect("it comes to an end");
    assert_eq!((report.faults, report.missing_blocks, report.inert), (0, 0, 0), "{report:?}");
    assert!(report.documents >= 4, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_make_no_sense_come_to_the_same_everywhere() {
    let one = TestNode::start(4_000).await;
    let thread = one.thread_with_name("lied to").await;
    let two = TestNode::start(4_001).await;
    let ticket = one.ticket(&thread, Scope::Read).await;
    // They do not know where the other one is: what they get, they get from the liar, each in another order.
    two.join(&without_addresses(&ticket, Vec::new()), None).await.expect("the ticket is good");
    for node in [&one, &two] {
        commit(node, &thread, |write| write.define(&Builder::new("films")?.build())).await;
    }
    let create = |id: &'static str| {
        move |write: &mut Write<'_>| {
            let fields = json!({"n": 1, "by": id}).as_object().cloned().expect("a map");
            write.create(&film(id), fields)
        }
    };
    // The liar writes to films 1 and 2, as every member may.
    for (node, id) in [(&one, "1"), (&one, "one"), (&two, "2"), (&two, "two")] {
        commit(node, &thread, create(id)).await;
    }

    let lies = lies(&thread, &ticket);
    let liars = [Scripted::start(4_200, &[&keys_of(&ticket)]), Scripted::start(4_201, &[&keys_of(&ticket)])];
    liars[0].connect_and_prove(&one).await;
    liars[1].connect_and_prove(&two).await;
    tell(&liars[0], &one, &thread, lies.logs.iter()).await;
    tell(&liars[1], &two, &thread, lies.logs.iter().rev()).await;

    // What they write then goes on, with times of today, and arrives.
    let written = [(&one, &two, "one"), (&two, &one, "two")];
    for (node, _, by) in written {
        commit(node, &thread, move |write| write.set(&film(by), path("after"), by.into())).await;
    }
    one.connect_to(&two).await;
    one.shares(&thread, &two.peer()).await;
    for (node, other, by) in written {
        commit(node, &thread, move |write| write.set(&film(by), path("connected"), by.into())).await;
        let receipt = node.write(&thread, "an application's own").await;
        assert!(
            receipt.time.millis() < now_millis() + MAX_CLOCK_AHEAD_MILLIS,
            "the clock of the liar is not taken over"
        );
        other.has_record(&receipt).await;
    }
    let (first, second) = eventually("both come to the same", || async {
        let states = (settled(&one, &thread).await, settled(&two, &thread).await);
        (states.0.hash == states.1.hash).then_some(states)
    })
    .await;
    let (counter, time) = lies.ahead;
    let held = vec![Held { log: lies.logs[2].0.log, counter, why: Why::Ahead(time) }];
    assert_eq!((&first.held, &second.held), (&held, &held));
    for node in [&one, &two] {
        for (_, _, by) in written {
            assert_eq!(field(node, &thread, &film(by), "after").await, json!(by));
            assert_eq!(field(node, &thread, &film(by), "connected").await, json!(by));
        }
        // What makes sense of it counts: an honest member could have written that.
        assert_eq!(field(node, &thread, &film("2"), "by").await, Value::Null, "it was deleted");
        let lied = [("s", json!("text")), ("before", json!(true)), ("ahead", Value::Null), ("falling", Value::Null)];
        for (name, expected) in lied {
            assert_eq!(field(node, &thread, &film("1"), name).await, expected, "{name}");
        }
        assert_eq!(field(node, &thread, &film("1"), "within").await, json!(true), "beside what is too large");
        assert_eq!(field(node, &thread, &film("1"), "part-4").await, Value::Null, "what would be too large");
    }

    // Nobody is scored, banned or disconnected for what a writer has signed.
    for (liar, node, other) in [(&liars[0], &one, &two), (&liars[1], &two, &one)] {
        assert_eq!(node.score(&other.peer()).await, Some(-0.0), "the other honest node was scored");
        assert_eq!(node.score(&liar.peer).await, Some(-0.0), "who sends what others have signed was scored");
        assert!(!liar.was_dropped_by(&node.peer()));
        assert_sound(node, &thread).await;
    }
    for node in [one, two] {
        node.stop().await;
    }
}

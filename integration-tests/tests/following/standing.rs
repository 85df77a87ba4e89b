//! Am I synced?

use std::time::Duration;

use spool_integration_tests::{PATIENCE, TestNode, eventually};
use spool_node::model::{Durable, Error, ThreadStanding};
use spool_proto::{PeerId, ThreadId, key_set::Scope, wire::Role};

use super::support::{ask, open};

async fn status(node: &TestNode, thread: &ThreadId) -> ThreadStanding {
    node.thread_status(thread).await.expect("the thread is here")
}

/// How far a peer has the only log, as a node knows.
async fn has(node: &TestNode, thread: &ThreadId, peer: &PeerId) -> Option<u64> {
    let peers = status(node, thread).await.peers;
    peers.iter().find(|known| known.peer == *peer)?.heads.values().copied().max()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_followers_or_says_how_many_have_it() {
    let writer = TestNode::start(400).await;
    let thread = writer.thread_with_name("durable").await;
    let (one, two) = (open(401).await, open(402).await);
    ask(&writer, &one, &thread).await;
    ask(&writer, &two, &thread).await;
    let receipt = writer.write(&thread, "everywhere").await;
    let wait = |wanted, timeout| writer.wait_for_followers(&thread, &receipt.log, receipt.counter, wanted, timeout);
    assert_eq!(wait(2, PATIENCE).await.expect("in time"), Durable { durable: 2, followers: 2 });
    one.has_record(&receipt).await;
    two.has_record(&receipt).await;
    let refused = wait(3, Duration::from_millis(300)).await.expect_err("there are two");
    assert!(matches!(refused, Error::NotInTime { durable: 2, followers: 2, wanted: 3 }), "{refused}");
    // One stops: what it has stays known, what comes after that it has not.
    two.stop().await;
    let later = writer.write(&thread, "not everywhere").await;
    let waited = writer.wait_for_followers(&thread, &later.log, later.counter, 1, PATIENCE).await;
    assert_eq!(waited.expect("one is there"), Durable { durable: 1, followers: 2 });
    let now = status(&writer, &thread).await;
    assert_eq!((now.followers, now.durable), (2, 1));
    assert_eq!(has(&writer, &thread, &two.peer()).await, Some(receipt.counter));
    let gone = now.peers.iter().find(|known| known.peer == two.peer()).expect("it is known");
    assert!(gone.asked && gone.last_contact.is_some());
    // It is in the log all the same.
    assert_eq!(writer.bodies(&thread).await.len(), 2);
    for node in [writer, one] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_followers_have_is_known_after_a_restart_with_nobody_there() {
    let writer = TestNode::start(410).await;
    let thread = writer.thread_with_name("remembered").await;
    let follower = open(411).await;
    ask(&writer, &follower, &thread).await;
    let receipt = writer.write(&thread, "one").await;
    writer.wait_for_followers(&thread, &receipt.log, receipt.counter, 1, PATIENCE).await.expect("in time");
    let peer = follower.peer();
    follower.stop().await;
    let writer = writer.restart().await;
    let now = status(&writer, &thread).await;
    assert_eq!((now.followers, now.durable), (1, 1));
    let known = now.peers.iter().find(|known| known.peer == peer).expect("it is remembered");
    assert!(
        !known.connected && known.asked && known.role == Role::Follower && known.last_contact.is_some(),
        "{known:?}"
    );
    assert_eq!(known.heads.get(&receipt.log), Some(&receipt.counter));
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_had_everything_before_we_met_is_known_to_have_it() {
    // Nothing is pushed or asked for between these two: equal digests are all that they exchange.
    let writer = TestNode::start(420).await;
    let thread = writer.thread_with_name("equal").await;
    let receipt = writer.write_many(&thread, 40).await;
    let reader = TestNode::start(421).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    reader.has_record(&receipt).await;
    let setup = reader.setup.clone();
    reader.stop().await;
    drop(reader);
    let writer = writer.restart().await;
    let reader = setup.start().await;
    writer.connect_to(&reader).await;
    eventually("both know that the other has it all", || async {
        let there = has(&writer, &thread, &reader.peer()).await?;
        let here = has(&reader, &thread, &writer.peer()).await?;
        ((there, here) == (receipt.counter, receipt.counter)).then_some(())
    })
    .await;
    for node in [writer, reader] {
        node.stop().await;
    }
}

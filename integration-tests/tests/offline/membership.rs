//! Joining late, gaining a key, leaving.

use futures::StreamExt as _;
use spool_integration_tests::{TestNode, within};
use spool_node::model::{AppendOptions, Audience, Body, Error, LogItem};
use spool_proto::key_set::Scope;

use super::support::{add, has_body, joined, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_sees_what_is_written_from_then_on() {
    let writer = TestNode::start(500).await;
    let thread = writer.thread_with_name("live").await;
    writer.write_many(&thread, 50).await;
    let reader = TestNode::start(501).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    reader.shares(&thread, &writer.peer()).await;
    let mut live = reader.log(joined(&thread)).await.expect("the thread is here");
    let receipt = writer.write(&thread, "live").await;
    let arrival = async {
        while let Some(item) = live.next().await {
            if let LogItem::Entry(entry) = item.expect("readable")
                && entry.cid == receipt.cid
            {
                let Some(Body::Open { bytes, .. }) = entry.event.map(|event| event.body) else { panic!("it is open") };
                return bytes;
            }
        }
        panic!("the stream has ended");
    };
    assert_eq!(within("the live event arrives", arrival).await, "live");
    // Both ways: whoever can read can write.
    let answer = reader.write(&thread, "answer").await;
    writer.has_record(&answer).await;
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_a_reading_ticket_becomes_a_reader() {
    let writer = TestNode::start(800).await;
    let thread = writer.thread_with_name("promotion").await;
    let node = TestNode::start(801).await;
    node.join_from(&writer, &thread, Scope::Follow).await;
    let first = writer.write(&thread, "before").await;
    node.has_record(&first).await;
    let refused = node.append(&thread, "not yet".into(), AppendOptions::default()).await;
    assert!(matches!(refused.err(), Some(Error::NoReadKey(_))));
    let refused = node.share(&thread, Scope::Read, None).await;
    assert!(matches!(refused, Err(Error::NoReadKey(_))));
    assert!(node.entries(&thread).await.iter().all(|entry| entry.event.is_none()));

    node.join_from(&writer, &thread, Scope::Read).await;
    assert_eq!(node.thread(&thread).await.expect("here").info.scope, Scope::Read);
    // What came before opens as well, and nothing is fetched again.
    assert_eq!(node.bodies(&thread).await, ["before"]);
    let answer = node.write(&thread, "and now I can").await;
    writer.has_record(&answer).await;
    let again = node.join(&writer.ticket(&thread, Scope::Read).await, None).await;
    assert!(matches!(again, Err(Error::ThreadExists(_))), "nothing new in it");
    let less = node.join(&writer.ticket(&thread, Scope::Follow).await, None).await;
    assert!(matches!(less, Err(Error::ThreadExists(_))), "less than what is here");
    let node = node.restart().await;
    assert_eq!(node.bodies(&thread).await.len(), 2);
    node.stop().await;
    writer.stop().await;
}

/// After its restart nobody knows where it is, and nothing but its own memory tells it where the others are.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_made_the_ticket_finds_the_others_again() {
    let writer = TestNode::start(510).await;
    let thread = writer.thread_with_name("found again").await;
    let reader = TestNode::start(511).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    reader.shares(&thread, &writer.peer()).await;
    writer.shares(&thread, &reader.peer()).await;
    let writer = writer.restart().await;
    let answer = writer.write(&thread, "back").await;
    reader.has_record(&answer).await;
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_thread_is_gone_and_can_be_joined_again() {
    let writer = TestNode::start(900).await;
    let thread = writer.thread_with_name("in and out").await;
    let kept = writer.thread_with_name("kept").await;
    let reader = TestNode::start(901).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    reader.join_from(&writer, &kept, Scope::Read).await;
    let content = noise(600_000, 9);
    let file = add(&writer, &thread, &content, Audience::Readers).await;
    has_body(&reader, &file, &content).await;
    let first = writer.write(&thread, "one").await;
    reader.has_record(&first).await;
    reader.remove_thread(&thread).await.expect("the thread is here");
    assert!(matches!(reader.thread(&thread).await, Err(Error::ThreadNotFound(_))));
    assert!(matches!(reader.log(joined(&thread)).await.err(), Some(Error::ThreadNotFound(_))));
    assert!(matches!(reader.get(&first.cid, 0).await, Err(Error::ObjectNotFound(_))));
    assert!(matches!(reader.remove_thread(&thread).await, Err(Error::ThreadNotFound(_))));
    let setup = reader.setup.clone();
    // What is written meanwhile goes to nobody; the other thread is not touched.
    let second = writer.write(&thread, "two").await;
    let other = writer.write(&kept, "still here").await;
    reader.has_record(&other).await;
    assert_eq!(reader.score(&writer.peer()).await, Some(-0.0));
    assert_eq!(writer.score(&reader.peer()).await, Some(-0.0), "who has left is no offender");
    reader.stop().await;
    let reader = setup.start().await;
    assert_eq!(reader.threads().await.expect("readable").len(), 1);
    reader.join_from(&writer, &thread, Scope::Read).await;
    reader.has_record(&second).await;
    assert_eq!(reader.bodies(&thread).await.len(), 2);
    has_body(&reader, &file, &content).await;
    reader.stop().await;
    writer.stop().await;
}

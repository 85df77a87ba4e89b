//! Ending it, from either side.

use spool_integration_tests::{TestNode, eventually};
use spool_node::model::Error;
use spool_proto::key_set::Scope;

use super::support::{announces, ask, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_removed_drops_the_thread_and_is_announced_no_more() {
    let (writer, follower) = (TestNode::start(200).await, open(201).await);
    let thread = writer.thread_with_name("ours").await;
    let reader = TestNode::start(202).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    let receipt = writer.write(&thread, "one").await;
    ask(&writer, &follower, &thread).await;
    follower.has_record(&receipt).await;
    announces(&reader, &thread, &follower.peer(), true).await;
    let peer = follower.peer().to_string();
    assert!(writer.remove_follower(&peer, &thread).await.expect("it is one"), "it is connected, so it is told");
    eventually("the thread is gone there", || async {
        matches!(follower.thread(&thread).await, Err(Error::ThreadNotFound(_))).then_some(())
    })
    .await;
    announces(&reader, &thread, &follower.peer(), false).await;
    assert!(follower.list_followed().is_empty() && writer.list_followers(None).expect("all").is_empty());
    let again = writer.remove_follower(&peer, &thread).await.expect_err("it is none any more");
    assert!(matches!(again, Error::NotAFollower(_)), "{again}");
    // Asked again it follows again.
    ask(&writer, &follower, &thread).await;
    follower.has_record(&receipt).await;
    for node in [writer, follower, reader] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_leaves_is_shown_as_gone_even_if_nobody_was_there_to_be_told() {
    let (writer, follower) = (TestNode::start(210).await, open(211).await);
    let thread = writer.thread_with_name("ours").await;
    let receipt = writer.write(&thread, "one").await;
    ask(&writer, &follower, &thread).await;
    follower.has_record(&receipt).await;
    let setup = writer.setup.clone();
    writer.stop().await;
    drop(writer);
    assert_eq!(follower.drop_followed(&thread).await.expect("it follows"), (1, 0));
    assert!(follower.threads().await.expect("readable").is_empty());
    let refused = follower.drop_followed(&thread).await.expect_err("it does not any more");
    assert!(matches!(refused, Error::ThreadNotFound(_)), "{refused}");

    let writer = setup.start().await;
    writer.connect_to(&follower).await;
    eventually("the writer knows", || async {
        writer.list_followers(Some(&thread)).expect("here").first()?.gone.map(|_| ())
    })
    .await;
    announces(&writer, &thread, &follower.peer(), false).await;
    for node in [writer, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_what_others_have_agreed() {
    let (writer, other, follower) = (TestNode::start(220).await, TestNode::start(221).await, open(222).await);
    let thread = writer.thread_with_name("ours").await;
    let receipt = writer.write(&thread, "one").await;
    other.join_from(&writer, &thread, Scope::Read).await;
    ask(&writer, &follower, &thread).await;
    // Another writer of the thread asks as well, and takes that back: the first one's wish stands.
    ask(&other, &follower, &thread).await;
    assert_eq!(follower.list_followed()[0].inviters.len(), 2);
    other.remove_follower(&follower.peer().to_string(), &thread).await.expect("it had asked");
    eventually("the withdrawal has arrived", || async {
        (follower.list_followed()[0].inviters.len() == 1).then_some(())
    })
    .await;
    follower.has_record(&receipt).await;
    // What the owner of a node has joined is not dropped because somebody says so.
    let owner = open(223).await;
    owner.join_from(&writer, &thread, Scope::Read).await;
    ask(&writer, &owner, &thread).await;
    assert!(owner.list_followed().is_empty());
    writer.remove_follower(&owner.peer().to_string(), &thread).await.expect("it was asked");
    owner.has_record(&receipt).await;
    assert_eq!(owner.thread(&thread).await.expect("still here").info.scope, Scope::Read);
    for node in [writer, other, follower, owner] {
        node.stop().await;
    }
}

//! Bodies on their way through peers that may not read them.

use spool_integration_tests::{TestNode, eventually, without_addresses};
use spool_node::model::{AppendOptions, Audience, Body, Error};
use spool_proto::key_set::Scope;

use super::support::{add, cat, has_body, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_goes_through_a_follower_to_a_reader() {
    let content = noise(5_300_000, 6);
    let writer = TestNode::start(600).await;
    let thread = writer.thread_with_name("files").await;
    let follower = TestNode::start(601).await;
    follower.join_from(&writer, &thread, Scope::Follow).await;
    let cid = add(&writer, &thread, &content, Audience::Readers).await;
    let medium = add(&writer, &thread, &content[..200_000], Audience::Readers).await;
    eventually("the follower has all blocks", || async {
        let info = follower.thread(&thread).await.ok()?.info;
        (info.records == 2 && info.missing_blocks == 0 && follower.stat().await.ok()?.blocks > 5).then_some(())
    })
    .await;
    let refused = cat(&follower, &cid).await.expect_err("followers cannot read");
    assert!(matches!(refused, Error::NoReadKey(_)), "{refused}");
    let ticket = without_addresses(&writer.ticket(&thread, Scope::Read).await, vec![follower.address.clone()]);
    writer.stop().await;
    let reader = TestNode::start(602).await;
    reader.join(&ticket, None).await.expect("a good ticket");
    has_body(&reader, &medium, &content[..200_000]).await;
    has_body(&reader, &cid, &content).await;
    reader.stop().await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_open_for_whom_they_are_meant() {
    let writer = TestNode::start(700).await;
    let thread = writer.thread_with_name("letters").await;
    let (recipient, other, follower) =
        (TestNode::start(701).await, TestNode::start(702).await, TestNode::start(703).await);
    for (node, scope) in [(&recipient, Scope::Read), (&other, Scope::Read), (&follower, Scope::Follow)] {
        node.join_from(&writer, &thread, scope).await;
    }
    let to = recipient.info().identity;
    let options = AppendOptions { audience: Audience::Recipient(to), ..AppendOptions::default() };
    let pending = writer.append(&thread, "for your eyes".into(), options).await.expect("there is room");
    let letter = pending.await.expect("appended");
    let public = noise(50_000, 7);
    let large = noise(700_000, 8);
    let public_cid = add(&writer, &thread, &public, Audience::Public).await;
    let large_cid = add(&writer, &thread, &large, Audience::Public).await;
    let last = writer.write(&thread, "last").await;
    for node in [&recipient, &other, &follower] {
        node.has_record(&last).await;
    }
    has_body(&recipient, &letter.cid, b"for your eyes").await;
    let refused = cat(&other, &letter.cid).await.expect_err("sealed to another");
    assert!(matches!(refused, Error::SealedToOther(_)), "{refused}");
    let entries = other.entries(&thread).await;
    let entry = entries.iter().find(|entry| entry.cid == letter.cid).expect("the record is here");
    let body = &entry.event.as_ref().expect("readers see the event").body;
    assert!(matches!(body, Body::SealedTo { recipient, .. } if *recipient == to), "{body:?}");
    let refused = cat(&follower, &letter.cid).await.expect_err("followers see no event");
    assert!(matches!(refused, Error::NoReadKey(_)), "{refused}");
    // Whoever follows can read a public body, and still not the event around it.
    for node in [&recipient, &other, &follower] {
        has_body(node, &public_cid, &public).await;
        has_body(node, &large_cid, &large).await;
    }
    assert!(follower.entries(&thread).await.iter().all(|entry| entry.event.is_none()));
    for node in [recipient, other, follower, writer] {
        node.stop().await;
    }
}

//! Retention: followers that keep bodies for a while only.

use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use spool_integration_tests::{TestNode, eventually, without_addresses};
use spool_node::model::{Error, VerifyEvent, VerifyOptions, VerifyReport};
use spool_proto::{Cid, ThreadId, key_set::Scope};

use super::support::{ask, offering, open};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn verified(node: &TestNode, thread: &ThreadId) -> VerifyReport {
    let options = VerifyOptions { thread: thread.clone(), bodies: true };
    let mut steps = node.verify(options).await.expect("the thread is here");
    while let Some(step) = steps.next().await {
        match step.expect("readable") {
            VerifyEvent::Fault(fault) => panic!("{fault:?}"),
            VerifyEvent::Done(report) => return report,
            VerifyEvent::Progress(_) => {}
        }
    }
    panic!("a report comes at the end");
}

/// Adds a body that takes several blocks.
async fn add(node: &TestNode, thread: &ThreadId, content: Vec<u8>) -> spool_node::model::Receipt {
    let pieces = futures::stream::iter([Ok(bytes::Bytes::from(content))]).boxed();
    node.add(thread, pieces, spool_node::model::AppendOptions::default()).await.expect("added")
}

/// The whole body of a record.
async fn read(node: &TestNode, cid: &Cid) -> Result<Vec<u8>, Error> {
    let mut content = node.cat(cid).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = content.pieces.next().await {
        bytes.extend(piece?);
    }
    Ok(bytes)
}

fn noise(bytes: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_bodies_are_dropped_and_the_chains_still_verify() {
    let writer = TestNode::start(500).await;
    let thread = writer.thread_with_name("diary").await;
    let follower = offering(501, |config| config.follow_bodies_days = 30).start().await;
    assert_eq!(ask(&writer, &follower, &thread).await.bodies_days, 30, "the policy is in the answer");
    let shared = noise(900_000, 1);
    let old = [add(&writer, &thread, noise(50_000, 2)).await, add(&writer, &thread, shared.clone()).await];
    let last = add(&writer, &thread, noise(1_500_000, 3)).await;
    let complete = async |receipt| {
        follower.has_record(receipt).await;
        eventually("all blocks are there", || async {
            (follower.thread(&thread).await.ok()?.info.missing_blocks == 0).then_some(())
        })
        .await;
    };
    complete(&last).await;
    let start = SystemTime::now();
    assert_eq!(follower.retain(start).await.expect("readable"), 0);
    // One body that is new, and consists of chunks of an old one.
    let newer = add(&writer, &thread, [shared, noise(300_000, 4)].concat()).await;
    complete(&newer).await;
    let before = (follower.stat().await.expect("runs").blocks, follower.list_followed()[0].used_bytes);
    assert_eq!(follower.retain(start + 29 * DAY).await.expect("readable"), 0, "nothing is old enough");
    let dropped = follower.retain(start + 31 * DAY).await.expect("readable");
    let after = (follower.stat().await.expect("runs").blocks, follower.list_followed()[0].used_bytes);
    assert!(dropped >= 5 && after.0 == before.0 - dropped, "{dropped}: {before:?} -> {after:?}");
    assert!(after.1 < before.1 - 1_000_000, "what is dropped is not counted any more: {before:?} -> {after:?}");
    assert_eq!(follower.retain(start + 31 * DAY).await.expect("readable"), 0, "once is enough");
    let report = verified(&follower, &thread).await;
    // Its first record and the announcement of the follower have no bodies.
    assert_eq!((report.records, report.missing_blocks), (6, 0));

    // They are not wanted again.
    follower.sync_now(&thread).await;
    assert_eq!(follower.stat().await.expect("runs").blocks, after.0);
    // The writer sees the policy, and a reader that has only this follower reads what is there.
    let status = writer.thread_status(&thread).await.expect("here");
    let known = status.peers.iter().find(|known| known.peer == follower.peer()).expect("the follower is known");
    assert_eq!((known.bodies_days, status.durable), (30, 1));
    let ticket = without_addresses(&writer.ticket(&thread, Scope::Read).await, vec![follower.address.clone()]);
    writer.stop().await;
    let reader = TestNode::start(502).await;
    reader.join(&ticket, None).await.expect("a good ticket");
    reader.has_record(&newer).await;
    eventually("the new body is whole", || async { read(&reader, &newer.cid).await.ok() }).await;
    for receipt in old {
        let missing = read(&reader, &receipt.cid).await.expect_err("nobody has it any more");
        assert!(matches!(missing, Error::BodyMissing(_)), "{missing}");
    }
    for node in [reader, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_set_for_one_thread_and_shown_to_its_writer() {
    let (writer, follower) = (TestNode::start(510).await, open(511).await);
    let thread = writer.thread_with_name("diary").await;
    let receipt = writer.write(&thread, "one").await;
    ask(&writer, &follower, &thread).await;
    follower.has_record(&receipt).await;
    for days in [7, 0] {
        assert_eq!(follower.set_retention(&thread, days).await.expect("it follows").bodies_days, days);
        eventually("the writer sees it", || async {
            let status = writer.thread_status(&thread).await.ok()?;
            let known = status.peers.into_iter().find(|known| known.peer == follower.peer())?;
            (known.bodies_days == days).then_some(())
        })
        .await;
    }
    assert!(matches!(follower.set_retention(&thread, u32::MAX).await, Err(Error::Invalid(_))));
    let refused = writer.set_retention(&thread, 7).await.expect_err("it reads the thread");
    assert!(matches!(refused, Error::Invalid(_)), "{refused}");
    for node in [writer, follower] {
        node.stop().await;
    }
}

//! Quotas of those who invite: what is over them is refused by name, on both sides.

use spool_integration_tests::{TestNode, eventually};
use spool_node::model::PeerStanding;
use spool_proto::{
    PeerId, ThreadId,
    sync::Trouble,
    wire::{Declined, Refusal},
};

use super::support::{ask, declined, offering};

/// What a node knows of a peer of a thread.
async fn known(node: &TestNode, thread: &ThreadId, peer: &PeerId) -> PeerStanding {
    let status = node.thread_status(thread).await.expect("the thread is here");
    status.peers.into_iter().find(|known| known.peer == *peer).expect("the peer is known")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thread_too_many_is_declined_and_another_identity_has_its_own_quota() {
    let follower = offering(300, |config| config.follow_max_threads = 2).start().await;
    let (writer, other) = (TestNode::start(301).await, TestNode::start(302).await);
    for name in ["one", "two"] {
        ask(&writer, &follower, &writer.thread_with_name(name).await).await;
    }
    let third = writer.thread_with_name("three").await;
    assert_eq!(declined(&writer, &follower, &third, None).await, Declined::TooManyThreads);
    ask(&other, &follower, &other.thread_with_name("theirs").await).await;
    // Also after a restart.
    let follower = follower.restart().await;
    assert_eq!(declined(&writer, &follower, &third, None).await, Declined::TooManyThreads);
    // What is given back can be used again.
    let first = writer.list_followers(None).expect("all")[0].thread.clone();
    writer.remove_follower(&follower.peer().to_string(), &first).await.expect("it is a follower");
    eventually("it has dropped one", || async { (follower.list_followed().len() == 2).then_some(()) }).await;
    ask(&writer, &follower, &third).await;
    for node in [writer, other, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_bytes_are_used_up_nothing_more_is_taken_and_the_writer_sees_why() {
    let follower = offering(310, |config| config.follow_max_mib = 1).start().await;
    let writer = TestNode::start(311).await;
    let thread = writer.thread_with_name("large").await;
    ask(&writer, &follower, &thread).await;
    let mut last = writer.write(&thread, "small").await;
    follower.has_record(&last).await;
    assert!(!known(&writer, &thread, &follower.peer()).await.is_full);
    for _ in 0..6 {
        last = writer.write(&thread, vec![7; 250_000]).await;
    }
    eventually("the writer sees that the follower is full", || async {
        known(&writer, &thread, &follower.peer()).await.is_full.then_some(())
    })
    .await;
    let followed = follower.list_followed().remove(0);
    assert!(followed.is_full && followed.quota_used >= followed.quota, "{followed:?}");
    // What comes after that stays out.
    let held = follower.head(&thread, &last.log).await;
    for _ in 0..5 {
        last = writer.write(&thread, "and more").await;
    }
    let status = writer.thread_status(&thread).await.expect("here");
    let newest = status.logs.iter().find(|log| log.log == last.log).expect("the writer's log").head;
    assert!(newest >= last.counter && held < newest, "{held} of {newest}");
    assert_eq!((status.followers, status.durable), (1, 0));
    // Neither does another thread of the same identity come in.
    let second = writer.thread_with_name("another").await;
    assert_eq!(declined(&writer, &follower, &second, None).await, Declined::TooManyBytes);
    assert_eq!(follower.score(&writer.peer()).await, Some(-0.0), "nobody is to blame");

    // With more room it goes on where it stopped.
    let mut setup = follower.setup.clone();
    setup.config.follow_max_mib = 100;
    follower.stop().await;
    drop(follower);
    let follower = setup.start().await;
    follower.has_record(&last).await;
    eventually("the writer sees that there is room", || async {
        let known = known(&writer, &thread, &follower.peer()).await;
        (known.connected && !known.is_full).then_some(())
    })
    .await;
    for node in [writer, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_records_than_agreed_are_refused_by_name_and_come_later() {
    const RATE: u32 = 30;
    let follower = offering(320, |config| config.follow_max_records_per_second = RATE).start().await;
    let writer = TestNode::start(321).await;
    let thread = writer.thread_with_name("fast").await;
    ask(&writer, &follower, &thread).await;
    let first = writer.write(&thread, "the first").await;
    follower.has_record(&first).await;
    let start = std::time::Instant::now();
    // Ten seconds' worth may come at once, and the run that exceeds it: this is that and three seconds' more.
    let burst = writer.write_many(&thread, u64::from(RATE) * 13).await;
    eventually("the writer sees that it was too fast", || async {
        // One more each time: what was pushed before may have been within the limits.
        writer.write(&thread, "now?").await;
        let trouble = known(&writer, &thread, &follower.peer()).await.trouble?;
        (trouble == Trouble::Refused(Refusal::TooFast)).then_some(())
    })
    .await;
    follower.has_record(&burst).await;
    let head = follower.head(&thread, &burst.log).await;
    let allowed = u64::from(RATE) * (10 + start.elapsed().as_secs() + 1) + 600;
    assert!(head <= allowed, "{head} records in {:?}", start.elapsed());
    for node in [writer, follower] {
        node.stop().await;
    }
}

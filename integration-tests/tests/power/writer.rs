//! The power goes at a writer with a follower attached, at every point of a script of appends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, future::join_all, stream};
use spool_integration_tests::{Setup, TestNode, disks::verified, eventually, within};
use spool_node::model::{AppendOptions, Durability, Receipt, SyncOptions};
use spool_proto::{ThreadId, key_set::Scope};
use spool_store::kv::Faulty;

/// Writes and syncs of the whole script, and some more.
const POINTS: u64 = 13;
/// Stories that are told at once: each waits a lot.
const AT_ONCE: usize = 13;
/// How long a writer without power is given to tell what it should not.
const LAST_WORDS: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy)]
struct Case {
    durability: Durability,
    /// Writes and syncs that succeed.
    point: u64,
    /// Batches that were written and not synced, and survive nevertheless.
    kept: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_answers_after_the_sync_loses_nothing_in_a_power_cut() {
    let cases = (0..POINTS).map(|point| Case { durability: Durability::Sync, point, kept: 0 });
    stream::iter(cases).for_each_concurrent(AT_ONCE, story).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_answers_early_never_contradicts_what_it_had_sent() {
    let kept = [0, usize::MAX];
    let cases = (0..POINTS).flat_map(|point| kept.map(|kept| Case { durability: Durability::Relaxed, point, kept }));
    stream::iter(cases).for_each_concurrent(AT_ONCE, story).await;
}

async fn story(case: Case) {
    let kv = Arc::new(Faulty::new());
    let follower = TestNode::start(2).await;
    let mut setup = Setup { kv: kv.clone(), ..Setup::new(1) };
    setup.network.bootstrap = vec![follower.address.clone()];
    setup.config.durability = case.durability;
    let writer = setup.clone().start().await;
    let thread = writer.thread_with_name("power").await;
    follower.join_from(&writer, &thread, Scope::Follow).await;
    follower.shares(&thread, &writer.peer()).await;

    let end = kv.calls() + case.point;
    kv.power_off_after(case.point);
    let acknowledged = script(&writer, &follower, &thread, || kv.calls() >= end).await;
    // The end of the script is a point, too.
    kv.power_off_after(0);
    // Longer than any real machine has: a node may do what it likes, as long as it says nothing that is not on disk.
    let _ = tokio::time::timeout(LAST_WORDS, ask(&follower, &thread)).await;
    writer.stop().await;

    let restarted = Setup { kv: Arc::new(kv.power_cut(case.kept)), ..setup }.start().await;
    let (here, there) = (restarted.entries(&thread).await, follower.entries(&thread).await);
    for (counter, entry) in (1..).zip(&here) {
        assert_eq!(entry.counter, counter, "{case:?}");
    }
    for receipt in &acknowledged {
        let entry = here.get(receipt.counter as usize - 1);
        match case.durability {
            Durability::Sync => assert!(entry.is_some(), "{case:?}: record {} was acknowledged", receipt.counter),
            // It never left the node either, which is checked below.
            Durability::Relaxed => {}
        }
        if let Some(entry) = entry {
            assert_eq!(entry.cid, receipt.cid, "{case:?}");
        }
    }
    assert!(there.len() <= here.len(), "{case:?}: the follower has {} records, the writer {}", there.len(), here.len());
    for (there, here) in there.iter().zip(&here) {
        assert_eq!(there.cid, here.cid, "{case:?}: the writer contradicts what it had sent");
    }

    let receipt = restarted.write(&thread, "the power is back").await;
    assert_eq!(receipt.counter, here.len() as u64 + 1, "{case:?}");
    follower.has_record(&receipt).await;
    for node in [&restarted, &follower] {
        assert_eq!(node.log_info(&thread, &receipt.log).await.and_then(|log| log.fork), None, "{case:?}");
        assert_eq!(verified(node, &thread).await.records, receipt.counter, "{case:?}");
    }
    println!("{case:?}: {} acknowledged, {} on disk, {} sent", acknowledged.len(), here.len(), there.len());
    restarted.stop().await;
    follower.stop().await;
}

/// Appends one by one, several at once and with a block; returns what was acknowledged before the power went.
async fn script(writer: &TestNode, follower: &TestNode, thread: &ThreadId, off: impl Fn() -> bool) -> Vec<Receipt> {
    let mut acknowledged = Vec::new();
    let small = |text: &'static str| Bytes::from_static(text.as_bytes());
    let steps = [
        vec![small("one")],
        vec![small("two"), small("three"), small("four"), small("five")],
        vec![Bytes::from(vec![b'x'; 10_000])],
        vec![small("seven"), Bytes::from(vec![b'y'; 10_000]), small("nine")],
        vec![small("ten")],
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let mut pending = Vec::new();
        for body in step {
            // After the power went, all is refused, and the script goes on as a user might.
            pending.extend(writer.append(thread, body, AppendOptions::default()).await);
        }
        let answers = within("every append is answered, also without power", join_all(pending)).await;
        acknowledged.extend(answers.into_iter().flatten());
        let Some(last) = acknowledged.last() else { continue };
        // Every other step waits for the follower: so it has some of it at every point.
        if number % 2 == 0 {
            eventually("the follower has it, or the power is off", || async {
                (off() || follower.head(thread, &last.log).await >= last.counter).then_some(())
            })
            .await;
        }
    }
    acknowledged
}

/// Has the follower ask the writer for all that it has.
async fn ask(follower: &TestNode, thread: &ThreadId) {
    let options = SyncOptions { thread: Some(thread.clone()), timeout: LAST_WORDS };
    if let Ok(mut steps) = follower.sync(options).await {
        while steps.next().await.is_some() {}
    }
}

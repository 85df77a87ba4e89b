//! The power goes at a follower that pulls, and passes on what it has.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use spool_integration_tests::{Setup, TestNode, disks::verified, eventually, without_addresses};
use spool_proto::key_set::Scope;
use spool_store::{Store, kv::Faulty};

const RECORDS: u64 = 1_500;

#[derive(Debug, Clone, Copy)]
struct Case {
    /// Writes and syncs that succeed.
    point: u64,
    /// Batches that were written and not synced, and survive nevertheless.
    kept: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_tells_nobody_what_a_power_cut_takes_from_it() {
    let points = [0, 1, 2, 3, 4, 6, 8, 11];
    let cases = points.into_iter().flat_map(|point| [0, usize::MAX].map(|kept| Case { point, kept }));
    stream::iter(cases).for_each_concurrent(4, story).await;
}

async fn story(case: Case) {
    let writer = TestNode::start(1).await;
    let thread = writer.thread_with_name("power").await;
    let mut last = writer.write_many(&thread, RECORDS).await;
    for number in 0..5 {
        last = writer.write(&thread, vec![number; 10_000]).await;
    }

    // The last one knows the one in the middle only.
    let kv = Arc::new(Faulty::new());
    let setup = Setup { kv: kv.clone(), ..Setup::new(2) };
    let middle = setup.clone().start().await;
    let end = TestNode::start(3).await;
    let ticket = writer.ticket(&thread, Scope::Follow).await;
    end.join(&without_addresses(&ticket, vec![middle.address.clone()]), None).await.expect("the ticket is good");
    // Joining is its first write, and this has to be there.
    middle.join(&ticket, None).await.expect("the ticket is good");
    let off = kv.calls() + case.point;
    kv.power_off_after(case.point);
    eventually("the power goes, or all is there", || async {
        (kv.calls() >= off || end.head(&thread, &last.log).await == last.counter).then_some(())
    })
    .await;
    kv.power_off_after(0);
    middle.stop().await;

    let image = kv.power_cut(case.kept);
    let found = Store::with_kv(Arc::new(image.power_cut(0))).expect("the store opens");
    let here = found.log_state(&thread, &last.log).expect("the store can be read").map_or(0, |state| state.counter());
    let there = end.head(&thread, &last.log).await;
    assert!(there <= here, "{case:?}: {there} records were passed on, {here} are on disk");

    let mut setup = Setup { kv: Arc::new(image), ..setup };
    // It has a new port, which the others do not know.
    setup.network.bootstrap = vec![writer.address.clone(), end.address.clone()];
    let middle = setup.start().await;
    for node in [&middle, &end] {
        node.has_record(&last).await;
        eventually("all blocks arrive", || async {
            let detail = node.thread(&thread).await.ok()?;
            (detail.info.missing_blocks == 0).then_some(())
        })
        .await;
        let report = verified(node, &thread).await;
        assert_eq!((report.records, report.missing_blocks), (last.counter, 0), "{case:?}");
        assert_eq!(node.log_info(&thread, &last.log).await.and_then(|log| log.fork), None, "{case:?}");
    }
    println!("{case:?}: {here} on disk, {there} passed on");
    for node in [writer, middle, end] {
        node.stop().await;
    }
}

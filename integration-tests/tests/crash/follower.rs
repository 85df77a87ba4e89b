//! A follower is killed while it pulls.

use std::{collections::VecDeque, time::Duration, time::Instant};

use spool_integration_tests::{
    daemon::{Api, Repo},
    eventually,
};
use spool_node::api::pb;

use super::moments::Moments;

/// How often the follower is killed in the middle.
const KILLS: usize = 15;
/// Records to pull: so many that each life of the follower gets a part of them only.
const RECORDS: u64 = 120_000;
/// How much later it comes, at most: about the time that a page takes.
const DELAY: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_killed_in_mid_pull_goes_on_where_it_was() {
    let began = Instant::now();
    let mut moments = Moments::new("follower");
    let (writer, follower) = (Repo::new("writer"), Repo::new("follower"));
    let writing = writer.start(&[]);
    let mut api = Api::connect(&writing).await;
    let thread = api.create_thread("load").await;
    let ticket = api.share(&thread, pb::Scope::Follow).await;
    let bodies = (0..RECORDS).map(|number| match number % 100 {
        // Some have blocks, which are pulled beside the records.
        7 => format!("{number} {}", "x".repeat(5_000)),
        _ => format!("{number} {}", "x".repeat(100)),
    });
    api.append_many(&thread, 256, bodies, |_| {}).await.expect("the writer runs");
    let head = api.head(&thread).await;
    println!("follower: {RECORDS} records were written after {:.1?}", began.elapsed());

    // Joined and killed before it could get anything, unless it is very quick.
    let mut following = follower.start(&[]);
    Api::connect(&following).await.join(&ticket).await;
    let mut seen = VecDeque::from([0]);
    while seen.len() <= KILLS {
        let before = seen.back().copied().unwrap_or_default();
        // At most half of what there is for each life: more comes while the kill is on its way.
        let lives = (KILLS + 1 - seen.len()) as u64;
        let share = ((head.counter - before) / lives).min(RECORDS / KILLS as u64) / 2;
        let until = before + 1 + moments.below(share.max(1));
        let at = eventually("the pull goes on", || {
            let (api, thread) = (Api::connect(&following), thread.clone());
            async move {
                let at = api.await.head(&thread).await.counter;
                (at >= until).then_some(at)
            }
        })
        .await;
        std::thread::sleep(moments.within(DELAY));
        following.kill();
        following = follower.start(&[]);
        let after = Api::connect(&following).await.head(&thread).await.counter;
        assert!(after >= at, "{at} records were there before the kill, {after} after it");
        assert!(after < head.counter, "too quick to be killed in the middle after {seen:?}: more RECORDS are needed");
        seen.push_back(after);
    }
    println!("follower: killed with {seen:?} records");

    let mut api_there = Api::connect(&following).await;
    eventually("the follower gets everything", || {
        let (mut api, thread) = (api_there.clone(), thread.clone());
        let head = &head;
        async move {
            let detail = api.thread(&thread).await;
            let missing = detail.thread.map_or(1, |thread| thread.missing_blocks);
            (missing == 0 && api.head(&thread).await == *head).then_some(())
        }
    })
    .await;
    let verified = api_there.verify(&thread).await;
    assert!(verified.faults.is_empty(), "{verified:?}");
    assert_eq!((verified.report.records, verified.report.missing_blocks), (head.counter, 0));
    let cids = |entries: Vec<pb::Entry>| entries.into_iter().map(|entry| entry.cid).collect::<Vec<_>>();
    assert!(cids(api_there.log(&thread).await) == cids(api.log(&thread).await), "the same records in the same order");
    println!("follower: killed {KILLS} times, {:.1?}", began.elapsed());
}

//! A real file system that really is full, under a real daemon.

use std::time::Instant;

use spool_integration_tests::{
    daemon::{Api, Repo, http},
    disks::SmallDisk,
    eventually,
};

/// Room for the daemon, the ballast and what is written before it is full; RocksDB wants 16 MiB free before it goes on.
const DISK_MEGABYTES: u32 = 96;
const BALLAST_MEGABYTES: usize = 48;
/// Bytes of an event: large, so that the disk fills quickly.
const EVENT_BYTES: usize = 250 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_a_daemon_is_named_and_forgiven() {
    let disk = match SmallDisk::mount(DISK_MEGABYTES) {
        Ok(disk) => disk,
        Err(why) => return println!("SKIPPED a_full_disk_under_a_daemon_is_named_and_forgiven: no small disk: {why}"),
    };
    let began = Instant::now();
    let ballast = disk.ballast(BALLAST_MEGABYTES);
    let repo = Repo::at(&disk.path().join("repo"), "small");
    let daemon = repo.start(&[]);
    let mut api = Api::connect(&daemon).await;
    let thread = api.create_thread("full").await;

    let mut acknowledged = Vec::new();
    let error = loop {
        let body = format!("{} {}", acknowledged.len(), "x".repeat(EVENT_BYTES));
        match api.append(&thread, body).await {
            Ok(appended) => acknowledged.push(appended.receipt),
            Err(status) => break status,
        }
        assert!(acknowledged.len() < 1_000, "the disk does not get full");
    };
    println!("small disk: full after {} events, {:.1?}: {}", acknowledged.len(), began.elapsed(), error.message());
    assert!(error.message().starts_with("the disk refused a write"), "{error:?}");
    assert!(error.message().contains("the disk is full: free some space"), "{error:?}");
    assert_eq!(error.metadata().get("spool-error").and_then(|reason| reason.to_str().ok()), Some("storage"));

    let ready = http::ask(daemon.http(), "GET", "/ready");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("\"disk\":\"the disk is full: "), "{ready:?}");
    assert_eq!(http::ask(daemon.http(), "GET", "/health").status, 200, "a restart would not help");

    // The commands say so, too, and everything that was acknowledged can be read.
    let refused = repo.run(["append", "full", &"y".repeat(64 * 1024), "--json"]);
    let (code, reason, message) = refused.error();
    assert_eq!((refused.code, code, reason.as_str()), (Some(1), 1, "storage"), "{message}");
    assert!(message.contains("the disk is full"), "{message}");
    let cids =
        |entries: &[spool_node::api::pb::Entry]| entries.iter().map(|entry| entry.cid.clone()).collect::<Vec<_>>();
    let expected: Vec<String> = acknowledged.iter().map(|receipt| receipt.cid.clone()).collect();
    assert_eq!(cids(&api.log(&thread).await), expected);
    assert!(repo.text(&["thread", "show", "full"]).contains(&format!("#{}", expected.len())));
    let verified = api.verify(&thread).await;
    assert!(verified.faults.is_empty() && verified.report.records as usize == expected.len(), "{verified:?}");

    std::fs::remove_file(ballast).expect("the ballast is there");
    let freed = Instant::now();
    let next = eventually("appending works again", || {
        let (mut api, thread) = (api.clone(), thread.clone());
        async move { api.append(&thread, "there is room").await.ok() }
    })
    .await;
    eventually("it is ready again", || {
        let answer = http::ask(daemon.http(), "GET", "/ready");
        async move { (answer.status == 200).then_some(()) }
    })
    .await;
    println!("small disk: writes again {:.1?} after there was room", freed.elapsed());
    assert_eq!(next.receipt.counter as usize, expected.len() + 1);

    // It was no fluke: a restart finds all of it.
    assert_eq!(daemon.stop().code(), Some(0));
    let daemon = repo.start(&[]);
    let mut api = Api::connect(&daemon).await;
    let verified = api.verify(&thread).await;
    assert!(verified.faults.is_empty(), "{verified:?}");
    assert_eq!(api.head(&thread).await.cid, next.receipt.cid);
    println!("small disk: {:.1?}", began.elapsed());
}

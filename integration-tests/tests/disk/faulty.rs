//! In process, on a disk that fails when it is told to.

use std::sync::Arc;

use spool_integration_tests::{Setup, TestNode, disks::verified, eventually, within};
use spool_node::model::{AppendOptions, Durability, Error, ErrorKind, Receipt};
use spool_proto::{ThreadId, key_set::Scope};
use spool_store::kv::Faulty;

/// A writer on such a disk, with ten events and a follower that has them.
struct Scene {
    kv: Arc<Faulty>,
    setup: Setup,
    writer: TestNode,
    follower: TestNode,
    thread: ThreadId,
    last: Receipt,
}

impl Scene {
    async fn new() -> Self {
        let kv = Arc::new(Faulty::new());
        let follower = TestNode::start(2).await;
        let mut setup = Setup { kv: kv.clone(), ..Setup::new(1) };
        setup.network.bootstrap = vec![follower.address.clone()];
        let writer = setup.clone().start().await;
        let thread = writer.thread_with_name("disk").await;
        follower.join_from(&writer, &thread, Scope::Follow).await;
        let last = writer.write_many(&thread, 10).await;
        follower.has_record(&last).await;
        Self { kv, setup, writer, follower, thread, last }
    }

    /// Appends one event; why it was refused.
    async fn refused(&self, durability: Durability) -> Error {
        let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
        let pending = self.writer.append(&self.thread, "refused".into(), options).await;
        match pending {
            Ok(pending) => within("the append is answered", pending).await.expect_err("the disk does not take it"),
            Err(error) => error,
        }
    }

    /// The node reads everything that was acknowledged.
    async fn reads(&self) {
        let entries = self.writer.entries(&self.thread).await;
        assert_eq!(entries.last().map(|entry| entry.cid), Some(self.last.cid));
        assert_eq!(self.writer.bodies(&self.thread).await.len() as u64, self.last.counter);
        let log = self.writer.log_info(&self.thread, &self.last.log).await.expect("the log is here");
        assert_eq!((log.head, log.fork), (Some((self.last.counter, self.last.cid)), None));
        assert_eq!(verified(&self.writer, &self.thread).await.records, self.last.counter);
        assert_eq!(self.writer.threads().await.expect("threads can be listed").len(), 1);
    }

    /// Appending goes on right behind the last event that was acknowledged, and the follower takes it.
    async fn goes_on(&mut self) {
        let options = AppendOptions::default();
        // The node looks by itself whether its disk works again.
        let receipt = eventually("appending works again", || async {
            let pending = self.writer.append(&self.thread, "goes on".into(), options).await.ok()?;
            pending.await.ok()
        })
        .await;
        assert_eq!(receipt.counter, self.last.counter + 1, "no number is left out, and none is given twice");
        self.follower.has_record(&receipt).await;
        self.last = receipt;
        self.reads().await;
        let log = self.follower.log_info(&self.thread, &self.last.log).await.expect("the log is here");
        assert_eq!(log.fork, None);
        assert_eq!(verified(&self.follower, &self.thread).await.records, self.last.counter);
    }

    async fn end(self) {
        self.writer.stop().await;
        self.follower.stop().await;
    }
}

/// The error and its causes, as a user sees them.
fn text(error: &Error) -> String {
    use std::error::Error as _;
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn is_the_disk(error: &Error) {
    assert!(matches!(error, Error::Storage(_)), "{error:?}");
    assert_eq!((error.kind(), error.is_fatal()), (ErrorKind::Failed, false), "{error:?}");
    assert!(text(error).starts_with("the disk refused a write"), "{}", text(error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_write_is_an_error_and_appending_goes_on_behind_it() {
    let mut scene = Scene::new().await;
    for durability in [Durability::Sync, Durability::Relaxed] {
        scene.kv.set_failing(true);
        let error = scene.refused(durability).await;
        scene.kv.set_failing(false);
        is_the_disk(&error);
        assert!(text(&error).contains("injected failure of a write"), "{}", text(&error));
        scene.reads().await;
        scene.goes_on().await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_write_voids_all_that_was_built_on_it() {
    let mut scene = Scene::new().await;
    scene.kv.fail_write(1);
    // Some of these are in the failing batch, some behind it; none of them may be there while one before it is not.
    let mut pending = Vec::new();
    for number in 0..50 {
        let body = format!("event {number}").into();
        pending.extend(scene.writer.append(&scene.thread, body, AppendOptions::default()).await);
    }
    let results = futures::future::join_all(pending).await;
    let refused = results.iter().filter(|result| result.is_err()).count();
    assert!(refused > 0, "the write failed");
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error, Error::Storage(_) | Error::Busy(_)), "{error:?}");
    }
    for receipt in results.into_iter().flatten() {
        assert_eq!(receipt.counter, scene.last.counter + 1, "acknowledged in a row");
        scene.last = receipt;
    }
    scene.reads().await;
    scene.goes_on().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_behind_one_that_cannot_be_synced_is_refused_and_not_left_waiting() {
    let scene = Scene::new().await;
    // One write goes through; its sync, and all that follows, does not.
    scene.kv.power_off_after(1);
    let options = AppendOptions { durability: Some(Durability::Relaxed), ..AppendOptions::default() };
    let early = scene.writer.append(&scene.thread, "early".into(), options).await.expect("there is room").await;
    assert!(early.is_ok(), "{early:?}");
    for durability in [Durability::Relaxed, Durability::Relaxed, Durability::Sync] {
        is_the_disk(&scene.refused(durability).await);
    }
    assert!(scene.writer.entries(&scene.thread).await.len() as u64 >= scene.last.counter);
    let there = scene.follower.head(&scene.thread, &scene.last.log).await;
    assert_eq!(there, scene.last.counter, "what is not synced never leaves the node");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_and_appending_goes_on_once_there_is_room() {
    let mut scene = Scene::new().await;
    for durability in [Durability::Sync, Durability::Relaxed] {
        scene.kv.set_full(true);
        for _ in 0..3 {
            let error = scene.refused(durability).await;
            is_the_disk(&error);
            assert!(text(&error).contains("the disk is full: free some space"), "{}", text(&error));
            scene.reads().await;
        }
        scene.kv.set_full(false);
        scene.goes_on().await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_nothing_is_written_until_a_restart() {
    for durability in [Durability::Sync, Durability::Relaxed] {
        let scene = Scene::new().await;
        scene.kv.fail_sync(1);
        let first = match durability {
            Durability::Sync => scene.refused(durability).await,
            Durability::Relaxed => {
                // Its sync comes later than the reply.
                let options = AppendOptions { durability: Some(durability), ..AppendOptions::default() };
                let pending = scene.writer.append(&scene.thread, "early".into(), options).await;
                let early = pending.expect("there is room").await;
                assert!(early.is_ok(), "{early:?}");
                eventually("the sync fails", || async { scene.writer.store.is_poisoned().then_some(()) }).await;
                scene.refused(durability).await
            }
        };
        is_the_disk(&first);
        for _ in 0..3 {
            let error = scene.refused(durability).await;
            is_the_disk(&error);
            assert!(text(&error).contains("restart"), "{durability:?}: {}", text(&error));
        }
        let stat = scene.writer.stat().await.expect("the node runs");
        assert!(stat.read_only);
        if durability == Durability::Sync {
            scene.reads().await;
        }
        assert_eq!(scene.writer.threads().await.expect("threads can be listed").len(), 1);
        assert!(scene.writer.entries(&scene.thread).await.len() as u64 >= scene.last.counter);

        // The machine was repaired, and has what is certain.
        scene.writer.stop().await;
        let setup = Setup { kv: Arc::new(scene.kv.power_cut(0)), ..scene.setup.clone() };
        let mut scene = Scene { writer: setup.start().await, ..scene };
        scene.reads().await;
        scene.goes_on().await;
        scene.end().await;
    }
}

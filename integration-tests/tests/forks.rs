//! A writer that exists twice: all peers see it, nobody who passed its records on is blamed, and all end with the same.

use std::{fs, path::Path};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spool_integration_tests::{Setup, TestNode, copy_of, eventually, without_addresses};
use spool_node::model::{AppendOptions, Error, ErrorKind, ImportStep, Receipt};
use spool_proto::{
    Cid, LogId, ThreadId,
    key_set::Scope,
    sync::{BatchId, Durability, Fork, Write},
};
use spool_store::{
    Store,
    commit::{Commit, Committer, Options},
};

/// Everything two peers must agree on about a forked log.
#[derive(Debug, PartialEq, Eq)]
struct View {
    fork: u64,
    prefix: Vec<Cid>,
    inert: Vec<(u64, Cid)>,
    edge: u64,
}

async fn view(node: &TestNode, thread: &ThreadId, log: &LogId) -> Option<View> {
    let info = node.log_info(thread, log).await?;
    let fork = info.fork?;
    let entries = node.entries(thread).await.into_iter().filter(|entry| entry.log == *log);
    let (inert, counts): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.inert);
    assert!(inert.iter().all(|entry| entry.counter >= fork.counter), "inert before the fork");
    assert_eq!(counts.last().map_or(0, |entry| entry.counter), fork.counter - 1, "what counts ends before the fork");
    Some(View {
        fork: fork.counter,
        prefix: counts.iter().map(|entry| entry.cid).collect(),
        inert: node.inert(thread, log).await,
        edge: fork.inert,
    })
}

/// Why an append to the own log is refused; `None` where it is not.
async fn refusal(node: &TestNode, thread: &ThreadId) -> Option<Error> {
    let pending = node.append(thread, "one more".into(), AppendOptions::default()).await;
    match pending {
        Err(error) => Some(error),
        Ok(pending) => pending.await.err(),
    }
}

async fn export(node: &TestNode, thread: &ThreadId) -> Bytes {
    let pieces = node.export(thread).await.expect("the thread is here");
    let all: Vec<Bytes> = pieces.try_collect().await.expect("it can be read");
    all.concat().into()
}

/// Records that came in, and the logs that are forked.
async fn import(node: &TestNode, thread: &ThreadId, archive: &Bytes) -> (u64, Vec<LogId>) {
    let content = stream::iter([Ok(archive.clone())]).boxed();
    let steps: Vec<_> = node.import(thread, content).await.expect("the thread is here").collect().await;
    match steps.into_iter().last().expect("it ends") {
        Ok(ImportStep::Done(report)) => (report.records, report.forked),
        other => panic!("{other:?}"),
    }
}

async fn is_closed(node: &TestNode, thread: &ThreadId) -> Error {
    let error = refusal(node, thread).await.expect("the log is closed");
    assert!(matches!(&error, Error::LogClosed { thread: closed, .. } if closed == thread), "{error}");
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Refused, "log-closed"));
    assert!(error.to_string().contains("spool id --new-device"), "says what to do: {error}");
    error
}

/// A writer with three records, its clone, and four peers: two that know the writer only and two that know the clone only.
struct Cloned {
    writer: TestNode,
    clone: TestNode,
    peers: Vec<TestNode>,
    thread: ThreadId,
    log: LogId,
}

const PREFIX: u64 = 3;
const BRANCH: u64 = 5;

async fn cloned(seed: u64) -> Cloned {
    let writer = TestNode::start(seed).await;
    let thread = writer.thread_with_name("cloned").await;
    let log = writer.write_many(&thread, PREFIX).await.log;
    let ticket = without_addresses(&writer.ticket(&thread, Scope::Read).await, Vec::new());
    let follow = without_addresses(&writer.ticket(&thread, Scope::Follow).await, Vec::new());
    let setup = writer.setup.clone();
    writer.stop().await;
    let copy = copy_of(&*setup.kv);
    let clone = setup.cloned_as(seed + 1, copy).start().await;
    let writer = setup.start().await;
    let mut peers = Vec::new();
    for number in 0..4 {
        let peer = TestNode::start(seed + 10 + number).await;
        // One of each half cannot read: forks are the business of followers, too.
        let ticket = if number % 2 == 0 { &ticket } else { &follow };
        peer.join(ticket, None).await.expect("a good ticket");
        let teller = if number < 2 { &writer } else { &clone };
        peer.connect_to(teller).await;
        peers.push(peer);
    }
    Cloned { writer, clone, peers, thread, log }
}

impl Cloned {
    fn all(&self) -> impl Iterator<Item = &TestNode> + Clone {
        [&self.writer, &self.clone].into_iter().chain(&self.peers)
    }

    /// Each writes its branch, and its half of the peers gets it.
    async fn part(&self) -> [Receipt; 2] {
        let one = self.writer.write_many(&self.thread, BRANCH).await;
        let other = self.clone.write_many(&self.thread, BRANCH + 2).await;
        assert_eq!((one.log, other.log), (self.log, self.log), "one log, two writers");
        assert_eq!((one.counter, other.counter), (PREFIX + BRANCH, PREFIX + BRANCH + 2));
        for (index, peer) in self.peers.iter().enumerate() {
            peer.has_record(if index < 2 { &one } else { &other }).await;
        }
        [one, other]
    }

    async fn stop(self) {
        for node in self.all() {
            node.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_peers_of_a_cloned_writer_end_with_the_same_and_blame_nobody() {
    let cloned = cloned(100).await;
    let (thread, log) = (&cloned.thread, &cloned.log);
    cloned.part().await;
    // The halves meet, where no writer is near: only relayers can have told.
    cloned.peers[1].connect_to(&cloned.peers[2]).await;
    cloned.peers[0].connect_to(&cloned.peers[3]).await;
    let expected = 2 * BRANCH + 2;
    let mut views = Vec::new();
    for node in cloned.all() {
        let seen = eventually("the fork and all inert records are known", || async {
            view(node, thread, log).await.filter(|view| view.inert.len() as u64 == expected && view.edge == expected)
        })
        .await;
        assert_eq!((seen.fork, seen.prefix.len() as u64), (PREFIX + 1, PREFIX));
        views.push(seen);
    }
    assert!(views.windows(2).all(|pair| pair[0] == pair[1]), "{views:#?}");
    for node in cloned.all() {
        let info = node.log_info(thread, log).await.expect("the log is known");
        let fork = info.fork.expect("the fork is known");
        assert!(matches!(fork.evidence.as_slice(), [one, other] if one != other), "two records prove it");
        let detail = node.thread(thread).await.expect("the thread is here");
        assert_eq!((detail.info.forks, detail.info.inert), (1, expected));
        // Nobody has lied here but the writer, and that is not a peer's fault.
        let peers = node.peers().await.expect("the node runs");
        let scored: Vec<_> = peers.iter().filter(|peer| peer.score < 0.0).map(|peer| (peer.peer, peer.score)).collect();
        assert!(scored.is_empty(), "a relayer was scored: {scored:?}");
    }
    cloned.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_copies_of_a_writer_are_refused_and_go_on_as_new_devices() {
    let cloned = cloned(200).await;
    let (thread, log) = (&cloned.thread, &cloned.log);
    cloned.part().await;
    cloned.writer.connect_to(&cloned.clone).await;
    let mut new = Vec::new();
    for copy in [&cloned.writer, &cloned.clone] {
        eventually("the copy sees the fork", || async { copy.log_info(thread, log).await?.fork.map(|_| ()) }).await;
        let error = is_closed(copy, thread).await;
        assert!(error.to_string().contains(&format!("record {}", PREFIX + 1)), "says what happened: {error}");
        copy.new_device().await.expect("a new device id");
        let receipt = copy.write(thread, "with a new device").await;
        assert_ne!(receipt.log, *log);
        assert_eq!(receipt.counter, 1);
        new.push(copy.write(thread, "and more").await);
    }
    assert_ne!(new[0].log, new[1].log, "each copy has a log of its own now");
    for node in cloned.all() {
        // The halves have not met but through the writers.
        for receipt in &new {
            node.has_record(receipt).await;
        }
        let seen = eventually("the fork is known", || view(node, thread, log)).await;
        assert_eq!((seen.fork, seen.prefix.len() as u64), (PREFIX + 1, PREFIX));
    }
    // What counts is what was before the fork, and what each copy wrote on a log of its own.
    for reader in [&cloned.peers[0], &cloned.peers[2]] {
        let bodies = reader.bodies(thread).await;
        let with = |text: &str| bodies.iter().filter(|body| body.starts_with(text.as_bytes())).count() as u64;
        assert_eq!((with("event number"), with("with a new device"), with("and more")), (PREFIX, 2, 2));
    }
    cloned.stop().await;
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("the directory is there") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_older_copy_is_refused_after_it_has_met_a_peer() {
    let directory = tempfile::tempdir().expect("a directory");
    let (live, backup) = (directory.path().join("live"), directory.path().join("backup"));
    let node = Setup::new(300).in_directory(&live).start().await;
    let thread = node.thread_with_name("backed up").await;
    node.write_many(&thread, 4).await;
    let setup = node.setup.clone();
    node.stop().await;
    copy_directory(&live, &backup);

    let node = setup.start().await;
    let follower = TestNode::start(301).await;
    follower.join_from(&node, &thread, Scope::Follow).await;
    let last = node.write_many(&thread, 3).await;
    follower.has_record(&last).await;
    node.stop().await;
    drop(node);

    // The disk dies, and yesterday's copy comes back.
    let restored = Setup::new(300).in_directory(&backup).start().await;
    assert_eq!(restored.head(&thread, &last.log).await, 4);
    restored.connect_to(&follower).await;
    restored.has_record(&last).await;
    let error = is_closed(&restored, &thread).await;
    assert!(error.to_string().contains("older copy"), "says what happened: {error}");
    // What it had and what it got back count, and so does what it writes from now on.
    assert!(restored.log_info(&thread, &last.log).await.expect("known").fork.is_none());
    restored.new_device().await.expect("a new device id");
    let next = restored.write(&thread, "after the restore").await;
    assert_ne!(next.log, last.log);
    follower.has_record(&next).await;
    let bodies = restored.bodies(&thread).await;
    assert_eq!(bodies.len(), 4 + 3 + 1);
    assert_eq!(bodies.last().map(|body| body.as_ref()), Some(b"after the restore".as_slice()));

    // The refusal and the new device survive a restart.
    let setup = Setup { device: *restored.info().device.as_bytes(), ..restored.setup.clone() };
    restored.stop().await;
    drop(restored);
    let again = setup.start().await;
    let more = again.write(&thread, "and after a restart").await;
    assert_eq!((more.log, more.counter), (next.log, 2));
    again.stop().await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_that_writes_before_it_meets_anybody_forks_and_is_told() {
    let node = TestNode::start(400).await;
    let thread = node.thread_with_name("restored too late").await;
    node.write_many(&thread, 2).await;
    let follower = TestNode::start(401).await;
    follower.join_from(&node, &thread, Scope::Follow).await;
    let old = copy_of(&*node.setup.kv);
    let last = node.write_many(&thread, 3).await;
    follower.has_record(&last).await;
    node.stop().await;
    let setup = Setup { kv: old, ..node.setup.clone() };
    // Alone: nothing tells it that it is old.
    let restored = setup.start().await;
    restored.write(&thread, "written twice").await;
    restored.connect_to(&follower).await;
    for node in [&restored, &follower] {
        let seen = eventually("the fork is known", || async {
            view(node, &thread, &last.log).await.filter(|view| view.inert.len() == 4)
        })
        .await;
        assert_eq!(seen.fork, 3);
    }
    // The file of such a log is as good as any.
    for from in [&restored, &follower] {
        let archive = export(from, &thread).await;
        let reader = TestNode::start(402).await;
        let ticket = from.ticket(&thread, Scope::Follow).await;
        reader.join(&without_addresses(&ticket, Vec::new()), None).await.expect("a good ticket");
        assert_eq!(import(&reader, &thread, &archive).await, (2, vec![last.log]));
        assert_eq!(view(&reader, &thread, &last.log).await, view(from, &thread, &last.log).await);
        assert!(export(&reader, &thread).await == archive, "the same bytes from there");
        reader.stop().await;
    }
    is_closed(&restored, &thread).await;
    assert_eq!(follower.score(&restored.peer()).await, Some(-0.0), "a fork is no peer's misbehaviour");
    restored.new_device().await.expect("a new device id");
    let next = restored.write(&thread, "on a new log").await;
    follower.has_record(&next).await;
    restored.stop().await;
    follower.stop().await;
}

/// A fork is written down before the record that proves it, and before it is known where what counts ends.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_moment_in_which_a_fork_is_found_a_file_has_what_counts() {
    let node = TestNode::start(500).await;
    let thread = node.thread_with_name("just found").await;
    let log = node.write_many(&thread, 5).await.log;
    let setup = node.setup.clone();
    node.stop().await;
    {
        let store = Store::with_kv(setup.kv.clone()).expect("the store opens");
        let mut state = store.log_state(&thread, &log).expect("readable").expect("the log is there");
        state.fork = Some(Fork { counter: 4, inert: 0, digest: [0; 32] });
        let write = Write::Log { thread: thread.clone(), log, state: state.into() };
        let committer = Committer::spawn(&store, Options::default(), |_| {}).expect("the only one");
        let commit = Commit { batch: BatchId(1), durability: Durability::Sync, writes: vec![write] };
        committer.handle().submit(commit).expect("it runs");
        committer.shutdown();
    }
    let node = setup.start().await;
    let archive = export(&node, &thread).await;
    let reader = TestNode::start(501).await;
    let ticket = node.ticket(&thread, Scope::Read).await;
    reader.join(&without_addresses(&ticket, Vec::new()), None).await.expect("a good ticket");
    assert_eq!(import(&reader, &thread, &archive).await, (3, Vec::new()));
    assert_eq!(reader.bodies(&thread).await.len(), 3);
    for node in [node, reader] {
        node.stop().await;
    }
}

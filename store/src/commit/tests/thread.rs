//! The committer's thread, and the queue before it.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread::ThreadId,
    time::Duration,
};

use spool_proto::sync::{BatchId, Durability};

use super::short;
use crate::{
    commit::{Closed, Commit, Committer, Event, Options, SpawnError, TrySubmitError},
    fixture::Author,
    kv::{Faulty, Kv, Memory},
    limits::QUEUE_COMMITS,
    store::Store,
};

fn commit(batch: u64, durability: Durability, author: &mut Author) -> Commit {
    let mut writes = vec![author.write_thread()];
    writes.extend(author.write_next(10));
    Commit { batch: BatchId(batch), durability, writes }
}

fn store(kv: impl Kv + 'static) -> Store {
    Store::with_kv(Arc::new(kv)).unwrap()
}

/// A committer whose events come out of a channel.
fn spawn(store: &Store, options: Options) -> (Committer, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::sync_channel(10_000);
    let committer = Committer::spawn(store, options, move |event| sender.send(event).unwrap()).unwrap();
    (committer, receiver)
}

#[test]
fn a_sync_commit_is_reported_as_written_and_synced() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let (committer, events) = spawn(&store, Options::default());
    committer.handle().submit(commit(1, Durability::Sync, &mut author)).unwrap();
    assert_eq!(events.recv().map(|event| short(&event)).unwrap(), "written 1");
    assert_eq!(events.recv().map(|event| short(&event)).unwrap(), "synced 1");
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(author.state));
}

#[test]
fn relaxed_commits_are_synced_without_being_asked() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let (committer, events) = spawn(&store, Options { relaxed_sync_interval: Duration::from_millis(1) });
    committer.handle().submit(commit(1, Durability::Relaxed, &mut author)).unwrap();
    assert_eq!(events.recv().map(|event| short(&event)).unwrap(), "written 1");
    assert_eq!(events.recv().map(|event| short(&event)).unwrap(), "synced 1");
}

#[test]
fn shutdown_commits_what_is_queued_and_syncs_it() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let (committer, events) = spawn(&store, Options { relaxed_sync_interval: Duration::from_secs(3600) });
    let handle = committer.handle();
    for batch in 1..=100 {
        handle.submit(commit(batch, Durability::Relaxed, &mut author)).unwrap();
    }
    committer.shutdown();
    let events: Vec<String> = events.iter().map(|event| short(&event)).collect();
    assert_eq!(events[events.len() - 2..], ["written 100", "synced 100"]);
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(author.state.clone()));
    assert_eq!(handle.submit(commit(101, Durability::Sync, &mut author)), Err(Closed));
    assert!(matches!(handle.try_submit(commit(102, Durability::Sync, &mut author)), Err(TrySubmitError::Closed(_))));
}

/// While the writer is held up, the queue takes what its bound says, and the next one comes back unharmed.
#[test]
fn a_full_queue_gives_the_commit_back() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let barrier = Arc::new(Barrier::new(2));
    let gate = barrier.clone();
    let mut held = false;
    let committer = Committer::spawn(&store, Options::default(), move |_| {
        if !std::mem::replace(&mut held, true) {
            gate.wait();
            gate.wait();
        }
    });
    let committer = committer.unwrap();
    let handle = committer.handle();
    handle.submit(commit(1, Durability::Sync, &mut author)).unwrap();
    barrier.wait();
    for batch in 0..QUEUE_COMMITS as u64 {
        handle.try_submit(commit(2 + batch, Durability::Relaxed, &mut author)).unwrap();
    }
    let next = commit(5_000, Durability::Relaxed, &mut author);
    let Err(TrySubmitError::Full(next)) = handle.try_submit(next) else {
        panic!("the queue takes more than its bound")
    };
    assert_eq!(next.batch, BatchId(5_000));
    barrier.wait();
    handle.submit(next).unwrap();
    committer.shutdown();
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(author.state));
}

#[test]
fn what_was_queued_before_resume_is_refused_and_what_comes_after_it_is_taken() {
    let kv = Arc::new(Faulty::new());
    let store = Store::with_kv(kv.clone() as Arc<dyn Kv>).unwrap();
    let mut author = Author::new(1, 1);
    let (committer, events) = spawn(&store, Options::default());
    let handle = committer.handle();
    kv.fail_write(1);
    handle.submit(commit(1, Durability::Sync, &mut author)).unwrap();
    assert_eq!(events.recv().map(|event| short(&event)).unwrap(), "failed 1-1: write to the store");
    handle.submit(commit(2, Durability::Sync, &mut author)).unwrap();
    handle.resume().unwrap();
    let mut fresh = Author::new(1, 1);
    handle.submit(commit(3, Durability::Sync, &mut fresh)).unwrap();
    committer.shutdown();
    let events: Vec<String> = events.iter().map(|event| short(&event)).collect();
    assert!(events[0].starts_with("failed 2-2: an earlier commit failed"), "{events:?}");
    assert_eq!(events[1..], ["written 3", "synced 3"]);
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(fresh.state));
}

#[test]
fn a_store_has_one_committer_at_a_time() {
    let store = store(Memory::new());
    let (first, _events) = spawn(&store, Options::default());
    assert!(matches!(Committer::spawn(&store, Options::default(), |_| {}), Err(SpawnError::Running)));
    first.shutdown();
    assert!(Committer::spawn(&store, Options::default(), |_| {}).is_ok());
}

#[test]
fn submitters_do_not_wait_for_a_writer_that_has_panicked() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let committer = Committer::spawn(&store, Options::default(), |_| panic!("a bug in the event handler")).unwrap();
    let handle = committer.handle();
    let refused = (1..).find(|batch| handle.submit(commit(*batch, Durability::Sync, &mut author)).is_err());
    assert!(refused.is_some());
}

#[test]
fn a_removal_that_was_interrupted_is_finished_in_the_background() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let (committer, _events) = spawn(&store, Options::default());
    let handle = committer.handle();
    handle.submit(commit(1, Durability::Sync, &mut author)).unwrap();
    let remove = vec![spool_proto::sync::Write::RemoveThread { thread: author.thread.clone() }];
    handle.submit(Commit { batch: BatchId(2), durability: Durability::Sync, writes: remove }).unwrap();
    committer.shutdown();
    // Shutdown does not wait for it; the next committer goes on, one step whenever it has nothing to commit.
    let mut batch = 3;
    let (committer, events) = spawn(&store, Options::default());
    let left = || store.statistics().unwrap().kv.spaces[crate::kv::Space::Records as usize].keys;
    loop {
        committer
            .handle()
            .submit(Commit { batch: BatchId(batch), durability: Durability::Sync, writes: Vec::new() })
            .unwrap();
        events.recv().unwrap();
        batch += 1;
        if left() == 0 {
            break;
        }
    }
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), None);
}

/// What became of each commit, and on whose thread that was told.
fn spawn_told(store: &Store, options: Options) -> (Committer, mpsc::Receiver<(String, ThreadId)>) {
    let (sender, told) = mpsc::sync_channel(10_000);
    let tell = move |event: Event| sender.send((short(&event), std::thread::current().id())).unwrap();
    (Committer::spawn(store, options, tell).unwrap(), told)
}

#[test]
fn a_relaxed_commit_that_comes_alone_is_written_by_its_caller_and_synced_by_the_thread() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let (committer, told) = spawn_told(&store, Options { relaxed_sync_interval: Duration::from_millis(1) });
    committer.handle().commit_or_submit(commit(1, Durability::Relaxed, &mut author)).unwrap();
    assert_eq!(told.recv().unwrap(), ("written 1".to_owned(), std::thread::current().id()));
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(author.state.clone()));
    let (what, whose) = told.recv().unwrap();
    assert_eq!(what, "synced 1");
    assert_ne!(whose, std::thread::current().id());
    committer.handle().commit_or_submit(commit(2, Durability::Sync, &mut author)).unwrap();
    let rest: Vec<_> = told.iter().take(2).collect();
    assert_eq!(rest[0].0, "written 2");
    assert!(
        rest.iter().all(|(_, whose)| *whose != std::thread::current().id()),
        "nobody waits for a sync but the thread"
    );
}

/// The thread is held up within the report of the first commit: the third must not overtake the second, nor wait.
#[test]
fn a_commit_does_not_overtake_what_is_queued_or_under_way() {
    let (store, mut author) = (store(Memory::new()), Author::new(1, 1));
    let barrier = Arc::new(Barrier::new(2));
    let gate = barrier.clone();
    let (sender, told) = mpsc::sync_channel(10_000);
    let committer = Committer::spawn(&store, Options::default(), move |event| {
        sender.send(short(&event)).unwrap();
        if matches!(event, Event::Written { through: BatchId(1) }) {
            gate.wait();
            gate.wait();
        }
    });
    let committer = committer.unwrap();
    let handle = committer.handle();
    handle.submit(commit(1, Durability::Sync, &mut author)).unwrap();
    barrier.wait();
    handle.commit_or_submit(commit(2, Durability::Relaxed, &mut author)).unwrap();
    handle.commit_or_submit(commit(3, Durability::Relaxed, &mut author)).unwrap();
    barrier.wait();
    committer.shutdown();
    let told: Vec<String> = told.iter().collect();
    assert_eq!(told, ["written 1", "synced 1", "written 3", "synced 3"]);
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(author.state));
}

#[test]
fn a_commit_that_its_caller_could_not_write_is_reported_by_the_thread_and_the_next_is_refused() {
    let kv = Arc::new(Faulty::new());
    let store = Store::with_kv(kv.clone() as Arc<dyn Kv>).unwrap();
    let mut author = Author::new(1, 1);
    let (committer, told) = spawn_told(&store, Options::default());
    let handle = committer.handle();
    kv.set_full(true);
    handle.commit_or_submit(commit(1, Durability::Relaxed, &mut author)).unwrap();
    let (what, whose) = told.recv().unwrap();
    assert!(what.starts_with("failed 1-1"), "{what}");
    assert_ne!(whose, std::thread::current().id());
    kv.set_full(false);
    handle.commit_or_submit(commit(2, Durability::Relaxed, &mut author)).unwrap();
    assert!(told.recv().unwrap().0.starts_with("failed 2-2: an earlier commit failed"));
    handle.resume().unwrap();
    let mut fresh = Author::new(1, 1);
    handle.commit_or_submit(commit(3, Durability::Relaxed, &mut fresh)).unwrap();
    committer.shutdown();
    assert_eq!(told.iter().map(|(what, _)| what).collect::<Vec<_>>(), ["written 3", "synced 3"]);
    assert_eq!(store.log_state(&author.thread, &author.log).unwrap(), Some(fresh.state));
}

/// A handle outlives the end of the writer, and must not keep the store open.
#[test]
fn a_handle_does_not_keep_the_store_open() {
    let kv = Arc::new(Memory::new());
    let store = Store::with_kv(kv.clone() as Arc<dyn Kv>).unwrap();
    let (committer, _events) = spawn(&store, Options::default());
    let handle = committer.handle();
    committer.shutdown();
    drop(store);
    assert_eq!(Arc::strong_count(&kv), 1);
    let mut author = Author::new(1, 1);
    let refused = handle.commit_or_submit(commit(1, Durability::Relaxed, &mut author));
    assert!(matches!(refused, Err(TrySubmitError::Closed(_))));
}

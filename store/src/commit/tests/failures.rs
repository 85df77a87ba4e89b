use spool_proto::sync::Durability;

use super::Rig;
use crate::{
    fixture::Author,
    kv::{Reads as _, Space},
};

/// A thread with one synced record.
fn begun() -> (Rig, Author) {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    rig.commit(Durability::Sync, vec![author.write_thread()]);
    rig.commit(Durability::Sync, author.write_next(10));
    (rig, author)
}

fn counter(rig: &Rig, author: &Author) -> u64 {
    rig.store.log_state(&author.thread, &author.log).unwrap().unwrap().counter()
}

#[test]
fn after_a_failed_write_everything_is_refused_until_the_caller_resumes() {
    let (mut rig, mut author) = begun();
    let before = author.clone();
    rig.kv.fail_write(1);
    let failed =
        rig.group(vec![(Durability::Sync, author.write_next(10)), (Durability::Relaxed, author.write_next(10))]);
    assert_eq!(failed, ["failed 3-4: write to the store"]);
    // Built on the failed ones, so they must not be applied although the disk is fine again.
    let refused = rig.commit(Durability::Relaxed, author.write_next(10));
    assert_eq!(refused, ["failed 5-5: an earlier commit failed, and this one may build on it: resume first"]);
    assert_eq!(counter(&rig, &author), 1);

    rig.writer.resume();
    let mut author = before;
    assert_eq!(rig.commit(Durability::Sync, author.write_next(20)), ["written 6", "synced 6"]);
    assert_eq!(rig.after_power_cut(0).store.log_state(&author.thread, &author.log).unwrap(), Some(author.state));
}

#[test]
fn a_full_disk_is_named_and_reads_go_on_and_so_do_writes_once_there_is_room() {
    let (mut rig, mut author) = begun();
    let before = author.clone();
    rig.kv.set_full(true);
    let reported = rig.commit(Durability::Sync, author.write_next(10));
    assert_eq!(reported, ["failed 3-3: the disk is full: free some space, writing then resumes by itself"]);
    assert!(rig.store.record(&author.thread, &author.log, 1).unwrap().is_some());
    assert!(!rig.store.is_poisoned());

    // Still full: the error comes again instead of a silent loss.
    rig.writer.resume();
    assert!(
        rig.commit(Durability::Relaxed, before.clone().write_next(10))[0].starts_with("failed 4-4: the disk is full")
    );

    rig.kv.set_full(false);
    rig.writer.resume();
    let mut author = before;
    assert_eq!(rig.commit(Durability::Sync, author.write_next(10)), ["written 5", "synced 5"]);
}

#[test]
fn what_was_written_before_a_failure_is_still_synced() {
    let (mut rig, mut author) = begun();
    assert_eq!(rig.commit(Durability::Relaxed, author.write_next(10)), ["written 3"]);
    rig.kv.fail_write(1);
    rig.commit(Durability::Relaxed, author.write_next(10));
    assert_eq!(rig.sync(), ["synced 3"]);
    assert_eq!(rig.after_power_cut(0).store.log_state(&author.thread, &author.log).unwrap().unwrap().counter(), 2);
}

#[test]
fn a_failed_sync_of_a_write_poisons_the_store() {
    let (mut rig, mut author) = begun();
    rig.kv.fail_sync(1);
    let reported = rig.commit(Durability::Sync, author.write_next(10));
    let why = "the disk did not confirm a sync, what it holds is unknown: check the disk, then restart";
    assert_eq!(reported, [format!("failed 3-3: {why}"), "poisoned".to_owned()]);

    // The disk claims to be fine again, which is worth nothing: no later write may be reported as durable.
    rig.writer.resume();
    let refused = "failed 4-4: writes are refused since a sync failed: check the disk, then restart";
    assert_eq!(rig.commit(Durability::Sync, author.write_next(10)), [refused]);
    assert!(rig.store.is_poisoned());
    assert!(rig.store.set_setting("name", Some(b"value")).unwrap_err().is_fatal());
    assert!(rig.sync().is_empty());
    // The node still reads.
    assert_eq!(counter(&rig, &author), 1);
}

#[test]
fn a_failed_sync_of_relaxed_writes_poisons_the_store_and_is_never_reported_as_synced() {
    let (mut rig, mut author) = begun();
    rig.commit(Durability::Relaxed, author.write_next(10));
    rig.kv.fail_sync(1);
    assert_eq!(rig.sync(), ["poisoned"]);
    assert!(!rig.writer.has_unsynced());
    assert!(rig.sync().is_empty());
    assert_eq!(rig.synced(), 2);
    assert!(rig.commit(Durability::Relaxed, author.write_next(10))[0].starts_with("failed 4-4: writes are refused"));
    assert_eq!(rig.after_power_cut(0).store.log_state(&author.thread, &author.log).unwrap().unwrap().counter(), 1);
}

#[test]
fn a_write_to_an_unknown_thread_fails_from_its_commit_on_and_spares_those_before() {
    let (mut rig, mut author) = begun();
    let mut stranger = Author::new(2, 2);
    let reported = rig.group(vec![
        (Durability::Relaxed, author.write_next(10)),
        (Durability::Relaxed, stranger.write_next(10)),
        (Durability::Sync, author.write_next(10)),
    ]);
    let why = format!("thread {} is not in the store: its state has to be written first", stranger.thread);
    assert_eq!(reported, ["written 3".to_owned(), format!("failed 4-5: {why}")]);
    assert_eq!(counter(&rig, &author), 2);
    assert!(rig.kv.get(Space::Meta, b"n").unwrap().is_some());
}

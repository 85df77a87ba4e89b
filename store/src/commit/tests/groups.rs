use spool_proto::sync::{Durability, Write};

use super::Rig;
use crate::{
    fixture::Author,
    keys,
    kv::{Reads as _, Space},
    store::Page,
};

#[test]
fn a_relaxed_group_is_written_at_once_and_synced_later() {
    let (mut rig, author) = (Rig::new(), Author::new(1, 1));
    assert_eq!(rig.commit(Durability::Relaxed, vec![author.write_thread()]), ["written 1"]);
    assert!(rig.writer.has_unsynced());
    assert_eq!(rig.store.threads().unwrap().len(), 1);
    assert_eq!(rig.sync(), ["synced 1"]);
    assert!(!rig.writer.has_unsynced());
    assert!(rig.sync().is_empty());
}

#[test]
fn one_sync_commit_makes_its_whole_group_durable_with_one_write() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let calls = rig.kv.calls();
    let reported = rig.group(vec![
        (Durability::Relaxed, vec![author.write_thread()]),
        (Durability::Sync, author.write_next(10)),
        (Durability::Relaxed, author.write_next(10)),
    ]);
    assert_eq!(reported, ["written 3", "synced 3"]);
    assert_eq!(rig.kv.calls(), calls + 1);
    let after = rig.after_power_cut(0);
    assert_eq!(after.store.log_state(&author.thread, &author.log).unwrap(), Some(author.state));
}

#[test]
fn a_sync_commit_makes_earlier_relaxed_ones_durable_too() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    rig.commit(Durability::Relaxed, vec![author.write_thread()]);
    rig.commit(Durability::Relaxed, author.write_next(10));
    assert_eq!(rig.commit(Durability::Sync, author.write_next(10)), ["written 3", "synced 3"]);
    assert_eq!(rig.after_power_cut(0).store.log_state(&author.thread, &author.log).unwrap().unwrap().counter(), 2);
}

#[test]
fn an_empty_sync_commit_is_a_barrier() {
    let (mut rig, author) = (Rig::new(), Author::new(1, 1));
    rig.commit(Durability::Relaxed, vec![author.write_thread()]);
    assert_eq!(rig.commit(Durability::Sync, Vec::new()), ["written 2", "synced 2"]);
    assert_eq!(rig.after_power_cut(0).store.threads().unwrap().len(), 1);
}

#[test]
fn of_several_states_of_a_log_in_one_group_the_last_is_kept() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let mut commits = vec![(Durability::Relaxed, vec![author.write_thread()])];
    commits.extend((0..20).map(|_| (Durability::Relaxed, author.write_next(10))));
    rig.group(commits);
    assert_eq!(rig.store.log_state(&author.thread, &author.log).unwrap(), Some(author.state.clone()));
    let run = rig.store.records(&author.thread, &author.log, 0, u64::MAX, Page { bytes: usize::MAX, count: 100 });
    assert_eq!(run.unwrap().unwrap().records.len(), 20);
}

#[test]
fn later_writes_see_earlier_ones_of_their_group() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let block = b"a block that comes before the record that links to it".as_slice();
    let early = author.write_block(block, Vec::new());
    let record = author.append_block(block);
    rig.group(vec![
        (Durability::Relaxed, vec![author.write_thread(), early]),
        (Durability::Relaxed, vec![Write::Record { record }]),
    ]);
    assert!(rig.store.wants(&author.thread, None, 10).unwrap().is_empty());

    let block = b"a block that comes after".as_slice();
    let record = author.append_block(block);
    rig.group(vec![
        (Durability::Relaxed, vec![Write::Record { record }]),
        (Durability::Relaxed, vec![author.write_block(block, Vec::new())]),
    ]);
    assert!(rig.store.wants(&author.thread, None, 10).unwrap().is_empty());
}

#[test]
fn local_numbers_are_never_given_out_twice() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    rig.group(vec![(Durability::Sync, vec![author.write_thread()]), (Durability::Sync, author.write_next(10))]);
    rig.commit(Durability::Sync, vec![Write::RemoveThread { thread: author.thread.clone() }]);
    rig.purge();

    let mut after = rig.after_power_cut(0);
    let mut again = Author::new(1, 1);
    after.group(vec![(Durability::Sync, vec![again.write_thread()]), (Durability::Sync, again.write_next(10))]);
    let value = after.kv.get(Space::Threads, &keys::threads::by_id(again.thread.as_bytes())).unwrap().unwrap();
    assert_eq!(value.first_chunk(), Some(&2u32.to_be_bytes()));
    let number = keys::logs::number(keys::ThreadNumber(2), again.log.public_key());
    assert_eq!(after.kv.get(Space::Logs, &number).unwrap().unwrap().as_ref(), 2u32.to_be_bytes());
}

use spool_proto::{
    block,
    sync::{Durability, Write},
};

use super::Rig;
use crate::{
    fixture::Author,
    keys,
    kv::{Kv as _, Reads as _, Space},
    limits::PURGE_KEYS,
};

fn remove(author: &Author) -> Vec<Write> {
    vec![Write::RemoveThread { thread: author.thread.clone() }]
}

/// Two threads; both have a block of their own, and they share one.
fn two_threads() -> (Rig, Author, Author) {
    let (mut rig, mut one, mut two) = (Rig::new(), Author::new(1, 1), Author::new(2, 2));
    for (author, own) in [(&mut one, b"block of one"), (&mut two, b"block of two")] {
        let mut writes = vec![author.write_thread()];
        for block in [own.as_slice(), b"shared block"] {
            let record = author.append_block(block);
            writes.extend([author.write_block(block, Vec::new()), Write::Record { record }]);
        }
        let inert = author.clone().append(10, 0);
        writes.extend([Write::Inert { record: inert }, author.write_log()]);
        let wanted = author.append_block(b"never arrived");
        writes.push(Write::Record { record: wanted });
        rig.commit(Durability::Sync, writes);
    }
    (rig, one, two)
}

/// Keys of all spaces but the counters, settings and schema.
fn keys_left(rig: &Rig) -> usize {
    let statistics = rig.kv.statistics().unwrap();
    statistics.spaces.iter().filter(|space| space.space != Space::Meta).map(|space| space.keys as usize).sum()
}

fn has(rig: &Rig, block: &[u8]) -> bool {
    let cid = block::cid(block);
    let has = rig.store.has_block(&cid).unwrap();
    assert_eq!(rig.store.block(&cid).unwrap().is_some(), has);
    has
}

#[test]
fn a_removed_thread_is_gone_at_once_and_its_blocks_follow_unless_another_thread_has_them() {
    let (mut rig, one, two) = two_threads();
    let head = one.state.head.unwrap().cid;
    assert!(rig.store.locate(&head).unwrap().is_some());
    rig.commit(Durability::Sync, remove(&one));
    assert_eq!(rig.store.threads().unwrap().len(), 1);
    assert!(rig.store.thread(&one.thread).unwrap().is_none());
    assert!(rig.store.record(&one.thread, &one.log, 1).unwrap().is_none());
    assert!(rig.store.block_in_thread(&one.thread, &block::cid(b"shared block")).unwrap().is_none());
    assert!(rig.store.locate(&head).unwrap().is_none());
    assert!(has(&rig, b"block of one"), "deleted in the background");

    rig.purge();
    assert_eq!([true, true, false], [b"shared block", b"block of two", b"block of one"].map(|block| has(&rig, block)));
    assert!(rig.store.block_in_thread(&two.thread, &block::cid(b"shared block")).unwrap().is_some());
    assert_eq!(rig.store.wants(&two.thread, None, 10).unwrap().len(), 1);

    rig.commit(Durability::Sync, remove(&two));
    rig.purge();
    assert_eq!(keys_left(&rig), 0);
}

#[test]
fn removing_an_unknown_thread_does_nothing() {
    let (mut rig, one, _) = two_threads();
    let stranger = Author::new(3, 3);
    assert_eq!(rig.commit(Durability::Sync, remove(&stranger)), ["written 3", "synced 3"]);
    assert!(!rig.writer.is_purging());
    rig.group(vec![(Durability::Sync, remove(&one)), (Durability::Sync, remove(&one))]);
    rig.purge();
    assert_eq!(rig.store.threads().unwrap().len(), 1);
}

/// The mark is durable; then the power is cut after every possible number of steps, with and without what was not synced.
#[test]
fn a_removal_that_was_cut_anywhere_is_finished_by_the_next_start() {
    let (mut rig, one, two) = two_threads();
    rig.commit(Durability::Sync, remove(&one));
    let marked = rig.kv.power_cut(0);
    let steps = rig.purge();
    let left = keys_left(&rig);
    assert!(steps > 4);
    for done in 0..steps {
        for kept in 0..=done {
            let mut cut = Rig::on(marked.power_cut(0));
            for _ in 0..done {
                cut.writer.purge_step();
            }
            let mut after = cut.after_power_cut(kept);
            assert!(after.writer.is_purging(), "cut after {done} steps, {kept} kept");
            assert!(after.store.thread(&one.thread).unwrap().is_none());
            after.purge();
            assert_eq!(keys_left(&after), left);
            assert!(after.store.block_in_thread(&two.thread, &block::cid(b"shared block")).unwrap().is_some());
        }
    }
}

#[test]
fn a_large_thread_goes_in_bounded_steps() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let mut writes = vec![author.write_thread()];
    let count = 2 * PURGE_KEYS + 10;
    for n in 0..count {
        writes.push(author.write_block(&n.to_be_bytes(), Vec::new()));
        writes.extend(author.write_next(1));
    }
    rig.commit(Durability::Sync, writes);
    rig.commit(Durability::Sync, remove(&author));
    let mut before = keys_left(&rig);
    while rig.writer.is_purging() {
        rig.writer.purge_step();
        let now = keys_left(&rig);
        assert!(before - now <= 4 * PURGE_KEYS, "{} keys in one step", before - now);
        before = now;
    }
    assert_eq!(before, 0);
}

#[test]
fn a_thread_that_is_joined_again_while_its_old_self_is_purged_keeps_what_it_gets() {
    let (mut rig, one, _) = two_threads();
    rig.commit(Durability::Sync, remove(&one));
    rig.writer.purge_step();
    let mut again = Author::new(1, 1);
    let block = b"shared block";
    let record = again.append_block(block);
    let writes =
        vec![again.write_thread(), again.write_block(block, Vec::new()), Write::Record { record }, again.write_log()];
    rig.commit(Durability::Sync, writes);
    rig.purge();
    assert_eq!(rig.store.log_state(&again.thread, &again.log).unwrap(), Some(again.state.clone()));
    assert!(rig.store.block_in_thread(&again.thread, &block::cid(block)).unwrap().is_some());
    assert_eq!(rig.store.locate(&again.state.head.unwrap().cid).unwrap().unwrap().counter, 1);
}

#[test]
fn a_purge_that_fails_waits_for_the_next_resume() {
    let (mut rig, one, _) = two_threads();
    rig.commit(Durability::Sync, remove(&one));
    rig.kv.set_full(true);
    rig.writer.purge_step();
    assert!(!rig.writer.is_purging());
    rig.kv.set_full(false);
    rig.writer.resume();
    rig.purge();
    assert!(!has(&rig, b"block of one"));
    assert!(rig.kv.get(Space::Threads, &keys::threads::removal(keys::ThreadNumber(1))).unwrap().is_none());
}

//! A power cut at any point, in both durability settings, loses nothing that was reported as synced, and leaves of the rest a prefix of
//! whole commits.

use proptest::prelude::*;
use spool_proto::{
    block,
    sync::{Durability, Write},
};

use super::Rig;
use crate::{fixture::Author, store::Page, store::Store};

#[derive(Debug, Clone)]
enum Step {
    /// Groups of commits: for each whether it is to be synced.
    Group(Vec<bool>),
    /// The timer of relaxed writes fires.
    Sync,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let group = prop::collection::vec(prop::bool::weighted(0.2), 1..4).prop_map(Step::Group);
    prop::collection::vec(prop_oneof![4 => group, 1 => Just(Step::Sync)], 1..12)
}

/// Commit number `n` of the story: every third one has a block for its body.
fn writes(author: &mut Author, n: u64) -> Vec<Write> {
    if n == 1 {
        let mut writes = vec![author.write_thread()];
        writes.extend(author.write_next(10));
        return writes;
    }
    if !n.is_multiple_of(3) {
        return author.write_next(10);
    }
    let body = block_of(n);
    let block = author.write_block(&body, Vec::new());
    let record = author.append_block(&body);
    vec![block, Write::Record { record }, author.write_log()]
}

fn block_of(n: u64) -> Vec<u8> {
    format!("block of record {n}").into_bytes()
}

/// How many commits are there; each of them must be there as a whole, and nothing of a later one.
fn commits(store: &Store, author: &Author, cids: &[spool_proto::Cid]) -> u64 {
    let head = store.log_state(&author.thread, &author.log).unwrap().map_or(0, |state| state.counter());
    let all = Page { bytes: usize::MAX, count: usize::MAX };
    let run = store.records(&author.thread, &author.log, 0, u64::MAX, all).unwrap();
    assert_eq!(run.map_or(0, |run| run.records.len()) as u64, head, "records go with the head");
    for (n, cid) in (1..).zip(cids) {
        let there = n <= head;
        assert_eq!(
            store.locate(cid).unwrap().map(|place| place.counter),
            there.then_some(n),
            "index goes with the record"
        );
        let body = block::cid(&block_of(n));
        let has_block = store.block_in_thread(&author.thread, &body).unwrap().is_some();
        assert_eq!(has_block, there && n.is_multiple_of(3), "blocks go with the record");
        assert_eq!(store.has_block(&body).unwrap(), has_block);
    }
    assert!(store.wants(&author.thread, None, 10).unwrap().is_empty());
    assert_eq!(store.threads().unwrap().len(), usize::from(head > 0));
    head
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nothing_synced_is_lost_and_the_rest_is_a_prefix(steps in steps(), cut in 0u64..24, kept in 0usize..12) {
        let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
        rig.kv.power_off_after(cut);
        let (mut n, mut cids) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Sync => { rig.sync(); }
                Step::Group(commits) => {
                    let commits = commits.into_iter().map(|sync| {
                        n += 1;
                        let durability = if sync { Durability::Sync } else { Durability::Relaxed };
                        let writes = writes(&mut author, n);
                        cids.push(author.state.head.unwrap().cid);
                        (durability, writes)
                    });
                    let commits = commits.collect();
                    rig.group(commits);
                }
            }
        }
        let synced = rig.synced();
        let mut after = rig.after_power_cut(kept);
        let found = commits(&after.store, &author, &cids);
        prop_assert!(found >= synced, "{found} commits found, {synced} were reported as synced");
        if kept == 0 {
            prop_assert_eq!(found, synced, "nothing was kept but what was synced");
        }

        // The node goes on from what it finds.
        let mut author = Author::new(1, 1);
        for n in 1..=found {
            writes(&mut author, n);
        }
        let next = writes(&mut author, found + 1);
        prop_assert_eq!(after.commit(Durability::Sync, next), ["written 1", "synced 1"]);
        let again = after.after_power_cut(0);
        prop_assert_eq!(again.store.log_state(&author.thread, &author.log).unwrap(), Some(author.state));
    }
}

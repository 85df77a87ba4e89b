use bytes::Bytes;
use sha2::{Digest, Sha256};
use spool_proto::{
    Cid, block,
    sync::{Durability, Head, Write},
};

use super::Rig;
use crate::{
    fixture::Author,
    store::{InertDigest, InertRecord, Page, Place},
};

const ALL: Page = Page { bytes: usize::MAX, count: usize::MAX };

/// A log of `count` records; the third and later ones under another key.
fn log_of(count: u64) -> (Rig, Author, Vec<Bytes>) {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let mut writes = vec![author.write_thread()];
    let mut sealed = Vec::new();
    for n in 1..=count {
        if n == 3 {
            author.rekey(9);
        }
        let record = author.append(100, n as u8);
        sealed.push(record.sealed().bytes.clone());
        writes.push(Write::Record { record });
    }
    writes.push(author.write_log());
    rig.commit(Durability::Sync, writes);
    (rig, author, sealed)
}

#[test]
fn runs_end_at_a_change_of_key_at_bounds_and_at_the_head() {
    let (rig, author, sealed) = log_of(6);
    let read = |after, until, page| rig.store.records(&author.thread, &author.log, after, until, page).unwrap();
    let shape = |after, until, page| {
        let run = read(after, until, page)?;
        assert_eq!(run.records, sealed[after as usize..][..run.records.len()]);
        Some((run.first, run.records.len(), run.more))
    };
    assert_eq!(shape(0, u64::MAX, ALL), Some((1, 2, true)), "the key changes at 3");
    assert_eq!(shape(2, u64::MAX, ALL), Some((3, 4, false)));
    assert_eq!(shape(2, 4, ALL), Some((3, 2, false)));
    assert_eq!(shape(2, 6, Page { count: 3, ..ALL }), Some((3, 3, true)));
    let two = sealed[2].len() + sealed[3].len();
    assert_eq!(shape(2, 6, Page { bytes: two, ..ALL }), Some((3, 2, true)));
    assert_eq!(shape(2, 6, Page { bytes: two - 1, ..ALL }), Some((3, 1, true)));
    assert_eq!(shape(2, 6, Page { bytes: 0, ..ALL }), Some((3, 1, true)), "one too large for the page comes alone");
    for (after, until) in [(6, u64::MAX), (2, 2), (5, 3), (u64::MAX, u64::MAX)] {
        assert_eq!(shape(after, until, ALL), None);
    }
    assert_ne!(read(0, 6, ALL).unwrap().key_id, read(2, 6, ALL).unwrap().key_id);
}

#[test]
fn single_records_places_and_cids_agree() {
    let (rig, author, sealed) = log_of(4);
    let cids: Vec<Cid> = sealed.iter().map(|bytes| block::cid(bytes)).collect();
    for (counter, cid) in (1..).zip(&cids) {
        let record = rig.store.record(&author.thread, &author.log, counter).unwrap().unwrap();
        assert_eq!(record.cid(), *cid);
        let place = Place { thread: author.thread.clone(), log: author.log, counter, beside: false };
        assert_eq!(rig.store.locate(cid).unwrap(), Some(place));
    }
    assert!(rig.store.record(&author.thread, &author.log, 5).unwrap().is_none());
    let heads = |from, until, count| rig.store.cids(&author.thread, &author.log, from, until, count).unwrap();
    let expected: Vec<Head> = (2..).zip(&cids[1..3]).map(|(counter, cid)| Head { counter, cid: *cid }).collect();
    assert_eq!(heads(2, 3, 10), expected);
    assert_eq!(heads(2, 9, 2), expected);
    assert_eq!(heads(0, 9, 10).len(), 4);
    assert!(rig.store.locate(&block::cid(b"nowhere")).unwrap().is_none());
    let foreign = Cid::new_v1(0x71, *cids[0].hash());
    assert!(rig.store.locate(&foreign).unwrap().is_none());
}

#[test]
fn an_unknown_thread_or_log_reads_as_nothing() {
    let (rig, author, _) = log_of(2);
    let stranger = Author::new(2, 2);
    for (thread, log) in [(&stranger.thread, author.log), (&author.thread, stranger.log)] {
        assert!(rig.store.records(thread, &log, 0, 9, ALL).unwrap().is_none());
        assert!(rig.store.log_state(thread, &log).unwrap().is_none());
        assert!(rig.store.inert(thread, &log, 1, None, ALL).unwrap().records.is_empty());
        assert_eq!(rig.store.inert_digest(thread, &log, 1).unwrap(), InertDigest::default());
    }
    assert!(rig.store.log_states(&stranger.thread).unwrap().is_empty());
    assert!(rig.store.wants(&stranger.thread, None, 9).unwrap().is_empty());
}

#[test]
fn states_are_listed_sorted_by_log() {
    let mut rig = Rig::new();
    let mut authors: Vec<Author> = (1..=5).map(|log| Author::new(1, log)).collect();
    let mut writes = vec![authors[0].write_thread()];
    authors.iter_mut().for_each(|author| writes.extend(author.write_next(10)));
    // A log with records but without a state has not been told of yet.
    writes.pop();
    rig.commit(Durability::Sync, writes);
    let mut expected: Vec<_> = authors[..4].iter().map(|author| (author.log, author.state.clone())).collect();
    expected.sort_by_key(|(log, _)| *log);
    assert_eq!(rig.store.log_states(&authors[0].thread).unwrap(), expected);
}

#[test]
fn inert_records_of_chain_and_branch_come_merged_and_page_by_page() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let mut writes = vec![author.write_thread()];
    let first = author.append(10, 0);
    writes.push(Write::Record { record: first });
    let mut branches = [author.clone(), author.clone(), author.clone()];
    let mut expected = Vec::new();
    let mut add = |record: &spool_proto::record::VerifiedRecord| {
        expected.push(InertRecord { counter: record.counter(), cid: *record.cid(), sealed: record.sealed().clone() });
    };
    for n in 0..3 {
        let record = author.append(10, 1);
        add(&record);
        writes.push(Write::Record { record });
        for (branch, content) in branches.iter_mut().zip(2..) {
            if n < 2 {
                let record = branch.append(10, content);
                add(&record);
                writes.push(Write::Inert { record });
            }
        }
    }
    rig.commit(Durability::Sync, writes);
    expected.sort_by_key(|record| (record.counter, record.cid.to_bytes()));
    assert_eq!(expected.len(), 9);

    let whole = rig.store.inert(&author.thread, &author.log, 2, None, ALL).unwrap();
    assert_eq!((whole.records, whole.more), (expected.clone(), false));
    for size in 1..10 {
        let (mut after, mut pages) = (None, Vec::new());
        loop {
            let page = Page { count: size, ..ALL };
            let page = rig.store.inert(&author.thread, &author.log, 2, after, page).unwrap();
            assert!(page.records.len() == size || !page.more);
            after = page.records.last().map(|last| (last.counter, last.cid));
            pages.extend(page.records);
            if !page.more {
                break;
            }
        }
        assert_eq!(pages, expected, "pages of {size}");
    }

    let digest = rig.store.inert_digest(&author.thread, &author.log, 2).unwrap();
    let mut xor = [0; 32];
    for record in &expected {
        xor.iter_mut().zip(Sha256::digest(record.cid.to_bytes())).for_each(|(sum, byte)| *sum ^= byte);
    }
    assert_eq!(digest, InertDigest { count: 9, xor });
    assert_eq!(rig.store.inert_digest(&author.thread, &author.log, 4).unwrap().count, 1);
    assert!(rig.store.locate(&expected[0].cid).unwrap().is_some());
}

#[test]
fn a_record_on_the_chain_and_beside_it_counts_once() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let record = author.append(10, 0);
    rig.commit(
        Durability::Sync,
        vec![author.write_thread(), Write::Record { record: record.clone() }, Write::Inert { record }],
    );
    assert_eq!(rig.store.inert(&author.thread, &author.log, 1, None, ALL).unwrap().records.len(), 1);
    assert_eq!(rig.store.inert_digest(&author.thread, &author.log, 1).unwrap().count, 1);
}

#[test]
fn wants_follow_links_until_the_block_arrives_through_any_thread() {
    let (mut rig, mut one, mut two) = (Rig::new(), Author::new(1, 1), Author::new(2, 2));
    let block = b"wanted by both";
    let records = [one.append_block(block), two.append_block(block)];
    let mut writes = vec![one.write_thread(), two.write_thread()];
    writes.extend(records.map(|record| Write::Record { record }));
    rig.commit(Durability::Sync, writes);
    let cid = block::cid(block);
    for author in [&one, &two] {
        assert_eq!(rig.store.wants(&author.thread, None, 9).unwrap(), [(cid, None)]);
        assert!(rig.store.block_in_thread(&author.thread, &cid).unwrap().is_none());
    }
    rig.commit(Durability::Sync, vec![one.write_block(block, Vec::new())]);
    for author in [&one, &two] {
        assert!(rig.store.wants(&author.thread, None, 9).unwrap().is_empty());
        assert_eq!(rig.store.block_in_thread(&author.thread, &cid).unwrap().unwrap(), block.as_slice());
    }
    let statistics = rig.store.thread_statistics(&two.thread).unwrap();
    assert_eq!((statistics.blocks, statistics.block_bytes, statistics.wanted), (1, block.len() as u64, 0));
}

#[test]
fn a_manifest_is_wanted_with_its_log_and_its_chunks_after_it() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let manifest = b"manifest";
    let chunks: Vec<Cid> = (0..5u8).map(|n| block::cid(&[n])).collect();
    let record = author.append_manifests(&[block::cid(manifest)]);
    rig.commit(Durability::Sync, vec![author.write_thread(), Write::Record { record }]);
    assert_eq!(rig.store.wants(&author.thread, None, 9).unwrap(), [(block::cid(manifest), Some(author.log))]);

    rig.commit(Durability::Sync, vec![author.write_block(&[3], Vec::new())]);
    rig.commit(Durability::Sync, vec![author.write_block(manifest, chunks.clone())]);
    let mut expected: Vec<_> = chunks.iter().filter(|cid| **cid != chunks[3]).map(|cid| (*cid, None)).collect();
    expected.sort_by_key(|(cid, _)| cid.to_bytes());
    assert_eq!(rig.store.wants(&author.thread, None, 9).unwrap(), expected);
    assert_eq!(rig.store.wants(&author.thread, None, 2).unwrap(), expected[..2]);
    assert_eq!(rig.store.wants(&author.thread, Some(&expected[1].0), 9).unwrap(), expected[2..]);
}

#[test]
fn blocks_are_served_only_within_a_thread_that_refers_to_them() {
    let (mut rig, one, two) = (Rig::new(), Author::new(1, 1), Author::new(2, 2));
    rig.commit(Durability::Sync, vec![one.write_thread(), two.write_thread(), one.write_block(b"private", Vec::new())]);
    let cid = block::cid(b"private");
    assert!(rig.store.block_in_thread(&one.thread, &cid).unwrap().is_some());
    assert!(rig.store.block_in_thread(&two.thread, &cid).unwrap().is_none());
}

#[test]
fn a_dropped_block_is_neither_here_nor_wanted_unless_another_thread_has_it() {
    let (mut rig, mut one, two) = (Rig::new(), Author::new(1, 1), Author::new(2, 2));
    let mut writes = vec![one.write_thread(), two.write_thread()];
    let linked =
        [b"own".as_slice(), b"shared", b"never came"].map(|block| Write::Record { record: one.append_block(block) });
    writes.extend(linked);
    writes.extend([one.write_log(), one.write_block(b"own", Vec::new()), one.write_block(b"shared", Vec::new())]);
    writes.push(two.write_block(b"shared", Vec::new()));
    rig.commit(Durability::Sync, writes);
    let cids = [b"own".as_slice(), b"shared", b"never came"].map(block::cid);
    assert_eq!(cids.map(|cid| rig.store.block_size(&cid).unwrap()), [3, 6, 0]);
    assert_eq!(rig.store.wants(&one.thread, None, 9).unwrap().len(), 1);
    let drop = || Write::DropBlocks { thread: one.thread.clone(), cids: cids.to_vec() };
    // Twice does no harm.
    rig.commit(Durability::Sync, vec![drop()]);
    rig.commit(Durability::Sync, vec![drop()]);
    assert!(rig.store.wants(&one.thread, None, 9).unwrap().is_empty());
    assert_eq!(cids.map(|cid| rig.store.has_block(&cid).unwrap()), [false, true, false]);
    assert!(rig.store.block_in_thread(&one.thread, &cids[1]).unwrap().is_none());
    assert!(rig.store.block_in_thread(&two.thread, &cids[1]).unwrap().is_some());
    assert_eq!(rig.store.thread_statistics(&one.thread).unwrap().records, 3);
    assert_eq!(
        (
            rig.store.thread_statistics(&one.thread).unwrap().blocks,
            rig.store.thread_statistics(&one.thread).unwrap().wanted
        ),
        (0, 0)
    );
    // A record that comes later and links to one wants it again.
    let record = one.append_block(b"own");
    rig.commit(Durability::Sync, vec![Write::Record { record }, one.write_log()]);
    assert_eq!(rig.store.wants(&one.thread, None, 9).unwrap(), [(cids[0], None)]);
}

/// A writer links to the CID of a record as if that were a block, and some peer delivers it.
#[test]
fn a_record_stored_as_a_block_is_still_found_as_a_record() {
    let (mut rig, mut author) = (Rig::new(), Author::new(1, 1));
    let record = author.append(10, 0);
    let bytes = record.sealed().bytes.clone();
    let cid = *record.cid();
    rig.commit(Durability::Sync, vec![author.write_thread(), Write::Record { record }]);
    let link = author.append_block(&bytes);
    rig.commit(Durability::Sync, vec![Write::Record { record: link }, author.write_block(&bytes, Vec::new())]);
    assert_eq!(rig.store.locate(&cid).unwrap().unwrap().counter, 1);
    assert!(rig.store.has_block(&cid).unwrap());
}

#[test]
fn settings_are_kept_and_bounded() {
    let rig = Rig::new();
    rig.store.set_setting("peer/name", Some(b"attic")).unwrap();
    let after = rig.after_power_cut(0);
    assert_eq!(after.store.setting("peer/name").unwrap().unwrap(), b"attic".as_slice());
    after.store.set_setting("peer/name", None).unwrap();
    assert!(after.store.setting("peer/name").unwrap().is_none());
    assert!(after.store.set_setting(&"n".repeat(257), Some(b"")).is_err());
    assert!(after.store.set_setting("n", Some(&[0; 65 * 1024])).is_err());
    for name in ["peer/b", "peer/a", "peers", "pee"] {
        after.store.set_setting(name, Some(name.as_bytes())).unwrap();
    }
    let found = after.store.settings("peer/").unwrap();
    assert_eq!(found, [("a".to_owned(), Bytes::from("peer/a")), ("b".to_owned(), Bytes::from("peer/b"))]);
}

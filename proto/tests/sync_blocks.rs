//! Bodies that do not fit into their events: blocks, manifests and chunks replicate to whoever holds the follow key.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use spool_proto::{
    body::{Chunker, Protection},
    sync::{
        Durability,
        sim::{LinkSettings, Malice, NodeId, Part, SharedThread, Simulation},
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// Appends an event whose body has `chunks` chunks of 100 KB.
fn append_chunks(simulation: &mut Simulation, writer: NodeId, thread: &SharedThread, chunks: u8) {
    let epoch = thread.keys.current().unwrap();
    let keys = thread.keys.log_keys(&epoch.key_id(), &simulation.log(writer, thread)).unwrap();
    let secret = epoch.chunk_secret(false).unwrap();
    let mut chunker = Chunker::new(Protection::Thread { key: [3; 32] }, &keys, &thread.id, secret);
    for chunk in 0..chunks {
        let blocks = chunker.chunk(&vec![chunk; 100_000]).unwrap();
        simulation.store(writer, thread, blocks);
    }
    let body = chunker.finish().unwrap();
    simulation.append_body(writer, thread, body, Durability::Sync);
}

fn blocks(simulation: &Simulation, node: NodeId, thread: &SharedThread) -> usize {
    simulation.disk(node).threads[&thread.id].blocks.len()
}

#[test]
fn a_block_and_a_chunked_body_reach_a_follower() {
    let mut simulation = Simulation::new(1);
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower)]);
    let body = simulation.seal(writer, &thread, &[1; 200_000]);
    simulation.append_body(writer, &thread, body, Durability::Sync);
    append_chunks(&mut simulation, writer, &thread, 200);
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert_eq!(blocks(&simulation, follower, &thread), 1 + 200 + 1);
    simulation.run_for(SECOND * 20);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
}

/// A range was a page of records without their bodies, so most of it had to be asked for again, and bodies that overtook others were dropped.
#[test]
fn bodies_that_overtake_each_other_travel_once() {
    let mut simulation = Simulation::new(6);
    simulation.record_messages();
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.add_thread();
    simulation.join(writer, &thread, Part::Writer);
    for number in 0..4_000 {
        let body = simulation.seal(writer, &thread, &[number as u8; 10_000]);
        simulation.append_body(writer, &thread, body, Durability::Relaxed);
        if number % 100 == 99 {
            simulation.run_for(Duration::from_millis(20));
        }
    }
    let jitter = Duration::from_millis(40);
    simulation.set_links(LinkSettings { jitter, ..LinkSettings::default() });
    simulation.join(follower, &thread, Part::Follower);
    let start = simulation.now();
    simulation.connect(writer, follower);
    assert!(simulation.settle(SECOND * 60), "{:?}", simulation.all_differences());
    assert_eq!(blocks(&simulation, follower, &thread), 4_000);
    let answers = simulation.trace.sent.iter().filter(|sent| sent.response && sent.to == follower && sent.at >= start);
    let bytes: usize = answers.map(|sent| sent.bytes).sum();
    let pages = simulation.trace.count(follower, writer, "records", start);
    assert!(bytes < 4_000 * 11_000, "{bytes} bytes in {pages} pages for 40 MB of bodies");
    assert!(pages < 60, "{pages} pages for 40 MB of bodies");
}

/// Everything was asked for at once, again and again: more than the link carries until the answers are given up.
#[test]
fn a_link_too_slow_for_a_page_carries_a_file_and_a_log() {
    let mut simulation = Simulation::new(7);
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.add_thread();
    simulation.join(writer, &thread, Part::Writer);
    append_chunks(&mut simulation, writer, &thread, 40);
    for number in 0..200 {
        let body = simulation.seal(writer, &thread, &[number; 10_000]);
        simulation.append_body(writer, &thread, body, Durability::Relaxed);
    }
    simulation.run_for(SECOND);
    // A page takes half a minute, and requests wait for ten seconds.
    simulation.set_links(LinkSettings { rate: Some(32 * 1024), ..LinkSettings::default() });
    simulation.join(follower, &thread, Part::Follower);
    simulation.connect(writer, follower);
    // The four and a half megabytes alone take more than two minutes; what came too late took its time as well.
    assert!(simulation.settle(SECOND * 60 * 6), "{:?}", simulation.all_differences());
    assert_eq!(blocks(&simulation, follower, &thread), 40 + 1 + 200);
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
}

/// Nothing but the missing blocks tells the restarted follower that something is missing: the heads are equal.
#[test]
fn blocks_that_were_missing_at_a_restart_are_fetched() {
    let mut simulation = Simulation::new(2);
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower)]);
    append_chunks(&mut simulation, writer, &thread, 200);
    let some = |simulation: &mut Simulation| (5..150).contains(&blocks(simulation, follower, &thread));
    let mut tries = 0;
    while !some(&mut simulation) && tries < 10_000 {
        simulation.run_for(Duration::from_millis(2));
        tries += 1;
    }
    assert!(some(&mut simulation), "{} blocks", blocks(&simulation, follower, &thread));
    simulation.crash(follower);
    simulation.run_for(SECOND);
    simulation.restart(follower);
    assert!(simulation.settle(SECOND * 40), "{:?}", simulation.all_differences());
    assert_eq!(blocks(&simulation, follower, &thread), 201);
}

/// A block that nobody has must not keep those behind it waiting.
#[test]
fn a_block_that_nobody_has_does_not_hold_up_others() {
    let mut simulation = Simulation::new(3);
    let [writer, relay, follower] = simulation.add_nodes();
    simulation.set_discovery(false);
    let thread = simulation.thread_of(&[(writer, Part::Writer), (relay, Part::Follower)]);
    // The relay has the record, but not yet its chunks, when the writer vanishes.
    append_chunks(&mut simulation, writer, &thread, 40);
    let log = simulation.log(writer, &thread);
    while simulation.counter(relay, &thread.id, &log) == 0 {
        simulation.run_for(Duration::from_millis(1));
    }
    simulation.crash(writer);
    simulation.join(follower, &thread, Part::Follower);
    simulation.connect(follower, relay);
    simulation.run_for(SECOND * 30);
    assert_eq!(simulation.counter(follower, &thread.id, &log), simulation.counter(relay, &thread.id, &log));
    assert!(!simulation.disk(follower).threads[&thread.id].wants.is_empty());
    // A second writer's blocks come all the same.
    let second = simulation.add_node();
    simulation.join(second, &thread, Part::Writer);
    simulation.connect(second, relay);
    simulation.run_for(SECOND * 5);
    let body = simulation.seal(second, &thread, &[9; 250_000]);
    let cid = body.blocks[0].0;
    simulation.append_body(second, &thread, body, Durability::Sync);
    let there = |simulation: &mut Simulation| simulation.disk(follower).threads[&thread.id].blocks.contains_key(&cid);
    assert!(simulation.run_until(SECOND * 40, there));
    // And when the first is back, everything does.
    simulation.restart(writer);
    assert!(simulation.settle(SECOND * 60), "{:?}", simulation.all_differences());
}

#[test]
fn blocks_that_were_not_asked_for_are_scored_and_others_are_asked() {
    let mut simulation = Simulation::new(4);
    let [writer, bad, follower] = simulation.add_nodes();
    let thread = simulation.thread_of(&[(writer, Part::Writer), (bad, Part::Follower)]);
    append_chunks(&mut simulation, writer, &thread, 30);
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    simulation.corrupt(bad, Malice::WrongAnswers);
    simulation.join(follower, &thread, Part::Follower);
    simulation.connect(follower, bad);
    simulation.connect(follower, writer);
    assert!(simulation.settle(SECOND * 90), "{:?}", simulation.all_differences());
    assert_eq!(simulation.trace.scored(writer, spool_proto::sync::Misbehaviour::InvalidData), 0);
}

/// A record is published without its blocks, and that message often overtakes the push that carries them. The writer answers nothing, as
/// one that goes away right after: what it pushed is all there will ever be.
#[test]
fn blocks_that_come_after_their_record_are_kept() {
    // From a push that meets its record in verification to one that meets a request for its blocks.
    for (seed, jitter) in [(5, 1), (6, 5), (7, 50)] {
        let mut simulation = Simulation::new(seed);
        simulation.record_messages();
        let [writer, follower] = simulation.add_nodes();
        let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower)]);
        simulation.corrupt(writer, Malice::Silent);
        simulation.set_links(LinkSettings { jitter: Duration::from_millis(jitter), ..LinkSettings::default() });
        for _ in 0..20 {
            let body = simulation.seal(writer, &thread, &[1; 10_000]);
            simulation.append_body(writer, &thread, body, Durability::Sync);
            simulation.run_for(SECOND);
        }
        assert_eq!(blocks(&simulation, follower, &thread), 20, "jitter of {jitter} ms");
        assert_eq!(simulation.disk(follower).threads[&thread.id].wants.len(), 0);
        // Requests that were under way fail, and what has come meanwhile is not asked for again.
        simulation.run_for(SECOND * 15);
        let quiet = simulation.now();
        simulation.run_for(SECOND * 60);
        assert_eq!(simulation.trace.count(follower, writer, "blocks", quiet), 0);
        assert_eq!(simulation.leaks(), Vec::<String>::new());
    }
}

/// What the simulator forgives is a block that whoever has it never gives away, and nothing else.
#[test]
fn a_missing_block_is_a_difference_unless_its_writer_withholds_it() {
    let mut simulation = Simulation::new(8);
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower)]);
    simulation.set_links(LinkSettings { jitter: SECOND, ..LinkSettings::default() });
    let body = simulation.seal(writer, &thread, &[1; 10_000]);
    simulation.append_body(writer, &thread, body, Durability::Sync);
    let log = simulation.log(writer, &thread);
    while simulation.counter(follower, &thread.id, &log) == 0 {
        simulation.run_for(Duration::from_millis(1));
    }
    simulation.crash(writer);
    assert_eq!(blocks(&simulation, follower, &thread), 0, "the push was faster");
    let missing = |simulation: &mut Simulation| {
        let differences = simulation.all_differences();
        differences.iter().filter(|difference| difference.contains("wants 1 blocks")).count()
    };
    assert_eq!(missing(&mut simulation), 1, "an honest writer will be back");
    for (malice, expected) in [(Malice::FalseHeads, 1), (Malice::Silent, 0), (Malice::WrongAnswers, 0)] {
        simulation.corrupt(writer, malice);
        assert_eq!(missing(&mut simulation), expected, "{malice:?}");
    }
    let mut damaged = simulation.backup(writer);
    damaged.threads.get_mut(&thread.id).unwrap().blocks.clear();
    simulation.restore(writer, damaged);
    assert_eq!(missing(&mut simulation), 1, "its writer has lost it, which no malice explains");
}

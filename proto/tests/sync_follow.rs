//! Following for others: quotas that refuse by name, what peers are known to have, and bodies that are not kept.

use std::time::Duration;

use spool_proto::{
    LogId,
    sync::{
        AppendError, Durability, Following, Outcome, Trouble,
        sim::{NodeId, Part, SharedThread, Simulation},
    },
    wire::{Refusal, Terms},
};

const SECOND: Duration = Duration::from_secs(1);

fn pair(seed: u64) -> (Simulation, [NodeId; 2], SharedThread, LogId) {
    let mut simulation = Simulation::new(seed);
    simulation.record_messages();
    let nodes = simulation.add_nodes();
    let thread = simulation.thread_of(&[(nodes[0], Part::Writer), (nodes[1], Part::Follower)]);
    let log = simulation.log(nodes[0], &thread);
    (simulation, nodes, thread, log)
}

fn full(is_full: bool) -> Option<Following> {
    let terms = Terms { is_full, bodies_days: 30.try_into().ok() };
    Some(Following { terms, account: 1, records_per_second: None })
}

#[test]
fn who_is_full_takes_nothing_says_so_and_goes_on_when_there_is_room() {
    let (mut simulation, [writer, follower], thread, log) = pair(1);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.follow(follower, &thread, full(false));
    simulation.run_for(SECOND);
    let known = simulation.peer_status(writer, &thread, follower).unwrap();
    assert_eq!(known.terms, full(false).unwrap().terms);
    simulation.follow(follower, &thread, full(true));
    simulation.run_for(SECOND);
    for _ in 0..20 {
        simulation.append(writer, &thread, Durability::Sync);
        simulation.run_for(SECOND);
    }
    // Pushes, gossip, pulls: nothing came in.
    assert_eq!(simulation.counter(follower, &thread.id, &log), 1);
    let known = simulation.peer_status(writer, &thread, follower).unwrap();
    assert!(known.terms.is_full && !known.agrees, "{known:?}");
    assert_eq!(known.acknowledged, [(log, 1)]);
    simulation.follow(follower, &thread, full(false));
    simulation.run_for(5 * SECOND);
    assert_eq!(simulation.counter(follower, &thread.id, &log), 21);
    simulation.run_for(20 * SECOND);
    let known = simulation.peer_status(writer, &thread, follower).unwrap();
    assert!(!known.terms.is_full && known.agrees, "{known:?}");
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn what_comes_too_fast_is_refused_by_name_and_asked_for_later() {
    const RATE: u32 = 5;
    let (mut simulation, [writer, follower], thread, log) = pair(2);
    let terms = Terms::default();
    simulation.follow(follower, &thread, Some(Following { terms, account: 7, records_per_second: Some(RATE) }));
    let start = simulation.now();
    let mut refused = false;
    for _ in 0..120 {
        simulation.append(writer, &thread, Durability::Sync);
        simulation.run_for(SECOND / 20);
        let trouble = simulation.peer_status(writer, &thread, follower).and_then(|known| known.trouble);
        refused |= trouble == Some(Trouble::Refused(Refusal::TooFast));
        let seconds = (simulation.now() - start).as_secs() + 1;
        let taken = simulation.counter(follower, &thread.id, &log);
        // Ten seconds' worth may be saved up, and the last run may go over it.
        assert!(taken <= u64::from(RATE) * (10 + seconds) + 64, "{taken} records in {seconds} s");
    }
    assert!(refused);
    assert!(simulation.counter(follower, &thread.id, &log) < 120);
    simulation.run_for(60 * SECOND);
    assert_eq!(simulation.counter(follower, &thread.id, &log), 120);
    assert_eq!(simulation.peer_status(writer, &thread, follower).and_then(|known| known.trouble), None);
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn what_a_peer_has_is_known_from_its_answers_and_from_equal_digests() {
    let (mut simulation, [writer, follower], thread, log) = pair(3);
    for _ in 0..5 {
        simulation.append(writer, &thread, Durability::Sync);
    }
    simulation.run_for(SECOND);
    let known = (writer, follower, thread.id.clone(), log);
    assert_eq!(simulation.trace.acknowledged_heads.get(&known), Some(&5), "the answer to a push says so");
    // Some seconds away from the regular comparisons.
    simulation.run_for(23 * SECOND);
    assert!(simulation.peer_status(writer, &thread, follower).unwrap().agrees);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND / 5);
    let known = simulation.peer_status(writer, &thread, follower).unwrap();
    assert!(!known.agrees, "what was compared is older than the newest record");
    // After both have started again nothing but digests is exchanged.
    simulation.run_for(SECOND);
    for node in [writer, follower] {
        simulation.crash(node);
        simulation.restart(node);
    }
    simulation.trace.acknowledged_heads.clear();
    simulation.connect(writer, follower);
    simulation.run_for(20 * SECOND);
    assert!(simulation.trace.acknowledged_heads.is_empty());
    for (node, peer) in [(writer, follower), (follower, writer)] {
        assert!(simulation.peer_status(node, &thread, peer).unwrap().agrees);
    }
}

#[test]
fn blocks_are_dropped_only_if_nothing_has_come_since_that_was_decided() {
    let (mut simulation, [writer, follower], thread, log) = pair(4);
    let body = simulation.seal(writer, &thread, &[7; 50_000]);
    let cids: Vec<_> = body.blocks.iter().map(|(cid, ..)| *cid).collect();
    simulation.append_body(writer, &thread, body, Durability::Sync);
    simulation.run_for(5 * SECOND);
    let has = |simulation: &Simulation| simulation.disk(follower).threads[&thread.id].blocks.contains_key(&cids[0]);
    assert!(has(&simulation));
    for (heads, expected) in [
        (vec![], Err(AppendError::Busy)),
        (vec![(log, 0)], Err(AppendError::Busy)),
        (vec![(log, 2)], Err(AppendError::Busy)),
        (vec![(log, 1)], Ok(Outcome::Stored)),
    ] {
        assert!(has(&simulation));
        let request = simulation.drop_blocks(follower, &thread, cids.clone(), heads);
        simulation.run_for(SECOND);
        assert_eq!(simulation.trace.replies[&(follower, request)], expected);
    }
    assert!(!has(&simulation));
    // Nor is it fetched again.
    simulation.run_for(60 * SECOND);
    assert!(!has(&simulation));
    assert_eq!(simulation.counter(follower, &thread.id, &log), 1);
}

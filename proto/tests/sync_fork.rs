//! Forks: found, exchanged, and the same for everybody in the end.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use spool_proto::sync::{
    AppendError, Durability,
    sim::{NodeId, Part, SharedThread, Simulation},
};

const SECOND: Duration = Duration::from_secs(1);

/// A writer with `common` records, its clone, and four followers who have them all; then nobody is connected to anybody.
fn cloned(seed: u64, common: usize) -> (Simulation, [NodeId; 2], [NodeId; 4], SharedThread) {
    let mut simulation = Simulation::new(seed);
    let [writer, clone] = simulation.add_nodes();
    let followers: [NodeId; 4] = simulation.add_nodes();
    simulation.set_discovery(false);
    let thread = simulation.add_thread();
    simulation.join(writer, &thread, Part::Writer);
    let keys = simulation.writer(writer, &thread).unwrap().clone();
    simulation.give_writer(clone, &thread, keys);
    simulation.enter(clone, &thread, thread.state(Part::Writer));
    followers.iter().for_each(|follower| {
        simulation.join(*follower, &thread, Part::Follower);
    });
    (0..common).for_each(|_| {
        simulation.append(writer, &thread, Durability::Sync);
    });
    simulation.run_for(SECOND);
    // The clone is a copied disk: it has the records and does not know that it did not write them.
    let image = simulation.backup(writer);
    simulation.crash(clone);
    simulation.restore(clone, image);
    simulation.restart(clone);
    followers.iter().for_each(|follower| simulation.connect(*follower, writer));
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    followers.iter().for_each(|follower| simulation.disconnect(*follower, writer));
    simulation.run_for(SECOND);
    (simulation, [writer, clone], followers, thread)
}

fn connect_all(simulation: &mut Simulation, nodes: &[NodeId]) {
    for (index, a) in nodes.iter().enumerate() {
        nodes[..index].iter().for_each(|b| simulation.connect(*a, *b));
    }
}

/// Lets each branch reach half of the followers, then everybody everybody.
fn part_and_meet(seed: u64, common: usize, ours: usize, theirs: usize) {
    let (mut simulation, [writer, clone], followers, thread) = cloned(seed, common);
    let log = simulation.log(writer, &thread);
    let (left, right) = followers.split_at(2);
    left.iter().for_each(|follower| simulation.connect(*follower, writer));
    right.iter().for_each(|follower| simulation.connect(*follower, clone));
    simulation.run_for(SECOND);
    (0..ours).for_each(|_| {
        simulation.append(writer, &thread, Durability::Sync);
    });
    (0..theirs).for_each(|_| {
        simulation.append(clone, &thread, Durability::Sync);
    });
    simulation.run_for(SECOND * 30);
    assert!(simulation.trace.forks.is_empty());
    connect_all(&mut simulation, &followers);
    assert!(simulation.settle(SECOND * 120), "{:#?}", simulation.all_differences());
    for node in followers.iter().chain([&writer, &clone]) {
        let disk = simulation.disk(*node).find(&thread.id, &log).unwrap();
        assert_eq!(disk.state.fork.unwrap().counter, common as u64 + 1, "{node:?}");
        assert_eq!(disk.active(), common as u64);
        assert_eq!(disk.inert_from(common as u64 + 1).len(), ours + theirs, "{node:?}");
    }
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
    for node in [writer, clone] {
        let request = simulation.append(node, &thread, Durability::Sync);
        let reply = simulation.trace.replies.get(&(node, request));
        assert_eq!(reply, Some(&Err(AppendError::Forked(common as u64 + 1))), "{node:?}");
    }
    simulation.run_for(SECOND * 60);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

/// Each hop passes the news of a fork on by gossip before it knows the fork itself, and has nothing to list for whoever asks at once: it has to be
/// asked again when it has.
#[test]
fn a_fork_reaches_those_who_know_one_branch_only() {
    for seed in 0..20 {
        let (mut simulation, [writer, clone], followers, thread) = cloned(seed, 3);
        let log = simulation.log(writer, &thread);
        let (left, right) = followers.split_at(2);
        for (first, line) in [(writer, left), (clone, right)] {
            simulation.connect(first, line[0]);
            simulation.connect(line[0], line[1]);
        }
        simulation.run_for(SECOND);
        (0..5).for_each(|_| {
            simulation.append(writer, &thread, Durability::Sync);
            simulation.append(clone, &thread, Durability::Sync);
        });
        simulation.run_for(SECOND * 5);
        assert!(simulation.trace.forks.is_empty(), "seed {seed}");
        simulation.connect(writer, clone);
        assert!(simulation.settle(SECOND * 60), "seed {seed}: {:#?}", simulation.all_differences());
        for node in followers.iter().chain([&writer, &clone]) {
            let disk = simulation.disk(*node).find(&thread.id, &log).unwrap();
            assert_eq!(disk.state.fork.map(|fork| fork.counter), Some(4), "seed {seed}, {node:?}");
            assert_eq!(disk.inert_from(4).len(), 10, "seed {seed}, {node:?}");
        }
    }
}

#[test]
fn a_cloned_writer_splits_nobody() {
    part_and_meet(1, 3, 2, 2);
}

#[test]
fn branches_of_one_record_meet() {
    part_and_meet(2, 3, 1, 1);
}

#[test]
fn a_fork_at_the_first_record_leaves_nothing() {
    part_and_meet(3, 0, 3, 2);
}

#[test]
fn a_divergence_far_below_the_first_evidence_is_found() {
    part_and_meet(4, 5, 300, 200);
    part_and_meet(5, 700, 1, 900);
}

#[test]
fn many_seeds_end_with_one_prefix() {
    for seed in 100..130 {
        part_and_meet(seed, (seed % 7) as usize, 1 + (seed % 11) as usize, 1 + (seed % 5) as usize);
    }
}

#[test]
fn a_restored_backup_is_recognized_and_refuses_to_write() {
    let mut simulation = Simulation::new(6);
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower)]);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    let backup = simulation.backup(writer);
    (0..5).for_each(|_| {
        simulation.append(writer, &thread, Durability::Sync);
    });
    assert!(simulation.settle(SECOND * 10));
    simulation.crash(writer);
    simulation.trace.acknowledged.clear();
    simulation.restore(writer, backup);
    simulation.restart(writer);
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    for _ in 0..2 {
        let request = simulation.append(writer, &thread, Durability::Sync);
        simulation.run_for(SECOND);
        assert_eq!(simulation.trace.replies.get(&(writer, request)), Some(&Err(AppendError::RolledBack(6))));
        // It is still so after a restart.
        simulation.crash(writer);
        simulation.restart(writer);
        simulation.run_for(SECOND);
    }
    assert!(simulation.trace.forks.is_empty());
}

//! Own records: told to nobody before they are synced, acknowledged as promised, never contradicted after a power cut.

use std::time::Duration;

use spool_proto::sync::{
    AppendError, Durability, Outcome,
    sim::{DiskSettings, NodeId, Part, SharedThread, Simulation},
};

const SECOND: Duration = Duration::from_secs(1);

/// A writer, a follower and a reader who are all connected.
fn trio(seed: u64) -> (Simulation, [NodeId; 3], SharedThread) {
    let mut simulation = Simulation::new(seed);
    simulation.record_messages();
    let nodes = simulation.add_nodes();
    let [writer, follower, reader] = nodes;
    let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower), (reader, Part::Reader)]);
    (simulation, nodes, thread)
}

#[test]
fn an_event_reaches_follower_and_reader() {
    let (mut simulation, [writer, follower, reader], thread) = trio(1);
    let log = simulation.log(writer, &thread);
    let request = simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(Duration::from_millis(500));
    let reply = simulation.trace.replies.get(&(writer, request)).unwrap();
    assert!(matches!(reply, Ok(Outcome::Appended(receipt)) if receipt.head.counter == 1), "{reply:?}");
    for node in [writer, follower, reader] {
        assert_eq!(simulation.counter(node, &thread.id, &log), 1);
        assert_eq!(simulation.trace.wakes.get(&(node, thread.id.clone(), log)), Some(&1));
    }
    assert_eq!(simulation.all_differences(), Vec::<String>::new());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
}

#[test]
fn nobody_is_told_before_the_record_is_synced() {
    let (mut simulation, [writer, follower, _], thread) = trio(2);
    let log = simulation.log(writer, &thread);
    simulation.set_disk(writer, DiskSettings { sync: SECOND, ..DiskSettings::default() });
    let start = simulation.now();
    let relaxed = simulation.append(writer, &thread, Durability::Relaxed);
    let synced = simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND / 2);
    // Written: a relaxed append is acknowledged, and that is all.
    assert!(simulation.trace.replies.contains_key(&(writer, relaxed)));
    assert!(!simulation.trace.replies.contains_key(&(writer, synced)));
    assert_eq!(simulation.trace.count(writer, follower, "push", start), 0);
    assert!(simulation.trace.published.iter().all(|published| published.at < start));
    assert_eq!(simulation.counter(follower, &thread.id, &log), 0);
    simulation.run_for(SECOND);
    assert!(simulation.trace.replies.contains_key(&(writer, synced)));
    assert!(simulation.trace.count(writer, follower, "push", start) > 0);
    assert!(simulation.trace.published.iter().any(|published| published.by == writer && published.records));
    assert_eq!(simulation.counter(follower, &thread.id, &log), 2);
}

#[test]
fn after_a_failed_commit_the_log_goes_on_from_what_is_on_disk() {
    let (mut simulation, [writer, follower, reader], thread) = trio(3);
    let log = simulation.log(writer, &thread);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    for round in 0..20 {
        simulation.fail_next_write(writer);
        let requests: Vec<_> = (0..5).map(|_| simulation.append(writer, &thread, Durability::Sync)).collect();
        simulation.run_for(SECOND);
        let failed = requests.iter().filter(|request| {
            matches!(simulation.trace.replies.get(&(writer, **request)), Some(Err(AppendError::Store(_))))
        });
        assert!(failed.count() > 0, "round {round}");
        simulation.append(writer, &thread, Durability::Relaxed);
        simulation.run_for(SECOND);
        let length = simulation.counter(writer, &thread.id, &log);
        assert!(length > round);
        for node in [follower, reader] {
            assert_eq!(simulation.counter(node, &thread.id, &log), length, "round {round}");
        }
    }
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert!(simulation.trace.forks.is_empty());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

/// After a failed sync nobody knows what the disk has: nothing is acknowledged or told any more, and what is there after the next start goes on.
#[test]
fn a_failed_sync_of_own_records_is_told_to_callers_and_to_nobody_else() {
    let (mut simulation, [writer, follower, reader], thread) = trio(10);
    let log = simulation.log(writer, &thread);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    let start = simulation.now();
    simulation.fail_next_sync(writer);
    let relaxed = simulation.append(writer, &thread, Durability::Relaxed);
    let synced = simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    // It was written, and more was not promised.
    assert!(matches!(simulation.trace.replies.get(&(writer, relaxed)), Some(Ok(_))));
    let later = simulation.append(writer, &thread, Durability::Relaxed);
    simulation.run_for(SECOND);
    for request in [synced, later] {
        assert!(matches!(simulation.trace.replies.get(&(writer, request)), Some(Err(AppendError::Store(_)))));
    }
    assert_eq!(simulation.trace.count(writer, follower, "push", start), 0);
    assert!(simulation.trace.published.iter().all(|published| published.by != writer || published.at < start));
    assert_eq!(simulation.trace.wakes.get(&(writer, thread.id.clone(), log)), Some(&1));
    simulation.crash(writer);
    simulation.restart(writer);
    let again = simulation.append(writer, &thread, Durability::Sync);
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert!(
        matches!(simulation.trace.replies.get(&(writer, again)), Some(Ok(Outcome::Appended(receipt))) if receipt.head.counter == 2)
    );
    assert_eq!([writer, follower, reader].map(|node| simulation.counter(node, &thread.id, &log)), [2; 3]);
    assert!(simulation.trace.forks.is_empty());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn callers_of_a_thread_that_cannot_be_read_are_told_and_the_next_ones_are_served() {
    let (mut simulation, [writer, follower, reader], thread) = trio(11);
    let log = simulation.log(writer, &thread);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    [follower, reader].iter().for_each(|node| simulation.crash(*node));
    simulation.crash(writer);
    simulation.restart(writer);
    simulation.fail_next_load(writer);
    let (append, sync) = (simulation.append(writer, &thread, Durability::Sync), simulation.sync(writer, &thread));
    simulation.run_for(Duration::from_millis(100));
    for request in [append, sync] {
        assert!(matches!(simulation.trace.replies.get(&(writer, request)), Some(Err(AppendError::Store(_)))));
    }
    assert_eq!(simulation.leaks(), Vec::<String>::new());
    // A peer that asks meanwhile comes again.
    simulation.fail_next_load(writer);
    simulation.restart(reader);
    simulation.restart(follower);
    let append = simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(Duration::from_millis(100));
    assert!(matches!(simulation.trace.replies.get(&(writer, append)), Some(Err(AppendError::Store(_)))));
    let append = simulation.append(writer, &thread, Durability::Sync);
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert!(matches!(simulation.trace.replies.get(&(writer, append)), Some(Ok(_))));
    assert_eq!([writer, follower, reader].map(|node| simulation.counter(node, &thread.id, &log)), [2; 3]);
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

/// Whatever moment the power fails at: what was told to others is on the disk, so the log goes on without contradiction.
#[test]
fn a_power_cut_at_any_point_contradicts_nothing_that_was_sent() {
    for moment in 0..80u32 {
        let (mut simulation, [writer, follower, reader], thread) = trio(100 + u64::from(moment));
        let log = simulation.log(writer, &thread);
        for durability in [Durability::Relaxed, Durability::Sync, Durability::Relaxed] {
            simulation.append(writer, &thread, durability);
            simulation.run_for(Duration::from_micros(400));
        }
        simulation.run_for(Duration::from_micros(250) * moment);
        simulation.crash(writer);
        simulation.run_for(SECOND);
        simulation.restart(writer);
        simulation.append(writer, &thread, Durability::Relaxed);
        simulation.append(writer, &thread, Durability::Sync);
        assert!(simulation.settle(SECOND * 30), "{moment}: {:?}", simulation.all_differences());
        assert!(simulation.trace.forks.is_empty(), "moment {moment}");
        let length = simulation.counter(writer, &thread.id, &log);
        assert!((2..=5).contains(&length), "moment {moment}: {length} records");
        for node in [follower, reader] {
            assert_eq!(simulation.counter(node, &thread.id, &log), length, "moment {moment}");
        }
    }
}

#[test]
fn a_join_that_does_not_get_to_disk_is_undone() {
    let mut simulation = Simulation::new(5);
    let [node] = simulation.add_nodes();
    let thread = simulation.add_thread();
    simulation.fail_next_write(node);
    let request = simulation.join(node, &thread, Part::Writer);
    let append = simulation.append(node, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    for request in [request, append] {
        assert!(matches!(simulation.trace.replies.get(&(node, request)), Some(Err(AppendError::Store(_)))));
    }
    let append = simulation.append(node, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    assert_eq!(simulation.trace.replies.get(&(node, append)), Some(&Err(AppendError::ThreadNotFound)));
    simulation.join(node, &thread, Part::Writer);
    simulation.run_for(SECOND);
    let append = simulation.append(node, &thread, Durability::Sync);
    simulation.run_for(SECOND);
    assert!(matches!(simulation.trace.replies.get(&(node, append)), Some(Ok(_))));
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn a_thread_that_is_left_is_gone_and_can_be_joined_again() {
    let (mut simulation, [writer, follower, reader], thread) = trio(6);
    let log = simulation.log(writer, &thread);
    (0..20).for_each(|_| {
        simulation.append(writer, &thread, Durability::Sync);
    });
    // In the middle of it all.
    simulation.run_for(Duration::from_millis(6));
    let sync = simulation.sync(reader, &thread);
    let left = simulation.leave(reader, &thread);
    simulation.run_for(SECOND * 12);
    assert_eq!(simulation.trace.replies.get(&(reader, left)), Some(&Ok(Outcome::Left)));
    assert_eq!(simulation.trace.replies.get(&(reader, sync)), Some(&Err(AppendError::ThreadNotFound)));
    assert!(simulation.disk(reader).threads.is_empty());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
    simulation.join(reader, &thread, Part::Reader);
    assert!(simulation.settle(SECOND * 20), "{:?}", simulation.all_differences());
    assert_eq!(simulation.counter(reader, &thread.id, &log), 20);
    assert_eq!(simulation.counter(follower, &thread.id, &log), 20);
}

/// A follower that is given the read key becomes a writer without losing what it was about to do.
#[test]
fn a_follower_that_gets_the_read_key_writes() {
    let (mut simulation, [writer, follower, _], thread) = trio(7);
    simulation.append(writer, &thread, Durability::Sync);
    let sync = simulation.sync(follower, &thread);
    simulation.join(follower, &thread, Part::Writer);
    let append = simulation.append(follower, &thread, Durability::Sync);
    assert!(simulation.run_until(SECOND * 5, |simulation| simulation.trace.replies.contains_key(&(follower, append))));
    assert!(matches!(simulation.trace.replies.get(&(follower, append)), Some(Ok(_))));
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert!(matches!(
        simulation.trace.replies.get(&(follower, sync)),
        Some(Ok(Outcome::Synced { peers: 2, failed: 0 }))
    ));
}

#[test]
fn a_sync_without_peers_is_answered_soon() {
    let mut simulation = Simulation::new(8);
    let [node] = simulation.add_nodes();
    let thread = simulation.thread_of(&[(node, Part::Writer)]);
    let sync = simulation.sync(node, &thread);
    simulation.run_for(SECOND * 11);
    assert_eq!(simulation.trace.replies.get(&(node, sync)), Some(&Ok(Outcome::Synced { peers: 0, failed: 0 })));
}

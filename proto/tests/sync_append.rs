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

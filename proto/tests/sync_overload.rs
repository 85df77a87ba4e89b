//! More than there is room for: it is refused at once and by name, and what was taken before is done.

use std::time::Duration;

use spool_proto::{
    key_set::KeySet,
    keys::Epoch,
    sync::{
        AppendError, Durability, ThreadState,
        limits::{COOL_AFTER, MAX_PARKED, MAX_PENDING_APPENDS, MAX_UNADMITTED_LOGS, MAX_VERIFICATIONS},
        sim::{DiskSettings, LinkSettings, Malice, NodeId, Part, SharedThread, Simulation},
    },
    wire::{Refusal, Request, Response},
};

const SECOND: Duration = Duration::from_secs(1);
const SURPLUS: usize = 7;

/// A writer with one record and a follower that has it.
fn pair(seed: u64) -> (Simulation, [NodeId; 2], SharedThread) {
    let mut simulation = Simulation::new(seed);
    let nodes = simulation.add_nodes();
    let thread = simulation.thread_of(&[(nodes[0], Part::Writer), (nodes[1], Part::Follower)]);
    simulation.append(nodes[0], &thread, Durability::Sync);
    assert!(simulation.settle(SECOND * 20), "{:?}", simulation.all_differences());
    simulation.set_links(LinkSettings { jitter: Duration::ZERO, ..LinkSettings::default() });
    (simulation, nodes, thread)
}

/// Runs of pushes that were answered with "busy", of all that were answered.
fn busy(simulation: &Simulation) -> (usize, usize) {
    let acks = |answer| if let &(_, Response::Push(ref acks)) = answer { acks.as_slice() } else { &[] };
    let acks: Vec<_> = simulation.trace.answers.iter().flat_map(acks).collect();
    (acks.iter().filter(|ack| ack.busy).count(), acks.len())
}

#[test]
fn appends_beyond_those_that_may_wait_for_the_disk_are_refused() {
    let (mut simulation, [writer, _], thread) = pair(1);
    simulation.set_disk(writer, DiskSettings { sync: SECOND, ..DiskSettings::default() });
    let requests: Vec<_> =
        (0..MAX_PENDING_APPENDS + SURPLUS).map(|_| simulation.append(writer, &thread, Durability::Sync)).collect();
    simulation.run_for(SECOND * 30);
    let answers = || requests.iter().map(|request| &simulation.trace.replies[&(writer, *request)]);
    assert_eq!(answers().filter(|answer| answer.is_ok()).count(), MAX_PENDING_APPENDS);
    assert_eq!(answers().filter(|answer| **answer == Err(AppendError::Busy)).count(), SURPLUS);
    let log = simulation.log(writer, &thread);
    assert_eq!(simulation.counter(writer, &thread.id, &log), 1 + MAX_PENDING_APPENDS as u64);
    let request = simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(SECOND * 5);
    assert!(simulation.trace.replies[&(writer, request)].is_ok(), "there is room again");
}

#[test]
fn requests_beyond_those_that_may_wait_for_a_thread_on_disk_are_refused() {
    let (mut simulation, [writer, follower], thread) = pair(2);
    simulation.run_for(COOL_AFTER * 2);
    let loads = |simulation: &Simulation| simulation.trace.loads[&(follower, thread.id.clone())];
    let before = loads(&simulation);
    let topic = thread.keys.access().topic();
    for _ in 0..MAX_PARKED + SURPLUS {
        simulation.ask(writer, follower, Request::Heads { topic, after: None });
    }
    simulation.run_for(SECOND * 5);
    assert_eq!(loads(&simulation), before + 1, "it was not in memory, and is read once");
    let count = |is: fn(&Response) -> bool| simulation.trace.answers.iter().filter(|(_, answer)| is(answer)).count();
    assert_eq!(count(|answer| matches!(answer, Response::Refusal(Refusal::Busy))), SURPLUS);
    assert_eq!(count(|answer| matches!(answer, Response::Heads { .. })), MAX_PARKED);
}

#[test]
fn runs_beyond_those_that_may_be_verified_at_once_are_refused() {
    let (mut simulation, [writer, follower], thread) = pair(3);
    simulation.corrupt(writer, Malice::Unadmitted);
    for _ in 0..MAX_VERIFICATIONS + SURPLUS {
        let record = simulation.unadmitted(&thread);
        simulation.push_record(writer, thread.keys.access().topic(), &record);
    }
    simulation.run_for(SECOND * 5);
    assert_eq!(busy(&simulation), (SURPLUS, MAX_VERIFICATIONS + SURPLUS));
    assert_eq!(simulation.disk(follower).threads[&thread.id].logs.len(), 1);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

/// Where nobody can be admitted, since only a service key of Textile is known, anybody with that key may open logs: so many.
#[test]
fn logs_beyond_those_that_may_open_without_admission_are_refused() {
    let (mut simulation, [writer, _], thread) = pair(4);
    let follower = simulation.add_node();
    let service = Epoch::follow_only(thread.keys.current().unwrap().follow().clone(), None);
    let keys = KeySet::thread(vec![service]).unwrap().into_keys();
    simulation.enter(follower, &thread, ThreadState { keys, ..thread.state(Part::Follower) });
    simulation.set_discovery(false);
    simulation.connect(writer, follower);
    let has_the_log = |simulation: &mut Simulation| {
        simulation.disk(follower).threads.get(&thread.id).is_some_and(|thread| thread.logs.len() == 1)
    };
    assert!(simulation.run_until(SECOND * 60, has_the_log));
    simulation.corrupt(writer, Malice::Unadmitted);
    // The log of the writer, whose admission nobody can tell here, is one of them.
    for _ in 0..MAX_UNADMITTED_LOGS - 1 + SURPLUS {
        let record = simulation.unadmitted(&thread);
        simulation.push_record(writer, thread.keys.access().topic(), &record);
        simulation.run_for(SECOND);
    }
    let with_records = |simulation: &Simulation| {
        let logs = &simulation.disk(follower).threads[&thread.id].logs;
        logs.values().filter(|log| log.state.head.is_some()).count()
    };
    assert_eq!(with_records(&simulation), MAX_UNADMITTED_LOGS);
    assert_eq!(busy(&simulation).0, SURPLUS);
}

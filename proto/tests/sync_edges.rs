//! What peers tell each other when nothing, little or much has changed.

use std::{collections::BTreeMap, time::Duration};

use spool_proto::sync::{
    Durability,
    sim::{LinkSettings, NodeId, Part, SharedThread, Simulation},
};

const SECOND: Duration = Duration::from_secs(1);

/// Two nodes that share many threads, of which the first writes some.
fn sharing(seed: u64, threads: usize, written: usize) -> (Simulation, [NodeId; 2], Vec<SharedThread>) {
    let mut simulation = Simulation::new(seed);
    simulation.record_messages();
    let nodes = simulation.add_nodes();
    let [writer, reader] = nodes;
    let threads: Vec<_> = (0..threads).map(|_| simulation.add_thread()).collect();
    for (index, thread) in threads.iter().enumerate() {
        simulation.join(writer, thread, if index < written { Part::Writer } else { Part::Reader });
        simulation.join(reader, thread, Part::Reader);
    }
    simulation.run_for(SECOND);
    simulation.connect(writer, reader);
    simulation.run_for(SECOND * 15);
    (simulation, nodes, threads)
}

fn requests(simulation: &Simulation, since: Duration) -> BTreeMap<&'static str, (usize, usize)> {
    let mut kinds: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for sent in simulation.trace.sent.iter().filter(|sent| !sent.response && sent.at >= since) {
        let (count, bytes) = kinds.entry(sent.kind).or_default();
        *count += 1;
        *bytes += sent.bytes;
    }
    kinds
}

#[test]
fn a_thousand_unchanged_threads_cost_one_small_request() {
    let (mut simulation, _, _) = sharing(1, 1_000, 0);
    let start = simulation.now();
    simulation.run_for(SECOND * 10);
    let requests = requests(&simulation, start);
    assert_eq!(requests.keys().collect::<Vec<_>>(), [&"edges"], "{requests:?}");
    let (count, bytes) = requests["edges"];
    assert!(count <= 2 && bytes < 100, "both sides asked {count} times, {bytes} bytes");
}

/// The answer to a proof and what its sender asks next go by streams of their own: in some of these runs the second is faster.
#[test]
fn who_pushes_before_its_answer_to_a_proof_has_arrived_is_not_blamed() {
    for seed in 0..50 {
        let mut simulation = Simulation::new(seed);
        simulation.set_links(LinkSettings { jitter: SECOND, ..LinkSettings::default() });
        simulation.set_discovery(false);
        let nodes = simulation.add_nodes();
        let [writer, reader] = nodes;
        let threads: Vec<_> = (0..20).map(|_| simulation.add_thread()).collect();
        for thread in &threads {
            simulation.join(writer, thread, Part::Writer);
            simulation.join(reader, thread, Part::Reader);
        }
        simulation.run_for(SECOND);
        simulation.connect(writer, reader);
        for thread in &threads {
            simulation.append(writer, thread, Durability::Sync);
            simulation.run_for(SECOND / 10);
        }
        assert!(simulation.settle(SECOND * 60), "{:?}", simulation.all_differences());
        assert!(simulation.trace.penalties.is_empty(), "seed {seed}: {:?}", simulation.trace.penalties);
    }
}

#[test]
fn a_few_changes_among_a_thousand_threads_cost_a_few_messages() {
    let (mut simulation, [writer, reader], threads) = sharing(2, 1_000, 5);
    simulation.disconnect(writer, reader);
    simulation.set_discovery(false);
    simulation.run_for(SECOND);
    for thread in &threads[..5] {
        simulation.append(writer, thread, Durability::Sync);
    }
    simulation.run_for(SECOND);
    let start = simulation.now();
    simulation.connect(writer, reader);
    assert!(simulation.settle(SECOND * 20), "{:?}", simulation.all_differences());
    let requests = requests(&simulation, start);
    assert!(requests["heads"].0 <= 20, "{requests:?}");
    // Root, then the differing nodes of each level together: three levels of sixteen for a thousand threads, both ways.
    assert!(requests["edges"].0 <= 16, "{requests:?}");
}

#[test]
fn a_thread_that_is_not_used_goes_cold_and_warms_up_with_the_same_edge() {
    let (mut simulation, [writer, reader], threads) = sharing(3, 3, 3);
    let thread = &threads[0];
    simulation.append(writer, thread, Durability::Sync);
    simulation.run_for(SECOND * 5);
    let logs = |simulation: &mut Simulation, node| {
        simulation.engine(node).unwrap().status(&thread.id).unwrap().logs.map(|logs| logs.len())
    };
    assert_eq!(logs(&mut simulation, writer), Some(1));
    let edge = simulation.edge(writer, &thread.id);
    simulation.run_for(SECOND * 1_300);
    assert_eq!((logs(&mut simulation, writer), logs(&mut simulation, reader)), (None, None));
    assert_eq!((simulation.edge(writer, &thread.id), simulation.edge(reader, &thread.id)), (edge, edge));
    simulation.append(writer, thread, Durability::Sync);
    simulation.run_for(SECOND);
    let log = simulation.log(writer, thread);
    assert_eq!(simulation.counter(reader, &thread.id, &log), 2);
    assert_eq!(simulation.edge(writer, &thread.id), simulation.edge(reader, &thread.id));
    assert_ne!(simulation.edge(writer, &thread.id), edge);
}

#[test]
fn a_restart_does_not_warm_up_what_is_complete() {
    let (mut simulation, [writer, reader], threads) = sharing(4, 50, 50);
    for thread in &threads {
        simulation.append(writer, thread, Durability::Sync);
    }
    assert!(simulation.settle(SECOND * 20), "{:?}", simulation.all_differences());
    simulation.crash(reader);
    simulation.run_for(SECOND);
    simulation.trace.loads.clear();
    simulation.restart(reader);
    simulation.run_for(SECOND * 30);
    let loads: Vec<_> = simulation.trace.loads.keys().filter(|(node, _)| *node == reader).collect();
    assert!(loads.is_empty(), "{} threads were read", loads.len());
}

#[test]
fn in_a_burst_a_log_is_published_every_20_ms_at_the_most() {
    let (mut simulation, [writer, reader], threads) = sharing(5, 1, 1);
    let thread = &threads[0];
    let log = simulation.log(writer, thread);
    let start = simulation.now();
    for _ in 0..1_000 {
        simulation.append(writer, thread, Durability::Sync);
        simulation.run_for(Duration::from_millis(1));
    }
    simulation.run_for(SECOND);
    assert_eq!(simulation.counter(reader, &thread.id, &log), 1_000);
    let mine = simulation.trace.published.iter().filter(|published| published.by == writer && published.at >= start);
    let times: Vec<Duration> = mine.map(|published| published.at).collect();
    let soonest = times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(soonest >= Duration::from_millis(20), "{soonest:?}");
    assert!(times.len() >= 20, "{} messages in a second", times.len());
    let last = simulation.trace.published.iter().rfind(|published| published.by == writer).unwrap();
    assert_eq!(last.tells, [(log, 1_000)]);
}

//! Pulling: whole logs, from whoever has them, resumed where they broke off.

use std::time::Duration;

use spool_proto::sync::{
    Durability, Missing,
    limits::MAX_AHEAD_BYTES,
    sim::{LinkSettings, Malice, NodeId, Part, SharedThread, Simulation},
};

const SECOND: Duration = Duration::from_secs(1);
const NOTHING: LinkSettings =
    LinkSettings { latency: Duration::from_millis(5), jitter: Duration::ZERO, loss: 1.0, duplication: 0.0, rate: None };

fn append_many(simulation: &mut Simulation, writer: NodeId, thread: &SharedThread, count: usize, bytes: usize) {
    for index in 0..count {
        let body = simulation.seal(writer, thread, &vec![7; bytes]);
        simulation.append_body(writer, thread, body, Durability::Relaxed);
        if index % 100 == 99 {
            simulation.run_for(Duration::from_millis(20));
        }
    }
}

/// A log of `count` records at the writer and some followers.
fn replicated(
    seed: u64,
    followers: usize,
    count: usize,
    bytes: usize,
) -> (Simulation, NodeId, Vec<NodeId>, SharedThread) {
    let mut simulation = Simulation::new(seed);
    simulation.record_messages();
    let writer = simulation.add_node();
    let followers: Vec<_> = (0..followers).map(|_| simulation.add_node()).collect();
    let mut members = vec![(writer, Part::Writer)];
    members.extend(followers.iter().map(|follower| (*follower, Part::Follower)));
    let thread = simulation.thread_of(&members);
    append_many(&mut simulation, writer, &thread, count, bytes);
    assert!(simulation.settle(SECOND * 60), "{:?}", simulation.all_differences());
    (simulation, writer, followers, thread)
}

#[test]
fn a_late_joiner_pulls_the_whole_log_from_a_follower_after_the_writer_is_gone() {
    let (mut simulation, writer, followers, thread) = replicated(1, 1, 5_000, 100);
    let log = simulation.log(writer, &thread);
    simulation.crash(writer);
    let reader = simulation.add_node();
    simulation.join(reader, &thread, Part::Reader);
    simulation.connect(reader, followers[0]);
    assert!(simulation.run_until(SECOND * 10, |simulation| simulation.counter(reader, &thread.id, &log) == 5_000));
    assert!(simulation.trace.penalties.is_empty(), "{:?}", simulation.trace.penalties);
}

#[test]
fn what_is_missing_is_known_until_it_has_come() {
    let (mut simulation, writer, followers, thread) = replicated(3, 1, 10, 100);
    let follower = followers[0];
    simulation.partition(&[vec![writer], vec![follower]]);
    append_many(&mut simulation, writer, &thread, 2_000, 100);
    simulation.run_for(SECOND);
    let missing = |simulation: &mut Simulation| simulation.engine(follower).expect("it runs").missing();
    assert_eq!(missing(&mut simulation), Missing::default(), "nobody has told it");
    simulation.heal();
    let mut most = Missing::default();
    for _ in 0..2_000 {
        simulation.run_for(Duration::from_millis(5));
        let now = missing(&mut simulation);
        if now.records > most.records {
            most = now;
        }
    }
    assert_eq!(most, Missing { threads: 1, records: 2_000 });
    assert!(simulation.settle(SECOND * 60), "{:?}", simulation.all_differences());
    assert_eq!(missing(&mut simulation), Missing::default());
    assert_eq!(simulation.engine(writer).expect("it runs").missing(), Missing::default());
}

#[test]
fn pages_come_from_all_sources() {
    let (mut simulation, writer, followers, thread) = replicated(2, 3, 1_500, 8_000);
    let log = simulation.log(writer, &thread);
    simulation.crash(writer);
    let reader = simulation.add_node();
    simulation.join(reader, &thread, Part::Reader);
    let start = simulation.now();
    followers.iter().for_each(|follower| simulation.connect(reader, *follower));
    assert!(simulation.run_until(SECOND * 20, |simulation| simulation.counter(reader, &thread.id, &log) == 1_500));
    for follower in followers {
        let pages = simulation.trace.count(reader, follower, "records", start);
        assert!(pages >= 2, "{follower:?} was asked for {pages} pages");
    }
}

#[test]
fn a_source_that_falls_silent_delays_its_own_page_only() {
    let (mut simulation, writer, followers, thread) = replicated(3, 3, 1_500, 8_000);
    let log = simulation.log(writer, &thread);
    simulation.crash(writer);
    let reader = simulation.add_node();
    simulation.join(reader, &thread, Part::Reader);
    let start = simulation.now();
    followers.iter().for_each(|follower| simulation.connect(reader, *follower));
    let asked = |simulation: &mut Simulation| simulation.trace.count(reader, followers[0], "records", start) > 0;
    assert!(simulation.run_until(SECOND * 20, asked));
    simulation.corrupt(followers[0], Malice::Silent);
    // One request has to time out, after 10 s; no more than that.
    assert!(simulation.run_until(SECOND * 15, |simulation| simulation.counter(reader, &thread.id, &log) == 1_500));
}

#[test]
fn a_pull_that_broke_resumes_where_it_stopped() {
    let (mut simulation, writer, followers, thread) = replicated(4, 1, 1_500, 8_000);
    let log = simulation.log(writer, &thread);
    simulation.crash(writer);
    let reader = simulation.add_node();
    simulation.join(reader, &thread, Part::Reader);
    simulation.connect(reader, followers[0]);
    let mut before = 0;
    for round in 0..2 {
        let more = |simulation: &mut Simulation| simulation.counter(reader, &thread.id, &log) > before;
        assert!(simulation.run_until(SECOND * 30, more), "round {round}");
        simulation.crash(reader);
        before = simulation.counter(reader, &thread.id, &log);
        simulation.run_for(SECOND);
        simulation.restart(reader);
        assert_eq!(simulation.counter(reader, &thread.id, &log), before);
    }
    assert!(simulation.run_until(SECOND * 30, |simulation| simulation.counter(reader, &thread.id, &log) == 1_500));
    let served =
        simulation.trace.sent.iter().filter(|sent| sent.response && sent.to == reader && sent.kind == "records");
    let bytes: usize = served.map(|sent| sent.bytes).sum();
    // Each crash wastes at most the pages in flight.
    assert!(bytes < 1_500 * 8_400 + 2 * 5 * 1_100_000, "{bytes} bytes for a log of 12 MB");
}

/// A follower passes on what it has, and a page whose sync failed is not that.
#[test]
fn pages_whose_sync_failed_are_passed_on_to_nobody() {
    let (mut simulation, writer, _, thread) = replicated(11, 0, 5_000, 100);
    let log = simulation.log(writer, &thread);
    let [middle, end] = simulation.add_nodes();
    simulation.set_discovery(false);
    for node in [middle, end] {
        simulation.join(node, &thread, Part::Follower);
    }
    simulation.connect(middle, end);
    simulation.run_for(SECOND * 3);
    simulation.connect(writer, middle);
    let begun = |simulation: &mut Simulation| simulation.counter(middle, &thread.id, &log) > 0;
    while !begun(&mut simulation) {
        simulation.run_for(Duration::from_millis(1));
    }
    simulation.fail_next_sync(middle);
    simulation.run_for(SECOND * 20);
    let here = simulation.counter(middle, &thread.id, &log);
    let there = simulation.counter(end, &thread.id, &log);
    assert!(here < 5_000 && there <= here, "{here} records are durable, {there} were passed on");
    assert!(simulation.trace.wakes.get(&(middle, thread.id.clone(), log)).is_none_or(|counter| *counter <= here));
    simulation.crash(middle);
    simulation.restart(middle);
    assert!(simulation.settle(SECOND * 60), "{:?}", simulation.all_differences());
    assert_eq!([middle, end].map(|node| simulation.counter(node, &thread.id, &log)), [5_000; 2]);
    assert!(simulation.trace.forks.is_empty() && simulation.trace.penalties.is_empty());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn what_waits_for_a_missing_page_is_bounded() {
    let (mut simulation, writer, followers, thread) = replicated(12, 3, 3_000, 8_000);
    let log = simulation.log(writer, &thread);
    simulation.crash(writer);
    let reader = simulation.add_node();
    simulation.join(reader, &thread, Part::Reader);
    followers.iter().for_each(|follower| simulation.connect(reader, *follower));
    let begun = |simulation: &mut Simulation| simulation.counter(reader, &thread.id, &log) > 0;
    assert!(simulation.run_until(SECOND * 20, begun));
    simulation.corrupt(followers[0], Malice::Silent);
    let mut most = 0;
    for _ in 0..3_000 {
        simulation.run_for(Duration::from_millis(10));
        most = most.max(simulation.ahead_bytes(reader, &thread.id, &log));
    }
    println!("{most} bytes at the most");
    assert!((MAX_AHEAD_BYTES / 2..=MAX_AHEAD_BYTES).contains(&most), "{most} bytes waited");
    assert_eq!(simulation.counter(reader, &thread.id, &log), 3_000);
}

#[test]
fn a_gap_is_filled_at_once() {
    let (mut simulation, writer, followers, thread) = replicated(5, 2, 1, 10);
    let log = simulation.log(writer, &thread);
    simulation.set_links(NOTHING);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.run_for(Duration::from_millis(100));
    simulation.set_links(LinkSettings::default());
    simulation.append(writer, &thread, Durability::Sync);
    // The push of the lost record has not even timed out.
    simulation.run_for(Duration::from_millis(500));
    for follower in followers {
        assert_eq!(simulation.counter(follower, &thread.id, &log), 3);
    }
}

#[test]
fn a_proof_that_got_lost_is_shown_again() {
    let mut simulation = Simulation::new(6);
    let [writer, follower] = simulation.add_nodes();
    let thread = simulation.add_thread();
    simulation.join(writer, &thread, Part::Writer);
    simulation.join(follower, &thread, Part::Follower);
    simulation.append(writer, &thread, Durability::Sync);
    simulation.set_links(NOTHING);
    simulation.connect(writer, follower);
    simulation.run_for(SECOND);
    simulation.set_links(LinkSettings::default());
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn a_reconnecting_peer_costs_no_more_than_before() {
    let (mut simulation, writer, followers, _) = replicated(7, 1, 1, 10);
    for _ in 0..20 {
        simulation.disconnect(writer, followers[0]);
        simulation.run_for(Duration::from_millis(100));
        simulation.connect(writer, followers[0]);
        simulation.run_for(SECOND);
    }
    simulation.run_for(SECOND * 20);
    let start = simulation.now();
    simulation.run_for(SECOND * 100);
    let compared = simulation.trace.count(writer, followers[0], "edges", start);
    assert!(compared <= 11, "{compared} comparisons in 100 s");
}

/// Two who were invited find each other before either finds whoever has something: being connected is not having it.
#[test]
fn newcomers_who_know_only_each_other_go_on_looking() {
    let mut simulation = Simulation::new(8);
    let [writer, first, second] = simulation.add_nodes();
    simulation.set_discovery(false);
    let thread = simulation.thread_of(&[(writer, Part::Writer)]);
    let log = simulation.log(writer, &thread);
    simulation.append(writer, &thread, Durability::Sync);
    for node in [first, second] {
        simulation.join(node, &thread, Part::Follower);
    }
    simulation.connect(first, second);
    simulation.run_for(SECOND * 3);
    // Those who search now know of the writer; the writer has found nobody and waits long until it tries again.
    let searches =
        |simulation: &Simulation| [first, second].map(|node| simulation.trace.searches[&(node, thread.id.clone())]);
    assert_eq!(searches(&simulation), [1, 1]);
    simulation.run_for(SECOND * 3);
    assert_eq!(searches(&simulation), [2, 2]);
    simulation.set_discovery(true);
    let has = |simulation: &mut Simulation| {
        [first, second].iter().all(|node| simulation.counter(*node, &thread.id, &log) == 1)
    };
    assert!(simulation.run_until(SECOND * 20, has));
    // Found: nobody looks any more.
    simulation.run_for(SECOND * 60);
    let found = searches(&simulation);
    simulation.run_for(SECOND * 600);
    assert_eq!(searches(&simulation), found);
}

/// The writer may not know where its follower is, and the other follower may not have all: whoever is lost is looked for.
#[test]
fn a_lost_peer_is_looked_for_though_another_is_left() {
    let (mut simulation, writer, followers, thread) = replicated(9, 2, 10, 10);
    simulation.set_discovery(false);
    let searches = |simulation: &Simulation| {
        simulation.trace.searches.get(&(followers[0], thread.id.clone())).copied().unwrap_or(0)
    };
    let before = searches(&simulation);
    simulation.run_for(SECOND * 60);
    assert_eq!(searches(&simulation), before);
    simulation.disconnect(writer, followers[0]);
    simulation.run_for(SECOND * 12);
    assert_eq!(searches(&simulation), before + 2);
    simulation.connect(writer, followers[0]);
    simulation.run_for(SECOND * 600);
    assert_eq!(searches(&simulation), before + 2);
    // Who never comes back is given up.
    simulation.disconnect(writer, followers[0]);
    simulation.run_for(SECOND * 1_800);
    let after = searches(&simulation);
    simulation.run_for(SECOND * 1_800);
    assert_eq!(searches(&simulation), after);
    assert_eq!(after, before + 2 + 7);
}

#[test]
fn a_ticket_with_other_addresses_is_followed_at_once() {
    let (mut simulation, writer, followers, thread) = replicated(10, 1, 1, 10);
    let searches = |simulation: &Simulation| {
        simulation.trace.searches.get(&(followers[0], thread.id.clone())).copied().unwrap_or(0)
    };
    let before = searches(&simulation);
    let mut state = thread.state(Part::Follower);
    simulation.enter(followers[0], &thread, state.clone());
    simulation.run_for(SECOND);
    assert_eq!(searches(&simulation), before);
    state.addresses = vec![serde_bytes::ByteBuf::from(vec![1, 2, 3])];
    simulation.enter(followers[0], &thread, state);
    simulation.run_for(SECOND);
    assert_eq!(searches(&simulation), before + 1);
    assert!(simulation.is_up(writer));
}

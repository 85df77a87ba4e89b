use std::{thread, time::Duration};

use super::KNOWN_PEERS;
use crate::{
    host::{Host, all_have, wait},
    link::Link,
    world::{World, say},
};

const NODES: usize = 10;
/// Events that are timed.
const EVENTS: usize = 40;
/// Between two events: far more than one takes, so that each is timed alone.
const PAUSE: Duration = Duration::from_millis(700);
/// From any host to any other, one way: a round trip takes twice as long.
const LATENCY: Duration = Duration::from_millis(100);

/// A packet passes two links: half of the latency each, and of 2 % loss.
fn wide_area() -> Link {
    Link { latency: LATENCY / 2, loss: 0.01, ..Link::default() }
}

#[test]
fn ten_nodes_with_latency_and_loss_have_a_record_soon() {
    let Some(mut world) = World::alone("ten nodes, 100 ms, 2 % loss") else { return };
    let mut hosts: Vec<Host> = (0..NODES).map(|number| world.host(&format!("n{number}"), wide_area())).collect();
    hosts.iter_mut().for_each(|host| host.start(&KNOWN_PEERS));
    let ticket = hosts[0].create();
    hosts[0].append("{\"n\":\"first\"}");
    for host in &hosts[1..] {
        host.join(&ticket);
    }
    let readers: Vec<_> = hosts[1..].iter().map(Host::arrivals).collect();
    let everywhere = |line: &str| readers.iter().map(|reader| reader.of(line)).collect::<Option<Vec<_>>>();
    wait("the first record at every reader", || everywhere("{\"n\":\"first\"}"));

    let mut writer = hosts[0].writer();
    let mut last = Vec::new();
    let mut every = Vec::new();
    for number in 0..EVENTS {
        let line = format!("{{\"n\":{number}}}");
        let written = writer.write(&line);
        let (arrived, _) = wait(&line, || everywhere(&line));
        let times = arrived.into_iter().map(|at| at.saturating_duration_since(written));
        every.extend(times.clone());
        last.push(times.max().unwrap());
        thread::sleep(PAUSE.saturating_sub(written.elapsed()));
    }
    every.sort();
    last.sort();
    let of = |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize].as_millis();
    say(&format!(
        "a record at one reader: median {} ms, 90 % {} ms; at every reader: median {} ms, 90 % {} ms, all {} ms",
        of(&every, 0.5),
        of(&every, 0.9),
        of(&last, 0.5),
        of(&last, 0.9),
        of(&last, 1.0),
    ));
    // Nothing but light is sooner; what the median is depends on the machine.
    assert!(every[0] >= LATENCY, "it came sooner than the links permit");
    all_have(&hosts.iter().collect::<Vec<_>>(), 1 + EVENTS as u64);
}

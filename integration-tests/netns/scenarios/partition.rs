use std::{
    thread,
    time::{Duration, Instant},
};

use super::KNOWN_PEERS;
use crate::{
    host::{Host, all_have, wait},
    link::Link,
    world::{World, say},
};

const NODES: usize = 4;
/// Long enough for connections to be given up, by ping and by TCP.
const PARTITION: Duration = Duration::from_secs(60);
/// What a link that flaps does in one direction.
const FLAP: Duration = Duration::from_secs(4);
const FLAPS: usize = 5;

fn network(scenario: &str) -> Option<(World, Vec<Host>)> {
    let mut world = World::new(scenario)?;
    let link = Link { latency: Duration::from_millis(10), ..Link::default() };
    let mut hosts: Vec<Host> = (0..NODES).map(|number| world.host(&format!("n{number}"), link.clone())).collect();
    hosts.iter_mut().for_each(|host| host.start(&KNOWN_PEERS));
    let ticket = hosts[0].create();
    for host in &hosts[1..] {
        host.join(&ticket);
    }
    for host in &hosts {
        host.append("before");
    }
    all_have(&hosts.iter().collect::<Vec<_>>(), NODES as u64);
    // Until now they know the one of the ticket; each says in its log where it is.
    wait("everybody knows where everybody is", || hosts.iter().all(|host| host.places() == NODES).then_some(()));
    Some((world, hosts))
}

#[test]
fn both_sides_of_a_partition_go_on_and_end_equal() {
    let Some((world, hosts)) = network("a partition with writes on both sides") else { return };
    for host in &hosts[NODES / 2..] {
        world.set(host, |link| link.side = 1);
    }
    let cut = Instant::now();
    let mut rounds = 0;
    while cut.elapsed() < PARTITION {
        hosts.iter().for_each(|host| host.append("meanwhile"));
        rounds += 1;
        thread::sleep(Duration::from_secs(2));
    }
    // Each side has what it wrote, and what was there before.
    let nodes = NODES as u64;
    all_have(&[&hosts[0], &hosts[1]], nodes + rounds * nodes / 2);
    all_have(&[&hosts[2], &hosts[3]], nodes + rounds * nodes / 2);
    let events = nodes + rounds * nodes;
    assert_ne!(hosts[0].heads(), hosts[2].heads());
    for host in &hosts {
        world.set(host, |link| link.side = 0);
    }
    let took = all_have(&hosts.iter().collect::<Vec<_>>(), events);
    say(&format!("{events} events are the same everywhere {:.1} s after the partition", took.as_secs_f64()));
}

#[test]
fn a_follower_that_flaps_has_everything_in_the_end() {
    let Some((world, hosts)) = network("a follower that flaps") else { return };
    let mut events = NODES as u64;
    for flap in 0..2 * FLAPS {
        world.set(&hosts[3], |link| link.is_up = flap % 2 == 1);
        let until = Instant::now() + FLAP;
        while Instant::now() < until {
            hosts[0].append("flapping");
            events += 1;
            thread::sleep(Duration::from_millis(200));
        }
    }
    world.set(&hosts[3], |link| link.is_up = true);
    let took = all_have(&hosts.iter().collect::<Vec<_>>(), events);
    say(&format!("it has all {events} events {:.1} s after its link holds", took.as_secs_f64()));
}

use std::time::Duration;

use spool_integration_tests::without_addresses;

use crate::{
    host::{Host, all_have},
    link::Link,
    world::{World, say},
};

fn link() -> Link {
    Link { latency: Duration::from_millis(5), ..Link::default() }
}

#[test]
fn nodes_of_one_local_network_find_each_other() {
    let Some(mut world) = World::new("discovery by mDNS alone") else { return };
    let mut hosts: Vec<Host> = ["one", "two", "three"].map(|name| world.host(name, link())).into();
    hosts.iter_mut().for_each(|host| host.start(&["--mdns", "true", "--dht", "off"]));
    let ticket = without_addresses(&hosts[0].create(), Vec::new());
    hosts[0].append("here");
    hosts[1..].iter().for_each(|host| host.join(&ticket));
    let took = all_have(&hosts.iter().collect::<Vec<_>>(), 1);
    say(&format!("found {:.1} s after joining", took.as_secs_f64()));
}

#[test]
fn nodes_find_each_other_in_the_hash_table_through_one_that_both_know() {
    let Some(mut world) = World::new("discovery by the hash table alone") else { return };
    let mut known = world.host("known", link());
    let mut hosts: Vec<Host> = ["one", "two", "three"].map(|name| world.host(name, link())).into();
    known.start(&["--mdns", "false", "--dht", "server"]);
    let bootstrap = known.dialled_at();
    hosts.iter_mut().for_each(|host| host.start(&["--mdns", "false", "--dht", "auto", "--bootstrap", &bootstrap]));
    let ticket = without_addresses(&hosts[0].create(), Vec::new());
    hosts[0].append("somewhere");
    hosts[1..].iter().for_each(|host| host.join(&ticket));
    let took = all_have(&hosts.iter().collect::<Vec<_>>(), 1);
    say(&format!("found {:.1} s after joining", took.as_secs_f64()));
    assert!(known.json(&["thread", "ls"]).as_array().is_some_and(Vec::is_empty), "it only knows the way");
}

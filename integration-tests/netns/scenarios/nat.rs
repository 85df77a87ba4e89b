use std::time::Duration;

use crate::{
    host::{all_have, wait},
    link::Link,
    world::{World, say},
};

/// Nothing but what is configured.
const ALONE: [&str; 4] = ["--mdns", "false", "--dht", "off"];

#[test]
fn two_nodes_behind_nat_meet_over_a_relay_and_then_directly() {
    let Some(mut world) = World::new("a writer and a reader behind NAT") else { return };
    let link = Link { latency: Duration::from_millis(20), ..Link::default() };
    let mut relay = world.host("relay", link.clone());
    let mut writer = world.host_behind_nat("writer", link.clone());
    let mut reader = world.host_behind_nat("reader", link);
    let announce = format!("/ip4/{0}/tcp/4006,/ip4/{0}/udp/4006/quic-v1", relay.address);
    relay.start(&[&ALONE[..], &["--relay", "server", "--announce", &announce]].concat());
    let known = relay.dialled_at();
    for host in [&mut writer, &mut reader] {
        host.start(&[&ALONE[..], &["--bootstrap", &known]].concat());
    }
    // Its ticket leads to the relay, and from there to it.
    let (_, reserved) = wait("a reservation", || writer.text(&["addr"]).contains("/p2p-circuit").then_some(()));
    let ticket = writer.create();
    writer.append("over the relay");
    reader.join(&ticket);
    let relayed = all_have(&[&writer, &reader], 1);
    let direct = |address: &String| !address.contains("/p2p-circuit");
    let (_, punched) =
        wait("a direct connection", || reader.connections(writer.peer()).iter().any(direct).then_some(()));
    // What comes now needs no relay.
    relay.kill();
    writer.append("directly");
    let went = all_have(&[&writer, &reader], 2);
    say(&format!(
        "reserved after {:.1} s, over the relay after {:.1} s, directly connected {:.1} s later, and without the relay {:.1} s",
        reserved.as_secs_f64(),
        relayed.as_secs_f64(),
        punched.as_secs_f64(),
        went.as_secs_f64(),
    ));
}

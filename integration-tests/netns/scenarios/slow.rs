use std::time::Duration;

use super::KNOWN_PEERS;
use crate::{
    host::{Host, all_have, wait},
    link::Link,
    world::{World, say},
};

/// Bytes a second of the slow link: what a bad mobile network has.
const SLOW: u64 = 16 * 1024;
/// Bytes that are written: a minute for the slow link.
const BYTES: usize = 1024 * 1024;

#[test]
fn a_slow_link_does_not_hold_up_the_fast_ones() {
    let Some(mut world) = World::new("a slow link among fast ones") else { return };
    let fast = Link { latency: Duration::from_millis(10), ..Link::default() };
    let mut hosts: Vec<Host> = ["writer", "one", "two"].map(|name| world.host(name, fast.clone())).into();
    hosts.push(world.host("slow", Link { rate: Some(SLOW), ..fast }));
    hosts.iter_mut().for_each(|host| host.start(&KNOWN_PEERS));
    let ticket = hosts[0].create();
    hosts[1..].iter().for_each(|host| host.join(&ticket));
    hosts[0].append("first");
    all_have(&hosts.iter().collect::<Vec<_>>(), 1);

    let file = tempfile::NamedTempFile::new().unwrap();
    // Nothing that anybody could make smaller.
    let noise: Vec<u8> = (0..BYTES / 8).flat_map(|_| rand::random::<u64>().to_le_bytes()).collect();
    std::fs::write(file.path(), noise).unwrap();
    hosts[0].text(&["add", "net", file.path().to_str().unwrap()]);
    let is_whole = |host: &Host| host.events() == 2 && host.json(&["stat"])["missing_blocks"] == 0;
    let (_, took) = wait("the file at the fast ones", || hosts[1..3].iter().all(is_whole).then_some(()));
    // And records that are written now arrive there, while the slow one still gets its file.
    hosts[0].append("behind it");
    let after = all_have(&[&hosts[0], &hosts[1], &hosts[2]], 3);
    say(&format!(
        "the fast ones have the file after {:.1} s and what comes behind it after {:.1} s",
        took.as_secs_f64(),
        after.as_secs_f64()
    ));
    assert!(!has_everything(&hosts[3]), "the slow link is not slow");
    let (_, whole) = wait("the file at the slow one", || has_everything(&hosts[3]).then_some(()));
    say(&format!("the slow one has everything {:.1} s later", whole.as_secs_f64()));
}

fn has_everything(host: &Host) -> bool {
    host.events() == 3 && host.json(&["stat"])["missing_blocks"] == 0
}

//! A device that lost everything gets it back from the recovery phrase and a peer that cannot read, and never extends an old log.

use bytes::Bytes;
use futures::StreamExt as _;
use spool_integration_tests::{Setup, TestNode, eventually};
use spool_node::model::{Error, HomeInfo, RecoverEvent, RecoverOptions, Recovered, SyncEvent};
use spool_proto::{Address, ThreadId, address::Target, key_set::Scope};
use std::time::Duration;

/// A device of one owner; its store and node are its own.
fn device_of_owner(seed: u64) -> Setup {
    let mut setup = Setup::new(seed);
    setup.identity = [77; 32];
    setup.config.home = true;
    setup.config.name = Some(format!("device {seed}"));
    setup
}

/// A node that follows the home thread and others, and can read none.
async fn follower(seed: u64, of: &TestNode, threads: &[&ThreadId]) -> TestNode {
    let follower = TestNode::start(seed).await;
    for thread in threads {
        follower.join_from(of, thread, Scope::Follow).await;
    }
    follower
}

async fn home_of(node: &TestNode) -> HomeInfo {
    node.home_info().await.expect("the store can be read")
}

/// Waits until the home thread names so many threads, and its follower has all of it.
async fn kept(node: &TestNode, follower: &TestNode, threads: usize) {
    let home = eventually("the home thread is written", || async {
        let home = home_of(node).await;
        (home.threads.len() == threads && !home.devices.is_empty()).then_some(home)
    })
    .await;
    same(node, follower, &home.thread).await;
}

/// Waits until two nodes have the same logs of a thread.
async fn same(a: &TestNode, b: &TestNode, thread: &ThreadId) {
    let heads = |node: TestNode| async move {
        let logs = node.thread(thread).await.expect("the thread is here").logs;
        logs.into_iter().map(|log| (log.id, log.head)).collect::<Vec<_>>()
    };
    eventually("both have the same", || async { (heads(a.clone()).await == heads(b.clone()).await).then_some(()) })
        .await;
}

async fn recover(node: &TestNode, from: Option<&TestNode>) -> Result<Vec<RecoverEvent>, Error> {
    let from = from.map(|node| Address { base: node.address.clone(), target: Target::None });
    let options = RecoverOptions { from, timeout: Duration::from_secs(20) };
    node.recover(options).collect::<Vec<_>>().await.into_iter().collect()
}

fn outcomes(events: &[RecoverEvent]) -> Vec<(Option<String>, Recovered)> {
    let outcome = |event: &RecoverEvent| match event {
        RecoverEvent::Thread { name, outcome, .. } => Some((name.clone(), outcome.clone())),
        RecoverEvent::Home(_) | RecoverEvent::Sync(_) => None,
    };
    let mut outcomes: Vec<_> = events.iter().filter_map(outcome).collect();
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phrase_and_a_follower_bring_everything_back() {
    let old = device_of_owner(2000).start().await;
    let (notes, films) = (old.thread_with_name("notes").await, old.thread_with_name("films").await);
    let home = home_of(&old).await.thread;
    let follower = follower(2010, &old, &[&home, &notes, &films]).await;
    let written = old.write(&notes, "before").await;
    old.write(&films, "Brazil").await;
    follower.has_record(&written).await;
    kept(&old, &follower, 2).await;
    same(&old, &follower, &films).await;

    // What nobody else has goes down with the device.
    let store = old.setup.kv.clone();
    follower.stop().await;
    let unreplicated = old.write(&notes, "nobody has this").await;
    assert_eq!((unreplicated.log, unreplicated.counter), (written.log, written.counter + 1));
    old.stop().await;
    let follower = follower.setup.clone().start().await;

    let new = device_of_owner(2001).start().await;
    let events = recover(&new, Some(&follower)).await.expect("the follower has everything");
    assert!(matches!(&events[0], RecoverEvent::Home(home) if home.threads.len() == 2), "{:?}", events[0]);
    let joined = |name: &str| (Some(name.to_owned()), Recovered::Joined);
    assert_eq!(outcomes(&events), [joined("films"), joined("notes")]);
    assert!(
        matches!(events.last(), Some(RecoverEvent::Sync(SyncEvent::Done(done))) if done.complete),
        "{:?}",
        events.last()
    );
    assert_eq!(new.bodies(&notes).await, ["before"]);
    assert_eq!(new.bodies(&films).await, ["Brazil"]);

    // It writes on, to a log of its own.
    let after = new.write(&notes, "after").await;
    assert_ne!(after.log, written.log);
    follower.has_record(&after).await;
    assert_eq!(follower.head(&notes, &written.log).await, written.counter);

    // And if the old device is found again, nothing contradicts anything.
    let mut found = device_of_owner(2000);
    found.kv = store;
    let found = found.start().await;
    found.connect_to(&follower).await;
    follower.has_record(&unreplicated).await;
    found.has_record(&after).await;
    new.has_record(&unreplicated).await;
    let mut bodies = new.bodies(&notes).await;
    bodies.sort();
    assert_eq!(bodies, [Bytes::from("after"), "before".into(), "nobody has this".into()]);
    for node in [&new, &found, &follower] {
        assert_eq!(node.thread(&notes).await.expect("here").info.forks, 0);
        assert_eq!(node.thread(&home).await.expect("here").info.forks, 0);
    }
    let devices = eventually("both devices are known", || async {
        let devices = home_of(&new).await.devices;
        (devices.len() == 2).then_some(devices)
    })
    .await;
    let names: Vec<_> = devices.iter().map(|device| (device.name.as_deref(), device.is_this)).collect();
    assert_eq!(names, [(Some("device 2000"), false), (Some("device 2001"), true)]);
    for node in [new, found, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_no_device_keeps_is_not_brought_back() {
    let first = device_of_owner(2100).start().await;
    let (kept_thread, left) = (first.thread_with_name("kept").await, first.thread_with_name("left").await);
    let home = home_of(&first).await.thread;
    let follower = follower(2110, &first, &[&home, &kept_thread, &left]).await;
    kept(&first, &follower, 2).await;

    let second = device_of_owner(2101).start().await;
    recover(&second, Some(&follower)).await.expect("the follower has everything");
    eventually("the second device keeps both", || async {
        home_of(&first).await.threads.iter().all(|thread| thread.devices == 2).then_some(())
    })
    .await;
    first.remove_thread(&left).await.expect("it is here");
    eventually("one device is left", || async {
        home_of(&second).await.threads.iter().find(|thread| thread.thread == left && thread.devices == 1).map(|_| ())
    })
    .await;
    // Whoever asks again gets what another device keeps.
    let again = recover(&first, Some(&follower)).await.expect("the follower has everything");
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(outcomes(&again), [(name("kept"), Recovered::Here), (name("left"), Recovered::Joined)]);
    first.remove_thread(&left).await.expect("it is here");
    second.remove_thread(&left).await.expect("it is here");
    same(&second, &follower, &home).await;
    let gone = eventually("nobody keeps it", || async {
        let home = home_of(&first).await.threads;
        home.into_iter().find(|thread| thread.thread == left && thread.devices == 0)
    });
    assert!(!gone.await.is_here);
    let again = recover(&first, Some(&follower)).await.expect("the follower has everything");
    assert_eq!(outcomes(&again), [(name("kept"), Recovered::Here), (name("left"), Recovered::Left)]);

    // It is in no list, and cannot be removed while it is kept.
    assert_eq!(first.threads().await.expect("readable").len(), 1);
    assert!(matches!(first.remove_thread(&home).await, Err(Error::Invalid(_))));
    for node in [first, second, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_peer_that_has_it_nothing_is_claimed() {
    let stranger = TestNode::start(2210).await;
    let device = device_of_owner(2200).start().await;
    let from = Some(Address { base: stranger.address.clone(), target: Target::None });
    let options = RecoverOptions { from, timeout: Duration::from_secs(2) };
    let events: Vec<_> = device.recover(options).collect().await;
    assert!(matches!(events.as_slice(), [Err(Error::HomeUnreachable(2))]), "{events:?}");
    assert_eq!(home_of(&device).await.devices, []);
    for node in [device, stranger] {
        node.stop().await;
    }
}

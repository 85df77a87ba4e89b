use spool_integration_tests::{Setup, TestNode, eventually};
use spool_node::{
    config::{Config, Follow},
    model::{Error, FollowerInfo},
};
use spool_proto::{PeerId, ThreadId, wire::Declined};

/// A node that offers to follow, with other settings.
pub(crate) fn offering(seed: u64, change: impl FnOnce(&mut Config)) -> Setup {
    let mut setup = Setup::new(seed);
    setup.config.follow = Follow::Open;
    change(&mut setup.config);
    setup
}

/// A node that follows for everybody.
pub(crate) async fn open(seed: u64) -> TestNode {
    offering(seed, |_| {}).start().await
}

/// Asks a node to follow.
pub(crate) async fn ask(writer: &TestNode, follower: &TestNode, thread: &ThreadId) -> FollowerInfo {
    writer.add_follower(&follower.address.to_string(), thread, None).await.expect("the follower takes it")
}

/// Why a node was not willing to follow.
pub(crate) async fn declined(
    writer: &TestNode,
    follower: &TestNode,
    thread: &ThreadId,
    code: Option<&str>,
) -> Declined {
    let answer = writer.add_follower(&follower.address.to_string(), thread, code.map(str::to_owned)).await;
    match answer.expect_err("the follower does not take it") {
        Error::Declined { peer, why } if peer == follower.peer() => why,
        other => panic!("{other}"),
    }
}

/// Waits until the logs of a thread announce where a peer is, as far as `reader` knows, or not any more.
pub(crate) async fn announces(reader: &TestNode, thread: &ThreadId, peer: &PeerId, wanted: bool) {
    eventually("the announcement has arrived", || async {
        let detail = reader.thread(thread).await.ok()?;
        let announced = detail.logs.iter().flat_map(|log| &log.addresses);
        let there = announced.map(ToString::to_string).any(|address| address.ends_with(&peer.to_string()));
        (there == wanted).then_some(())
    })
    .await;
}

//! Where writers are, in their logs.

use spool_integration_tests::{Setup, TestNode, eventually};
use spool_proto::ThreadId;

async fn announces(node: &TestNode, thread: &ThreadId, place: &str) {
    eventually("the log says where its writer is", || async {
        let detail = node.thread(thread).await.ok()?;
        let mut addresses = detail.logs.iter().flat_map(|log| &log.addresses);
        addresses.any(|address| address.to_string().starts_with(place)).then_some(())
    })
    .await;
}

/// It was said when the node learned it, in the logs that there were; a log that began later said it after ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_begins_late_says_where_its_writer_is() {
    const PLACE: &str = "/ip4/192.0.2.1/tcp/4006";
    let mut setup = Setup::new(600);
    setup.config.announce = vec![PLACE.parse().expect("a multiaddr")];
    let node = setup.start().await;
    let early = node.thread_with_name("early").await;
    node.write(&early, "first").await;
    announces(&node, &early, PLACE).await;
    let late = node.thread_with_name("late").await;
    node.write(&late, "first").await;
    announces(&node, &late, PLACE).await;
    node.stop().await;
}

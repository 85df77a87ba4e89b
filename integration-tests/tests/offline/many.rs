//! A thousand threads on two nodes.

use spool_integration_tests::{Setup, TestNode, eventually, without_addresses};
use spool_proto::key_set::Scope;

#[tokio::test(flavor = "multi_thread")]
async fn among_many_threads_the_one_that_changed_is_found() {
    const THREADS: usize = 1_000;
    let (one, two) = (TestNode::start(1_000).await, TestNode::start(1_001).await);
    let mut threads = Vec::with_capacity(THREADS);
    for number in 0..THREADS {
        let thread = one.thread_with_name(&format!("number {number}")).await;
        let ticket = without_addresses(&one.ticket(&thread, Scope::Read).await, Vec::new());
        two.join(&ticket, None).await.expect("a good ticket");
        threads.push(thread);
    }
    let silent = one.write(&threads[321], "before they meet").await;
    two.connect_to(&one).await;
    two.has_record(&silent).await;
    eventually("all threads are proven", || async {
        let peers = two.peers().await.ok()?;
        peers.iter().find(|peer| peer.peer == one.peer()).filter(|peer| peer.threads as usize == THREADS).map(|_| ())
    })
    .await;
    for index in [7, 777, 999] {
        let receipt = one.write(&threads[index], "in between").await;
        two.has_record(&receipt).await;
        let answer = two.write(&threads[index], "seen").await;
        one.has_record(&answer).await;
    }
    // And what changes while they are apart.
    let setup = Setup { kv: two.setup.kv.clone(), ..two.setup.clone() };
    two.stop().await;
    let changed: Vec<_> = [0, 500, 998].into_iter().map(|index| threads[index].clone()).collect();
    let mut receipts = Vec::new();
    for thread in &changed {
        receipts.push(one.write(thread, "meanwhile").await);
    }
    let two = setup.start().await;
    two.connect_to(&one).await;
    for receipt in &receipts {
        two.has_record(receipt).await;
    }
    let records: u64 = two.threads().await.expect("readable").iter().map(|thread| thread.records).sum();
    assert_eq!(records, 1 + 6 + 3, "and nothing else has moved");
    two.stop().await;
    one.stop().await;
}

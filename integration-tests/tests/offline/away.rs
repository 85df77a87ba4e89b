//! Coming back, and sources that go away.

use std::sync::{Arc, Mutex};

use spool_integration_tests::{Scripted, TestNode, Writer, eventually, keys_of, without_addresses};
use spool_proto::{
    Multiaddr, PeerId,
    key_set::Scope,
    wire::{Refusal, Request, Response},
};

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_gets_what_it_missed_from_whoever_has_it() {
    let writer = TestNode::start(100).await;
    let thread = writer.thread_with_name("while you were out").await;
    let follower = TestNode::start(101).await;
    follower.join_from(&writer, &thread, Scope::Follow).await;
    follower.shares(&thread, &writer.peer()).await;
    // Only now, so that the ticket names the follower, too.
    let reader = TestNode::start(102).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    let early = writer.write(&thread, "early").await;
    reader.has_record(&early).await;
    let setup = reader.setup.clone();
    reader.stop().await;

    let late = writer.write_many(&thread, 500).await;
    follower.has_record(&late).await;
    writer.stop().await;

    let reader = setup.start().await;
    reader.has_record(&late).await;
    let bodies = reader.bodies(&thread).await;
    assert_eq!(bodies.len(), 501);
    assert_eq!(bodies.last().map(|body| body.as_ref()), Some(b"event number 500".as_slice()));
    // And one that has never met the writer.
    let newcomer = TestNode::start(103).await;
    newcomer.join_from(&reader, &thread, Scope::Read).await;
    newcomer.has_record(&late).await;
    assert_eq!(newcomer.bodies(&thread).await, bodies);
    // The follower has it all and sees none of it.
    assert!(follower.entries(&thread).await.iter().all(|entry| entry.event.is_none()));
    for node in [reader, newcomer, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pull_goes_on_from_another_source_where_it_stopped() {
    const RECORDS: u64 = 20_000;
    const CUT: u64 = 10_000;
    let host = TestNode::start(200).await;
    let thread = host.thread_with_name("long").await;
    let keys = keys_of(&host.ticket(&thread, Scope::Read).await);
    let mut writer = Writer::new(201, &thread, &keys);
    writer.append_many(RECORDS);
    let (head, topic) = (writer.head(), keys.access().topic());
    let reader = TestNode::start(202).await;
    let ticket = without_addresses(&host.ticket(&thread, Scope::Read).await, Vec::new());
    host.stop().await;
    reader.join(&ticket, None).await.expect("a good ticket");

    let writer = Arc::new(writer);
    let source = |seed: u64, limit: u64| {
        let source = Scripted::start(seed, &[&keys]);
        let asked: Arc<Mutex<Vec<u64>>> = Arc::default();
        let (list, writer, key) = (asked.clone(), writer.clone(), source.key.clone());
        source.answer(move |_, request| match request {
            Request::Heads { after: None, .. } => Some(Response::Heads { heads: vec![head], more: false }),
            Request::Records { after, until, .. } => {
                list.lock().expect("no test has panicked").push(*after);
                if *after >= limit {
                    return Some(Response::Refusal(Refusal::Busy));
                }
                // At most a page.
                let until = (*until).min(after + 1_000).min(limit);
                let envelope = writer.run(*after, until).sign(topic, &key);
                Some(Response::Records { envelope: Some(Box::new(envelope)), more: true })
            }
            _ => None,
        });
        (source, asked)
    };

    let (first, _) = source(203, CUT);
    first.connect_and_prove(&reader).await;
    reader.has(&thread, &head.log, CUT).await;
    assert_eq!(reader.head(&thread, &head.log).await, CUT);
    drop(first);

    let (second, asked) = source(204, u64::MAX);
    second.connect_and_prove(&reader).await;
    reader.has(&thread, &head.log, RECORDS).await;
    let asked = asked.lock().expect("no test has panicked").clone();
    assert_eq!(asked.iter().min(), Some(&CUT), "nothing before the cut was asked for again: {asked:?}");
    let stat = reader.stat().await.expect("the node runs");
    assert_eq!((stat.records, stat.accepted, stat.rejected), (RECORDS, RECORDS, 0));
    assert_eq!(reader.score(&second.peer).await, Some(-0.0));
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_stops_in_the_middle_is_replaced() {
    let writer = TestNode::start(300).await;
    let thread = writer.thread_with_name("two sources").await;
    let last = writer.write_many(&thread, 3_000).await;
    let follower = TestNode::start(301).await;
    follower.join_from(&writer, &thread, Scope::Follow).await;
    follower.has_record(&last).await;
    // Its ticket names both.
    let reader = TestNode::start(302).await;
    reader.join_from(&writer, &thread, Scope::Read).await;
    eventually("the pull has begun", || async { (reader.head(&thread, &last.log).await > 0).then_some(()) }).await;
    writer.stop().await;
    reader.has_record(&last).await;
    assert_eq!(reader.bodies(&thread).await.len(), 3_000);
    reader.stop().await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_addresses_in_a_ticket_do_not_delay_the_live_one() {
    let writer = TestNode::start(400).await;
    let thread = writer.thread_with_name("where are you").await;
    let receipt = writer.write(&thread, "here").await;
    let dead = |peer: PeerId, place: &str| -> Multiaddr {
        let address: Multiaddr = place.parse().expect("a multiaddr written by hand");
        address.with_p2p(peer).expect("names no peer yet")
    };
    let nobody = Writer::new(401, &thread, &keys_of(&writer.ticket(&thread, Scope::Read).await)).log;
    // Takes connections and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_port = mute.local_addr().expect("bound").port();
    let mut addresses = Vec::new();
    for peer in [writer.peer(), PeerId::from(nobody)] {
        // Refused at once, mute, and another transport.
        let places =
            ["/ip4/127.0.0.1/tcp/1", &format!("/ip4/127.0.0.1/tcp/{mute_port}"), "/ip4/127.0.0.1/udp/1/quic-v1"];
        addresses.extend(places.map(|place| dead(peer, place)));
    }
    addresses.push(writer.address.clone());
    let ticket = without_addresses(&writer.ticket(&thread, Scope::Read).await, addresses);
    let reader = TestNode::start(402).await;
    reader.join(&ticket, None).await.expect("a good ticket");
    reader.has_record(&receipt).await;
    // Removed and joined again, what was learned about the dead does no harm either.
    reader.remove_thread(&thread).await.expect("the thread is here");
    reader.join(&ticket, None).await.expect("a good ticket");
    reader.has_record(&receipt).await;
    reader.stop().await;
    writer.stop().await;
}

use std::{collections::BTreeSet, time::Duration};

use spool_net::{Command, Config, Event, GossipId, GossipLimits, Verdict};
use spool_proto::TopicId;

use super::support::{Node, PATIENCE, connect, heard, quiet, topic};

async fn message(node: &mut Node) -> (GossipId, TopicId, bytes::Bytes) {
    let pick = |event| match event {
        Event::Gossip { id, topic, data, .. } => Some((id, topic, data)),
        _ => None,
    };
    node.wait("gossip", pick).await
}

#[tokio::test]
async fn what_is_rejected_goes_no_further_and_is_scored() {
    let (mut a, mut b, mut c) = (Node::quiet().await, Node::quiet().await, Node::quiet().await);
    let thread = topic(1);
    for node in [&a, &b, &c] {
        node.command(Command::Subscribe(thread));
    }
    connect(&mut a, &mut b).await;
    connect(&mut b, &mut c).await;
    heard(&a, &mut b, thread).await;
    heard(&b, &mut c, thread).await;
    for (data, verdict) in [("bad", Verdict::Reject), ("known", Verdict::Ignore), ("good", Verdict::Accept)] {
        a.command(Command::Publish { topic: thread, data: data.into() });
        let id = loop {
            let (id, _, received) = message(&mut b).await;
            if received == data {
                break id;
            }
            b.command(Command::Judge { gossip: id, verdict: Verdict::Ignore });
        };
        b.command(Command::Judge { gossip: id, verdict });
    }
    let received = loop {
        let (id, _, received) = message(&mut c).await;
        c.command(Command::Judge { gossip: id, verdict: Verdict::Accept });
        if !received.starts_with(b"hello") {
            break received;
        }
    };
    assert_eq!(received, "good", "the first that b let through");
    assert!(b.wait_points(a.peer, 1.0).await > 25.0);
}

#[tokio::test]
async fn whoever_keeps_sending_what_is_rejected_is_blocked() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    let thread = topic(1);
    for node in [&a, &b] {
        node.command(Command::Subscribe(thread));
    }
    connect(&mut a, &mut b).await;
    heard(&a, &mut b, thread).await;
    for strike in 0..4u32 {
        let bad = format!("bad {strike}");
        a.command(Command::Publish { topic: thread, data: bad.clone().into() });
        let verdict = |received: &[u8]| if received == bad.as_bytes() { Verdict::Reject } else { Verdict::Ignore };
        loop {
            let (id, _, received) = message(&mut b).await;
            b.command(Command::Judge { gossip: id, verdict: verdict(&received) });
            if received == bad {
                break;
            }
        }
    }
    b.wait_gone(a.peer).await;
    assert!(b.handle.dial(a.full_address()).await.is_err());
}

#[tokio::test]
async fn publishing_alone_or_twice_is_no_error() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    let thread = topic(1);
    a.command(Command::Publish { topic: thread, data: "to nobody".into() });
    a.command(Command::Subscribe(thread));
    b.command(Command::Subscribe(thread));
    connect(&mut a, &mut b).await;
    heard(&a, &mut b, thread).await;
    for data in ["once", "once", "end"] {
        a.command(Command::Publish { topic: thread, data: data.into() });
    }
    let mut received = Vec::new();
    while received.last().is_none_or(|last| last != "end") {
        let (id, _, data) = message(&mut b).await;
        b.command(Command::Judge { gossip: id, verdict: Verdict::Accept });
        received.push(data);
    }
    received.retain(|data| !data.starts_with(b"hello"));
    assert_eq!(received, ["once", "end"]);
}

#[tokio::test]
async fn the_largest_message_travels() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    let thread = topic(1);
    a.command(Command::Subscribe(thread));
    b.command(Command::Subscribe(thread));
    connect(&mut a, &mut b).await;
    heard(&a, &mut b, thread).await;
    // Several in a row: gossipsub compares the limit with its read buffer, which holds the beginning of the next.
    for number in 0..8 {
        let data = vec![number; spool_net::limits::MAX_GOSSIP_BYTES];
        a.command(Command::Publish { topic: thread, data: data.into() });
    }
    let mut numbers = BTreeSet::new();
    while numbers.len() < 8 {
        let (id, _, data) = message(&mut b).await;
        b.command(Command::Judge { gossip: id, verdict: Verdict::Accept });
        if data.len() == spool_net::limits::MAX_GOSSIP_BYTES {
            numbers.insert(data[0]);
        }
    }
}

#[tokio::test]
async fn who_floods_is_ignored_and_scored() {
    let gossip = GossipLimits { messages_a_second: 0.001, messages_burst: 20.0, ..GossipLimits::default() };
    let (mut a, mut b) = (Node::quiet().await, Node::start(Config { gossip, ..quiet() }).await);
    let thread = topic(1);
    a.command(Command::Subscribe(thread));
    b.command(Command::Subscribe(thread));
    connect(&mut a, &mut b).await;
    heard(&a, &mut b, thread).await;
    for number in 0..200 {
        a.command(Command::Publish { topic: thread, data: format!("flood {number}").into() });
    }
    assert!(b.wait_points(a.peer, 10.0).await >= 10.0);
    let mut received = 0;
    while let Ok(event) = b.events.try_recv() {
        received += u32::from(matches!(event, Event::Gossip { .. }));
    }
    assert!(received < 20, "{received} messages got through");
}

#[tokio::test]
async fn many_threads() {
    const THREADS: u64 = 1_000;
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    for number in 0..THREADS {
        a.handle.command(Command::Subscribe(topic(number))).await.unwrap();
        b.handle.command(Command::Subscribe(topic(number))).await.unwrap();
    }
    assert_eq!(a.handle.status().await.unwrap().topics, THREADS as usize);
    connect(&mut a, &mut b).await;
    all_heard(&a, &mut b, THREADS).await;
    all_heard(&b, &mut a, THREADS).await;
    // And what is joined or left later is seen as well.
    a.command(Command::Unsubscribe(topic(0)));
    a.command(Command::Subscribe(topic(THREADS)));
    b.command(Command::Subscribe(topic(THREADS)));
    heard(&b, &mut a, topic(THREADS)).await;
}

/// Publishes on every topic until each was heard.
async fn all_heard(from: &Node, to: &mut Node, threads: u64) {
    let mut missing: BTreeSet<_> = (0..threads).map(topic).collect();
    let rounds = async {
        let mut round = 0;
        while !missing.is_empty() {
            round += 1;
            for topic in missing.clone() {
                let data = format!("{round} {topic}").into();
                from.handle.command(Command::Publish { topic, data }).await.unwrap();
            }
            // A round ends when nothing comes any more.
            while let Ok(event) = tokio::time::timeout(Duration::from_secs(1), to.events.recv()).await {
                if let Event::Gossip { id, topic, .. } = event.expect("the network runs") {
                    to.handle.command(Command::Judge { gossip: id, verdict: Verdict::Ignore }).await.unwrap();
                    missing.remove(&topic);
                }
                if missing.is_empty() {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, rounds).await.expect("all topics are heard");
}

use spool_net::{Command, Config, Event, KadMode, Network, RequestId, limits};
use spool_proto::wire::{Request, Response};

use super::support::{Node, PATIENCE, connect, quiet};

fn lookup(number: usize) -> Command {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Command::FindProviders { key }
}

#[tokio::test]
async fn a_consumer_that_does_not_read_stops_the_network_and_loses_nothing() {
    // Without a hash table every lookup is one event.
    let mut a = Node::start(Config { kad: KadMode::Off, ..quiet() }).await;
    let mut taken = 0;
    while a.handle.try_command(lookup(taken)).is_ok() {
        taken += 1;
        tokio::task::yield_now().await;
        assert!(taken < 10 * limits::COMMAND_QUEUE, "commands are taken without end");
    }
    assert!(taken >= limits::EVENT_QUEUE + limits::MAX_OUTBOX, "{taken}");
    let mut answered = 0;
    while answered < taken {
        let pick = |event| matches!(event, Event::Providers { done: true, .. }).then_some(());
        a.wait("an answer to every lookup", pick).await;
        answered += 1;
    }
    a.handle.try_command(lookup(taken)).unwrap();
}

#[tokio::test]
async fn commands_are_taken_while_events_wait() {
    let mut a = Node::start(Config { kad: KadMode::Off, ..quiet() }).await;
    for number in 0..limits::EVENT_QUEUE + 50 {
        a.handle.command(lookup(number)).await.unwrap();
    }
    // The queue of events is full now, and its reader wants something else first.
    let status = tokio::time::timeout(PATIENCE, a.handle.status()).await.expect("an answer").unwrap();
    assert_eq!(status.listening, [a.address.clone()]);
    a.events.close();
}

#[tokio::test]
async fn a_flood_of_commands_does_not_starve_the_network() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    let flood = a.handle.clone();
    let peer = b.peer;
    let flooding = tokio::spawn(async move {
        while flood.command(Command::Penalize { peer, points: 0, reason: "nothing" }).await.is_ok() {}
    });
    b.command(Command::Send { peer: a.peer, id: RequestId(1), request: Request::Proofs(Vec::new()) });
    let pick = |event| match event {
        Event::Request { inbound, .. } => Some(inbound),
        _ => None,
    };
    let inbound = a.wait("a request", pick).await;
    a.handle.command(Command::Respond { inbound, response: Response::Proofs(Vec::new()) }).await.unwrap();
    let pick = |event| matches!(event, Event::Response { result: Ok(_), .. }).then_some(());
    b.wait("the answer", pick).await;
    flooding.abort();
}

#[tokio::test]
async fn the_network_stops_when_nobody_reads_or_nobody_asks() {
    let (handle, events) = Network::spawn(quiet()).unwrap();
    drop(events);
    // Commands may still fit into the queue of a task that is about to end, but not for long.
    let ended = async { while handle.status().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the task ends");
    assert!(handle.try_command(lookup(0)).is_err());
    let (handle, mut events) = Network::spawn(quiet()).unwrap();
    drop(handle);
    let ended = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the task ends");
}

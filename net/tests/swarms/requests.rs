use std::time::Duration;

use bytes::Bytes;
use spool_net::{Command, Config, Event, Failure, InboundId, RequestId, limits};
use spool_proto::{
    block,
    wire::{Ack, Proof, Request, Response, Role, Terms},
};

use super::support::{Node, connect, quiet, topic};

fn over_quic() -> Config {
    Config { listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()], ..quiet() }
}

fn proofs() -> Request {
    Request::Proofs(vec![Proof { topic: topic(1), mac: [3; 32], role: Role::Reader, terms: Terms::default() }])
}

async fn request(node: &mut Node) -> (InboundId, Request) {
    let pick = |event| match event {
        Event::Request { inbound, request, .. } => Some((inbound, request)),
        _ => None,
    };
    node.wait("a request", pick).await
}

pub(super) async fn response(node: &mut Node) -> (RequestId, Result<Response, Failure>) {
    let pick = |event| match event {
        Event::Response { id, result, .. } => Some((id, result)),
        _ => None,
    };
    node.wait("a response", pick).await
}

async fn ask_and_answer(config: impl Fn() -> Config) {
    let (mut a, mut b) = (Node::start(config()).await, Node::start(config()).await);
    connect(&mut a, &mut b).await;
    a.command(Command::Send { peer: b.peer, id: RequestId(7), request: proofs() });
    let (inbound, asked) = request(&mut b).await;
    assert_eq!(asked, proofs());
    let answer =
        Response::Proofs(vec![Proof { topic: topic(1), mac: [4; 32], role: Role::Writer, terms: Terms::default() }]);
    b.command(Command::Respond { inbound, response: answer.clone() });
    let (id, result) = response(&mut a).await;
    assert_eq!((id, result.unwrap()), (RequestId(7), answer));
}

#[tokio::test]
async fn a_request_is_answered_over_tcp() {
    ask_and_answer(quiet).await;
}

#[tokio::test]
async fn a_request_is_answered_over_quic() {
    ask_and_answer(over_quic).await;
}

#[tokio::test]
async fn a_full_page_travels_over_tcp_and_is_counted() {
    full_page(quiet).await;
}

#[tokio::test]
async fn a_full_page_travels_over_quic_and_is_counted() {
    full_page(over_quic).await;
}

async fn full_page(config: impl Fn() -> Config) {
    let (mut a, mut b) = (Node::start(config()).await, Node::start(config()).await);
    connect(&mut a, &mut b).await;
    let blocks = vec![Bytes::from(vec![1; 1 << 20]), Bytes::from(vec![2; 1 << 20])];
    let cids = blocks.iter().map(|bytes| block::cid(bytes)).collect();
    a.command(Command::Send { peer: b.peer, id: RequestId(1), request: Request::Blocks { topic: topic(1), cids } });
    let (inbound, _) = request(&mut b).await;
    let page = Response::Blocks { blocks, more: true };
    b.command(Command::Respond { inbound, response: page.clone() });
    assert_eq!(response(&mut a).await.1.unwrap(), page);
    let (of_a, of_b) = (a.handle.status().await.unwrap(), b.handle.status().await.unwrap());
    let page = 2 << 20..3 << 20;
    assert!(page.contains(&of_a.bytes_received) && page.contains(&of_b.bytes_sent), "{of_a:?} {of_b:?}");
    let request = 100..100_000;
    assert!(request.contains(&of_a.bytes_sent) && request.contains(&of_b.bytes_received), "{of_a:?} {of_b:?}");
}

#[tokio::test]
async fn a_request_connects_by_itself_where_an_address_is_known() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    a.command(Command::AddAddress { peer: b.peer, address: b.address.clone() });
    a.command(Command::Send { peer: b.peer, id: RequestId(1), request: proofs() });
    let (inbound, _) = request(&mut b).await;
    b.command(Command::Respond { inbound, response: Response::Proofs(Vec::new()) });
    assert_eq!(response(&mut a).await.1.unwrap(), Response::Proofs(Vec::new()));
}

#[tokio::test]
async fn a_request_to_nowhere_fails_at_once() {
    let mut a = Node::quiet().await;
    let nobody = spool_net::PeerId::random();
    a.command(Command::Send { peer: nobody, id: RequestId(1), request: proofs() });
    assert!(matches!(response(&mut a).await.1, Err(Failure::Unreachable)));
}

#[tokio::test]
async fn a_request_that_does_not_fit_into_a_frame_is_not_sent() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    let sealed = Bytes::from(vec![0; limits::MAX_FRAME_BYTES + 1]);
    a.command(Command::Send { peer: b.peer, id: RequestId(1), request: Request::Invite { sealed } });
    assert!(matches!(response(&mut a).await.1, Err(Failure::Unsendable(_))));
}

#[tokio::test]
async fn a_response_that_does_not_fit_becomes_a_refusal() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    a.command(Command::Send { peer: b.peer, id: RequestId(1), request: proofs() });
    let (inbound, _) = request(&mut b).await;
    let blocks = vec![Bytes::from(vec![1; 1 << 20]); 3];
    b.command(Command::Respond { inbound, response: Response::Blocks { blocks, more: false } });
    assert_eq!(response(&mut a).await.1.unwrap(), Response::Refusal(spool_proto::wire::Refusal::Internal));
}

#[tokio::test]
async fn a_request_that_nobody_answers_times_out_on_both_sides() {
    let impatient = || Config { request_timeout: Duration::from_secs(3), ..quiet() };
    let (mut a, mut b) = (Node::start(impatient()).await, Node::start(impatient()).await);
    connect(&mut a, &mut b).await;
    a.command(Command::Send { peer: b.peer, id: RequestId(1), request: proofs() });
    let (inbound, _) = request(&mut b).await;
    let failure = response(&mut a).await.1.unwrap_err();
    assert!(failure.is_retryable(), "{failure:?}");
    // Too late: nothing happens, and the next request is served.
    b.command(Command::Respond { inbound, response: Response::Proofs(Vec::new()) });
    a.command(Command::Send { peer: b.peer, id: RequestId(2), request: Request::Push(Vec::new()) });
    let (inbound, _) = request(&mut b).await;
    let acks = Response::Push(Vec::<Ack>::new());
    b.command(Command::Respond { inbound, response: acks.clone() });
    assert_eq!(response(&mut a).await.1.unwrap(), acks);
}

#[tokio::test]
async fn more_requests_than_may_be_under_way_wait_and_more_than_may_wait_fail_as_busy() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    let surplus = 3;
    let all = limits::MAX_OUTBOUND_PER_PEER + limits::MAX_WAITING_REQUESTS;
    let mut busy = Vec::new();
    for id in 0..(all + surplus) as u64 {
        a.command(Command::Send { peer: b.peer, id: RequestId(id), request: proofs() });
        // Fewer than the queue of commands takes.
        if id % 512 == 0 {
            a.handle.peers().await.unwrap();
        }
    }
    while busy.len() < surplus {
        let (id, result) = response(&mut a).await;
        assert!(matches!(result, Err(Failure::Busy)), "{id:?}: {result:?}");
        busy.push(id.0);
    }
    assert_eq!(busy, (all as u64..(all + surplus) as u64).collect::<Vec<_>>());
    let mut first = Vec::new();
    for _ in 0..limits::MAX_OUTBOUND_PER_PEER {
        first.push(request(&mut b).await.0);
    }
    let more = tokio::time::timeout(Duration::from_millis(200), request(&mut b)).await;
    assert!(more.is_err(), "the others wait: {more:?}");
    for inbound in first {
        b.command(Command::Respond { inbound, response: Response::Proofs(Vec::new()) });
    }
    let mut answered = Vec::new();
    for _ in 0..all - limits::MAX_OUTBOUND_PER_PEER {
        let (inbound, _) = request(&mut b).await;
        b.command(Command::Respond { inbound, response: Response::Proofs(Vec::new()) });
        let (id, result) = response(&mut a).await;
        assert!(result.is_ok(), "{result:?}");
        answered.push(id.0);
    }
    for _ in 0..limits::MAX_OUTBOUND_PER_PEER {
        answered.push(response(&mut a).await.0.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..all as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn requests_that_wait_fail_when_the_peer_goes() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    let all = limits::MAX_OUTBOUND_PER_PEER + 5;
    for id in 0..all as u64 {
        a.command(Command::Send { peer: b.peer, id: RequestId(id), request: proofs() });
    }
    request(&mut b).await;
    drop(b);
    let mut failed = Vec::new();
    for _ in 0..all {
        let (id, result) = response(&mut a).await;
        let waited = id.0 >= limits::MAX_OUTBOUND_PER_PEER as u64;
        // Nobody is dialled for what only waited.
        assert!(if waited { matches!(result, Err(Failure::Closed)) } else { result.is_err() }, "{id:?}: {result:?}");
        failed.push(id.0);
    }
    failed.sort_unstable();
    assert_eq!(failed, (0..all as u64).collect::<Vec<_>>());
}

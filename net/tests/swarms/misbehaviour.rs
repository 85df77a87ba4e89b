use std::time::Duration;

use spool_net::{Command, Config, Event, Failure, RequestId, limits};
use spool_proto::wire::{Declined, InviteAnswer, Refusal, Request, Response};

use super::{
    raw::{Bytes, Raw, framed},
    requests::response,
    support::{Node, connect, quiet},
};

fn ask(peer: spool_net::PeerId) -> Command {
    Command::Send { peer, id: RequestId(1), request: Request::Proofs(Vec::new()) }
}

async fn bad_peer(node: &mut Node) -> (spool_net::PeerId, &'static str) {
    let pick = |event| match event {
        Event::BadPeer { peer, what } => Some((peer, what)),
        _ => None,
    };
    node.wait("a bad peer", pick).await
}

fn refusal(refusal: Refusal) -> Vec<u8> {
    framed(&Response::Refusal(refusal).encode().unwrap())
}

#[tokio::test]
async fn garbage_is_refused_by_name_and_scored_and_a_habit_of_it_is_blocked() {
    let mut node = Node::quiet().await;
    let mut raw = Raw::start(Bytes::All(Vec::new())).await;
    for strike in 1..=3 {
        raw.send(&node, Bytes::All(framed(&[0xff; 40]))).await;
        assert_eq!(raw.answer().await.unwrap(), refusal(Refusal::Malformed), "strike {strike}");
        assert_eq!(bad_peer(&mut node).await, (raw.peer, "malformed request"));
        let points = node.wait_points(raw.peer, 1.0).await;
        assert!((points - 30.0 * f64::from(strike)).abs() < 3.0, "{points} after strike {strike}");
    }
    raw.send(&node, Bytes::All(framed(b"garbage"))).await;
    node.wait_gone(raw.peer).await;
    let blocked = node.handle.status().await.unwrap().blocked;
    assert!(blocked.len() == 1 && blocked[0].points >= 99.0, "{blocked:?}");
    assert!(!blocked[0].remaining.is_zero());
    // The last answer may or may not have left before the connection closed; a new request finds no connection.
    raw.answer().await;
    raw.send(&node, Bytes::All(framed(&[]))).await;
    assert_eq!(raw.answer().await, None);
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_by_its_length_alone() {
    let mut node = Node::quiet().await;
    let mut raw = Raw::start(Bytes::All(Vec::new())).await;
    // 2^28 bytes announced, none sent.
    raw.send(&node, Bytes::All(vec![0x80, 0x80, 0x80, 0x80, 0x01])).await;
    assert_eq!(raw.answer().await.unwrap(), refusal(Refusal::Malformed));
    assert_eq!(bad_peer(&mut node).await, (raw.peer, "request larger than a frame"));
    assert!(node.wait_points(raw.peer, 1.0).await > 59.0);
}

#[tokio::test]
async fn half_a_request_harms_nobody() {
    let mut node = Node::quiet().await;
    let mut raw = Raw::start(Bytes::All(Vec::new())).await;
    raw.send(&node, Bytes::All(vec![40, 1, 2, 3])).await;
    assert!(raw.answer().await.is_none_or(|bytes| bytes.is_empty()));
    raw.send(&node, Bytes::All(framed(&Request::Proofs(Vec::new()).encode().unwrap()))).await;
    let asked = |event| matches!(event, Event::Request { .. }).then_some(());
    node.wait("the request after it", asked).await;
    assert!(node.handle.peers().await.unwrap()[0].points < 1.0, "a broken stream is nobody's fault");
}

#[tokio::test]
async fn a_malformed_answer_is_a_failure_and_scored() {
    let mut node = Node::quiet().await;
    for (reply, what) in [
        (framed(&[0xff; 40]), "malformed response"),
        (vec![0x80, 0x80, 0x80, 0x80, 0x01], "malformed response"),
        (framed(&Response::Push(Vec::new()).encode().unwrap()), "response of another kind than the request"),
    ] {
        let raw = Raw::start(Bytes::All(reply)).await;
        node.command(Command::Dial { peer: Some(raw.peer), addresses: vec![raw.address.clone()] });
        node.wait_connected(raw.peer).await;
        node.command(ask(raw.peer));
        let failure = response(&mut node).await.1.unwrap_err();
        assert!(matches!(failure, Failure::Malformed(_) | Failure::Mismatch { .. }), "{failure:?}");
        assert!(!failure.is_retryable());
        assert!(node.wait_points(raw.peer, 1.0).await > 29.0, "{what}");
    }
}

#[tokio::test]
async fn a_responder_that_stalls_within_a_page_is_given_up() {
    let mut node = Node::start(Config { request_timeout: Duration::from_secs(6), ..quiet() }).await;
    let half = [vec![0x80, 0x80, 0x40], vec![7; 500_000]].concat();
    let raw = Raw::start(Bytes::Then(half)).await;
    node.command(Command::Dial { peer: Some(raw.peer), addresses: vec![raw.address.clone()] });
    node.wait_connected(raw.peer).await;
    node.command(ask(raw.peer));
    let failure = response(&mut node).await.1.unwrap_err();
    assert!(matches!(failure, Failure::Stalled), "{failure:?}");
    assert!(failure.is_retryable());
    assert!(node.wait_points(raw.peer, 1.0).await < 3.0, "so that an accident is forgiven");
}

#[tokio::test]
async fn who_asks_too_much_at_once_is_told_to_wait() {
    let mut node = Node::quiet().await;
    let mut raw = Raw::start(Bytes::All(Vec::new())).await;
    let surplus = 5;
    let request = framed(&Request::Proofs(Vec::new()).encode().unwrap());
    for _ in 0..limits::MAX_INBOUND_PER_PEER + surplus {
        raw.send(&node, Bytes::All(request.clone())).await;
    }
    // The queue of events is longer than that, so nobody needs to read it.
    for _ in 0..surplus {
        assert_eq!(raw.answer().await.unwrap(), refusal(Refusal::Busy));
    }
    for _ in 0..limits::MAX_INBOUND_PER_PEER {
        let pick = |event| match event {
            Event::Request { inbound, .. } => Some(inbound),
            _ => None,
        };
        let inbound = node.wait("a request", pick).await;
        node.command(Command::Respond {
            inbound,
            response: Response::Invite(InviteAnswer::Declined(Declined::NotOffered)),
        });
        assert_eq!(
            raw.answer().await.unwrap(),
            framed(&Response::Invite(InviteAnswer::Declined(Declined::NotOffered)).encode().unwrap())
        );
    }
}

/// Each of the peers keeps to what one of them may ask.
#[tokio::test]
async fn requests_of_all_peers_together_are_limited_and_one_more_is_told() {
    let mut node = Node::quiet().await;
    let request = framed(&Request::Proofs(Vec::new()).encode().unwrap());
    let pick = |event| match event {
        Event::Request { inbound, .. } => Some(inbound),
        _ => None,
    };
    let (mut crowd, mut inbound) = (Vec::new(), Vec::new());
    while inbound.len() < limits::MAX_INBOUND {
        let raw = Raw::start(Bytes::All(Vec::new())).await;
        for _ in 0..limits::MAX_INBOUND_PER_PEER.min(limits::MAX_INBOUND - inbound.len()) {
            raw.send(&node, Bytes::All(request.clone())).await;
            inbound.push(node.wait("a request", pick).await);
        }
        crowd.push(raw);
    }
    let mut late = Raw::start(Bytes::All(Vec::new())).await;
    late.send(&node, Bytes::All(request.clone())).await;
    assert_eq!(late.answer().await.unwrap(), refusal(Refusal::Busy));
    let answer = Response::Invite(InviteAnswer::Declined(Declined::NotOffered));
    node.command(Command::Respond { inbound: inbound[0], response: answer.clone() });
    assert_eq!(crowd[0].answer().await.unwrap(), framed(&answer.encode().unwrap()));
    late.send(&node, Bytes::All(request)).await;
    node.wait("the request, since there is room", pick).await;
}

#[tokio::test]
async fn a_peer_that_the_consumer_finds_guilty_is_blocked() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    a.command(Command::Penalize { peer: b.peer, points: 40, reason: "test" });
    assert!(a.wait_points(b.peer, 1.0).await > 39.0);
    a.command(Command::Penalize { peer: b.peer, points: 61, reason: "test" });
    a.wait_gone(b.peer).await;
    b.wait_gone(a.peer).await;
    assert!(a.handle.dial(b.full_address()).await.is_err(), "not dialled either");
    // The other side may see a connection for a moment, but none that lasts.
    if b.handle.dial(a.full_address()).await.is_ok() {
        b.wait_gone(a.peer).await;
    }
    assert!(a.handle.peers().await.unwrap().is_empty());
}

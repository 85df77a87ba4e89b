//! Requests, proofs and gossip of those who have no business here, or too much of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use spool_integration_tests::{Answer, Raw, Scripted, Writer, eventually, framed};
use spool_net::limits::MAX_FRAME_BYTES;
use spool_proto::{
    Cid, LogId, TopicId,
    keys::{AccessKey, Direction},
    seal::{self, Layer, Place},
    wire::{Contents, Envelope, Node, Prefix, Proof, Refusal, Request, Response, Role, Terms},
};

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_proof_a_thread_is_like_one_that_is_not_there() {
    let scene = Scene::new(5_000).await;
    let stranger = Scripted::start(5_100, &[]);
    stranger.connect(&scene.victim).await;
    let elsewhere = AccessKey::new([5; 32]).topic();
    let (here, log) = (scene.topic(), scene.log);
    let mut writer = Writer::new(5_101, &scene.thread, &scene.keys);
    writer.append(b"pushed by a stranger");
    let cid = writer.head().cid.expect("one record");
    // Five requests about the thread and five about none, so few that the victim does not hang up in between.
    for ask in [
        (|topic, _, _, _| Request::Heads { topic, after: None }) as fn(TopicId, LogId, Cid, Envelope) -> Request,
        |topic, log, _, _| Request::Records { topic, log, after: 0, until: 1 },
        |topic, log, _, _| Request::Inert { topic, log, after: None },
        |topic, _, cid, _| Request::Blocks { topic, cids: vec![cid] },
        |_, _, _, envelope| Request::Push(vec![envelope]),
    ] {
        let mut answers = Vec::new();
        let mut costs = Vec::new();
        for topic in [here, elsewhere] {
            let before = eventually("connected", || scene.victim.score(&stranger.peer)).await;
            let envelope = stranger.sign(writer.run(0, 1), topic);
            answers.push(stranger.ask(&scene.victim, ask(topic, log, cid, envelope)).await.expect("an answer"));
            let after = eventually("a stranger's question is scored", || async {
                scene.victim.score(&stranger.peer).await.filter(|score| *score < before - 1.0)
            })
            .await;
            costs.push((before - after).round());
        }
        assert_eq!(answers[0], Response::Refusal(Refusal::Unknown));
        assert_eq!(answers[0], answers[1]);
        assert_eq!(costs[0], costs[1], "the two are told apart by what they cost");
    }
    // Edges are compared over what is proven: of nothing, nothing differs.
    let nodes = vec![Node { prefix: Prefix::root(), digest: [1; 16] }];
    let edges = stranger.ask(&scene.victim, Request::Edges(nodes)).await.expect("an answer");
    let Response::Edges(opened) = edges else { panic!("{edges:?}") };
    let listed: usize = opened
        .iter()
        .map(|opened| match &opened.contents {
            Contents::Edges(edges) => edges.len(),
            Contents::Children(children) => children.iter().filter(|child| **child != [0; 16]).count(),
        })
        .sum();
    assert_eq!(listed, 0, "a stranger learns of no thread");
    assert_eq!(scene.victim.head(&scene.thread, &writer.log).await, 0);
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_proof_is_met_with_the_silence_of_an_unknown_thread() {
    let scene = Scene::new(6_000).await;
    let stranger = Scripted::start(6_100, &[]);
    stranger.connect(&scene.victim).await;
    let elsewhere = AccessKey::new([5; 32]).topic();
    let prove = |topic, mac| Request::Proofs(vec![Proof { topic, mac, role: Role::Writer, terms: Terms::default() }]);
    let unknown = stranger.ask(&scene.victim, prove(elsewhere, [1; 32])).await.expect("an answer");
    let wrong = stranger.ask(&scene.victim, prove(scene.topic(), [1; 32])).await.expect("an answer");
    // A right one, but of somebody else's connection.
    let another = scene.keys.access().proof(&scene.honest.peer(), &scene.victim.peer(), Direction::Request);
    let stolen = stranger.ask(&scene.victim, prove(scene.topic(), another)).await.expect("an answer");
    assert_eq!(unknown, Response::Proofs(Vec::new()));
    assert_eq!([&wrong, &stolen], [&unknown, &unknown]);
    let heads = stranger.ask(&scene.victim, Request::Heads { topic: scene.topic(), after: None }).await;
    assert_eq!(heads.expect("an answer"), Response::Refusal(Refusal::Unknown));
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gossip_flood_ends_in_a_ban() {
    let scene = Scene::new(7_000).await;
    let attacker = Scripted::start(7_100, &[&scene.keys]);
    attacker.subscribe(scene.topic()).await;
    attacker.connect_and_prove(&scene.victim).await;
    let random = |number: u64| Bytes::from([&number.to_be_bytes()[..], &[0xa5; 500]].concat());
    // Sealed as a member does it, with nothing in it that decodes.
    let place = Place { layer: Layer::Gossip, thread: scene.thread.as_bytes(), log: &[] };
    let junk = |number: u64| Bytes::from(seal::seal(scene.keys.access().gossip(), place, &number.to_be_bytes()));
    let number = AtomicUsize::new(0);
    eventually("who floods is cut off", || async {
        for _ in 0..20 {
            let next = number.fetch_add(1, Ordering::Relaxed) as u64;
            attacker.publish(scene.topic(), if next.is_multiple_of(2) { random(next) } else { junk(next) }).await;
        }
        attacker.was_dropped_by(&scene.victim.peer()).then_some(())
    })
    .await;
    // It may be connected for a moment still.
    eventually("banned", || async { scene.victim.score(&attacker.peer).await.is_none().then_some(()) }).await;
    let peers = scene.victim.peers().await.expect("the node runs");
    let banned = peers.iter().find(|info| info.peer == attacker.peer).expect("the operator can see who it was");
    assert!(banned.blocked_for.is_some_and(|rest| !rest.is_zero()) && banned.score < -90.0, "{banned:?}");
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_frame_is_not_read_and_is_scored() {
    let scene = Scene::new(8_000).await;
    let mut raw = Raw::start(8_100, |_, _, _| Answer::All(framed(&[])));
    // Announced, not sent: whoever believes the length waits or allocates.
    let mut announced = framed(&vec![0; MAX_FRAME_BYTES + 1]);
    announced.truncate(5);
    raw.send(&scene.victim, Answer::All(announced)).await;
    let answer = raw.answer().await.expect("a refusal");
    assert_eq!(Response::decode(answer.into()).expect("decodes"), Response::Refusal(Refusal::Malformed));
    eventually("who sends too large a frame is scored", || async {
        scene.victim.score(&raw.peer).await.filter(|score| *score <= -50.0)
    })
    .await;
    // Bytes that are no request; with what there is already that is a ban.
    for _ in 0..2 {
        raw.send(&scene.victim, Answer::All(framed(&[0xff; 100]))).await;
        let _ = raw.answer().await;
    }
    eventually("a habit ends in a ban", || async { scene.victim.score(&raw.peer).await.is_none().then_some(()) }).await;
    scene.goes_on().await;
    scene.stop().await;
}

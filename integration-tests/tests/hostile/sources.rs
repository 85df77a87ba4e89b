//! Sources that promise more than they give.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use spool_integration_tests::{Answer, Raw, Scripted, Setup, Writer, eventually, framed, within};
use spool_proto::{
    keys::Direction,
    wire::{Head, Proof, Refusal, Request, Response, Role},
};

use super::scene::{Scene, announce};

#[tokio::test(flavor = "multi_thread")]
async fn who_lies_about_heads_is_scored_and_holds_up_nobody() {
    let scene = Scene::new(4_000).await;
    let mut invented = Writer::new(4_100, &scene.thread, &scene.keys);
    invented.append(b"never sent");
    let mut heads = vec![
        Head { counter: 1_000_000, ..invented.head() },
        // Of a log that is there, too: what its writer writes next must not wait for the liar.
        Head { log: scene.log, counter: 1_000_000, cid: invented.head().cid, fork: None },
    ];
    heads.sort_unstable_by_key(|head| head.log);
    let attacker = Scripted::start(4_101, &[&scene.keys]);
    attacker.answer(move |_, request| match request {
        Request::Heads { after: None, .. } => Some(Response::Heads { heads: heads.clone(), more: false }),
        _ => None,
    });
    attacker.connect_and_prove(&scene.victim).await;
    announce(&scene, &attacker).await;
    scene.scores(&attacker, "a million records that are not there").await;
    assert_eq!(scene.victim.head(&scene.thread, &invented.log).await, 0);
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_page_and_then_silence_holds_up_nobody_and_is_scored() {
    let scene = Scene::new(9_000).await;
    // A second log, which both the staller and an honest peer have, and the victim learns of from the staller first.
    let mut writer = Writer::new(9_100, &scene.thread, &scene.keys);
    writer.append_many(200);
    let head = writer.head();
    let stalled = Arc::new(AtomicUsize::new(0));
    let raw = {
        let (writer, keys, stalled) = (writer.clone(), scene.keys.clone(), stalled.clone());
        let key = ed25519_dalek::SigningKey::from_bytes(&Setup::new(9_101).node);
        Raw::start(9_101, move |me, peer, request| {
            let response = match request {
                Request::Proofs(proofs) => {
                    let mac = keys.access().proof(peer, me, Direction::Response);
                    let mine = proofs.into_iter().filter(|proof| proof.topic == keys.access().topic());
                    Response::Proofs(mine.map(|proof| Proof { mac, role: Role::Writer, ..proof }).collect())
                }
                Request::Edges(_) => Response::Edges(Vec::new()),
                Request::Heads { .. } => Response::Heads { heads: vec![head], more: false },
                Request::Records { after, until, .. } => {
                    stalled.fetch_add(1, Ordering::Relaxed);
                    let envelope = writer.run(after, until).sign(keys.access().topic(), &key);
                    let page = Response::Records { envelope: Some(Box::new(envelope)), more: false };
                    let mut bytes = framed(&page.encode().expect("fits"));
                    bytes.truncate(bytes.len() / 2);
                    return Answer::Then(bytes);
                }
                _ => Response::Refusal(Refusal::Busy),
            };
            Answer::All(framed(&response.encode().expect("fits")))
        })
    };
    // Any request makes the connection; the victim then shows its proofs.
    raw.send(&scene.victim, Answer::All(framed(&Request::Proofs(Vec::new()).encode().expect("fits")))).await;
    scene.victim.shares(&scene.thread, &raw.peer).await;
    let (victim, thread) = (scene.victim.clone(), scene.thread.clone());
    let sync = tokio::spawn(async move { victim.sync_now(&thread).await });
    eventually("the victim waits for the staller", || async { (stalled.load(Ordering::Relaxed) > 0).then_some(()) })
        .await;
    // The honest writer gets the log by push from a third peer, and so is another source.
    let third = Scripted::start(9_102, &[&scene.keys]);
    third.connect_and_prove(&scene.honest).await;
    let answer = third.push(&scene.honest, third.sign(writer.run(0, 200), scene.topic())).await.expect("an answer");
    assert!(matches!(answer, Response::Push(_)));
    scene.honest.has(&scene.thread, &writer.log, 200).await;
    scene.victim.has(&scene.thread, &writer.log, 200).await;
    scene.goes_on().await;
    within("the sync ends", sync).await.expect("it goes on without the staller");
    eventually("who stalls is scored", || async {
        match scene.victim.score(&raw.peer).await {
            Some(score) => (score < 0.0).then_some(()),
            None => Some(()),
        }
    })
    .await;
    scene.stop().await;
}

//! Bad records on each of the three roads.

use spool_integration_tests::{Scripted, eventually, scripted::sealed_gossip};
use spool_proto::{
    block,
    wire::{Gossip, Head, Response},
};

use super::{
    attacks::attacks,
    scene::{Scene, announce, serve},
};

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_on_push_are_refused_and_their_sender_is_scored() {
    let scene = Scene::new(1_000).await;
    for (number, attack) in attacks(&scene.thread, &scene.keys, 1_100).into_iter().enumerate() {
        let attacker = Scripted::start(1_200 + number as u64, &[&scene.keys]);
        attacker.connect_and_prove(&scene.victim).await;
        let answer = attacker.push(&scene.victim, attack.envelope(&attacker, scene.topic())).await;
        if let Ok(Response::Push(acks)) = answer {
            assert!(acks.iter().all(|ack| ack.counter <= attack.good), "{}: {acks:?}", attack.name);
        }
        scene.scores(&attacker, attack.name).await;
        attack.left_nothing(&scene).await;
        scene.goes_on().await;
    }
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_on_gossip_are_refused_and_their_sender_is_scored() {
    let scene = Scene::new(2_000).await;
    for (number, attack) in attacks(&scene.thread, &scene.keys, 2_100).into_iter().enumerate() {
        let attacker = Scripted::start(2_200 + number as u64, &[&scene.keys]);
        attacker.subscribe(scene.topic()).await;
        attacker.connect_and_prove(&scene.victim).await;
        let envelope = attack.envelope(&attacker, scene.topic());
        let message = sealed_gossip(Gossip::Envelope(Box::new(envelope)), &scene.keys, &scene.thread);
        // Published again until the victim is known to listen on the topic; the same message counts once.
        let what = format!("{}: the sender is scored", attack.name);
        eventually(&what, || async {
            attacker.publish(scene.topic(), message.clone()).await;
            attacker.is_scored_by(&scene.victim).await.then_some(())
        })
        .await;
        attack.left_nothing(&scene).await;
        scene.goes_on().await;
    }
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_in_pages_are_refused_and_their_sender_is_scored() {
    let scene = Scene::new(3_000).await;
    for (number, attack) in attacks(&scene.thread, &scene.keys, 3_100).into_iter().enumerate() {
        let attacker = Scripted::start(3_200 + number as u64, &[&scene.keys]);
        let head = Head {
            log: attack.writer.log,
            counter: attack.run.records.len() as u64,
            cid: attack.run.records.last().map(|bytes| block::cid(bytes)),
            fork: None,
        };
        let envelope = attack.envelope(&attacker, scene.topic());
        attacker.answer(move |_, request| serve(request, head, |_, _| Some(envelope.clone())));
        attacker.connect_and_prove(&scene.victim).await;
        announce(&scene, &attacker).await;
        scene.scores(&attacker, attack.name).await;
        attack.left_nothing(&scene).await;
        scene.goes_on().await;
    }
    scene.stop().await;
}

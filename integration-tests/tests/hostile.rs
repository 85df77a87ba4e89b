//! What others send is data: each class of bad input leaves a real node unharmed, and costs whoever sent it.
//!
//! One thread, its honest writer and a victim that can read it, on loopback. Attackers hold real keys of the thread, as a member or a follower that
//! has turned bad would. After every attack the victim takes what the honest writer writes next.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use spool_integration_tests::{
    Answer, Raw, Scripted, Setup, TestNode, Writer, eventually, forge, framed, keys_of, scripted::sealed_gossip,
};
use spool_net::limits::MAX_FRAME_BYTES;
use spool_proto::{
    LogId, ThreadId, ThreadKeys, TopicId,
    envelope::Run,
    keys::{AccessKey, Direction, Epoch, ReadKey},
    key_set::Scope,
    wire::{Envelope, Gossip, Head, Prefix, Proof, Refusal, Request, Response, Role},
};

/// A victim, and the honest writer that it is connected with.
struct Scene {
    honest: TestNode,
    victim: TestNode,
    thread: ThreadId,
    keys: ThreadKeys,
    log: LogId,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        Self::with(seed, |setup| setup).await
    }

    async fn with(seed: u64, change: impl FnOnce(Setup) -> Setup) -> Self {
        let honest = TestNode::start(seed).await;
        let victim = change(Setup::new(seed + 1)).start().await;
        let thread = honest.thread_with_name("attacked").await;
        let log = honest.write(&thread, "before").await.log;
        let keys = keys_of(&honest.ticket(&thread, Scope::Read).await);
        victim.join_from(&honest, &thread, Scope::Read).await;
        victim.has(&thread, &log, 1).await;
        Self { honest, victim, thread, keys, log }
    }

    fn topic(&self) -> TopicId {
        self.keys.access().topic()
    }

    /// The victim still takes what is good, and thinks well of who sent it.
    async fn goes_on(&self) {
        let receipt = self.honest.write(&self.thread, "good").await;
        assert_eq!(receipt.log, self.log);
        self.victim.has_record(&receipt).await;
        assert_eq!(self.victim.score(&self.honest.peer()).await, Some(-0.0), "the honest writer was scored");
    }

    async fn scores(&self, attacker: &Scripted, attack: &str) {
        let what = format!("{attack}: the sender is scored");
        eventually(&what, || async { attacker.is_scored_by(&self.victim).await.then_some(()) }).await;
    }

    async fn stop(self) {
        self.victim.stop().await;
        self.honest.stop().await;
    }
}

/// A record or envelope that is bad, and how many records before it in the same run are good.
struct Attack {
    name: &'static str,
    writer: Writer,
    run: Run,
    /// Records of the writer's log that a receiver may keep.
    good: u64,
    /// Whether the envelope's signature is spoilt as well.
    forged_envelope: bool,
}

/// Every class of bad record, each with a writer of its own.
fn attacks(thread: &ThreadId, keys: &ThreadKeys, seed: u64) -> Vec<Attack> {
    let epoch = keys.current().expect("keys of the whole thread");
    let writer = |number: u64, count: u64| {
        let mut writer = Writer::new(seed + number, thread, keys);
        writer.append_many(count);
        writer
    };
    let mut attacks = Vec::new();
    let mut add = |name, writer: &Writer, run: Run, good| {
        attacks.push(Attack { name, writer: writer.clone(), run, good, forged_envelope: false });
    };
    for (number, name, break_it) in [
        (1, "forged signature", forge::signature as fn(&Writer, &spool_proto::record::VerifiedRecord) -> Bytes),
        (2, "encoding that is not canonical", forge::encoding),
        (3, "another nonce", forge::nonce),
        (4, "sealed under another key", forge::key),
    ] {
        let writer = writer(number, 1);
        let bad = break_it(&writer, &writer.records[0]);
        add(name, &writer, writer.run_of(1, vec![bad]), 0);
    }
    let (from, to) = (writer(5, 1), writer(6, 0));
    add("record of another log", &to, to.run_of(1, vec![from.records[0].sealed().bytes.clone()]), 0);
    add("record of another log, sealed anew", &to, to.run_of(1, vec![forge::moved_to(&to, &from, &from.records[0])]), 0);
    let elsewhere = ThreadId::new(thread.variant(), [77; 32]);
    let mut from = Writer::new(seed + 7, &elsewhere, keys);
    from.append(b"in another thread");
    let to = from.clone().in_thread(thread);
    let bytes = from.records[0].sealed().bytes.clone();
    add("record of another thread", &from, from.run_of(1, vec![bytes]), 0);
    add("record of another thread, sealed anew", &to, to.run_of(1, vec![forge::moved_to(&to, &from, &from.records[0])]), 0);
    let read = ReadKey::new([66; 32]);
    let mut follower = Writer::in_epoch(seed + 8, thread, Epoch::new(epoch.follow().clone(), read));
    follower.append(b"a follower lets itself in");
    add("log that nobody admitted", &follower, follower.run(0, 1), 0);
    let mut skips = writer(9, 3);
    let mut draft = skips.draft(b"skips to where it should not");
    draft.skip = Some(*skips.records[1].cid());
    let bad = skips.seal(draft);
    skips.records.push(bad);
    add("broken skip", &skips, skips.run(0, 4), 3);
    let honest = writer(10, 1);
    let run = honest.run(0, 1);
    attacks.push(Attack { name: "forged envelope", writer: honest, run, good: 0, forged_envelope: true });
    attacks
}

impl Attack {
    fn envelope(&self, attacker: &Scripted, topic: TopicId) -> Envelope {
        let mut envelope = attacker.sign(self.run.clone(), topic);
        if self.forged_envelope {
            envelope.signature[3] ^= 1;
        }
        envelope
    }

    async fn left_nothing(&self, scene: &Scene) {
        let head = scene.victim.head(&scene.thread, &self.writer.log).await;
        assert!(head <= self.good, "{}: record {head} was taken", self.name);
    }
}

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
            cid: attack.run.records.last().map(|bytes| spool_proto::block::cid(bytes)),
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

/// Has the victim look at the attacker's heads.
async fn announce(scene: &Scene, attacker: &Scripted) {
    scene.victim.shares(&scene.thread, &attacker.peer).await;
    scene.victim.sync_now(&scene.thread).await;
}

/// Answers with one head, and with what `page` has for its records.
fn serve(request: &Request, head: Head, page: impl FnOnce(u64, u64) -> Option<Envelope>) -> Option<Response> {
    match request {
        Request::Heads { after: None, .. } => Some(Response::Heads { heads: vec![head], more: false }),
        Request::Records { log, after, until, .. } if *log == head.log => {
            Some(Response::Records { envelope: page(*after, *until).map(Box::new), more: false })
        }
        _ => None,
    }
}

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
async fn without_a_proof_a_thread_is_like_one_that_is_not_there() {
    let scene = Scene::new(5_000).await;
    let stranger = Scripted::start(5_100, &[]);
    stranger.connect(&scene.victim).await;
    let elsewhere = AccessKey::new([5; 32]).topic();
    let (here, log) = (scene.topic(), scene.log);
    let mut writer = Writer::new(5_101, &scene.thread, &scene.keys);
    writer.append(b"pushed by a stranger");
    let cid = writer.head().cid.expect("one record");
    // Six requests about the thread and six about none, so few that the victim does not hang up in between.
    for ask in [
        (|topic, _, _, _| Request::Heads { topic, after: None }) as fn(TopicId, LogId, spool_proto::Cid, Envelope) -> Request,
        |topic, log, _, _| Request::Records { topic, log, after: 0, until: 1 },
        |topic, log, _, _| Request::Inert { topic, log, after: None },
        |topic, _, cid, _| Request::Blocks { topic, cids: vec![cid] },
        |_, _, _, envelope| Request::Push(vec![envelope]),
    ] {
        let mut answers = Vec::new();
        let mut costs = Vec::new();
        for topic in [here, elsewhere] {
            let before = scene.victim.score(&stranger.peer).await.expect("connected");
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
    let nodes = vec![spool_proto::wire::Node { prefix: Prefix::root(), digest: [1; 16] }];
    let edges = stranger.ask(&scene.victim, Request::Edges(nodes)).await.expect("an answer");
    if let Response::Edges(opened) = edges {
        let listed: usize = opened.iter().map(|opened| match &opened.contents {
            spool_proto::wire::Contents::Edges(edges) => edges.len(),
            spool_proto::wire::Contents::Children(children) => children.iter().filter(|child| **child != [0; 16]).count(),
        }).sum();
        assert_eq!(listed, 0, "a stranger learns of no thread");
    }
    assert_eq!(scene.victim.head(&scene.thread, &writer.log).await, 0);
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_proof_is_met_with_silence_and_scored() {
    let scene = Scene::new(6_000).await;
    let stranger = Scripted::start(6_100, &[]);
    stranger.connect(&scene.victim).await;
    let elsewhere = AccessKey::new([5; 32]).topic();
    let prove = |topic, mac| Request::Proofs(vec![Proof { topic, mac, role: Role::Writer }]);
    let unknown = stranger.ask(&scene.victim, prove(elsewhere, [1; 32])).await.expect("an answer");
    let wrong = stranger.ask(&scene.victim, prove(scene.topic(), [1; 32])).await.expect("an answer");
    // A right one, but of somebody else's connection.
    let another = scene.keys.access().proof(&scene.honest.peer(), &scene.victim.peer(), Direction::Request);
    let stolen = stranger.ask(&scene.victim, prove(scene.topic(), another)).await.expect("an answer");
    assert_eq!(unknown, Response::Proofs(Vec::new()));
    assert_eq!([&wrong, &stolen], [&unknown, &unknown]);
    scene.scores(&stranger, "wrong proof").await;
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
    let place = spool_proto::seal::Place {
        layer: spool_proto::seal::Layer::Gossip,
        thread: scene.thread.as_bytes(),
        log: &[],
    };
    let junk = |number: u64| Bytes::from(spool_proto::seal::seal(scene.keys.access().gossip(), place, &number.to_be_bytes()));
    let number = AtomicUsize::new(0);
    eventually("who floods is cut off", || async {
        for _ in 0..20 {
            let next = number.fetch_add(1, Ordering::Relaxed) as u64;
            attacker.publish(scene.topic(), if next % 2 == 0 { random(next) } else { junk(next) }).await;
        }
        attacker.was_dropped_by(&scene.victim.peer()).then_some(())
    })
    .await;
    assert_eq!(scene.victim.score(&attacker.peer).await, None, "banned");
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_frame_is_not_read_and_is_scored() {
    let scene = Scene::new(8_000).await;
    let victim = scene.victim.peer();
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
    assert_eq!(scene.victim.peer(), victim);
    scene.goes_on().await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_page_and_then_silence_holds_up_nobody_and_is_scored() {
    let scene = Scene::with(9_000, |mut setup| {
        // A shorter patience than the default, so that the test need not wait it out.
        setup.network.request_timeout = Duration::from_secs(5);
        setup
    })
    .await;
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
    eventually("the victim waits for the staller", || async {
        (stalled.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    // The honest writer gets the log by push from a third peer, and so is another source.
    let third = Scripted::start(9_102, &[&scene.keys]);
    third.connect_and_prove(&scene.honest).await;
    let answer = third.push(&scene.honest, third.sign(writer.run(0, 200), scene.topic())).await.expect("an answer");
    assert!(matches!(answer, Response::Push(_)));
    scene.honest.has(&scene.thread, &writer.log, 200).await;
    scene.victim.has(&scene.thread, &writer.log, 200).await;
    scene.goes_on().await;
    eventually("who stalls is scored", || async {
        match scene.victim.score(&raw.peer).await {
            Some(score) => (score < 0.0).then_some(()),
            None => Some(()),
        }
    })
    .await;
    scene.stop().await;
}

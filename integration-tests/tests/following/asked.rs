//! Being asked, and what comes of it.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use spool_integration_tests::{Scripted, Setup, TestNode, eventually, without_addresses};
use spool_node::{
    config::{Allowed, Config, Follow, Token},
    model::Error,
};
use spool_proto::{
    Identity, Multiaddr, PeerId, ThreadId,
    id::Variant,
    invitation::Act,
    key_set::Scope,
    limits::MAX_INVITATION_AGE_MILLIS,
    wire::{Declined, InviteAnswer, Request, Response},
};

use super::support::{announces, ask, declined, offering, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_asked_serves_readers_when_the_writer_is_gone_for_good() {
    let writer = TestNode::start(100).await;
    let thread = writer.thread_with_name("for ever").await;
    writer.write_many(&thread, 300).await;
    // A reader that knows of the writer only.
    let early = TestNode::start(101).await;
    early.join_from(&writer, &thread, Scope::Read).await;
    let follower = open(102).await;
    let info = ask(&writer, &follower, &thread).await;
    assert_eq!((info.peer, info.bodies_days, info.gone), (follower.peer(), 0, None));
    assert!(info.addresses.contains(&follower.address), "{:?}", info.addresses);
    // It has the follow keys, the records, and sees none of it, not even the name.
    let last = writer.write(&thread, "the last one").await;
    follower.has_record(&last).await;
    let seen = follower.thread(&thread).await.expect("it follows").info;
    assert_eq!((seen.scope, seen.name), (Scope::Follow, None));
    assert!(follower.entries(&thread).await.iter().all(|entry| entry.event.is_none()));
    announces(&early, &thread, &follower.peer(), true).await;
    let ticket = writer.ticket(&thread, Scope::Read).await;
    let early_setup = early.setup.clone();
    early.has_record(&last).await;
    early.stop().await;
    writer.stop().await;

    // A new reader joins over the follower alone, and reads everything.
    let newcomer = TestNode::start(103).await;
    newcomer.join(&without_addresses(&ticket, vec![follower.address.clone()]), None).await.expect("a good ticket");
    newcomer.has_record(&last).await;
    assert_eq!(newcomer.bodies(&thread).await.len(), 301);
    // And one that was there before finds it by what the writer had announced.
    let early = early_setup.start().await;
    early.shares(&thread, &follower.peer()).await;
    let answer = newcomer.write(&thread, "carry on").await;
    early.has_record(&answer).await;
    // What it agreed to is on its disk.
    let follower = follower.restart().await;
    let followed = follower.list_followed();
    assert_eq!((followed.len(), &followed[0].thread), (1, &thread));
    assert!(followed[0].used_bytes > 300 * 100, "{followed:?}");
    for node in [early, newcomer, follower] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_announces_who_follows_though_it_has_written_nothing_yet() {
    let writer = TestNode::start(430).await;
    let thread = writer.thread_with_name("moved").await;
    let follower = open(431).await;
    ask(&writer, &follower, &thread).await;
    announces(&writer, &thread, &follower.peer(), true).await;
    // Twice: the first may be told because the node has just started.
    for logs in [2, 3] {
        writer.new_device().await.expect("a new device id");
        eventually("the new log announces the follower", || async {
            let there = follower.thread(&thread).await.ok()?.logs;
            let told = |address: &Multiaddr| address.to_string().ends_with(&follower.peer().to_string());
            (there.len() == logs && there.iter().all(|log| log.addresses.iter().any(told))).then_some(())
        })
        .await;
    }
    writer.stop().await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_answers_by_its_name() {
    let writer = TestNode::start(110).await;
    let stranger = TestNode::start(111).await;
    let (ours, theirs) = (writer.thread_with_name("ours").await, stranger.thread_with_name("theirs").await);
    let (identity, peer) = (writer.info().identity, stranger.peer());
    let start = async |seed, change: &dyn Fn(&mut Config)| offering(seed, |config| change(config)).start().await;

    let off = Setup::new(112).start().await;
    assert_eq!(declined(&writer, &off, &ours, Some("whatever it may be")).await, Declined::NotOffered);
    let listed = start(113, &|config| {
        (config.follow, config.follow_allow) = (Follow::Allow, vec![Allowed::Identity(identity)]);
    })
    .await;
    ask(&writer, &listed, &ours).await;
    assert_eq!(declined(&stranger, &listed, &theirs, None).await, Declined::NotListed);
    let by_peer = start(114, &|config| {
        (config.follow, config.follow_allow) = (Follow::Allow, vec![Allowed::Peer(peer)]);
    })
    .await;
    ask(&stranger, &by_peer, &theirs).await;
    assert_eq!(declined(&writer, &by_peer, &ours, None).await, Declined::NotListed);
    let coded = start(115, &|config| {
        (config.follow, config.follow_code) = (Follow::Code, Some(Token::new("open sesame")));
    })
    .await;
    for wrong in [None, Some("open"), Some("open sesame!")] {
        assert_eq!(declined(&writer, &coded, &ours, wrong).await, Declined::WrongCode);
    }
    assert!(coded.threads().await.expect("readable").is_empty());
    let code = Some("open sesame".to_owned());
    writer.add_follower(&coded.address.to_string(), &ours, code).await.expect("the right code");
    // What was declined left nothing, neither here nor there.
    let known: Vec<_> = writer.list_followers(None).expect("all").into_iter().map(|follower| follower.peer).collect();
    assert_eq!(known, [listed.peer(), coded.peer()]);
    assert!(off.list_followed().is_empty());
    for node in [writer, stranger, off, listed, by_peer, coded] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_ask_is_told_why() {
    let (writer, follower) = (TestNode::start(120).await, open(121).await);
    let thread = writer.thread_with_name("ours").await;
    for nonsense in ["", "somebody", "/ip4/127.0.0.1/tcp/1"] {
        let refused = writer.add_follower(nonsense, &thread, None).await.expect_err("names nobody");
        assert!(matches!(refused, Error::Invalid(_)), "{refused}");
    }
    let own = writer.address.to_string();
    assert!(matches!(writer.add_follower(&own, &thread, None).await, Err(Error::Invalid(_))));
    let absent = follower.peer().to_string();
    let refused = writer.add_follower(&absent, &thread, None).await.expect_err("no address is known");
    assert!(matches!(refused, Error::PeerUnreachable { .. }), "{refused}");
    ask(&writer, &follower, &thread).await;
    // A follower has nothing to hand on.
    eventually("it is there", || async { follower.thread(&thread).await.ok() }).await;
    let other = open(122).await;
    let refused = follower.add_follower(&other.address.to_string(), &thread, None).await;
    assert!(matches!(refused, Err(Error::NoReadKey(_))));
    for node in [writer, follower, other] {
        node.stop().await;
    }
}

/// Invitations are taken one after another, and few of them wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_asked_too_much_at_once_says_so_and_takes_it_later() {
    // Many more than wait and are under way, however soon one is taken.
    const WRITERS: u64 = 8;
    const THREADS: usize = 16;
    let follower = open(200).await;
    let address = follower.address.to_string();
    let (mut writers, mut threads) = (Vec::new(), Vec::new());
    for number in 0..WRITERS {
        let writer = TestNode::start(201 + number).await;
        writer.connect_to(&follower).await;
        for thread in 0..THREADS {
            threads.push((number as usize, writer.thread_with_name(&format!("{thread}")).await));
        }
        writers.push(writer);
    }
    let ask = |(writer, thread): &(usize, ThreadId)| {
        let (writer, thread, address) = (&writers[*writer], thread.clone(), &address);
        async move { writer.add_follower(address, &thread, None).await }
    };
    let answers = join_all(threads.iter().map(ask)).await;
    let mut refused = Vec::new();
    for (asked, answer) in threads.iter().zip(answers) {
        match answer {
            Ok(_) => {}
            Err(Error::Declined { why: Declined::Busy, .. }) => refused.push(asked),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(
        !refused.is_empty() && refused.len() < threads.len(),
        "{} of {} were declined",
        refused.len(),
        threads.len()
    );
    for asked in refused {
        ask(asked).await.expect("it is not busy any more");
    }
    assert_eq!(follower.list_followed().len(), threads.len());
    for node in writers.into_iter().chain([follower]) {
        node.stop().await;
    }
}

/// What no honest node sends.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_too_old_too_new_or_for_another_node_is_declined_by_name() {
    let (follower, other) = (open(190).await, open(191).await);
    let peer = Scripted::start(192, &[]);
    peer.connect(&follower).await;
    let thread = ThreadId::new(Variant::Raw, [3; 32]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let invite = |to: PeerId, issued_millis: u64| {
        let act = Act::Withdraw(thread.clone());
        Identity::from_seed([5; 32]).invite(act, peer.peer, to, issued_millis, [1; 32]).expect("a good invitation")
    };
    let margin = Duration::from_secs(60).as_millis() as u64;
    for (what, sealed, expected) in [
        ("a good one", invite(follower.peer(), now), Declined::NotFollowed),
        ("too old", invite(follower.peer(), now - MAX_INVITATION_AGE_MILLIS - margin), Declined::Expired),
        ("from the future", invite(follower.peer(), now + MAX_INVITATION_AGE_MILLIS + margin), Declined::Expired),
        ("for another node", invite(other.peer(), now), Declined::Invalid),
        ("noise", vec![7; 100], Declined::Invalid),
    ] {
        let answer = peer.ask(&follower, Request::Invite { sealed: sealed.into() }).await;
        let Ok(Response::Invite(InviteAnswer::Declined(why))) = answer else { panic!("{what}: {answer:?}") };
        assert_eq!(why, expected, "{what}");
    }
    for node in [follower, other] {
        node.stop().await;
    }
}

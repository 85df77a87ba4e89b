//! Peers that break the rules: what they send changes nothing, and they are scored for it.

use std::time::Duration;

use spool_proto::{
    keys::{AccessKey, Direction},
    sync::{
        Durability, Misbehaviour,
        sim::{Malice, NodeId, Part, SharedThread, Simulation},
    },
    wire::{Proof, Refusal, Request, Response, Role, Terms},
};

const SECOND: Duration = Duration::from_secs(1);

/// A writer, an honest follower and a bad one, all connected; the log has `count` records.
fn infiltrated(seed: u64, malice: Malice, count: usize) -> (Simulation, [NodeId; 3], SharedThread) {
    let mut simulation = Simulation::new(seed);
    let nodes = simulation.add_nodes();
    let [writer, follower, bad] = nodes;
    let part = if malice == Malice::BrokenSkip { Part::Writer } else { Part::Follower };
    let thread = simulation.thread_of(&[(writer, Part::Writer), (follower, Part::Follower), (bad, part)]);
    for _ in 0..count {
        simulation.append(writer, &thread, Durability::Sync);
        if part == Part::Writer {
            simulation.append(bad, &thread, Durability::Sync);
        }
    }
    assert!(simulation.settle(SECOND * 20), "{:?}", simulation.all_differences());
    simulation.run_for(SECOND);
    simulation.corrupt(bad, malice);
    (simulation, nodes, thread)
}

/// A newcomer that can only ask the bad one, until the honest follower is connected too.
fn newcomer(simulation: &mut Simulation, [writer, follower, bad]: [NodeId; 3], thread: &SharedThread) -> NodeId {
    simulation.set_discovery(false);
    let newcomer = simulation.add_node();
    simulation.join(newcomer, thread, Part::Follower);
    simulation.connect(newcomer, bad);
    simulation.run_for(SECOND * 20);
    // What is valid up to the first bad record is taken.
    assert!(simulation.counter(newcomer, &thread.id, &simulation.log(writer, thread)) < 30);
    simulation.connect(newcomer, follower);
    newcomer
}

fn is_scored_and_harmless(seed: u64, malice: Malice, what: Misbehaviour) {
    let (mut simulation, nodes, thread) = infiltrated(seed, malice, 30);
    newcomer(&mut simulation, nodes, &thread);
    assert!(simulation.settle(SECOND * 120), "{malice:?}: {:?}", simulation.all_differences());
    assert!(simulation.trace.scored(nodes[2], what) > 0, "{malice:?}: {:?}", simulation.trace.penalties);
    for honest in &nodes[..2] {
        assert_eq!(simulation.trace.scored(*honest, what), 0, "{malice:?}");
    }
    simulation.run_for(SECOND * 60);
    assert_eq!(simulation.leaks(), Vec::<String>::new(), "{malice:?}");
}

#[test]
fn damaged_records_are_refused() {
    is_scored_and_harmless(1, Malice::DamagedRecords, Misbehaviour::InvalidRecord);
}

#[test]
fn records_under_another_nonce_are_refused() {
    is_scored_and_harmless(2, Malice::Resealed, Misbehaviour::InvalidRecord);
}

#[test]
fn forged_envelopes_are_refused() {
    is_scored_and_harmless(3, Malice::ForgedEnvelopes, Misbehaviour::InvalidEnvelope);
}

#[test]
fn answers_that_were_not_asked_for_are_refused() {
    is_scored_and_harmless(4, Malice::WrongAnswers, Misbehaviour::WrongAnswer);
}

/// The heads of the log that is there are inflated up to 2^64 - 1, and a log that does not exist is named with every answer.
#[test]
fn whoever_lies_about_heads_is_scored_and_its_logs_are_forgotten() {
    let (mut simulation, nodes, thread) = infiltrated(5, Malice::FalseHeads, 30);
    let newcomer = simulation.add_node();
    simulation.join(newcomer, &thread, Part::Follower);
    simulation.connect(newcomer, nodes[2]);
    simulation.connect(newcomer, nodes[1]);
    for _ in 0..20 {
        simulation.append(nodes[0], &thread, Durability::Sync);
        simulation.sync(newcomer, &thread);
        simulation.run_for(SECOND * 5);
    }
    assert!(simulation.settle(SECOND * 30), "{:?}", simulation.all_differences());
    assert!(simulation.trace.scored(nodes[2], Misbehaviour::FalseHeads) > 0);
    assert_eq!(simulation.trace.scored(nodes[1], Misbehaviour::FalseHeads), 0);
    simulation.run_for(SECOND * 60);
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn an_unadmitted_log_is_refused_and_its_sender_scored() {
    let (mut simulation, [writer, follower, bad], thread) = infiltrated(6, Malice::Unadmitted, 2);
    for _ in 0..10 {
        simulation.make_mischief(bad);
        simulation.run_for(SECOND);
    }
    assert_eq!(simulation.trace.scored(bad, Misbehaviour::UnadmittedLog), 20);
    for node in [writer, follower] {
        assert_eq!(simulation.disk(node).threads[&thread.id].logs.len(), 1);
    }
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

#[test]
fn a_broken_skip_link_is_refused_and_its_sender_scored() {
    // Record 8 is the second that has a skip link.
    let (mut simulation, [writer, follower, bad], thread) = infiltrated(7, Malice::BrokenSkip, 7);
    let record = simulation.broken_skip(bad, &thread).unwrap();
    assert_eq!(record.counter(), 8);
    simulation.push_record(bad, thread.keys.access().topic(), &record);
    simulation.run_for(SECOND);
    assert_eq!(simulation.trace.scored(bad, Misbehaviour::BrokenChain), 2);
    for node in [writer, follower] {
        assert_eq!(simulation.counter(node, &thread.id, record.log()), 7);
    }
}

#[test]
fn a_record_of_another_thread_is_refused() {
    let (mut simulation, [writer, follower, bad], thread) = infiltrated(8, Malice::Noise, 3);
    let other = simulation.thread_of(&[(writer, Part::Writer), (bad, Part::Follower)]);
    simulation.append(writer, &other, Durability::Sync);
    simulation.run_for(SECOND);
    let log = simulation.log(writer, &other);
    let record = simulation.disk(writer).find(&other.id, &log).unwrap().main[0].clone();
    simulation.push_record(bad, thread.keys.access().topic(), &record);
    simulation.run_for(SECOND);
    assert!(simulation.disk(follower).find(&thread.id, &log).is_none());
    assert_eq!(simulation.leaks(), Vec::<String>::new());
}

/// Neither the refusal nor anything else tells a stranger whether a thread is there.
#[test]
fn an_unknown_thread_and_a_missing_proof_get_the_same_answer() {
    let (mut simulation, [writer, follower, _], thread) = infiltrated(9, Malice::NoProof, 3);
    let stranger = simulation.add_node();
    simulation.connect(stranger, follower);
    simulation.run_for(SECOND);
    let there = thread.keys.access().topic();
    let nowhere = AccessKey::new([7; 32]).topic();
    let log = simulation.log(writer, &thread);
    for topic in [there, nowhere] {
        simulation.trace.answers.clear();
        let mac = AccessKey::new([8; 32]).proof(&writer_peer(), &writer_peer(), Direction::Request);
        for request in [
            Request::Proofs(vec![Proof { topic, mac, role: Role::Writer, terms: Terms::default() }]),
            Request::Heads { topic, after: None },
            Request::Records { topic, log, after: 0, until: 3 },
            Request::Inert { topic, log, after: None },
            Request::Blocks { topic, cids: vec![spool_proto::block::cid(b"block")] },
        ] {
            simulation.ask(stranger, follower, request);
            simulation.run_for(Duration::from_millis(100));
        }
        let answers: Vec<_> = simulation.trace.answers.iter().map(|(_, answer)| answer.clone()).collect();
        let unknown = Response::Refusal(Refusal::Unknown);
        let expected = [Response::Proofs(vec![]), unknown.clone(), unknown.clone(), unknown.clone(), unknown];
        assert_eq!(answers, expected);
    }
    assert!(simulation.trace.scored(stranger, Misbehaviour::NoProof) >= 8);
}

fn writer_peer() -> spool_proto::PeerId {
    spool_proto::envelope::peer_id(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]))
}

/// A member that floods: noise is rejected and old messages are ignored, and the log goes on.
#[test]
fn noise_and_replays_change_nothing() {
    for malice in [Malice::Noise, Malice::Replay] {
        let (mut simulation, [writer, follower, bad], thread) = infiltrated(10, malice, 3);
        for _ in 0..100 {
            simulation.append(writer, &thread, Durability::Sync);
            simulation.make_mischief(bad);
            simulation.run_for(Duration::from_millis(50));
        }
        assert!(simulation.settle(SECOND * 20), "{:?}", simulation.all_differences());
        assert_eq!(simulation.trace.scored(bad, Misbehaviour::InvalidData) > 0, malice == Malice::Noise);
        assert_eq!(simulation.trace.scored(follower, Misbehaviour::InvalidData), 0);
        assert_eq!(simulation.leaks(), Vec::<String>::new());
    }
}

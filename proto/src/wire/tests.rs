use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{Cid, KeyId, LogId, PeerId, TopicId, block};

fn log_of(seed: [u8; 32]) -> LogId {
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    LogId::from_bytes(&[[0x00, 0x24, 0x08, 0x01, 0x12, 0x20].as_slice(), public.as_bytes()].concat()).unwrap()
}

fn topic_of(bytes: [u8; 32]) -> TopicId {
    TopicId::from_bytes(&bytes).unwrap()
}

fn key_of(bytes: [u8; 16]) -> KeyId {
    KeyId::from_bytes(&bytes).unwrap()
}

fn peer_of(seed: [u8; 32]) -> PeerId {
    PeerId::from_bytes(&log_of(seed).to_bytes()).unwrap()
}

fn topic() -> impl Strategy<Value = TopicId> {
    any::<[u8; 32]>().prop_map(topic_of)
}

fn log() -> impl Strategy<Value = LogId> {
    any::<[u8; 32]>().prop_map(log_of)
}

fn cid() -> impl Strategy<Value = Cid> {
    any::<[u8; 32]>().prop_map(block::from_digest)
}

fn sealed() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), limits::MIN_SEALED_BYTES..200).prop_map(Bytes::from)
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let ids = (topic(), log(), any::<[u8; 16]>(), any::<[u8; 32]>());
    (ids, 1..u64::MAX / 2, vec(sealed(), 1..4), vec(sealed(), 0..3), any::<[u8; 32]>()).prop_map(
        |((topic, log, key, sender), counter, records, blocks, half)| Envelope {
            topic,
            log,
            counter,
            key_id: key_of(key),
            records,
            blocks,
            sender: peer_of(sender),
            signature: [half, half].concat().try_into().unwrap(),
        },
    )
}

fn head() -> impl Strategy<Value = Head> {
    let fork = (1..u64::MAX, any::<u64>(), any::<[u8; 32]>()).prop_map(|(counter, inert, inert_digest)| Fork {
        counter,
        inert,
        inert_digest,
    });
    (log(), any::<u64>(), cid(), option::of(fork)).prop_map(|(log, counter, cid, fork)| {
        let counter = if fork.is_some() { counter } else { counter.max(1) };
        Head { log, counter, cid: (counter > 0).then_some(cid), fork }
    })
}

fn proof() -> impl Strategy<Value = Proof> {
    let role = prop_oneof![Just(Role::Follower), Just(Role::Reader), Just(Role::Writer)];
    (topic(), any::<[u8; 32]>(), role, days(), any::<bool>()).prop_map(|(topic, mac, role, bodies_days, is_full)| {
        Proof { topic, mac, role, terms: Terms { bodies_days, is_full } }
    })
}

fn days() -> impl Strategy<Value = Option<std::num::NonZeroU32>> {
    (0..=limits::MAX_BODIES_DAYS).prop_map(std::num::NonZeroU32::new)
}

fn invite_answer() -> impl Strategy<Value = InviteAnswer> {
    let address =
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| format!("/ip4/{a}.{b}.{c}.{d}").parse::<crate::Multiaddr>().unwrap());
    prop_oneof![
        (days(), vec(address, 0..=crate::limits::MAX_ADDRESSES))
            .prop_map(|(bodies_days, addresses)| InviteAnswer::Accepted { bodies_days, addresses }),
        prop::sample::select(Declined::ALL.to_vec()).prop_map(InviteAnswer::Declined),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    vec(0..16u8, 0..=limits::MAX_PREFIX_DIGITS)
        .prop_map(|digits| digits.into_iter().fold(Prefix::root(), |prefix, digit| prefix.child(digit).unwrap()))
}

fn opened() -> impl Strategy<Value = Opened> {
    let edge = (topic(), any::<Digest>()).prop_map(|(topic, edge)| Edge { topic, edge });
    let contents = prop_oneof![
        any::<[Digest; limits::EDGE_CHILDREN]>().prop_map(|children| Contents::Children(Box::new(children))),
        vec(edge, 0..4).prop_map(Contents::Edges),
    ];
    (prefix(), contents).prop_map(|(prefix, contents)| Opened { prefix, contents })
}

fn request() -> impl Strategy<Value = Request> {
    let node = (prefix(), any::<Digest>()).prop_map(|(prefix, digest)| Node { prefix, digest });
    let inert_after = option::of((1..u64::MAX, cid()));
    prop_oneof![
        vec(proof(), 0..4).prop_map(Request::Proofs),
        vec(node, 0..4).prop_map(Request::Edges),
        (topic(), option::of(log())).prop_map(|(topic, after)| Request::Heads { topic, after }),
        (topic(), log(), 0..u64::MAX, 1..u64::MAX).prop_map(|(topic, log, after, more)| {
            Request::Records { topic, log, after, until: after.saturating_add(more) }
        }),
        (topic(), log(), inert_after).prop_map(|(topic, log, after)| Request::Inert { topic, log, after }),
        vec(envelope(), 0..3).prop_map(Request::Push),
        (topic(), vec(cid(), 0..4)).prop_map(|(topic, cids)| Request::Blocks { topic, cids }),
        sealed().prop_map(|sealed| Request::Invite { sealed }),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    let inert = (any::<[u8; 16]>(), sealed()).prop_map(|(key, record)| InertRecord { key_id: key_of(key), record });
    let ack = (topic(), log(), any::<u64>(), any::<bool>()).prop_map(|(topic, log, counter, busy)| Ack {
        topic,
        log,
        counter,
        busy,
    });
    let refusal = prop_oneof![
        Just(Refusal::Unknown),
        Just(Refusal::Busy),
        Just(Refusal::Malformed),
        Just(Refusal::Internal),
        Just(Refusal::Full),
        Just(Refusal::TooFast),
    ];
    prop_oneof![
        vec(proof(), 0..4).prop_map(Response::Proofs),
        vec(opened(), 0..4).prop_map(Response::Edges),
        (vec(head(), 0..4), any::<bool>()).prop_map(|(heads, more)| Response::Heads { heads, more }),
        (option::of(envelope().prop_map(Box::new)), any::<bool>())
            .prop_map(|(envelope, more)| Response::Records { envelope, more }),
        (vec(inert, 0..4), any::<bool>()).prop_map(|(records, more)| Response::Inert { records, more }),
        vec(ack, 0..4).prop_map(Response::Push),
        (vec(sealed(), 0..4), any::<bool>()).prop_map(|(blocks, more)| Response::Blocks { blocks, more }),
        invite_answer().prop_map(Response::Invite),
        refusal.prop_map(Response::Refusal),
    ]
}

fn gossip() -> impl Strategy<Value = Gossip> {
    prop_oneof![
        envelope().prop_map(|envelope| Gossip::Envelope(Box::new(envelope))),
        vec(head(), 0..4).prop_map(Gossip::Heads),
    ]
}

fn decode_all(bytes: &Bytes) {
    let _ = Request::decode(bytes.clone());
    let _ = Response::decode(bytes.clone());
    let _ = Gossip::decode(bytes.clone());
}

proptest! {
    #[test]
    fn requests_round_trip(request in request()) {
        let bytes = request.clone().encode().unwrap();
        prop_assert_eq!(Request::decode(bytes).unwrap(), request);
    }

    #[test]
    fn responses_round_trip(response in response()) {
        let bytes = response.clone().encode().unwrap();
        prop_assert_eq!(Response::decode(bytes).unwrap(), response);
    }

    #[test]
    fn gossip_round_trips(gossip in gossip()) {
        let bytes = gossip.clone().encode().unwrap();
        prop_assert_eq!(Gossip::decode(bytes).unwrap(), gossip);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        decode_all(&bytes.into());
    }

    #[test]
    fn damaged_frames_never_panic(
        request in request(),
        response in response(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        for frame in [request.encode().unwrap(), response.encode().unwrap()] {
            if frame.is_empty() {
                continue;
            }
            let mut damaged = frame.to_vec();
            let place = place.index(damaged.len());
            damaged[place] = byte;
            decode_all(&damaged.clone().into());
            damaged.truncate(end.index(damaged.len()));
            decode_all(&damaged.into());
        }
    }
}

fn an_envelope() -> Envelope {
    Envelope {
        topic: topic_of([1; 32]),
        log: log_of([2; 32]),
        counter: 7,
        key_id: key_of([3; 16]),
        records: vec![Bytes::from_static(&[4; 50]), Bytes::from_static(&[5; 60])],
        blocks: vec![Bytes::from_static(&[6; 70])],
        sender: peer_of([7; 32]),
        signature: [8; 64],
    }
}

/// `field` repeated as the bytes of one nested message after another.
fn nested(tag: u8, item: &[u8], times: usize) -> Vec<u8> {
    let mut one = vec![tag << 3 | 2];
    prost::encoding::encode_varint(item.len() as u64, &mut one);
    one.extend_from_slice(item);
    one.repeat(times)
}

#[test]
fn the_sender_signs_topic_log_counter_key_and_records_and_no_blocks() {
    let envelope = an_envelope();
    let mut text = b"spool/1 envelope".to_vec();
    for (index, part) in [&[1; 32][..], &envelope.log.to_bytes(), &[3; 16], &[4; 50], &[5; 60]].iter().enumerate() {
        if index == 2 {
            text.extend_from_slice(&7u64.to_be_bytes());
        }
        text.extend_from_slice(&(part.len() as u32).to_be_bytes());
        text.extend_from_slice(part);
    }
    assert_eq!(envelope.signing_hash(), <[u8; 32]>::from(Sha256::digest(&text)));
    assert_eq!(Envelope { blocks: Vec::new(), ..envelope.clone() }.signing_hash(), envelope.signing_hash());
    assert_eq!(envelope.last_counter(), 8);
}

#[test]
fn another_envelope_version_is_refused_by_name() {
    let mut message = pb::Envelope::from(an_envelope());
    message.version = 2;
    let error = Envelope::try_from(message).unwrap_err();
    assert!(matches!(error, Error::Version(2)));
    assert_eq!(error.to_string(), "envelope version 2, only version 1 is known");
}

#[test]
fn unknown_codes_and_kinds_are_refused_by_name() {
    let refusal = pb::Refusal { code: 99 };
    assert_eq!(Refusal::try_from(refusal).unwrap_err().to_string(), "Refusal.code 99 is not known");
    let mut proof = pb::proofs::Proof::from(Proof {
        topic: topic_of([1; 32]),
        mac: [2; 32],
        role: Role::Writer,
        terms: Terms::default(),
    });
    proof.role = 3;
    assert_eq!(Proof::try_from(proof).unwrap_err().to_string(), "Proof.role 3 is not known");
    assert!(matches!(Request::decode(Bytes::new()), Err(Error::Missing { field: "Request.kind" })));
    // A kind of a later version: field 9.
    assert!(matches!(Request::decode(nested(9, &[], 1).into()), Err(Error::Missing { field: "Request.kind" })));
}

#[test]
fn fields_that_make_no_sense_are_refused_by_name() {
    let break_one = |change: fn(&mut pb::Envelope)| {
        let mut message = pb::Envelope::from(an_envelope());
        change(&mut message);
        Envelope::try_from(message).unwrap_err().to_string()
    };
    for (name, message) in [
        ("Envelope.topic", break_one(|e| e.topic.truncate(31))),
        ("Envelope.log", break_one(|e| e.log.truncate(37))),
        ("Envelope.counter", break_one(|e| e.counter = 0)),
        ("Envelope.counter", break_one(|e| e.counter = u64::MAX)),
        ("Envelope.key_id", break_one(|e| e.key_id = Bytes::new())),
        ("Envelope.records", break_one(|e| e.records.clear())),
        ("Envelope.records", break_one(|e| e.records.push(vec![0; limits::MAX_RECORD_BYTES + 1].into()))),
        ("Envelope.records", break_one(|e| e.records.push(Bytes::from_static(&[0; 39])))),
        ("Envelope.blocks", break_one(|e| e.blocks.push(vec![0; limits::MAX_BLOCK_BYTES + 1].into()))),
        ("Envelope.sender", break_one(|e| e.sender = Bytes::from_static(b"nobody"))),
        ("Envelope.signature", break_one(|e| e.signature.truncate(63))),
    ] {
        assert!(message.starts_with(name), "{name}: {message}");
    }
    let records = pb::RecordsRequest {
        topic: Bytes::from_static(&[1; 32]),
        log: Bytes::copy_from_slice(&log_of([2; 32]).to_bytes()),
        after: 5,
        until: 5,
    };
    assert!(Request::try_from(records).unwrap_err().to_string().starts_with("RecordsRequest.until"));
    let digit = pb::edges_request::Node { prefix: Bytes::from_static(&[16]), digest: Bytes::from_static(&[0; 16]) };
    assert!(Node::try_from(digit).unwrap_err().to_string().starts_with("Node.prefix"));
}

#[test]
fn a_head_before_a_fork_at_the_first_record_has_no_cid() {
    let fork = Some(Fork { counter: 1, inert: 2, inert_digest: [9; 32] });
    let head = Head { log: log_of([1; 32]), counter: 0, cid: None, fork };
    assert_eq!(Head::try_from(pb::Head::from(head)).unwrap(), head);
    assert!(Head::try_from(pb::Head::from(Head { fork: None, ..head })).is_err());
    assert!(Head::try_from(pb::Head::from(Head { cid: Some(block::cid(b"x")), ..head })).is_err());
    assert!(Head::try_from(pb::Head::from(Head { counter: 3, ..head })).is_err());
}

#[test]
fn oversize_frames_are_refused_before_they_are_decoded() {
    let frame = Bytes::from(vec![0xff; limits::MAX_FRAME_BYTES + 1]);
    assert!(matches!(Request::decode(frame.clone()), Err(Error::TooLarge { .. })));
    assert!(matches!(Response::decode(frame.clone()), Err(Error::TooLarge { .. })));
    assert!(matches!(Gossip::decode(frame), Err(Error::TooLarge { .. })));
    let blocks = vec![Bytes::from(vec![1; limits::MAX_BLOCK_BYTES]); 3];
    assert!(matches!(Response::Blocks { blocks, more: false }.encode(), Err(Error::TooLarge { .. })));
}

#[test]
fn a_full_page_and_one_more_block_of_the_largest_size_fit_into_a_frame() {
    let blocks = vec![Bytes::from(vec![1; limits::MAX_BLOCK_BYTES]); 2];
    let page = Response::Blocks { blocks, more: true };
    assert_eq!(Response::decode(page.clone().encode().unwrap()).unwrap(), page);
    let record = Bytes::from(vec![1; limits::MAX_RECORD_BYTES]);
    let gossip = Gossip::Envelope(Box::new(Envelope { records: vec![record], blocks: Vec::new(), ..an_envelope() }));
    assert_eq!(Gossip::decode(gossip.clone().encode().unwrap()).unwrap(), gossip);
    let fork = Some(Fork { counter: u64::MAX, inert: u64::MAX, inert_digest: [9; 32] });
    let head = Head { log: log_of([1; 32]), counter: u64::MAX, cid: Some(block::cid(b"")), fork };
    assert!(Response::Heads { heads: vec![head; limits::MAX_HEADS], more: true }.encode().is_ok());
    let proof = Proof { topic: topic_of([1; 32]), mac: [2; 32], role: Role::Writer, terms: Terms::default() };
    assert!(Request::Proofs(vec![proof; limits::MAX_PROOFS]).encode().is_ok());
    let edges = vec![Edge { topic: topic_of([1; 32]), edge: [2; 16] }; limits::MAX_EDGES];
    assert!(
        Response::Edges(vec![Opened { prefix: Prefix::root(), contents: Contents::Edges(edges) }]).encode().is_ok()
    );
}

#[test]
fn a_small_frame_cannot_hold_many_items() {
    // Two bytes each on the wire, a hundred in memory.
    let empty_heads = nested(3, &nested(1, &[], 500_000), 1);
    assert!(matches!(Response::decode(empty_heads.into()), Err(Error::Length { field: "heads", .. })));
    let heads = nested(3, &nested(1, &[0x0a; 40], limits::MAX_HEADS + 1), 1);
    assert!(matches!(Response::decode(heads.into()), Err(Error::TooMany { field: "heads", .. })));
    // prost merges a message that comes twice, which would double every bound.
    let twice = nested(6, &[], 2);
    assert!(matches!(Request::decode(twice.into()), Err(Error::TooMany { field: "Request.push", .. })));
    let records = nested(6, &nested(1, &[nested(2, &[1; 32], 5), nested(6, &[], 100)].concat(), 1), 1);
    assert!(matches!(Request::decode(records.into()), Err(Error::Length { field: "Envelope.records", .. })));
    let group = vec![0x0b, 0x0c];
    assert!(matches!(Request::decode(group.into()), Err(Error::Protobuf(None))));
}

#[test]
fn items_in_memory_are_at_most_a_few_times_those_on_the_wire() {
    // What the shape check guarantees: least bytes on the wire, with key and length, against the structure.
    for (wire, memory) in [
        (42, size_of::<Bytes>()),
        (42, size_of::<pb::Head>()),
        (70, size_of::<pb::proofs::Proof>()),
        (20, size_of::<pb::edges_request::Node>()),
        (54, size_of::<pb::edges_response::Edge>()),
        (62, size_of::<pb::inert_response::Record>()),
        (160, size_of::<pb::Envelope>()),
        (78, size_of::<pb::push_response::Ack>()),
        (18, size_of::<Bytes>()),
    ] {
        assert!(memory <= wire * 4, "{memory} bytes in memory for {wire} on the wire");
    }
}

#[test]
fn decoded_records_are_slices_of_the_frame() {
    let frame = Request::Push(vec![an_envelope()]).encode().unwrap();
    let range = frame.as_ptr_range();
    let Request::Push(envelopes) = Request::decode(frame.clone()).unwrap() else { panic!("another request") };
    assert!(range.contains(&envelopes[0].records[1].as_ptr()));
    assert!(range.contains(&envelopes[0].blocks[0].as_ptr()));
}

#[test]
fn prefixes_follow_the_digits_of_topic_ids() {
    let topic = topic_of([0xab; 32]);
    let prefix = Prefix::root().child(0xa).unwrap().child(0xb).unwrap();
    assert!(Prefix::root().contains(&topic) && prefix.contains(&topic));
    assert!(!prefix.child(0xb).unwrap().contains(&topic));
    assert_eq!(prefix.digits(), [0xa, 0xb]);
    assert_eq!(prefix.child(16), None);
}

#[test]
fn contents_and_proofs_stay_out_of_debug_output() {
    let text = format!(
        "{:?} {:?} {:?}",
        Request::Push(vec![an_envelope()]),
        Request::Proofs(vec![Proof {
            topic: topic_of([1; 32]),
            mac: [251; 32],
            role: Role::Reader,
            terms: Terms::default()
        }]),
        Response::Blocks { blocks: vec![Bytes::from_static(&[252; 40])], more: false },
    );
    assert!(!text.contains("251") && !text.contains("252") && !text.contains(r"\xfc"), "{text}");
}

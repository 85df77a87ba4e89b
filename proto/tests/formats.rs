//! Properties of records, events, manifests, envelopes and everything sealed: what is made survives, and whatever bytes
//! arrive, they are refused or are the one form of what they mean.
//!
//! Bytes are tried as they come, and as plaintexts behind a seal that opens: a member of the thread can seal anything.
#![expect(clippy::unwrap_used, reason = "builders of test values")]

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use ipld_core::ipld::Ipld;
use proptest::{collection::vec, option, prelude::*, sample::Index};
use prost::Message;
use spool_proto::{
    Cid, Identity, KeyId, LogId, ThreadId, TopicId, block,
    body::{Chunker, Manifest, Protection, content_key, open_chunk},
    cbor,
    clock::Time,
    envelope::Run,
    event::{Body, CitedHead, Content, Event, Kind},
    id::Variant,
    keys::{Epoch, LogKeys, SealKey},
    lipmaa::lipmaa,
    record::{Control, Draft, Links, Rekey, SealedRecord, VerifiedRecord, reopen, verify},
    seal::{self, Layer, Place},
    wire::{Envelope, Gossip, pb},
};

fn thread() -> ThreadId {
    ThreadId::new(Variant::Raw, [1; 32])
}

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn log() -> LogId {
    LogId::from(&signer())
}

fn epoch() -> Epoch {
    Epoch::generate([3; 64])
}

fn keys() -> LogKeys {
    LogKeys::derive(&epoch(), &log())
}

fn identity() -> Identity {
    Identity::from_seed([5; 32])
}

fn read_key() -> SealKey {
    keys().read().unwrap().clone()
}

fn seal_as(layer: Layer, key: &SealKey, plain: &[u8]) -> Bytes {
    seal::seal(key, Place { layer, thread: thread().as_bytes(), log: &log().to_bytes() }, plain).into()
}

fn open_as(layer: Layer, key: &SealKey, sealed: &[u8]) -> Vec<u8> {
    seal::open(key, Place { layer, thread: thread().as_bytes(), log: &log().to_bytes() }, sealed).unwrap()
}

fn cid() -> impl Strategy<Value = Cid> {
    any::<[u8; 32]>().prop_map(block::from_digest)
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(Content::Key),
        vec(any::<u8>(), 80).prop_map(|sealed| Content::Recipient { to: identity().public(), sealed }),
    ]
}

/// A body with a content key that may stand beside it.
fn body() -> impl Strategy<Value = (Option<Content>, Option<Body>)> {
    let inline = vec(any::<u8>(), 40..300).prop_map(|sealed| Body::Inline(sealed.into()));
    let block = (cid(), any::<u64>()).prop_map(|(cid, size)| Body::Block { cid, size });
    let chunks = (vec(cid(), 1..5), any::<u64>()).prop_map(|(manifests, size)| Body::Chunks { manifests, size });
    prop_oneof![
        Just((None, None)),
        (content(), inline).prop_map(|(content, body)| (Some(content), Some(body))),
        (option::of(content()), prop_oneof![block, chunks]).prop_map(|(content, body)| (content, Some(body))),
    ]
}

fn heads() -> impl Strategy<Value = Vec<CitedHead>> {
    vec((any::<[u8; 32]>(), 1..u64::MAX, cid()), 0..5).prop_map(|heads| {
        let mut heads: Vec<_> = heads
            .into_iter()
            .map(|(seed, counter, cid)| CitedHead { log: LogId::from(&SigningKey::from_bytes(&seed)), counter, cid })
            .collect();
        heads.sort_by_key(|head| head.log);
        heads.dedup_by_key(|head| head.log);
        heads
    })
}

/// The event of record number `counter`.
fn event(counter: u64) -> impl Strategy<Value = Event> {
    let kind = prop_oneof![Just(Kind::Application), Just(Kind::Join), Just(Kind::Snapshot), Just(Kind::Control)];
    (any::<u64>(), kind, heads(), body()).prop_map(move |(time, kind, heads, (content, body))| {
        let owner = (counter == 1).then(|| identity().bind(&thread(), &log()));
        Event { time: Time::from_u64(time), kind, content, heads, owner, body }
    })
}

fn control(counter: u64) -> impl Strategy<Value = Option<Control>> {
    let addresses = vec((any::<[u8; 4]>(), any::<u16>()), 0..4).prop_map(|addresses| {
        let text = |(ip, port)| format!("/ip4/{}/tcp/{port}", std::net::Ipv4Addr::from(ip)).parse().unwrap();
        Control::Addresses(addresses.into_iter().map(text).collect())
    });
    let rekey = (any::<[u8; 16]>(), any::<[u8; 32]>(), vec(vec(any::<u8>(), 0..200), 0..4)).prop_map(
        |(key_id, admission, recipients)| {
            let recipients = recipients.into_iter().map(|sealed| (identity().public(), sealed)).collect();
            Control::Rekey(Rekey { key_id: KeyId::new(key_id), admission, recipients })
        },
    );
    let item = prop_oneof![addresses, rekey, Just(Control::Retire)];
    (option::of(item), any::<[u8; 32]>()).prop_map(move |(item, half)| match counter {
        1 => Some(Control::Admission([half, half].concat().try_into().unwrap())),
        _ => item,
    })
}

fn draft() -> impl Strategy<Value = Draft> {
    prop_oneof![1..45u64, 1..u64::MAX].prop_flat_map(|counter| {
        (event(counter), control(counter), cid(), cid()).prop_map(move |(event, control, prev, skip)| Draft {
            counter,
            prev: (counter > 1).then_some(prev),
            skip: (counter > 1 && lipmaa(counter) != counter - 1).then_some(skip),
            event,
            control,
        })
    })
}

fn record() -> impl Strategy<Value = VerifiedRecord> {
    draft().prop_map(|draft| draft.seal(&thread(), &log(), &keys(), &signer()).unwrap())
}

/// A change of bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => at().prop_map(Mutation::Remove),
        1 => at().prop_map(Mutation::Cut),
        1 => (at(), at()).prop_map(|(from, until)| Mutation::Repeat(from, until)),
    ]
}

fn mutate(bytes: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match mutation {
            Mutation::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Mutation::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Mutation::Remove(at) => drop(bytes.remove(at.index(length))),
            Mutation::Cut(at) => bytes.truncate(at.index(length)),
            Mutation::Repeat(from, until) => {
                let (from, until) = (from.index(length), until.index(length));
                bytes.extend_from_within(from.min(until)..from.max(until));
            }
        }
    }
    bytes
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    vec(mutation(), 1..4)
}

/// Arbitrary bytes, and arbitrary values in canonical form: they get past the encoding and are wrong only then.
fn arbitrary() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        any::<u64>().prop_map(|int| Ipld::Integer(int.into())),
        (0..10u64).prop_map(|int| Ipld::Integer(int.into())),
        vec(any::<u8>(), 0..80).prop_map(Ipld::Bytes),
        "[a-z /]{0,20}".prop_map(Ipld::String),
        cid().prop_map(Ipld::Link),
    ];
    let value = leaf.prop_recursive(4, 64, 10, |inner| vec(inner, 0..10).prop_map(Ipld::List));
    prop_oneof![vec(any::<u8>(), 0..400), value.prop_map(|value| cbor::to_vec(&value))]
}

/// Where the items of canonical CBOR begin, and how long each head is.
fn items(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (major, short) = (bytes[at] >> 5, bytes[at] & 0x1f);
        let extra = if short < 24 { 0 } else { 1 << (short - 24) };
        let argument = bytes[at + 1..at + 1 + extra].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let argument = if extra == 0 { short.into() } else { argument };
        items.push((at, 1 + extra));
        at += 1 + extra;
        // Strings have their bytes behind the head; arrays, tags and the rest go on with the next item.
        at += if matches!(major, 2 | 3) { argument as usize } else { 0 };
    }
    items
}

/// Second forms of the item at `at`: a longer head, and for byte strings the indefinite length.
fn second_forms(bytes: &[u8], (at, head): (usize, usize)) -> Vec<Vec<u8>> {
    let (major, short) = (bytes[at] & 0xe0, bytes[at] & 0x1f);
    let with = |front: &[u8], argument: &[u8], rest: usize| [&bytes[..at], front, argument, &bytes[rest..]].concat();
    let rest = at + head;
    let mut forms = Vec::new();
    // Simple values have one form.
    if major != 0xe0 {
        forms.extend(match head {
            1 => vec![with(&[major | 24, short], &[], rest), with(&[major | 25, 0, short], &[], rest)],
            9 => Vec::new(),
            _ => vec![with(&[bytes[at] + 1], &[&vec![0; head - 1], &bytes[at + 1..rest]].concat(), rest)],
        });
    }
    if major == 0x40 && head == 2 {
        let end = rest + usize::from(bytes[at + 1]);
        let chunk = [&bytes[at..end], &[0xff]].concat();
        forms.push(with(&[0x5f], &chunk, end));
    }
    forms
}

/// Whether these bytes are what their value encodes to.
fn is_canonical(plain: &[u8]) -> bool {
    cbor::from_slice::<Ipld>(plain, usize::MAX).is_ok()
}

fn sealed_record(plain: &[u8]) -> SealedRecord {
    SealedRecord { key_id: keys().key_id(), bytes: seal_as(Layer::Record, keys().follow(), plain) }
}

/// Tries `plain` as the plaintext of a record.
fn accept_record(plain: &[u8]) -> bool {
    let sealed = sealed_record(plain);
    let verified = verify(&thread(), &log(), &keys(), sealed.clone());
    let reopened = reopen(&thread(), &log(), &keys(), sealed);
    if let Ok(verified) = &verified {
        assert_eq!(Ok(verified), reopened.as_ref());
    }
    if reopened.is_ok() {
        assert!(is_canonical(plain));
    }
    verified.is_ok()
}

fn accept_event(plain: &[u8], counter: u64, links: &Links) -> Option<Event> {
    let sealed = seal_as(Layer::Event, &read_key(), plain);
    let event = Event::open(&read_key(), &thread(), &log(), counter, links, &sealed).ok()?;
    assert_eq!(event.seal(&read_key(), &thread(), &log()), sealed, "one event has one form");
    Some(event)
}

fn accept_manifest(plain: &[u8]) -> Option<Manifest> {
    let manifest = Manifest::open(&keys(), &thread(), &seal_as(Layer::Manifest, keys().manifest(), plain)).ok()?;
    assert!(is_canonical(plain));
    Some(manifest)
}

fn manifest_of(chunks: &[Vec<u8>]) -> Bytes {
    let (thread, keys) = (thread(), keys());
    let secret = epoch().chunk_secret(false).unwrap();
    let mut chunker = Chunker::new(Protection::Thread { key: [6; 32] }, &keys, &thread, secret);
    chunks.iter().for_each(|chunk| drop(chunker.chunk(chunk).unwrap()));
    chunker.finish().unwrap().blocks.pop().unwrap().1
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let sealed = || vec(vec(any::<u8>(), 40..200).prop_map(Bytes::from), 1..4);
    (any::<[u8; 32]>(), any::<[u8; 16]>(), 1..u64::MAX / 2, sealed(), sealed()).prop_map(
        |(topic, key_id, counter, records, blocks)| {
            let run = Run { log: log(), counter, key_id: KeyId::new(key_id), records, blocks };
            run.sign(TopicId::new(topic), &SigningKey::from_bytes(&topic))
        },
    )
}

fn encode(envelope: &Envelope) -> Vec<u8> {
    pb::Envelope::from(envelope.clone()).encode_to_vec()
}

fn decode(bytes: &[u8]) -> Option<Envelope> {
    pb::Envelope::decode(bytes).ok()?.try_into().ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_survive(draft in draft()) {
        let (counter, event, control) = (draft.counter, draft.event.clone(), draft.control.clone());
        let record = draft.seal(&thread(), &log(), &keys(), &signer()).unwrap();
        let verified = verify(&thread(), &log(), &keys(), record.sealed().clone()).unwrap();
        prop_assert_eq!(&verified, &record);
        prop_assert_eq!(verified.counter(), counter);
        prop_assert_eq!(verified.opened().event(), Some(&event));
        prop_assert_eq!(verified.control(), control.as_ref());
        prop_assert_eq!(reopen(&thread(), &log(), &keys(), record.sealed().clone()), Ok(record));
    }

    #[test]
    fn mutated_records_are_refused(record in record(), mutations in mutations()) {
        let sealed = record.sealed();
        let mutated = mutate(&sealed.bytes, &mutations);
        prop_assume!(mutated != sealed.bytes);
        let damaged = SealedRecord { key_id: sealed.key_id, bytes: mutated.into() };
        prop_assert!(verify(&thread(), &log(), &keys(), damaged.clone()).is_err());
        prop_assert!(reopen(&thread(), &log(), &keys(), damaged).is_err());
    }

    #[test]
    fn mutated_plaintexts_of_records_are_refused(record in record(), mutations in mutations()) {
        let plain = open_as(Layer::Record, keys().follow(), &record.sealed().bytes);
        let mutated = mutate(&plain, &mutations);
        prop_assume!(mutated != plain);
        prop_assert!(accept_record(&plain));
        prop_assert!(!accept_record(&mutated), "nothing but what was signed");
    }

    #[test]
    fn arbitrary_plaintexts_are_no_records(plain in arbitrary()) {
        prop_assert!(!accept_record(&plain));
        let sealed = SealedRecord { key_id: keys().key_id(), bytes: plain.into() };
        prop_assert!(verify(&thread(), &log(), &keys(), sealed).is_err());
    }

    #[test]
    fn records_and_events_have_no_second_form(record in record()) {
        let plain = open_as(Layer::Record, keys().follow(), &record.sealed().bytes);
        for second in items(&plain).into_iter().flat_map(|item| second_forms(&plain, item)) {
            let sealed = sealed_record(&second);
            prop_assert!(reopen(&thread(), &log(), &keys(), sealed).is_err(), "{second:x?}");
        }
        let event = record.opened().event().unwrap();
        let plain = open_as(Layer::Event, &read_key(), &event.seal(&read_key(), &thread(), &log()));
        prop_assert!(accept_event(&plain, record.counter(), record.links()).is_some());
        for second in items(&plain).into_iter().flat_map(|item| second_forms(&plain, item)) {
            prop_assert_eq!(accept_event(&second, record.counter(), record.links()), None);
        }
    }

    #[test]
    fn events_survive_or_are_refused(
        (counter, event) in (1..4u64).prop_flat_map(|counter| (Just(counter), event(counter))),
        mutations in mutations(),
        arbitrary in arbitrary(),
    ) {
        let links = event.body.as_ref().map_or(Links::None, Body::links);
        let plain = open_as(Layer::Event, &read_key(), &event.seal(&read_key(), &thread(), &log()));
        let accepted = accept_event(&plain, counter, &links);
        prop_assert_eq!(accepted.as_ref(), Some(&event));
        let mutated = mutate(&plain, &mutations);
        if mutated != plain {
            prop_assert_ne!(accept_event(&mutated, counter, &links), Some(event));
        }
        prop_assert_eq!(accept_event(&arbitrary, counter, &links), None);
    }

    #[test]
    fn manifests_survive_or_are_refused(
        chunks in vec(vec(any::<u8>(), 0..50), 0..6),
        mutations in mutations(),
        arbitrary in arbitrary(),
    ) {
        let sealed = manifest_of(&chunks);
        let manifest = Manifest::open(&keys(), &thread(), &sealed).unwrap();
        prop_assert_eq!(manifest.chunks().len(), chunks.len());
        let key = content_key(Some(&Content::Key([6; 32])), &keys(), None).unwrap();
        let hashes = manifest.hashes(&key, &keys(), &thread()).unwrap();
        for (chunk, (link, hash)) in chunks.iter().zip(manifest.chunks().iter().zip(&hashes)) {
            let secret = epoch().chunk_secret(false).unwrap();
            let thread = thread();
            let place = Place { layer: Layer::Chunk, thread: thread.as_bytes(), log: &[] };
            let block = seal::seal(&secret.key(hash), place, chunk);
            prop_assert_eq!(block::cid(&block), link.cid);
            prop_assert_eq!(&open_chunk(&block, hash, &secret, &thread).unwrap(), chunk);
        }
        let plain = open_as(Layer::Manifest, keys().manifest(), &sealed);
        for second in items(&plain).into_iter().flat_map(|item| second_forms(&plain, item)) {
            prop_assert_eq!(accept_manifest(&second), None);
        }
        let mutated = mutate(&plain, &mutations);
        if let Some(other) = accept_manifest(&mutated) {
            prop_assert!(other != manifest || mutated == plain);
        }
        accept_manifest(&arbitrary);
        prop_assert!(Manifest::open(&keys(), &thread(), &arbitrary).is_err());
        let damaged = mutate(&sealed, &mutations);
        prop_assert!(damaged == sealed || Manifest::open(&keys(), &thread(), &damaged).is_err());
    }

    #[test]
    fn sealed_texts_open_in_their_one_form(
        key in any::<[u8; 32]>(),
        plain in vec(any::<u8>(), 0..300),
        mutations in mutations(),
        arbitrary in vec(any::<u8>(), 0..200),
    ) {
        let (key, thread) = (SealKey::new(key), thread());
        let place = Place { layer: Layer::Body, thread: thread.as_bytes(), log: &[] };
        let sealed = seal::seal(&key, place, &plain);
        prop_assert_eq!(sealed.len(), plain.len() + seal::OVERHEAD_BYTES);
        prop_assert_eq!(seal::open(&key, place, &sealed), Ok(plain));
        let damaged = mutate(&sealed, &mutations);
        prop_assert!(damaged == sealed || seal::open(&key, place, &damaged).is_err());
        prop_assert!(seal::open(&key, place, &arbitrary).is_err());
    }

    /// Protobuf permits several forms of one message; what is signed is computed from the fields, so they are one envelope.
    #[test]
    fn envelopes_survive_or_are_refused(
        envelope in envelope(),
        mutations in mutations(),
        arbitrary in vec(any::<u8>(), 0..300),
    ) {
        let bytes = encode(&envelope);
        let decoded = decode(&bytes);
        prop_assert_eq!(decoded.as_ref(), Some(&envelope));
        let signature = ed25519_dalek::Signature::from_bytes(&envelope.signature);
        let key = LogId::try_from(&envelope.sender).unwrap().verifying_key();
        prop_assert!(key.verify_strict(&envelope.signing_hash(), &signature).is_ok());
        for other in [mutate(&bytes, &mutations), arbitrary] {
            if let Some(decoded) = decode(&other) {
                let again = decode(&encode(&decoded));
                prop_assert_eq!(again.as_ref(), Some(&decoded));
                let same_run = (decoded.topic, decoded.log, decoded.counter, decoded.key_id, &decoded.records)
                    == (envelope.topic, envelope.log, envelope.counter, envelope.key_id, &envelope.records);
                prop_assert_eq!(decoded.signing_hash() == envelope.signing_hash(), same_run);
            }
            // The way in from outside, which also counts what is repeated before it is decoded.
            let _ = Gossip::decode(other.into());
        }
    }
}

#[test]
fn the_walk_over_cbor_finds_every_item() {
    let bytes = [0x83, 0x01, 0x18, 0x20, 0x82, 0x42, 0x01, 0x02, 0xf6];
    assert_eq!(items(&bytes), [(0, 1), (1, 1), (2, 2), (4, 1), (5, 1), (8, 1)]);
    assert_eq!(second_forms(&bytes, (1, 1))[0], [0x83, 0x18, 0x01, 0x18, 0x20, 0x82, 0x42, 0x01, 0x02, 0xf6]);
    assert_eq!(second_forms(&bytes, (2, 2)), [[0x83, 0x01, 0x19, 0x00, 0x20, 0x82, 0x42, 0x01, 0x02, 0xf6]]);
    assert!(second_forms(&bytes, (8, 1)).is_empty());
}

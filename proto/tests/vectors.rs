//! `docs/vectors.json` is what the code computes, and what the code reads comes out as the file says.
//!
//! After a change of a format, on purpose: `SPOOL_WRITE_VECTORS=1 cargo test --release -p spool-proto --test vectors` writes the file
//! anew; read the difference before you commit it.
#![expect(clippy::unwrap_used, reason = "builders of test values")]

#[path = "vectors/make.rs"]
mod make;
#[path = "vectors/model.rs"]
mod model;

use std::sync::LazyLock;

use bytes::Bytes;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use spool_proto::{
    Address, Cid, DeviceId, Identity, IdentityKey, Invitation, KeyId, LogId, PeerId, ThreadId, ThreadKeys, Ticket,
    TopicId, block,
    body::{self, Manifest, content_key, open_body, open_chunk},
    cbor,
    event::{self, Content, Event},
    hpke,
    id::Variant,
    key_set::{KeySet, Scope},
    keys::{AccessKey, AdmissionKey, Direction, Epoch, FollowKey, LogGrant, LogKeys, ReadKey, SealKey},
    lipmaa::lipmaa,
    owner::Owner,
    record::{self, Control, SealedRecord},
    seal::{self, Layer, Place},
    wire::{self, Gossip, pb},
};

use make::{counting, edge, epoch, identity, keys, log, log_keys, lp, thread};
use model::{Hex, Vectors};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors.json");

fn file() -> Vectors {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        if std::env::var_os("SPOOL_WRITE_VECTORS").is_some() {
            let text = serde_json::to_string_pretty(&make::vectors()).unwrap() + "\n";
            std::fs::write(PATH, text).unwrap();
        }
        std::fs::read_to_string(PATH).expect("docs/vectors.json; SPOOL_WRITE_VECTORS=1 writes it")
    });
    serde_json::from_str(&TEXT).expect("vectors of the known shape")
}

/// Reads canonical CBOR, and checks that writing gives the same.
fn from_cbor<T: Serialize + DeserializeOwned>(hex: &Hex) -> T {
    let value = cbor::from_slice(&hex.0, 1 << 20).unwrap();
    assert_eq!(cbor::to_vec(&value), hex.0);
    value
}

fn is_signed(key: &VerifyingKey, message: &Hex, signature: &[u8; 64]) -> bool {
    key.verify_strict(&message.0, &Signature::from_bytes(signature)).is_ok()
}

#[test]
fn the_file_is_what_the_code_computes() {
    let [computed, file] = [make::vectors(), file()].map(|vectors| serde_json::to_value(vectors).unwrap());
    same(&computed, &file, "");
}

/// Compares piece by piece, so that a difference is named and not shown as 100 KB of text.
fn same(computed: &serde_json::Value, file: &serde_json::Value, path: &str) {
    match (computed, file) {
        (serde_json::Value::Object(computed), serde_json::Value::Object(file)) => {
            assert_eq!(computed.keys().collect::<Vec<_>>(), file.keys().collect::<Vec<_>>(), "{path}");
            computed.iter().for_each(|(key, value)| same(value, &file[key], &format!("{path}.{key}")));
        }
        (serde_json::Value::Array(computed), serde_json::Value::Array(file)) => {
            assert_eq!(computed.len(), file.len(), "{path}");
            computed
                .iter()
                .zip(file)
                .enumerate()
                .for_each(|(i, (one, other))| same(one, other, &format!("{path}[{i}]")));
        }
        _ => assert_eq!(computed, file, "{path}"),
    }
}

#[test]
fn ids_are_read() {
    let ids = file().ids;
    for vector in &ids.threads {
        let thread: ThreadId = vector.text.parse().unwrap();
        assert_eq!(thread, ThreadId::from_bytes(&vector.bytes.0).unwrap());
        assert_eq!((vector.version, vector.bytes.0[0]), (1, 1));
        assert_eq!(thread.variant() == Variant::Raw, vector.variant == "raw");
        assert_eq!(vector.bytes.0[2..], vector.random.0);
    }
    let log: LogId = ids.log.text.parse().unwrap();
    assert_eq!(log, LogId::from_bytes(&ids.log.bytes.0).unwrap());
    assert_eq!(log, LogId::from_public_key(&ids.log.public_key.array()).unwrap());
    assert_eq!(log, LogId::from(&SigningKey::from_bytes(&ids.log.key_seed.array())));
    assert_eq!(log, LogId::try_from(&ids.log.text.parse::<PeerId>().unwrap()).unwrap());
    let cid: Cid = ids.cid.text.parse().unwrap();
    assert_eq!(cid, block::cid_from_bytes(&ids.cid.bytes.0).unwrap());
    assert_eq!(cid, block::cid(&ids.cid.block.0));
}

#[test]
fn keys_are_read() {
    let (vectors, epoch) = (file(), epoch());
    let vector = vectors.keys;
    assert_eq!(multibase::decode(&vector.textile.text).unwrap().1, vector.textile.bytes.0);
    let keys = ThreadKeys::from_textile(&vector.textile.bytes.0).unwrap();
    assert_eq!(keys.current(), Some(&epoch));
    assert_eq!(epoch.key_id(), vector.key_id.text.parse::<KeyId>().unwrap());
    assert_eq!(epoch.key_id(), KeyId::from_bytes(&vector.key_id.bytes.0).unwrap());
    assert_eq!(keys.access(), &AccessKey::new(vector.access.array()));
    assert_eq!(keys.access(), &AccessKey::of(&FollowKey::new(vector.follow.array())));
    assert_eq!(keys.access().topic(), vector.topic.text.parse::<TopicId>().unwrap());
    assert_eq!(keys.access().topic(), TopicId::from_bytes(&vector.topic.bytes.0).unwrap());
    let admission = AdmissionKey::from_bytes(&vector.admission_public.array()).unwrap();
    assert_eq!(epoch.admission(), Some(&admission));
    let signer = SigningKey::from_bytes(&vector.admission_seed.array());
    assert_eq!(signer.verifying_key(), *admission.verifying_key());
    for (public, secret, key) in [
        (false, &vector.chunk_secret, &vector.chunk_key),
        (true, &vector.public_chunk_secret, &vector.public_chunk_key),
    ] {
        let secret = spool_proto::keys::ChunkSecret::new(secret.array());
        assert_eq!(epoch.chunk_secret(public), Some(secret.clone()));
        let hash = block::digest(&block::cid(&vector.chunk.0)).unwrap();
        assert_eq!(secret.key(&hash), SealKey::new(key.array()));
    }
    let grant = LogGrant::derive(&epoch, &vectors.log_keys.log.parse().unwrap());
    assert_eq!(LogKeys::from(&grant).follow(), &SealKey::new(vectors.log_keys.follow.array()));
}

#[test]
fn the_identity_is_read_from_its_phrase() {
    let vector = file().identity;
    let identity = Identity::from_phrase(&vector.phrase).unwrap();
    assert_eq!(identity.seed(), &vector.seed.array());
    assert_eq!(identity.public(), vector.text.parse::<IdentityKey>().unwrap());
    assert_eq!(identity.public(), IdentityKey::from_bytes(&vector.public.0).unwrap());
    let device = DeviceId::from_bytes(&vector.device.0).unwrap();
    let key = identity.log_key(&vector.thread.parse().unwrap(), &device);
    assert_eq!(key.to_bytes(), vector.log_key_seed.array());
    assert_eq!(LogId::from(&key), vector.log.parse().unwrap());
    let (home, keys) = identity.home();
    assert_eq!(home, vector.home.thread.parse().unwrap());
    let (follow, read) = (vector.home.follow.array(), vector.home.read.array());
    assert_eq!(keys, ThreadKeys::new(vec![Epoch::new(FollowKey::new(follow), ReadKey::new(read))]).unwrap());
}

#[test]
fn admission_and_owners_hold() {
    let vectors = file();
    let admission = &vectors.admission;
    let (thread, log) = (admission.thread.parse().unwrap(), admission.log.parse().unwrap());
    assert!(epoch().admission().unwrap().admits(&thread, &log, &admission.signature.array()));
    assert!(is_signed(epoch().admission().unwrap().verifying_key(), &admission.signed, &admission.signature.array()));

    let owners = vectors.owners;
    let direct: Owner = from_cbor(&owners.direct.cbor);
    let author = direct.verify(&thread, &log).unwrap();
    assert_eq!((author.key.to_string(), author.via), (owners.direct.identity, None));
    let Owner::Direct { identity, signature } = direct else { panic!("direct") };
    assert!(is_signed(&identity.verifying_key(), &owners.direct.signed, &signature));

    let vector = owners.delegated;
    let delegated: Owner = from_cbor(&vector.cbor);
    let author = delegated.verify(&thread, &log).unwrap();
    assert_eq!((author.key.to_string(), author.via.unwrap().to_string()), (vector.owner.clone(), vector.node.clone()));
    let statement = delegated.statement().unwrap().unwrap();
    assert_eq!(statement.to_bytes(), vector.statement.0);
    assert_eq!((statement.node.to_string(), statement.owner.to_string()), (vector.node, vector.owner));
    assert_eq!((statement.issued_at, statement.expires_at), (vector.issued_at, vector.expires_at));
    assert_eq!((statement.nonce, statement.challenge()), (vector.nonce.array(), vector.challenge.array()));
    let Owner::Delegated { client_signature, node_signature, .. } = delegated else { panic!("delegated") };
    let client = SigningKey::from_bytes(&vector.client_seed.array()).verifying_key();
    let node = SigningKey::from_bytes(&vector.node_seed.array()).verifying_key();
    assert!(is_signed(&client, &vector.challenge, &client_signature));
    assert!(is_signed(&node, &vector.signed, &node_signature));
}

#[test]
fn sealed_texts_open() {
    let vectors = file();
    for vector in &vectors.sealed {
        let thread: ThreadId = vector.thread.parse().unwrap();
        let log = vector.log.as_ref().map(|log| log.parse::<LogId>().unwrap().to_bytes().to_vec()).unwrap_or_default();
        let layer = match vector.layer.as_str() {
            "body" => Layer::Body,
            "chunk" => Layer::Chunk,
            "event" => Layer::Event,
            other => panic!("{other}"),
        };
        let key = SealKey::new(vector.key.array());
        assert_eq!(key.nonce(), &vector.nonce_key.array());
        let opened = seal::open(&key, Place { layer, thread: thread.as_bytes(), log: &log }, &vector.sealed.0);
        assert_eq!(opened.as_deref(), Ok(vector.plaintext.0.as_slice()));
    }
    for vector in &vectors.hpke {
        let recipient = Identity::from_seed(vector.recipient_seed.array());
        assert_eq!(recipient.public(), vector.recipient.parse().unwrap());
        assert_eq!(*recipient.open(&vector.purpose, &vector.sealed.0).unwrap(), vector.plaintext.0);
        let sealed = hpke::seal(&recipient.public(), &vector.purpose, &vector.plaintext.0, vector.entropy.array());
        assert_eq!(sealed, vector.sealed.0);
    }
}

#[test]
fn key_sets_tickets_and_addresses_are_read() {
    let vectors = file();
    let read = |hex: &Hex, scope| {
        let set = KeySet::from_bytes(&hex.0).unwrap();
        assert_eq!((set.scope(), set.to_bytes().as_slice()), (scope, hex.0.as_slice()));
        set.into_keys()
    };
    let sets = &vectors.key_sets;
    assert_eq!(read(&sets.read, Scope::Read), keys());
    assert_eq!(read(&sets.follow, Scope::Follow).current(), Some(&epoch().without_read()));
    let service = Epoch::follow_only(epoch().follow().clone(), None);
    assert_eq!(read(&sets.without_admission, Scope::Follow).current(), Some(&service));
    let single = read(&sets.single_log, Scope::Read);
    assert_eq!((single.current(), single.access()), (None, keys().access()));
    assert_eq!(single.log_keys(&epoch().key_id(), &log()), Some(log_keys()));

    let vector = vectors.ticket;
    let ticket: Ticket = vector.text.parse().unwrap();
    assert_eq!((ticket.to_string(), ticket.thread()), (vector.text.clone(), &vector.thread.parse().unwrap()));
    assert_eq!(ticket.keys().to_bytes().as_slice(), vector.key_set.0);
    assert_eq!(ticket.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(), vector.addresses);
    assert_eq!(ticket.name(), Some(vector.name.as_str()));
    let sealed = vector.sealed.strip_prefix("spoolsealed1").unwrap().to_ascii_uppercase();
    let sealed = data_encoding::BASE32_NOPAD.decode(sealed.as_bytes()).unwrap();
    assert_eq!(identity().public().to_string(), vector.sealed_to);
    assert_eq!(*identity().open("ticket", &sealed).unwrap(), vector.text.as_bytes());

    for vector in &vectors.invitations {
        let recipient = SigningKey::from_bytes(&vector.recipient_seed.array());
        let sender: PeerId = vector.from.parse().unwrap();
        let invitation = Invitation::open(&recipient, &sender, &vector.sealed.0).unwrap();
        assert_eq!((&invitation.act, invitation.identity), (&from_cbor(&vector.act), identity().public()));
        assert_eq!((invitation.to.to_string(), invitation.issued_millis), (vector.to.clone(), vector.issued_millis));
        let sealed =
            identity().invite(invitation.act, sender, invitation.to, vector.issued_millis, vector.entropy.array());
        assert_eq!(sealed.unwrap(), vector.sealed.0);
        // The plaintext ends in the identity's signature over `signed`.
        let plaintext = hpke::open(&recipient, hpke::INVITATION, &vector.sealed.0).unwrap();
        assert!(is_signed(&identity().public().verifying_key(), &vector.signed, plaintext.last_chunk().unwrap()));
    }
    for vector in &vectors.addresses {
        let address: Address = vector.text.parse().unwrap();
        assert_eq!(address, Address::from_bytes(&vector.bytes.0).unwrap());
        assert_eq!((address.to_string(), address.to_bytes()), (vector.text.clone(), vector.bytes.0.clone()));
    }
    let links: Vec<u64> = (1..).map(lipmaa).take(vectors.lipmaa.len()).collect();
    assert_eq!(links, vectors.lipmaa);
}

#[test]
fn bodies_open() {
    let bodies = file().bodies;
    for vector in [&bodies.inline, &bodies.block, &bodies.public, &bodies.recipient] {
        let content = vector.content.as_ref().map(from_cbor::<Content>);
        let key = content_key(content.as_ref(), &log_keys(), Some(&identity())).unwrap();
        assert_eq!(open_body(&vector.sealed.0, &key, &log_keys(), &thread()).unwrap(), vector.plaintext.0);
        let body: event::Body = from_cbor(&vector.body);
        assert_eq!(body.size(), vector.plaintext.0.len() as u64);
        match body {
            event::Body::Inline(sealed) => assert_eq!(sealed, vector.sealed.0),
            event::Body::Block { cid, .. } => assert_eq!(cid, block::cid(&vector.sealed.0)),
            event::Body::Chunks { .. } => panic!("not chunked"),
        }
    }
    let chunked = bodies.chunked;
    let follower = LogKeys::derive(&epoch().without_read(), &log());
    let manifest = Manifest::open(&follower, &thread(), &chunked.manifest.0).unwrap();
    let listed: Vec<_> = manifest.chunks().iter().map(|chunk| chunk.cid.to_string()).collect();
    assert_eq!(listed, chunked.blocks.iter().map(|block| block.cid.clone()).collect::<Vec<_>>());
    assert_eq!(block::cid(&chunked.manifest.0).to_string(), chunked.manifest_cid);
    let key = content_key(Some(&from_cbor(&chunked.content)), &log_keys(), None).unwrap();
    let hashes = manifest.hashes(&key, &log_keys(), &thread()).unwrap();
    assert_eq!(hashes.concat(), chunked.hashes.0);
    let secret = epoch().chunk_secret(false).unwrap();
    for ((plain, sealed), (link, hash)) in
        chunked.chunks.iter().zip(&chunked.blocks).zip(manifest.chunks().iter().zip(&hashes))
    {
        assert_eq!(open_chunk(&sealed.sealed.0, hash, &secret, &thread()).as_ref(), Ok(&plain.0));
        assert_eq!((block::cid(&sealed.sealed.0), plain.0.len() as u64), (link.cid, link.size));
    }
    let event::Body::Chunks { manifests, size } = from_cbor(&chunked.body) else { panic!("chunked") };
    assert_eq!(manifests.iter().map(ToString::to_string).collect::<Vec<_>>(), [chunked.manifest_cid]);
    assert_eq!(size, chunked.chunks.iter().map(|chunk| chunk.0.len() as u64).sum::<u64>());
    let other = SealKey::new(counting(0));
    assert!(matches!(manifest.hashes(&other, &log_keys(), &thread()), Err(body::Error::Seal(_))));
}

#[test]
fn records_and_events_are_read() {
    let vector = file().log;
    let (thread, log): (ThreadId, LogId) = (vector.thread.parse().unwrap(), vector.log.parse().unwrap());
    let keys = log_keys();
    let cid = |cid: Option<&Cid>| cid.map(ToString::to_string);
    for record in &vector.records {
        let sealed = SealedRecord { key_id: keys.key_id(), bytes: record.sealed.0.clone().into() };
        let verified = record::verify(&thread, &log, &keys, sealed).unwrap();
        assert_eq!((verified.cid().to_string(), verified.counter()), (record.cid.clone(), record.counter));
        assert_eq!((cid(verified.prev()), cid(verified.skip())), (record.prev.clone(), record.skip.clone()));
        assert_eq!(verified.links().as_slice().iter().map(ToString::to_string).collect::<Vec<_>>(), record.links);
        assert_eq!(verified.control(), record.control.as_ref().map(from_cbor::<Control>).as_ref());
        let hash = block::digest(&block::cid(&record.event.sealed.0)).unwrap();
        assert_eq!(make::signed(&verified, &hash), record.signed.0);
        assert!(is_signed(keys.verifying_key(), &record.signed, &record.signature.array()));
        // The fields stand in the plaintext in their order: the signature is the last.
        assert!(record.plaintext.0.ends_with(&record.signature.0));

        let read = keys.read().unwrap();
        let opened =
            Event::open(read, &thread, &log, record.counter, verified.links(), &record.event.sealed.0).unwrap();
        assert_eq!(verified.opened().event(), Some(&opened));
        assert_eq!(opened.seal(read, &thread, &log), record.event.sealed.0);
        assert_eq!((opened.time.millis(), opened.time.counter()), (record.event.millis, record.event.time_counter));
        assert_eq!(u64::from(cbor::to_vec(&opened.kind)[0]), record.event.kind);
        assert_eq!(opened.content, record.event.content.as_ref().map(from_cbor));
        assert_eq!(opened.owner, record.event.owner.as_ref().map(from_cbor));
        assert_eq!(opened.body, record.event.body.as_ref().map(from_cbor));
        let heads = opened.heads.iter().map(|head| (head.log.to_string(), head.counter, head.cid.to_string()));
        let expected = record.event.heads.iter().map(|head| (head.log.clone(), head.counter, head.cid.clone()));
        assert!(heads.eq(expected));
    }
    // They are one chain: a record links to the one before it and, by its skip link, to another.
    for record in &vector.records[1..] {
        let before = &vector.records[record.counter as usize - 2];
        assert_eq!(record.prev.as_ref(), Some(&before.cid));
        if let Some(skip) = &record.skip {
            assert_eq!(skip, &vector.records[lipmaa(record.counter) as usize - 1].cid);
        }
    }
}

#[test]
fn envelopes_and_gossip_are_read() {
    let vectors = file();
    let vector = vectors.envelope;
    let message = pb::Envelope::decode(vector.protobuf.0.as_slice()).unwrap();
    let envelope = wire::Envelope::try_from(message).unwrap();
    assert_eq!((envelope.topic.to_string(), envelope.log.to_string()), (vector.topic, vector.log));
    assert_eq!((envelope.counter, envelope.key_id.to_string()), (vector.counter, vector.key_id));
    assert_eq!(envelope.records, vector.records.iter().map(|hex| Bytes::from(hex.0.clone())).collect::<Vec<_>>());
    assert_eq!(envelope.blocks, vector.blocks.iter().map(|hex| Bytes::from(hex.0.clone())).collect::<Vec<_>>());
    assert_eq!((envelope.sender.to_string(), envelope.signature), (vector.sender, vector.signature.array()));
    assert_eq!(envelope.signing_hash(), vector.hash.array());
    let pieces = [envelope.topic.as_bytes().as_slice(), &envelope.log.to_bytes()];
    let rest: Vec<&[u8]> =
        [envelope.key_id.as_bytes().as_slice()].into_iter().chain(envelope.records.iter().map(Bytes::as_ref)).collect();
    let hashed = [b"spool/1 envelope", &lp(&pieces)[..], &envelope.counter.to_be_bytes(), &lp(&rest)].concat();
    assert_eq!(block::digest(&block::cid(&hashed)).unwrap(), vector.hash.array());
    let sender = SigningKey::from_bytes(&vector.sender_seed.array()).verifying_key();
    assert!(is_signed(&sender, &vector.hash, &vector.signature.array()));

    let vector = vectors.gossip;
    let thread = thread();
    let place = Place { layer: Layer::Gossip, thread: thread.as_bytes(), log: &[] };
    let plain = seal::open(keys().access().gossip(), place, &vector.sealed.0).unwrap();
    assert_eq!(plain, vector.protobuf.0);
    let Gossip::Heads(heads) = Gossip::decode(plain.into()).unwrap() else { panic!("heads") };
    let [head] = heads.as_slice() else { panic!("one head") };
    assert_eq!((head.log.to_string(), head.counter), (vector.head.log, vector.head.counter));
    assert_eq!((head.cid.unwrap().to_string(), head.fork), (vector.head.cid, None));
    assert_eq!(block::digest(&block::cid(&vector.sealed.0)).unwrap(), vector.message_id.array());
}

#[test]
fn proofs_and_edges_hold() {
    let vectors = file();
    let vector = vectors.proof;
    let (requester, responder) = (vector.requester.parse().unwrap(), vector.responder.parse().unwrap());
    for (mac, direction) in [(&vector.request, Direction::Request), (&vector.response, Direction::Response)] {
        assert!(keys().access().verify_proof(&mac.array(), &requester, &responder, direction));
        assert!(!keys().access().verify_proof(&mac.array(), &responder, &requester, direction));
    }
    for vector in &vectors.edges {
        assert_eq!(edge(&vector.logs), vector.edge.array(), "{}", vector.what);
    }
}

//! Computes all vectors from a few constants, with what the crate offers to everybody.

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use fastcdc::v2020::{FastCDC, Normalization};
use hkdf::Hkdf;
use prost::Message;
use serde::Serialize;
use sha2::{Digest, Sha256};
use spool_proto::{
    Address, DeviceId, Identity, KeyId, LogId, PeerId, ThreadId, ThreadKeys, Ticket, block,
    body::{Chunker, Protection, SealedBody, seal_body},
    cbor,
    clock::Time,
    envelope::{Run, peer_id},
    event::{self, CitedHead, Event, Kind},
    hpke,
    id::Variant,
    invitation::Act,
    key_set::{KeySet, Scope},
    keys::{Direction, EdgeEntry, EdgeFork, Epoch, LogKeys, SealKey},
    limits::{AVERAGE_CHUNK_BYTES, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES},
    lipmaa::lipmaa,
    owner::{Owner, Statement},
    record::{Control, Draft, Rekey, VerifiedRecord},
    seal::{self, Layer, Place},
    wire::{self, pb},
};

use super::model::{self, Hex, TextAndBytes};

mod travelling;

use travelling::{describe, edges, envelope, gossip, records};
pub(crate) use travelling::{edge, signed};

/// `N` bytes that count up from `first`.
pub(crate) fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

pub(crate) fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn log_of(seed: u8) -> LogId {
    LogId::from(&signing(seed))
}

/// Follow key 00…1f, read key 20…3f.
pub(crate) fn keys() -> ThreadKeys {
    ThreadKeys::from_textile(&counting::<64>(0)).unwrap()
}

pub(crate) fn epoch() -> Epoch {
    keys().current().unwrap().clone()
}

pub(crate) fn thread() -> ThreadId {
    ThreadId::new(Variant::Raw, counting(64))
}

pub(crate) fn identity() -> Identity {
    Identity::from_seed(counting(96))
}

fn device() -> DeviceId {
    DeviceId::new(counting(128))
}

fn log_key() -> SigningKey {
    identity().log_key(&thread(), &device())
}

pub(crate) fn log() -> LogId {
    LogId::from(&log_key())
}

pub(crate) fn log_keys() -> LogKeys {
    LogKeys::derive(&epoch(), &log())
}

/// Bytes that do not repeat: the hashes of 0, 1, 2, …, each as 8 bytes big-endian.
pub(crate) fn stream(bytes: usize) -> Vec<u8> {
    let mut stream: Vec<u8> = (0..bytes.div_ceil(32) as u64).flat_map(|i| Sha256::digest(i.to_be_bytes())).collect();
    stream.truncate(bytes);
    stream
}

pub(crate) fn lp(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| [&(piece.len() as u32).to_be_bytes(), *piece].concat()).collect()
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `KDF` of the protocol, once more: some keys do not come out of the crate.
fn kdf(key: &[u8], label: &str) -> [u8; 32] {
    let mut derived = [0; 32];
    let info = [b"spool/1 ", label.as_bytes(), &[0]].concat();
    Hkdf::<Sha256>::new(None, key).expand(&info, &mut derived).unwrap();
    derived
}

fn cbor_hex<T: Serialize>(value: &T) -> Hex {
    cbor::to_vec(value).into()
}

pub(crate) fn vectors() -> model::Vectors {
    let records = records();
    model::Vectors {
        about: [
            "Test vectors of docs/protocol.md, version 1. Bytes are hexadecimal; ids, keys and CIDs that are not are as people read them.",
            "Unless a vector says otherwise, its keys are those of `keys`, its thread the first of `ids.threads`, its log that of `identity`.",
            "proto/tests/vectors.rs checks every value and can write this file anew.",
        ]
        .map(str::to_owned)
        .into(),
        ids: ids(),
        keys: thread_keys(),
        log_keys: model::LogKeys {
            log: log().to_string(),
            follow: log_keys().follow().cipher().into(),
            read: log_keys().read().unwrap().cipher().into(),
            manifest: log_keys().manifest().cipher().into(),
            public: log_keys().public().cipher().into(),
        },
        identity: model::Identity {
            seed: identity().seed().into(),
            phrase: identity().phrase().to_string(),
            public: identity().public().as_bytes().into(),
            text: identity().public().to_string(),
            thread: thread().to_string(),
            device: device().as_bytes().into(),
            log_key_seed: log_key().to_bytes().into(),
            log: log().to_string(),
            home: model::Home {
                thread: ThreadId::new(Variant::Raw, kdf(identity().seed(), "home thread")).to_string(),
                follow: kdf(identity().seed(), "home follow").into(),
                read: kdf(identity().seed(), "home read").into(),
            },
        },
        admission: model::Admission {
            thread: thread().to_string(),
            log: log().to_string(),
            signed: [b"spool/1 admission", &lp(&[thread().as_bytes(), &log().to_bytes()])[..]].concat().into(),
            signature: epoch().admit(&thread(), &log()).unwrap().into(),
        },
        owners: owners(),
        sealed: sealed(),
        hpke: [(hpke::KEY_SET, &b"a key set"[..]), (hpke::CONTENT_KEY, &[7; 32]), ("ticket", b"spool1\xe2\x80\xa6")]
            .map(|(purpose, plaintext)| model::Hpke {
                purpose: purpose.to_owned(),
                recipient_seed: identity().seed().into(),
                recipient: identity().public().to_string(),
                plaintext: plaintext.into(),
                entropy: [6; 32].into(),
                sealed: hpke::seal(&identity().public(), purpose, plaintext, [6; 32]).into(),
            })
            .into(),
        key_sets: model::KeySets {
            read: (*key_set(Scope::Read).to_bytes()).as_slice().into(),
            follow: (*key_set(Scope::Follow).to_bytes()).as_slice().into(),
            without_admission: {
                let set = KeySet::thread(vec![Epoch::follow_only(epoch().follow().clone(), None)]).unwrap();
                set.to_bytes().as_slice().into()
            },
            single_log: keys().to_log_set(&[log()], Scope::Read).unwrap().to_bytes().as_slice().into(),
        },
        ticket: ticket(),
        invitations: invitations(),
        addresses: addresses().map(|address| text_and_bytes(&address, address.to_bytes())).into(),
        lipmaa: (1..=40).map(lipmaa).collect(),
        bodies: bodies(),
        chunker: [65_536, 300_001, 4 * 1024 * 1024]
            .map(|bytes| {
                let seed = epoch().gear_seed(false).unwrap();
                let cut = FastCDC::with_level_and_seed;
                let source = stream(bytes);
                let level = Normalization::Level1;
                let cuts = cut(&source, MIN_CHUNK_BYTES, AVERAGE_CHUNK_BYTES, MAX_CHUNK_BYTES, level, seed);
                model::Cuts { bytes, seed: seed.to_be_bytes().into(), sizes: cuts.map(|chunk| chunk.length).collect() }
            })
            .into(),
        envelope: envelope(&records),
        log: model::Log {
            thread: thread().to_string(),
            log: log().to_string(),
            records: records.iter().map(|(what, record)| describe(what, record)).collect(),
        },
        gossip: gossip(&records[5].1),
        proof: model::Proof {
            requester: PeerId::from(log_of(1)).to_string(),
            responder: PeerId::from(log_of(2)).to_string(),
            request: keys().access().proof(&log_of(1).into(), &log_of(2).into(), Direction::Request).into(),
            response: keys().access().proof(&log_of(1).into(), &log_of(2).into(), Direction::Response).into(),
        },
        edges: edges(),
    }
}

fn text_and_bytes(text: &impl ToString, bytes: impl AsRef<[u8]>) -> TextAndBytes {
    TextAndBytes { text: text.to_string(), bytes: bytes.into() }
}

fn ids() -> model::Ids {
    let cid = block::cid(b"hello");
    // Ours, and the two that the white paper and the npm client's documentation have as examples.
    let threads = [
        thread(),
        "bafkxd5bjgi6k4zivuoyxo4ua4mzyy".parse().unwrap(),
        "bafyoiobghzefwlidfrwkqmzz2ka66zgmdmgeobw2mimktr5jivsavya".parse().unwrap(),
    ];
    model::Ids {
        threads: threads
            .map(|thread: ThreadId| model::ThreadId {
                text: thread.to_string(),
                version: 1,
                variant: match thread.variant() {
                    Variant::Raw => "raw".to_owned(),
                    Variant::AccessControlled => "access-controlled".to_owned(),
                },
                random: thread.as_bytes()[2..].into(),
                bytes: thread.as_bytes().into(),
            })
            .into(),
        log: model::LogId {
            key_seed: [1; 32].into(),
            public_key: log_of(1).public_key().into(),
            bytes: log_of(1).to_bytes().into(),
            text: log_of(1).to_string(),
        },
        cid: model::Cid { block: b"hello".into(), bytes: cid.to_bytes().into(), text: cid.to_string() },
    }
}

fn thread_keys() -> model::Keys {
    let (keys, epoch) = (keys(), epoch());
    let access = keys.access();
    let read = epoch.read().unwrap().as_bytes();
    let follow = epoch.follow().as_bytes();
    let textile = epoch.to_textile();
    let chunk_key = |public| epoch.chunk_secret(public).unwrap().key(&hash(b"chunk")).cipher().into();
    let key_id = epoch.key_id();
    model::Keys {
        textile: text_and_bytes(&multibase::encode(multibase::Base::Base32Lower, &*textile), &*textile),
        follow: follow.into(),
        read: read.into(),
        key_id: text_and_bytes(&key_id, key_id.as_bytes()),
        access: access.as_bytes().into(),
        topic: text_and_bytes(&access.topic(), access.topic().as_bytes()),
        dht: access.dht_key().into(),
        gossip: access.gossip().cipher().into(),
        admission_seed: kdf(read, "admission").into(),
        admission_public: epoch.admission().unwrap().as_bytes().into(),
        chunk_secret: kdf(read, "chunks").into(),
        public_chunk_secret: kdf(follow, "chunks").into(),
        chunk: b"chunk".into(),
        chunk_key: chunk_key(false),
        public_chunk_key: chunk_key(true),
        gear_seed: epoch.gear_seed(false).unwrap().to_be_bytes().into(),
        public_gear_seed: epoch.gear_seed(true).unwrap().to_be_bytes().into(),
    }
}

fn owners() -> model::Owners {
    let statement = Statement {
        node: log_of(9).into(),
        owner: (&signing(8)).into(),
        issued_at: 1000,
        expires_at: 2000,
        nonce: [5; 16],
    };
    let challenge = statement.challenge();
    let agreed = signing(8).sign(&challenge).to_bytes();
    let place = lp(&[thread().as_bytes(), &log().to_bytes()]);
    let owner = lp(&[statement.owner.as_bytes()]);
    model::Owners {
        thread: thread().to_string(),
        log: log().to_string(),
        direct: model::Direct {
            identity: identity().public().to_string(),
            signed: [b"spool/1 owner", &place[..]].concat().into(),
            cbor: cbor_hex(&identity().bind(&thread(), &log())),
        },
        delegated: model::Delegated {
            client_seed: [8; 32].into(),
            node_seed: [9; 32].into(),
            node: statement.node.to_string(),
            owner: statement.owner.to_string(),
            issued_at: statement.issued_at,
            expires_at: statement.expires_at,
            nonce: statement.nonce.into(),
            statement: statement.to_bytes().into(),
            challenge: challenge.into(),
            signed: [b"spool/1 delegated", &place[..], &owner, &challenge].concat().into(),
            cbor: cbor_hex(&Owner::delegated(&statement, agreed, &signing(9), &thread(), &log())),
        },
    }
}

fn sealed() -> Vec<model::Sealed> {
    [
        (Layer::Body, "body", true, &b"hello"[..]),
        (Layer::Chunk, "chunk", false, b"hello"),
        (Layer::Event, "event", true, b""),
    ]
    .map(|(layer, name, of_log, plaintext)| {
        let key = SealKey::new(counting(160));
        let id = log().to_bytes();
        let place = Place { layer, thread: thread_bytes(), log: if of_log { &id } else { &[] } };
        model::Sealed {
            layer: name.to_owned(),
            key: key.cipher().into(),
            thread: thread().to_string(),
            log: of_log.then(|| log().to_string()),
            plaintext: plaintext.into(),
            nonce_key: key.nonce().into(),
            sealed: seal::seal(&key, place, plaintext).into(),
        }
    })
    .into()
}

fn key_set(scope: Scope) -> KeySet {
    keys().to_set(scope).unwrap()
}

fn addresses() -> [Address; 4] {
    let (thread, log, peer) = (thread(), log(), PeerId::from(log_of(1)));
    [
        "/ip4/192.0.2.1/tcp/4006".to_owned(),
        format!("/dns4/example.org/tcp/4006/p2p/{peer}/thread/{thread}"),
        format!("/ip6/2001:db8::1/udp/4006/quic-v1/p2p/{peer}/ipel/{log}"),
        format!("/thread/{thread}"),
    ]
    .map(|text| text.parse().unwrap())
}

fn ticket() -> model::Ticket {
    let [first, second, ..] = addresses();
    let addresses = vec![first, second];
    let texts = addresses.iter().map(ToString::to_string).collect();
    let set = key_set(Scope::Follow);
    let ticket = Ticket::new(thread(), set.clone(), addresses, Some("Grüße".into())).unwrap();
    let text = ticket.to_string();
    let sealed = hpke::seal(&identity().public(), "ticket", text.as_bytes(), [6; 32]);
    model::Ticket {
        thread: thread().to_string(),
        key_set: set.to_bytes().as_slice().into(),
        addresses: texts,
        name: "Grüße".to_owned(),
        text,
        sealed_to: identity().public().to_string(),
        entropy: [6; 32].into(),
        sealed: format!("spoolsealed1{}", data_encoding::BASE32_NOPAD.encode(&sealed).to_ascii_lowercase()),
    }
}

fn invitations() -> Vec<model::Invitation> {
    let [first, ..] = addresses();
    let ticket = Ticket::new(thread(), key_set(Scope::Follow), vec![first], None).unwrap();
    let follow = |code: Option<&str>| Act::Follow { ticket: Box::new(ticket.clone()), code: code.map(str::to_owned) };
    let acts = [
        ("follow", follow(None)),
        ("follow, with a code", follow(Some("open sesame"))),
        ("withdrawal", Act::Withdraw(thread())),
        ("leave", Act::Leave(thread())),
    ];
    let (sender, recipient) = (SigningKey::from_bytes(&[0x31; 32]), SigningKey::from_bytes(&[0x32; 32]));
    let (from, to, issued_millis) = (peer_id(&sender), peer_id(&recipient), 1_800_000_000_000);
    let describe = |(what, act): (&str, Act)| {
        let peers = (serde_bytes::ByteBuf::from(from.to_bytes()), serde_bytes::ByteBuf::from(to.to_bytes()));
        let identity = identity().public();
        let signed = cbor::to_vec(&("spool/1 invitation", 1, &act, identity, peers.0, peers.1, issued_millis));
        model::Invitation {
            what: what.to_owned(),
            act: cbor_hex(&act),
            from: from.to_string(),
            recipient_seed: [0x32; 32].into(),
            to: to.to_string(),
            issued_millis,
            signed: signed.into(),
            entropy: [6; 32].into(),
            sealed: self::identity().invite(act, from, to, issued_millis, [6; 32]).unwrap().into(),
        }
    };
    acts.into_iter().map(describe).collect()
}

const CONTENT: Protection = Protection::Thread { key: [0xc0; 32] };

fn body(plain: &[u8], protection: &Protection) -> SealedBody {
    seal_body(plain, protection, &log_keys(), &thread()).unwrap()
}

fn chunked(chunks: &[Vec<u8>]) -> (SealedBody, Vec<(spool_proto::Cid, Bytes)>) {
    let (keys, thread) = (log_keys(), thread());
    let mut chunker = Chunker::new(CONTENT, &keys, &thread, epoch().chunk_secret(false).unwrap());
    let blocks = chunks.iter().flat_map(|chunk| chunker.chunk(chunk).unwrap());
    let blocks = blocks.map(|(cid, bytes, _)| (cid, bytes)).collect();
    (chunker.finish().unwrap(), blocks)
}

/// What is to be cut is up to the writer, as far as readers are concerned: short chunks, two of them equal.
fn chunks() -> Vec<Vec<u8>> {
    vec![vec![b'a'; 10], vec![b'b'; 20], vec![b'a'; 10]]
}

fn bodies() -> model::Bodies {
    let recipient = Protection::Recipient { to: identity().public(), key: [0xc1; 32], entropy: [6; 32] };
    let describe = |plain: &[u8], protection: &Protection| {
        let sealed = body(plain, protection);
        let bytes = match &sealed.body {
            event::Body::Inline(bytes) => bytes.clone(),
            event::Body::Block { .. } | event::Body::Chunks { .. } => sealed.blocks[0].1.clone(),
        };
        model::Body {
            plaintext: plain.into(),
            content: sealed.content.as_ref().map(cbor_hex),
            body: cbor_hex(&sealed.body),
            sealed: bytes.into(),
        }
    };
    let (sealed, blocks) = chunked(&chunks());
    let manifest = &sealed.blocks[0];
    let id = log().to_bytes();
    let place = |layer| Place { layer, thread: thread_bytes(), log: &id };
    let plaintext = seal::open(log_keys().manifest(), place(Layer::Manifest), &manifest.1).unwrap();
    model::Bodies {
        inline: describe(b"hello", &CONTENT),
        block: describe(&stream(8193), &CONTENT),
        public: describe(b"for everybody", &Protection::Public),
        recipient: describe(b"for one", &recipient),
        chunked: model::Chunked {
            chunks: chunks().iter().map(Hex::from).collect(),
            content: cbor_hex(&sealed.content),
            blocks: blocks
                .iter()
                .map(|(cid, sealed)| model::Block { sealed: sealed.into(), cid: cid.to_string() })
                .collect(),
            hashes: chunks().iter().flat_map(|chunk| hash(chunk)).collect::<Vec<_>>().into(),
            manifest_plaintext: plaintext.into(),
            manifest: (&manifest.1).into(),
            manifest_cid: manifest.0.to_string(),
            body: cbor_hex(&sealed.body),
        },
    }
}

fn thread_bytes() -> &'static [u8] {
    static THREAD: std::sync::LazyLock<ThreadId> = std::sync::LazyLock::new(thread);
    THREAD.as_bytes()
}

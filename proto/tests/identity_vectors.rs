//! Test vectors for sections 2 and 4 of `docs/protocol.md`, computed from the text of the protocol by an independent
//! implementation (HMAC, HKDF, ed25519 and CBOR by hand): if one fails, the format changed.
#![expect(clippy::unwrap_used, reason = "builders of test values")]

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use spool_proto::{
    DeviceId, Identity, IdentityKey, LogId, PeerId, ThreadId, ThreadKeys, Ticket, block, cbor,
    id::Variant,
    key_set::Scope,
    keys::{Direction, EdgeEntry, EdgeFork, LogKeys},
    owner::{Owner, Statement},
};

/// `N` bytes that count up from `first`.
fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|i| first + i as u8)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn peer(seed: u8) -> PeerId {
    LogId::from(&signing(seed)).into()
}

/// Follow key 00…1f, read key 20…3f.
fn keys() -> ThreadKeys {
    ThreadKeys::from_textile(&counting::<64>(0)).unwrap()
}

fn thread() -> ThreadId {
    ThreadId::new(Variant::Raw, counting(64))
}

fn identity() -> Identity {
    Identity::from_seed(counting(96))
}

fn log() -> LogId {
    LogId::from(&identity().log_key(&thread(), &DeviceId::new(counting(128))))
}

#[test]
fn identity_and_log_keys() {
    assert_eq!(hex(identity().public().as_bytes()), "c48c88f7b10106a90051b0288e946c8c5070969bda50e461237af483da3a6e62");
    assert_eq!(hex(log().to_bytes()), "002408011220329ecf24eb5737e567f81911de242a2975425fb7b06f024d27442c2da4311174");
}

#[test]
fn access_keys() {
    let keys = keys();
    let access = keys.access();
    assert_eq!(keys.current().unwrap().key_id().to_string(), "h5j2r4anmvyf4pwg3x7ykgtwbu");
    assert_eq!(hex(access.as_bytes()), "c892d9ed1ab433e1bbe702d8b7af086e304720ce100aa6ff8208c0fb9a0af7cf");
    assert_eq!(access.topic().to_string(), "oc7l6dy6j3rvktgyrclbxextqyillsunx6kt4edbtw2hqdobvzaa");
    assert_eq!(hex(access.dht_key()), "5bf6db5c0d97bbd9dd5aa7601b9c23fab6abeb9104d2748aefe8dfa2b40ebc44");
    assert_eq!(hex(access.gossip().cipher()), "64f42afc891b3b27a1ae0ac95a756e3d34a2bc790ada099e799adb20ad6855e4");
    assert_eq!(hex(access.gossip().nonce()), "a161057da0e433e3c1dd79623d51864021c4a7b547092b1fc3bd2e983ba400a3");
}

#[test]
fn keys_of_a_log() {
    let keys = LogKeys::derive(keys().current().unwrap(), &log());
    assert_eq!(hex(keys.follow().cipher()), "94ae2ab071d81d02842bcc010cafbbc805e5f748ce0fa1d9f220ed93d74572e2");
    let read = keys.read().unwrap();
    assert_eq!(hex(read.cipher()), "1e335f66babd228546a6009433c51a6f5037e6c8fbf2f246f04faa44b1805e6c");
    assert_eq!(hex(read.nonce()), "dfb94976673bbca19448fc3f943f4625ba194ce7ed655dd1a544938e8ce635ac");
    assert_eq!(hex(keys.manifest().cipher()), "77c216088ac59b256634f70726c97703cdbe3f99fe41396f61c2e4373fbc72ba");
    assert_eq!(hex(keys.public().cipher()), "52d98afeb9bca8fbe906e827218b2e57d080efb2c62596861aa7f7444a0a2518");
}

#[test]
fn keys_of_chunks() {
    let keys = keys();
    let epoch = keys.current().unwrap();
    let hash = Sha256::digest(b"chunk").into();
    let chunk_key = |public| hex(epoch.chunk_secret(public).unwrap().key(&hash).cipher());
    assert_eq!(chunk_key(false), "d77ba8f3f62337b95365a6290701c2c7729c0046e860b4bf24772320c33c3f7d");
    assert_eq!(chunk_key(true), "9fa6cb393ae4968fc4079876630ed1c87681d345bee48de1c9bc40b3e53377c3");
    assert_eq!(epoch.gear_seed(false), Some(0xfb4e_9da4_9794_9a8d));
    assert_eq!(epoch.gear_seed(true), Some(0x36e6_bb9c_bfd5_499e));
}

#[test]
fn admission() {
    let keys = keys();
    let epoch = keys.current().unwrap();
    let key = epoch.admission().unwrap();
    assert_eq!(hex(key.as_bytes()), "ffc3b76286b22d33db25abb370383cbb22c9c861bcf86dd0739c7ea1c3a3ce64");
    let signature = epoch.admit(&thread(), &log()).unwrap();
    assert_eq!(
        hex(signature),
        "8d1f5cc4ede8b871aaf910c60cd3b9d2c9f4129c4a5766d2615f749e037713a5\
         a1d8f864ef43b9bcda4f1211b0bdce0018aceafd3f471e9cde7fa12a3a833507"
    );
    assert!(key.admits(&thread(), &log(), &signature));
}

#[test]
fn owner_bindings() {
    let Owner::Direct { signature, .. } = identity().bind(&thread(), &log()) else { panic!("bind is direct") };
    assert_eq!(
        hex(signature),
        "83a84b630a11a0a55e596c1c450ebe608c09678fca134754106f39b427217467\
         4a4b14139bd4231f2b4e595365b4005ea8fec1b290d52f767b1d4bab6c2e680d"
    );
    let statement = Statement {
        node: peer(9),
        owner: IdentityKey::from(&signing(8)),
        issued_at: 1000,
        expires_at: 2000,
        nonce: [5; 16],
    };
    assert_eq!(
        hex(statement.to_bytes()),
        "867273706f6f6c2f312064656c65676174696f6e5826002408011220fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702ea\
         c835e9f61858201398f62c6d1a457c51ba6a4b5f3dbd2f69fca93216218dc8997e416bd17d93ca1903e81907d05005050505050505050505\
         050505050505"
    );
    assert_eq!(hex(statement.challenge()), "0c06140d89cc316a3028c0a15923b22935a0096b6645e235c7ad38159709fb7c");
    let agreed = signing(8).sign(&statement.challenge()).to_bytes();
    let owner = Owner::delegated(&statement, agreed, &signing(9), &thread(), &log());
    assert_eq!(
        hex(Sha256::digest(cbor::to_vec(&owner))),
        "7bd3b02c068ad93fe5f1918ec5c46b3245b41b44b47dc19d981cc7ebf1e2b7ca"
    );
    assert_eq!(owner.verify(&thread(), &log()).unwrap().via, Some(peer(9)));
}

#[test]
fn proofs_of_access_and_edge() {
    let keys = keys();
    let access = keys.access();
    assert_eq!(
        hex(access.proof(&peer(1), &peer(2), Direction::Request)),
        "40497de7d8b127478505baf19d8ba64f1bbad7acf20477f1d134956e9e20acae"
    );
    assert_eq!(
        hex(access.proof(&peer(1), &peer(2), Direction::Response)),
        "7358f55b55a8f3bb84fc1dad3635a1af53d95db52f012425435be34c1ad2022e"
    );
    let mut logs = [1, 2].map(|seed| LogId::from(&signing(seed)));
    logs.sort();
    let forked = EdgeFork { inert: 2, hashes: [9; 32] };
    let edge = access.edge([
        EdgeEntry { log: logs[0], counter: 7, head: Some(block::cid(b"head")), fork: None },
        EdgeEntry { log: logs[1], counter: 0, head: None, fork: Some(forked) },
    ]);
    assert_eq!(hex(edge), "c9fe8e112bd6f7dce9e44a2787380a32");
}

#[test]
fn key_sets_and_ticket() {
    let hash = |bytes: &[u8]| hex(Sha256::digest(bytes));
    let set = keys().to_set(Scope::Read).unwrap();
    assert_eq!(hash(&set.to_bytes()), "0036fd344b65d762342df8bc16f9a0c26befe4ddbd0ef3de6185f96a051ab528");
    let logs = keys().to_log_set(&[log()], Scope::Read).unwrap();
    assert_eq!(hash(&logs.to_bytes()), "3e4981cacac678e3dac6e1957909fcdd9dc49178c023954f64edb98fb7dcc96c");
    let address = "/ip4/192.0.2.1/tcp/4006".parse().unwrap();
    let ticket = Ticket::new(thread(), set, vec![address], Some("name".into())).unwrap();
    let text = "spool1quavqiqbkvaecqsdircumr2ijffewtcnjzhvauksknkfkvsxlbmvuw24lvpf7aqbqiaida2yeaaacaqdaqcqmbyibefawdanbyhraei\
                scmkbkfqxdamrugy4dupb6wbaeaqseizeeutcokbjfivsyljof4ydcmrtgq2tmnzyhe5dwpb5hy7vqih7yo3wfbvsfuz5wjnlwnydqpf3ele\
                4qyn47bw5a444p2q4hi6omsauqbgaaabacbqpuzsg4ylnmw7o5v5t";
    assert_eq!(ticket.to_string(), text);
    assert_eq!(text.parse::<Ticket>().unwrap(), ticket);
}

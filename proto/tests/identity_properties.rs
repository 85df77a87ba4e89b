//! Properties of ids, keys, addresses and tickets: what is made survives its forms, and whatever bytes or text arrive, they are
//! refused or are the one form of what they mean.
#![expect(clippy::unwrap_used, reason = "builders of test values")]

use std::str::FromStr;

use proptest::{collection::vec, prelude::*, sample::Index};
use spool_proto::{
    Address, DeviceId, Identity, IdentityKey, KeyId, LogId, Multiaddr, PeerId, ThreadId, ThreadKeys, Ticket, TopicId,
    address::Target,
    cbor, hpke,
    id::Variant,
    key_set::{KeySet, Scope},
    keys::Epoch,
    owner::{Owner, Statement},
};

fn variant() -> impl Strategy<Value = Variant> {
    prop_oneof![Just(Variant::Raw), Just(Variant::AccessControlled)]
}

fn thread() -> impl Strategy<Value = ThreadId> {
    (prop_oneof![Just(0x55u8), Just(0x70)], vec(any::<u8>(), 16..=64))
        .prop_map(|(variant, random)| ThreadId::from_bytes(&[&[1, variant][..], &random].concat()).unwrap())
}

fn log() -> impl Strategy<Value = LogId> {
    any::<[u8; 32]>().prop_map(|seed| LogId::from(&ed25519_dalek::SigningKey::from_bytes(&seed)))
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (any::<[u8; 32]>(), any::<[u8; 32]>(), 0..3u8).prop_map(|(follow, read, kind)| {
        let entropy: Vec<u8> = [follow, read].concat();
        let full = Epoch::generate(entropy.try_into().unwrap());
        match kind {
            0 => full,
            1 => full.without_read(),
            _ => Epoch::follow_only(full.follow().clone(), None),
        }
    })
}

fn keys() -> impl Strategy<Value = ThreadKeys> {
    vec(epoch(), 1..5).prop_map(|epochs| ThreadKeys::new(epochs).unwrap())
}

fn key_set() -> impl Strategy<Value = KeySet> {
    (keys(), vec(log(), 0..3), any::<bool>()).prop_map(|(keys, mut logs, follow)| {
        logs.sort();
        logs.dedup();
        let scope = if follow || !keys.can_read() { Scope::Follow } else { Scope::Read };
        if logs.is_empty() { keys.to_set(scope) } else { keys.to_log_set(&logs, scope) }.unwrap()
    })
}

fn address() -> impl Strategy<Value = Address> {
    let bases = prop_oneof![
        (any::<[u8; 4]>(), any::<u16>())
            .prop_map(|(ip, port)| format!("/ip4/{}/tcp/{port}", std::net::Ipv4Addr::from(ip))),
        (any::<[u8; 16]>(), any::<u16>())
            .prop_map(|(ip, port)| format!("/ip6/{}/udp/{port}/quic-v1", std::net::Ipv6Addr::from(ip))),
        "[a-z0-9.-]{1,40}".prop_map(|host| format!("/dns4/{host}/tcp/443/wss")),
        Just(String::new()),
    ];
    let targets = prop_oneof![Just(Target::None), thread().prop_map(Target::Thread), log().prop_map(Target::Log)];
    (bases, proptest::option::of(log()), targets).prop_map(|(base, peer, target)| {
        let peer = peer.map(|log| format!("/p2p/{}", PeerId::from(log))).unwrap_or_default();
        let base = format!("{base}{peer}");
        match (base.is_empty(), &target) {
            (true, Target::None) => "/ip4/192.0.2.1".parse::<Multiaddr>().unwrap().into(),
            (true, _) => Address { base: Multiaddr::empty(), target },
            (false, _) => Address { base: base.parse().unwrap(), target },
        }
    })
}

/// Some multiaddr protocols and our own, with their values, in any order.
fn almost_an_address() -> impl Strategy<Value = Vec<u8>> {
    let names = prop_oneof![vec(any::<u8>(), 0..20), "[a-z/.%]{0,12}".prop_map(String::into_bytes)];
    let piece = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| [&[4][..], &ip].concat()),
        any::<[u8; 2]>().prop_map(|port| [&[6][..], &port].concat()),
        (prop_oneof![Just(53u32), Just(54), Just(400), Just(421), Just(4770), Just(481), Just(446)], names)
            .prop_map(|(code, name)| prefixed(code, &name)),
        (406..=408u32, thread()).prop_map(|(code, thread)| prefixed(code, thread.as_bytes())),
        (prop_oneof![Just(407u32), Just(421)], log()).prop_map(|(code, log)| prefixed(code, &log.to_bytes())),
        prop_oneof![Just(290u32), Just(477), Just(480), Just(465), Just(302)].prop_map(|code| varint(code as usize)),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn varint(value: usize) -> Vec<u8> {
    unsigned_varint::encode::usize(value, &mut unsigned_varint::encode::usize_buffer()).to_vec()
}

fn prefixed(code: u32, value: &[u8]) -> Vec<u8> {
    [varint(code as usize), varint(value.len()), value.to_vec()].concat()
}

/// Bytes of `valid` with one of them changed, and perhaps cut or followed by more.
fn damage(valid: &[u8], at: Index, with: u8, length: Index) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    let at = at.index(bytes.len());
    bytes[at] = with;
    bytes.resize(length.index(valid.len() + 8), with);
    bytes
}

fn text_round_trips<T: FromStr + ToString + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let read = value.to_string().parse::<T>().ok();
    prop_assert_eq!(read.as_ref(), Some(value));
    Ok(())
}

/// What is accepted is the canonical form of what it means.
fn decodes_canonically(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(id) = ThreadId::from_bytes(bytes) {
        prop_assert_eq!(id.as_bytes(), bytes);
        text_round_trips(&id)?;
    }
    if let Ok(id) = LogId::from_bytes(bytes) {
        prop_assert_eq!(&id.to_bytes()[..], bytes);
        text_round_trips(&id)?;
    }
    if let Ok(address) = Address::from_bytes(bytes) {
        prop_assert_eq!(address.to_bytes(), bytes);
        text_round_trips(&address)?;
    }
    if let Ok(set) = KeySet::from_bytes(bytes) {
        prop_assert_eq!(&*set.to_bytes(), bytes);
    }
    if let Ok(keys) = ThreadKeys::from_bytes(bytes) {
        prop_assert_eq!(&*keys.to_bytes(), bytes);
    }
    if let Ok(statement) = Statement::from_bytes(bytes) {
        prop_assert_eq!(statement.to_bytes(), bytes);
    }
    if let Ok(owner) = cbor::from_slice::<Owner>(bytes, 4096) {
        prop_assert_eq!(cbor::to_vec(&owner), bytes);
    }
    if let Ok(epoch) = Epoch::from_textile(bytes) {
        prop_assert_eq!(&*epoch.to_textile(), bytes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ids_survive_their_text(
        thread in thread(), log in log(), key in any::<[u8; 16]>(), topic in any::<[u8; 32]>(), kind in variant(),
    ) {
        text_round_trips(&thread)?;
        text_round_trips(&log)?;
        text_round_trips(&IdentityKey::from_bytes(log.public_key()).unwrap())?;
        text_round_trips(&KeyId::new(key))?;
        text_round_trips(&DeviceId::new(key))?;
        text_round_trips(&TopicId::new(topic))?;
        prop_assert_eq!(ThreadId::new(kind, topic).variant(), kind);
        decodes_canonically(thread.as_bytes())?;
    }

    #[test]
    fn addresses_survive_text_bytes_and_cbor(address in address()) {
        text_round_trips(&address)?;
        prop_assert_eq!(&Address::from_bytes(&address.to_bytes()).unwrap(), &address);
        prop_assert_eq!(&cbor::from_slice::<Address>(&cbor::to_vec(&address), 1024).unwrap(), &address);
    }

    #[test]
    fn key_sets_survive_their_bytes_and_tickets_their_text(
        set in key_set(), thread in thread(), addresses in vec(address(), 0..4), name in "[^\\x00-\\x1f\\x7f-\\x9f]{0,60}",
    ) {
        prop_assert_eq!(&KeySet::from_bytes(&set.to_bytes()).unwrap(), &set);
        let keys = set.clone().into_keys();
        prop_assert_eq!(&ThreadKeys::from_bytes(&keys.to_bytes()).unwrap(), &keys);
        let ticket = Ticket::new(thread, set, addresses, Some(name)).unwrap();
        prop_assert_eq!(&ticket.to_string().parse::<Ticket>().unwrap(), &ticket);
    }

    #[test]
    fn joining_is_symmetric_and_repeating_it_adds_nothing(all in vec(epoch(), 1..7), one in any::<u8>(), other in any::<u8>()) {
        // Both sides know the first epoch and some of the others.
        let some = |mask: u8| {
            let known = all.iter().enumerate().filter(|(i, _)| *i == 0 || mask & (1 << i) != 0);
            ThreadKeys::new(known.map(|(i, epoch)| if mask & 0x80 != 0 && i % 2 == 0 { epoch.without_read() } else { epoch.clone() }).collect()).unwrap()
        };
        let (one, other) = (some(one), some(other));
        let (mut forth, mut back) = (one.clone(), other.clone());
        forth.merge(&other).unwrap();
        back.merge(&one).unwrap();
        prop_assert_eq!(&forth, &back);
        prop_assert!(!forth.merge(&one).unwrap() && !forth.merge(&other).unwrap());
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(bytes in vec(any::<u8>(), 0..200)) {
        decodes_canonically(&bytes)?;
        let identity = Identity::from_seed([1; 32]);
        prop_assert!(identity.open(hpke::KEY_SET, &bytes).is_err());
    }

    #[test]
    fn almost_valid_addresses_are_refused_or_canonical(bytes in almost_an_address()) {
        decodes_canonically(&bytes)?;
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(
        thread in thread(), log in log(), set in key_set(), address in address(),
        at in any::<Index>(), with in any::<u8>(), length in any::<Index>(),
    ) {
        let owner = Identity::from_seed([1; 32]).bind(&thread, &log);
        let statement = Statement {
            node: PeerId::from(log), owner: Identity::from_seed([2; 32]).public(), issued_at: 1, expires_at: 1 << 40, nonce: [with; 16],
        };
        let keys = set.clone().into_keys();
        for valid in [
            thread.as_bytes(), &log.to_bytes(), &set.to_bytes(), &keys.to_bytes(), &address.to_bytes(),
            &cbor::to_vec(&owner), &statement.to_bytes(),
        ] {
            decodes_canonically(&damage(valid, at, with, length))?;
            let mut changed = valid.to_vec();
            changed[at.index(valid.len())] = with;
            decodes_canonically(&changed)?;
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), path in "(/[a-z0-9.:-]{0,12}){0,6}", data in "[a-z2-7]{0,80}") {
        for text in [&text, &path, &format!("b{data}"), &format!("spool1{data}"), &format!("/thread/b{data}")] {
            if let Ok(id) = text.parse::<ThreadId>() { text_round_trips(&id)?; }
            if let Ok(id) = text.parse::<LogId>() { text_round_trips(&id)?; }
            if let Ok(id) = text.parse::<KeyId>() { text_round_trips(&id)?; }
            if let Ok(key) = text.parse::<IdentityKey>() { text_round_trips(&key)?; }
            if let Ok(address) = text.parse::<Address>() { text_round_trips(&address)?; }
            prop_assert!(text.parse::<Ticket>().is_err(), "32 bits of checksum were met by chance");
            prop_assert!(Identity::from_phrase(text).is_err());
        }
    }

    #[test]
    fn phrases_survive(seed in any::<[u8; 32]>()) {
        let identity = Identity::from_seed(seed);
        let recovered = Identity::from_phrase(&identity.phrase()).unwrap();
        prop_assert_eq!(recovered.seed(), &seed);
    }

    #[test]
    fn what_is_sealed_opens(seed in any::<[u8; 32]>(), entropy in any::<[u8; 32]>(), text in vec(any::<u8>(), 0..300)) {
        let identity = Identity::from_seed(seed);
        let sealed = hpke::seal(&identity.public(), hpke::CONTENT_KEY, &text, entropy);
        prop_assert_eq!(sealed.len(), text.len() + hpke::OVERHEAD_BYTES);
        prop_assert_eq!(&*identity.open(hpke::CONTENT_KEY, &sealed).unwrap(), &text);
    }
}

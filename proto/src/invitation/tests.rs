use proptest::prelude::*;

use super::*;
use crate::{
    Address, Identity, ThreadKeys,
    id::Variant,
    key_set::{KeySet, Scope},
};

const NOW: u64 = 1_800_000_000_000;

fn identity() -> Identity {
    Identity::from_seed([1; 32])
}

fn node(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn thread() -> ThreadId {
    ThreadId::new(Variant::Raw, [2; 32])
}

fn keys(scope: Scope) -> KeySet {
    let epochs = (1..4).map(|seed| Epoch::generate([seed; 64])).collect();
    ThreadKeys::new(epochs).unwrap().to_set(scope).unwrap()
}

fn follow(keys: KeySet, code: Option<&str>) -> Act {
    let address: Address = "/ip4/192.0.2.1/tcp/4006".parse().unwrap();
    let ticket = Ticket::new(thread(), keys, vec![address], Some("notes".into())).unwrap();
    Act::Follow { ticket: Box::new(ticket), code: code.map(str::to_owned) }
}

fn sealed(act: Act) -> Result<Vec<u8>, Error> {
    identity().invite(act, peer_id(&node(3)), peer_id(&node(4)), NOW, [5; 32])
}

fn open(sealed: &[u8]) -> Result<Invitation, Error> {
    Invitation::open(&node(4), &peer_id(&node(3)), sealed)
}

#[test]
fn what_was_sealed_opens_at_its_recipient_alone() {
    for act in [follow(keys(Scope::Follow), Some("open sesame")), Act::Withdraw(thread()), Act::Leave(thread())] {
        let sealed = sealed(act.clone()).unwrap();
        let invitation = open(&sealed).unwrap();
        assert_eq!((&invitation.act, invitation.identity), (&act, identity().public()));
        assert_eq!((invitation.from, invitation.to), (peer_id(&node(3)), peer_id(&node(4))));
        assert_eq!(invitation.act.thread(), &thread());
        let other = Invitation::open(&node(5), &peer_id(&node(3)), &sealed);
        assert!(matches!(other, Err(Error::Sealed(hpke::Error::DoesNotOpen))), "{other:?}");
        let handed_on = Invitation::open(&node(4), &peer_id(&node(6)), &sealed);
        assert!(matches!(handed_on, Err(Error::OtherNodes)), "{handed_on:?}");
    }
}

#[test]
fn it_hands_over_the_follow_keys_of_a_whole_thread_and_no_others() {
    assert!(matches!(sealed(follow(keys(Scope::Read), None)), Err(Error::Keys)));
    let all = keys(Scope::Read).into_keys();
    let log = LogId::from_public_key(node(7).verifying_key().as_bytes()).unwrap();
    let single = all.to_log_set(&[log], Scope::Follow).unwrap();
    assert!(matches!(sealed(follow(single, None)), Err(Error::Keys)));
    // Nor is one believed that was made elsewhere.
    let read = forged(follow(keys(Scope::Read), None), VERSION, &identity());
    assert!(matches!(open(&read), Err(Error::Keys)));
}

/// An invitation that this program would not make.
fn forged(act: Act, version: u64, signer: &Identity) -> Vec<u8> {
    let (from, to) = (peer_id(&node(3)), peer_id(&node(4)));
    let invitation = Invitation { act, identity: identity().public(), from, to, issued_millis: NOW };
    let signing = SigningKey::from_bytes(&crate::keys::kdf(signer.seed(), "identity", &[]));
    let signature = signing.sign(&invitation.signed()).to_bytes();
    let (from, to) = (ByteBuf::from(from.to_bytes()), ByteBuf::from(to.to_bytes()));
    let fields = Fields(version, invitation.act, invitation.identity, from, to, NOW, ByteArray::new(signature));
    hpke::seal(&node_key(&invitation.to).unwrap(), hpke::INVITATION, &cbor::to_vec(&fields), [5; 32])
}

#[test]
fn another_signature_or_version_is_refused_by_name() {
    assert!(open(&forged(Act::Leave(thread()), VERSION, &identity())).is_ok());
    let stranger = Identity::from_seed([9; 32]);
    assert!(matches!(open(&forged(Act::Leave(thread()), VERSION, &stranger)), Err(Error::Signature)));
    assert!(matches!(open(&forged(Act::Leave(thread()), 2, &identity())), Err(Error::Version(2))));
}

#[test]
fn a_code_is_bounded_and_never_shown() {
    for code in ["", "a\nb", &"x".repeat(MAX_CODE_BYTES + 1)] {
        assert!(matches!(sealed(follow(keys(Scope::Follow), Some(code))), Err(Error::Code)), "{code:?}");
        assert!(matches!(open(&forged(follow(keys(Scope::Follow), Some(code)), 1, &identity())), Err(Error::Code)));
    }
    let shown = format!("{:?}", open(&sealed(follow(keys(Scope::Follow), Some("secret"))).unwrap()).unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn the_largest_ticket_fits_and_one_hour_is_the_difference_of_clocks() {
    let epochs: Vec<_> = (0..=255).map(|seed| Epoch::generate([seed; 64]).without_read()).collect();
    let addresses = vec![format!("/dns4/{}/tcp/1", "a".repeat(490)).parse().unwrap(); 16];
    let ticket = Ticket::new(thread(), KeySet::thread(epochs).unwrap(), addresses, Some("n".repeat(256))).unwrap();
    let act = Act::Follow { ticket: Box::new(ticket), code: Some("c".repeat(MAX_CODE_BYTES)) };
    let invitation = open(&sealed(act).unwrap()).unwrap();
    for (now, timely) in [
        (NOW, true),
        (NOW + MAX_INVITATION_AGE_MILLIS, true),
        (NOW + MAX_INVITATION_AGE_MILLIS + 1, false),
        (NOW - MAX_INVITATION_AGE_MILLIS, true),
        (NOW - MAX_INVITATION_AGE_MILLIS - 1, false),
        (0, false),
        (u64::MAX, false),
    ] {
        assert_eq!(invitation.is_timely(now), timely, "{now}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(open(&bytes).is_err());
        // And what opens, and is no invitation.
        let recipient = node_key(&peer_id(&node(4))).unwrap();
        prop_assert!(open(&hpke::seal(&recipient, hpke::INVITATION, &bytes, [5; 32])).is_err());
    }

    #[test]
    fn a_changed_bit_is_an_error(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut sealed = sealed(Act::Withdraw(thread())).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(open(&sealed).is_err());
    }
}

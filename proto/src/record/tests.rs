//! What makes a record valid, and what does not. Most records here are forged with the log's own key, so that no signature
//! hides the rule in question.

use super::*;
use crate::{
    clock::Time,
    event::{self, Body, Kind},
    id::Variant,
    identity::Identity,
    keys::Epoch,
    limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_REKEY_RECIPIENTS},
};

struct Fixture {
    thread: ThreadId,
    identity: Identity,
    signer: SigningKey,
    log: LogId,
    epoch: Epoch,
    keys: LogKeys,
}

fn fixture() -> Fixture {
    let signer = SigningKey::from_bytes(&[7; 32]);
    let log = LogId::from(&signer);
    let epoch = Epoch::generate(std::array::from_fn(|i| i as u8));
    Fixture {
        thread: ThreadId::new(Variant::Raw, [1; 32]),
        identity: Identity::from_seed([2; 32]),
        keys: LogKeys::derive(&epoch, &log),
        signer,
        log,
        epoch,
    }
}

fn cid(seed: u64) -> Cid {
    block::cid(&seed.to_be_bytes())
}

fn other_cid() -> Cid {
    Cid::new_v1(0x71, *cid(1).hash())
}

impl Fixture {
    fn follower(&self) -> LogKeys {
        LogKeys::derive(&self.epoch.without_read(), &self.log)
    }

    /// A record in its place, on top of records that do not exist.
    fn draft(&self, counter: u64) -> Draft {
        let owner = (counter == 1).then(|| self.identity.bind(&self.thread, &self.log));
        let time = Time::new(counter, 0);
        Draft {
            counter,
            prev: (counter > 1).then(|| cid(counter - 1)),
            skip: (counter > 1 && lipmaa(counter) != counter - 1).then(|| cid(lipmaa(counter))),
            event: Event { time, kind: Kind::Application, content: None, heads: Vec::new(), owner, body: None },
            control: None,
        }
    }

    fn seal(&self, draft: Draft) -> VerifiedRecord {
        draft.seal(&self.thread, &self.log, &self.keys, &self.signer).unwrap()
    }

    fn verify(&self, sealed: SealedRecord) -> Result<VerifiedRecord, Error> {
        verify(&self.thread, &self.log, &self.keys, sealed)
    }

    fn plain(&self, counter: u64) -> Plain {
        open_plain(&self.thread, &self.log, &self.keys, self.seal(self.draft(counter)).sealed()).unwrap()
    }

    fn seal_bytes(&self, plain: &[u8]) -> SealedRecord {
        let bytes = seal::seal(self.keys.follow(), place(&self.thread, &self.log.to_bytes()), plain);
        SealedRecord { key_id: self.keys.key_id(), bytes: bytes.into() }
    }

    fn signed_by(&self, signer: &SigningKey, mut plain: Plain) -> SealedRecord {
        let Plain(_, counter, prev, skip, key_id, event, links, control, _) = &plain;
        let hash = ByteArray::new(Sha256::digest(event).into());
        let signed =
            Signed("spool/1 record", &self.thread, &self.log, *counter, prev, skip, key_id, hash, links, control);
        plain.8 = ByteArray::new(signer.sign(&cbor::to_vec(&signed)).to_bytes());
        self.seal_bytes(&cbor::to_vec(&plain))
    }

    /// Record number `counter` after `change`, signed by the log's key.
    fn forge(&self, counter: u64, change: impl FnOnce(&mut Plain)) -> SealedRecord {
        let mut plain = self.plain(counter);
        change(&mut plain);
        self.signed_by(&self.signer, plain)
    }
}

#[test]
fn what_was_sealed_is_what_is_verified() {
    let log = fixture();
    for counter in 1..=41 {
        let record = log.seal(log.draft(counter));
        assert_eq!(record.cid(), &record.sealed().cid());
        assert_eq!(log.verify(record.sealed().clone()), Ok(record.clone()));
        assert_eq!(reopen(&log.thread, &log.log, &log.keys, record.sealed().clone()), Ok(record.clone()));
        assert_eq!(log.forge(counter, |_| {}), *record.sealed(), "sealing is deterministic");
    }
}

#[test]
fn a_follower_verifies_without_reading() {
    let log = fixture();
    let mut draft = log.draft(4);
    draft.event.body = Some(Body::Block { cid: cid(9), size: 5 });
    draft.control = Some(Control::Retire);
    let record = log.seal(draft);
    let seen = verify(&log.thread, &log.log, &log.follower(), record.sealed().clone()).unwrap();
    assert_eq!(seen.opened(), &Opened::Sealed);
    assert_eq!((seen.cid(), seen.counter()), (record.cid(), 4));
    assert_eq!((seen.prev(), seen.skip()), (Some(&cid(3)), Some(&cid(1))));
    assert_eq!((seen.links().as_slice(), seen.control()), (&[cid(9)][..], Some(&Control::Retire)));
    assert_eq!(links(&log.thread, &log.log, &log.follower(), record.sealed()), Ok(Links::Block(cid(9))));
    assert!(matches!(log.draft(4).seal(&log.thread, &log.log, &log.follower(), &log.signer), Err(Error::Malformed(_))));
}

#[test]
fn another_thread_log_or_epoch_is_refused() {
    let log = fixture();
    let sealed = log.seal(log.draft(2)).sealed().clone();
    let refused = Err(Error::Seal(seal::Error::DoesNotOpen));
    let thread = ThreadId::new(Variant::Raw, [9; 32]);
    assert_eq!(verify(&thread, &log.log, &log.keys, sealed.clone()), refused);
    let other = LogId::from(&SigningKey::from_bytes(&[8; 32]));
    assert_eq!(verify(&log.thread, &other, &log.keys, sealed.clone()), refused);
    assert_eq!(verify(&log.thread, &other, &LogKeys::derive(&log.epoch, &other), sealed.clone()), refused);
    let epoch = Epoch::generate([4; 64]);
    assert_eq!(verify(&log.thread, &log.log, &LogKeys::derive(&epoch, &log.log), sealed.clone()), refused);
    let named = log.keys.key_id();
    let sent = epoch.key_id();
    assert_eq!(log.verify(SealedRecord { key_id: sent, ..sealed }), Err(Error::KeyId { named, sent }));
    assert_eq!(log.verify(log.forge(2, |plain| plain.4 = sent)), Err(Error::KeyId { named: sent, sent: named }));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let log = fixture();
    let sealed = log.seal(log.draft(1)).sealed().clone();
    for bit in 0..sealed.bytes.len() * 8 {
        let mut bytes = sealed.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let damaged = SealedRecord { bytes: bytes.into(), ..sealed };
        assert_eq!(log.verify(damaged.clone()), Err(Error::Seal(seal::Error::DoesNotOpen)), "bit {bit}");
        assert!(reopen(&log.thread, &log.log, &log.keys, damaged).is_err(), "bit {bit}");
    }
    assert_eq!(
        log.verify(SealedRecord { bytes: sealed.bytes.slice(..39), ..sealed }),
        Err(Error::Seal(seal::Error::TooShort(39)))
    );
}

/// Whoever holds the follow key can seal what he likes, but not sign it.
#[test]
fn the_signature_covers_every_field() {
    let log = fixture();
    let control = |plain: &mut Plain| plain.7 = Some(Control::Retire);
    let changes: [&dyn Fn(&mut Plain); 8] = [
        &|plain| plain.1 = 40,
        &|plain| plain.2 = Some(cid(99)),
        &|plain| plain.3 = Some(cid(99)),
        &|plain| plain.5[0] ^= 1,
        &|plain| plain.6 = Links::Block(cid(99)),
        &|plain| plain.6 = Links::Manifests(vec![cid(99)]),
        &control,
        &|plain| plain.8 = ByteArray::new([0; 64]),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut plain = log.plain(13);
        change(&mut plain);
        assert_eq!(log.verify(log.seal_bytes(&cbor::to_vec(&plain))), Err(Error::Signature), "{i}");
    }
    let foreign = log.signed_by(&SigningKey::from_bytes(&[8; 32]), log.plain(13));
    assert_eq!(log.verify(foreign), Err(Error::Signature));
}

#[test]
fn prev_and_skip_are_where_the_counter_says() {
    let log = fixture();
    let malformed = |counter, change: fn(&mut Plain)| {
        let sealed = log.forge(counter, change);
        let again = reopen(&log.thread, &log.log, &log.keys, sealed.clone()).map(|_| ());
        let result = log.verify(sealed).map(|_| ());
        assert_eq!(result, again, "what a peer may not send the store may not have");
        matches!(result, Err(Error::Malformed(_)))
    };
    assert!(malformed(1, |plain| plain.1 = 0));
    assert!(malformed(1, |plain| plain.2 = Some(cid(0))));
    assert!(malformed(1, |plain| plain.3 = Some(cid(0))));
    assert!(malformed(2, |plain| plain.2 = None));
    // Records 2, 3 and 5 link to the record before only, record 4 to record 1 as well.
    assert!(malformed(2, |plain| plain.3 = plain.2));
    assert!(malformed(3, |plain| plain.3 = plain.2));
    assert!(malformed(4, |plain| plain.3 = None));
    assert!(malformed(5, |plain| plain.3 = Some(cid(1))));
    assert!(malformed(4, |plain| plain.2 = Some(other_cid())));
    assert!(malformed(4, |plain| plain.3 = Some(other_cid())));
    // The rules are about form: whether the links lead anywhere is the engine's question.
    assert!(!malformed(4, |plain| plain.3 = Some(cid(77))));
}

#[test]
fn the_number_and_kind_of_links_is_limited() {
    let log = fixture();
    let with = |links: Links| log.verify(log.forge(2, |plain| plain.6 = links)).map(|record| record.links().clone());
    let many = |count| Links::Manifests((0..count).map(cid).collect());
    assert_eq!(with(many(64)), Ok(many(64)));
    assert_eq!(with(many(65)), Err(Error::Malformed("number of links")));
    assert_eq!(with(many(0)), Err(Error::Malformed("number of links")));
    assert!(matches!(with(Links::Block(other_cid())), Err(Error::Malformed(_))));
    assert!(matches!(with(Links::Manifests(vec![cid(1), other_cid()])), Err(Error::Malformed(_))));
}

#[test]
fn admission_is_for_the_first_record_only() {
    let log = fixture();
    let admission = Control::Admission(log.epoch.admit(&log.thread, &log.log).unwrap());
    let with = |counter| log.verify(log.forge(counter, |plain| plain.7 = Some(admission.clone())));
    assert_eq!(with(1).unwrap().control(), Some(&admission));
    assert_eq!(with(2), Err(Error::Malformed("admission after the first record")));
}

fn rekey(recipients: usize) -> Control {
    let to = Identity::from_seed([5; 32]).public();
    let recipients = (0..recipients).map(|i| (to, vec![i as u8; 100])).collect();
    Control::Rekey(Rekey { key_id: KeyId::new([1; 16]), admission: [2; 32], recipients })
}

fn addresses(count: usize) -> Control {
    Control::Addresses((0..count).map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect())
}

#[test]
fn control_items_survive_and_are_limited() {
    let log = fixture();
    let with = |control: &Control| {
        let result = log.verify(log.forge(2, |plain| plain.7 = Some(control.clone())));
        let drafted = Draft { control: Some(control.clone()), ..log.draft(2) };
        let drafted = drafted.seal(&log.thread, &log.log, &log.keys, &log.signer);
        assert_eq!(result, drafted, "nobody writes what others refuse");
        result.map(|record| record.control().cloned())
    };
    for control in [Control::Retire, addresses(0), addresses(MAX_ADDRESSES), rekey(0), rekey(MAX_REKEY_RECIPIENTS)] {
        assert_eq!(with(&control), Ok(Some(control)));
    }
    assert_eq!(with(&addresses(MAX_ADDRESSES + 1)), Err(Error::Malformed("too many addresses")));
    assert_eq!(with(&rekey(MAX_REKEY_RECIPIENTS + 1)), Err(Error::Malformed("too many recipients")));
    // A code of one byte and a length of two before the name.
    let long = |bytes: usize| Control::Addresses(vec![format!("/dns/{}", "a".repeat(bytes - 3)).parse().unwrap()]);
    assert!(with(&long(MAX_ADDRESS_BYTES)).is_ok());
    assert_eq!(with(&long(MAX_ADDRESS_BYTES + 1)), Err(Error::Malformed("an address is too long")));
}

#[test]
fn unknown_versions_and_kinds_are_named() {
    let log = fixture();
    assert_eq!(log.verify(log.forge(2, |plain| plain.0 = 2)), Err(Error::Version(2)));
    let mut bytes = cbor::to_vec(&log.plain(2));
    let control = bytes.len() - 67;
    assert_eq!(bytes[control], 0xf6, "null, before the signature of 2 + 64 bytes");
    bytes.splice(control..=control, [0x81, 0x04]);
    let error = log.verify(log.seal_bytes(&bytes)).unwrap_err();
    assert!(error.to_string().contains("control item kind 4"), "{error}");
    bytes[control] = 0x82;
    bytes.splice(control + 1..=control + 1, [0x03, 0x00]);
    let error = log.verify(log.seal_bytes(&bytes)).unwrap_err();
    assert!(error.to_string().contains("too many fields"), "{error}");
}

#[test]
fn a_second_encoding_of_a_record_is_refused() {
    let log = fixture();
    let bytes = cbor::to_vec(&log.plain(2));
    assert_eq!(bytes[..3], [0x89, 0x01, 0x02]);
    for longer in [&[0x89, 0x01, 0x18, 0x02][..], &[0x98, 0x09, 0x01, 0x02], &[0x9f, 0x01, 0x02]] {
        let mut second = [longer, &bytes[3..]].concat();
        if longer[0] == 0x9f {
            second.push(0xff);
        }
        assert!(matches!(log.verify(log.seal_bytes(&second)), Err(Error::Encoding(_))), "{longer:x?}");
    }
    for more in [&[bytes.clone(), vec![0]].concat(), &bytes[..bytes.len() - 1]] {
        assert!(matches!(log.verify(log.seal_bytes(more)), Err(Error::Encoding(_))));
    }
}

#[test]
fn a_record_has_at_most_its_bytes() {
    let log = fixture();
    let sealed = SealedRecord { key_id: log.keys.key_id(), bytes: vec![0; MAX_RECORD_BYTES + 1].into() };
    assert_eq!(log.verify(sealed), Err(Error::TooLarge(MAX_RECORD_BYTES + 1)));
    let draft = |bytes| {
        let to = log.identity.public();
        let rekey = Rekey { key_id: KeyId::new([1; 16]), admission: [2; 32], recipients: vec![(to, vec![0; bytes])] };
        let draft = Draft { control: Some(Control::Rekey(rekey)), ..log.draft(2) };
        draft.seal(&log.thread, &log.log, &log.keys, &log.signer)
    };
    let spare = MAX_RECORD_BYTES - draft(60_000).unwrap().sealed().bytes.len();
    assert_eq!(
        log.verify(draft(60_000 + spare).unwrap().sealed().clone()).unwrap().sealed().bytes.len(),
        MAX_RECORD_BYTES
    );
    assert_eq!(draft(60_001 + spare), Err(Error::TooLarge(MAX_RECORD_BYTES + 1)));
}

/// Followers cannot look inside, and they have to agree with readers about the log.
#[test]
fn an_event_that_is_wrong_leaves_its_record_valid() {
    let log = fixture();
    let garbage = log.forge(2, |plain| plain.5 = ByteBuf::from(vec![0; 100]));
    let opened = log.verify(garbage.clone()).unwrap().opened;
    assert_eq!(opened, Opened::Inert(event::Error::Seal(seal::Error::DoesNotOpen)));
    assert!(opened.event().is_none());
    assert_eq!(verify(&log.thread, &log.log, &log.follower(), garbage).unwrap().opened, Opened::Sealed);
    let empty = log.forge(2, |plain| plain.5 = ByteBuf::new());
    assert_eq!(log.verify(empty).unwrap().opened, Opened::Inert(event::Error::Seal(seal::Error::TooShort(0))));
}

#[test]
fn links_that_differ_from_the_events_make_it_inert() {
    let log = fixture();
    let mut draft = log.draft(2);
    draft.event.body = Some(Body::Block { cid: cid(9), size: 5 });
    let plain = open_plain(&log.thread, &log.log, &log.keys, log.seal(draft).sealed()).unwrap();
    for links in [Links::None, Links::Block(cid(8)), Links::Manifests(vec![cid(9)])] {
        let event = plain.5.clone();
        let record = log.verify(log.forge(2, |plain| (plain.5, plain.6) = (event, links.clone()))).unwrap();
        assert_eq!(record.links(), &links);
        assert!(matches!(record.opened(), Opened::Inert(event::Error::Body(_))), "{links:?}");
    }
    let event = plain.5;
    let same = log.verify(log.forge(2, |plain| (plain.5, plain.6) = (event, Links::Block(cid(9))))).unwrap();
    assert!(same.opened().event().is_some());
}

/// Opening again is for what this node has verified before: the signature is not looked at, all else is.
#[test]
fn reopening_takes_the_signature_on_trust_and_nothing_else() {
    let log = fixture();
    let mut plain = log.plain(2);
    plain.8 = ByteArray::new([0; 64]);
    let sealed = log.seal_bytes(&cbor::to_vec(&plain));
    assert_eq!(log.verify(sealed.clone()), Err(Error::Signature));
    assert_eq!(reopen(&log.thread, &log.log, &log.keys, sealed).unwrap().counter(), 2);
}

use ed25519_dalek::SigningKey;

use super::*;
use crate::{
    id::Variant,
    identity::Identity,
    keys::{Epoch, LogKeys},
};

struct Fixture {
    thread: ThreadId,
    log: LogId,
    epoch: Epoch,
    keys: LogKeys,
}

fn fixture() -> Fixture {
    let log = log(7);
    let epoch = Epoch::generate(std::array::from_fn(|i| i as u8));
    Fixture { thread: ThreadId::new(Variant::Raw, [1; 32]), log, keys: LogKeys::derive(&epoch, &log), epoch }
}

fn log(seed: u8) -> LogId {
    LogId::from(&SigningKey::from_bytes(&[seed; 32]))
}

fn cid(seed: u64) -> Cid {
    block::cid(&seed.to_be_bytes())
}

fn event() -> Event {
    Event { time: Time::new(5, 0), kind: Kind::Application, content: None, heads: Vec::new(), owner: None, body: None }
}

/// Heads of `count` other logs, in order.
fn heads(count: u8) -> Vec<CitedHead> {
    let mut heads: Vec<_> =
        (0..count).map(|seed| CitedHead { log: log(100 + seed), counter: 1, cid: cid(seed.into()) }).collect();
    heads.sort_by_key(|head| head.log);
    heads
}

impl Fixture {
    fn key(&self) -> &SealKey {
        self.keys.read().unwrap()
    }

    /// Opens `event` as that of record number `counter`, whose links are those of the event.
    fn round_trip(&self, counter: u64, event: &Event) -> Result<Event, Error> {
        let links = event.body.as_ref().map_or(Links::None, Body::links);
        self.open(counter, &links, &event.seal(self.key(), &self.thread, &self.log))
    }

    fn open(&self, counter: u64, links: &Links, sealed: &[u8]) -> Result<Event, Error> {
        Event::open(self.key(), &self.thread, &self.log, counter, links, sealed)
    }

    fn open_plain(&self, plain: &[u8]) -> Result<Event, Error> {
        let sealed = seal::seal(self.key(), place(&self.thread, &self.log.to_bytes()), plain);
        self.open(2, &Links::None, &sealed)
    }
}

#[test]
fn events_of_every_shape_survive() {
    let log = fixture();
    let to = Identity::from_seed([5; 32]).public();
    let key = Some(Content::Key([6; 32]));
    let inline = |bytes: usize| Some(Body::Inline(vec![1; bytes].into()));
    let block = Some(Body::Block { cid: cid(1), size: 9 });
    let chunks = Some(Body::Chunks { manifests: (0..64).map(cid).collect(), size: u64::MAX });
    let recipient = Some(Content::Recipient { to, sealed: vec![4; SEALED_CONTENT_KEY_BYTES] });
    for event in [
        event(),
        Event { heads: heads(32), ..event() },
        Event { content: key.clone(), body: inline(40), ..event() },
        Event { content: key.clone(), body: inline(8_192 + 40), ..event() },
        Event { content: recipient, body: block.clone(), ..event() },
        Event { content: None, body: block, ..event() },
        Event { content: key, body: chunks, ..event() },
        Event { time: Time::from_u64(u64::MAX), ..event() },
    ] {
        assert_eq!(log.round_trip(2, &event), Ok(event));
    }
    for kind in Kind::ALL {
        assert_eq!(log.round_trip(2, &Event { kind, ..event() }).unwrap().kind, kind);
    }
}

#[test]
fn another_key_thread_or_log_does_not_open() {
    let fixture = fixture();
    let sealed = event().seal(fixture.key(), &fixture.thread, &fixture.log);
    let open = |key: &SealKey, thread: &ThreadId, log: &LogId| Event::open(key, thread, log, 2, &Links::None, &sealed);
    let refused = Err(Error::Seal(seal::Error::DoesNotOpen));
    assert_eq!(open(fixture.keys.follow(), &fixture.thread, &fixture.log), refused);
    assert_eq!(open(fixture.key(), &ThreadId::new(Variant::Raw, [2; 32]), &fixture.log), refused);
    assert_eq!(open(fixture.key(), &fixture.thread, &log(8)), refused);
    let follower = LogKeys::derive(&fixture.epoch.without_read(), &fixture.log);
    assert_eq!(Opened::open(&follower, &fixture.thread, &fixture.log, 2, &Links::None, &sealed), Opened::Sealed);
}

#[test]
fn heads_are_sorted_distinct_and_of_other_logs() {
    let log = fixture();
    let with = |heads: Vec<CitedHead>| log.round_trip(2, &Event { heads, ..event() });
    assert_eq!(with(heads(33)), Err(Error::Heads));
    let mut unsorted = heads(3);
    unsorted.swap(0, 1);
    assert_eq!(with(unsorted), Err(Error::Heads));
    let twice = heads(1);
    assert_eq!(with([twice.clone(), twice].concat()), Err(Error::Heads));
    let change = |change: fn(&mut CitedHead)| {
        let mut heads = heads(1);
        change(&mut heads[0]);
        with(heads)
    };
    assert!(change(|_| {}).is_ok());
    assert_eq!(change(|head| head.log = self::log(7)), Err(Error::Heads));
    assert_eq!(change(|head| head.counter = 0), Err(Error::Heads));
    assert_eq!(change(|head| head.cid = Cid::new_v1(0x71, *head.cid.hash())), Err(Error::Heads));
}

#[test]
fn the_owner_is_named_once() {
    let log = fixture();
    let with = |counter, owner| log.round_trip(counter, &Event { owner, ..event() });
    let identity = Identity::from_seed([5; 32]);
    let owner = Some(identity.bind(&log.thread, &log.log));
    assert_eq!(with(1, owner.clone()).unwrap().owner, owner);
    assert_eq!(with(1, None), Err(Error::Owner));
    assert_eq!(with(2, owner), Err(Error::Owner));
    let of_another_log = Some(identity.bind(&log.thread, &self::log(8)));
    assert!(matches!(with(1, of_another_log), Err(Error::OwnerSignature(_))));
}

#[test]
fn a_body_fits_its_content_key() {
    let log = fixture();
    let key = || Some(Content::Key([6; 32]));
    let with = |content, body| log.round_trip(2, &Event { content, body: Some(body), ..event() });
    assert_eq!(with(None, Body::Inline(vec![0; 45].into())), Err(Error::Body("a public body is never inline")));
    assert_eq!(with(key(), Body::Inline(vec![0; 8_192 + 41].into())), Err(Error::Body("inline body too large")));
    let chunks = |count| Body::Chunks { manifests: (0..count).map(cid).collect(), size: 1 };
    assert_eq!(with(key(), chunks(0)), Err(Error::Body("number of manifests")));
    assert_eq!(with(key(), chunks(65)), Err(Error::Body("number of manifests")));
    let alone = log.round_trip(2, &Event { content: key(), ..event() });
    assert_eq!(alone, Err(Error::Body("a content key without a body")));
}

#[test]
fn the_record_links_to_what_the_event_names() {
    let log = fixture();
    let sealed =
        |body| Event { content: Some(Content::Key([6; 32])), body, ..event() }.seal(log.key(), &log.thread, &log.log);
    let block = sealed(Some(Body::Block { cid: cid(1), size: 1 }));
    let chunks = sealed(Some(Body::Chunks { manifests: vec![cid(1), cid(2)], size: 1 }));
    let inline = sealed(Some(Body::Inline(vec![0; 45].into())));
    let all =
        [Links::None, Links::Block(cid(1)), Links::Manifests(vec![cid(1), cid(2)]), Links::Manifests(vec![cid(1)])];
    for (sealed, right) in [(inline, 0), (block, 1), (chunks, 2)] {
        for (i, links) in all.iter().enumerate() {
            assert_eq!(log.open(2, links, &sealed).is_ok(), i == right, "{links:?}");
        }
    }
}

#[test]
fn unknown_versions_and_kinds_are_named() {
    let log = fixture();
    let plain = cbor::to_vec(&Plain(1, Time::new(0, 5), Kind::Join, None, Vec::new(), None, None));
    assert_eq!(plain, [0x87, 0x01, 0x05, 0x02, 0xf6, 0x80, 0xf6, 0xf6]);
    assert_eq!(log.open_plain(&plain).unwrap().kind, Kind::Join);
    let with = |at: usize, bytes: &[u8]| log.open_plain(&[&plain[..at], bytes, &plain[at + 1..]].concat()).unwrap_err();
    assert_eq!(with(1, &[0x02]), Error::Version(2));
    for (at, bytes, text) in [
        (3, &[0x06][..], "event kind 6"),
        (4, &[0x81, 0x02], "content key kind 2"),
        (6, &[0x81, 0x02], "owner binding 2"),
        (7, &[0x81, 0x03], "body kind 3"),
        // A longer form of the time.
        (2, &[0x18, 0x05], ""),
        (5, &[0x9f, 0xff], ""),
    ] {
        let error = with(at, bytes);
        assert!(matches!(error, Error::Encoding(_)) && error.to_string().contains(text), "{error}");
    }
}

#[test]
fn no_content_key_shows_in_debug() {
    let event =
        Event { content: Some(Content::Key([0xab; 32])), body: Some(Body::Inline(vec![0; 41].into())), ..event() };
    let text = format!("{event:?}");
    assert!(text.contains("Key(..)") && !text.contains("171"), "{text}");
}

//! Writes valid inputs for every target into a folder, one folder a target: what the fuzzer then changes.

use std::{error::Error, fs, path::Path};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use serde_json::json;
use spool_db::{
    Change, Operation, Stamp, Target, Transaction,
    operation::{Observed, Reverts},
    stamp::Dot,
    testing::{NOW, Rooms, World, hostile},
};
use spool_fuzz::{LOG_SEED, epoch, log, log_keys, thread};
use spool_proto::{
    Address, Cid, DeviceId, Identity, KeyId, PeerId, ThreadKeys, Ticket, TopicId, block,
    body::{Chunker, Protection},
    clock::Time,
    event::{Body, CitedHead, Content, Event, Kind},
    hpke,
    invitation::Act,
    key_set::KeySet,
    keys::LogGrant,
    owner::Statement,
    record::{Control, Draft, Rekey, VerifiedRecord},
    seal::{self, Layer, Place},
    sync::{self, LogState, ThreadState},
    vault::{self, KeyFile, Parameters, Passphrase},
    wire::{
        Ack, Declined, Digest, Edge, Envelope, Fork, Gossip, Head, InertRecord, InviteAnswer, Node, Prefix, Proof,
        Refusal, Request, Response, Role, Terms,
    },
};

type Seeds = Result<Vec<Vec<u8>>, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder to write to")?;
    let write = |target: &str, seeds: Vec<Vec<u8>>| -> Result<(), Box<dyn Error>> {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("valid-{number}")), seed)?;
        }
        Ok(())
    };
    write("thread_id", vec![thread().as_bytes().to_vec(), thread().to_string().into_bytes()])?;
    write("log_id", log_ids()?)?;
    write("address", addresses()?)?;
    write("key_set", key_sets()?)?;
    write("ticket", tickets()?)?;
    write("invitation", invitations()?)?;
    write("identity", identities())?;
    write("record", records()?)?;
    write("event", events()?)?;
    write(
        "gossip",
        vec![Gossip::Envelope(Box::new(envelope())).encode()?.to_vec(), Gossip::Heads(heads()).encode()?.to_vec()],
    )?;
    write("envelope", envelopes()?)?;
    write("request", requests()?)?;
    write("response", responses()?)?;
    write("manifest", manifests()?)?;
    write("state", states())?;
    write("key_file", vec![key_file()?])?;
    write("config", vec![CONFIG.into()])?;
    write("transaction", transactions())?;
    write("document", documents())?;
    write("fold", folds())?;
    write("filter", FILTERS.map(Vec::from).to_vec())?;
    write("query", QUERIES.map(Vec::from).to_vec())?;
    write("definition", DEFINITIONS.map(Vec::from).to_vec())
}

/// Settings of every shape.
const CONFIG: &str = r#"
name = "quakes"
listen = ["/ip4/0.0.0.0/tcp/4006", "/ip4/0.0.0.0/udp/4006/quic-v1"]
api = "127.0.0.1:6006"
durability = "relaxed"
mdns = false
max-connections = 100
"#;

fn cid(number: u8) -> Cid {
    block::cid(&[number])
}

fn topic() -> TopicId {
    TopicId::new([4; 32])
}

fn log_ids() -> Seeds {
    let key = KeyId::new([1; 16]);
    let device = DeviceId::new([2; 16]);
    Ok(vec![
        log().to_bytes().to_vec(),
        log().to_string().into_bytes(),
        key.to_string().into_bytes(),
        device.to_string().into_bytes(),
        topic().to_string().into_bytes(),
    ])
}

fn addresses() -> Seeds {
    let base = format!("/ip4/192.0.2.1/udp/4006/quic-v1/p2p/{}", log());
    let texts = [base.clone(), format!("{base}/thread/{}", thread()), format!("{base}/ipel/{}", log())];
    let mut seeds = Vec::new();
    for text in texts {
        seeds.push(text.parse::<Address>()?.to_bytes());
        seeds.push(text.into_bytes());
    }
    Ok(seeds)
}

fn sets() -> Result<[KeySet; 3], Box<dyn Error>> {
    let keys = epoch();
    let access = spool_proto::keys::AccessKey::of(keys.follow());
    Ok([
        KeySet::thread(vec![keys.clone()])?,
        KeySet::thread(vec![keys.without_read()])?,
        KeySet::logs(access, vec![LogGrant::derive(&keys, &log())])?,
    ])
}

fn key_sets() -> Seeds {
    Ok(sets()?.map(|set| set.to_bytes().to_vec()).to_vec())
}

fn tickets() -> Seeds {
    let address: Address = format!("/ip4/192.0.2.1/tcp/4006/p2p/{}", log()).parse()?;
    let mut seeds = Vec::new();
    for set in sets()? {
        let text = Ticket::new(thread(), set, vec![address.clone()], Some("quakes".into()))?.to_string();
        let contents = data_encoding::BASE32_NOPAD.decode(text["spool1".len()..].to_ascii_uppercase().as_bytes())?;
        seeds.push(contents[..contents.len() - 4].to_vec());
        seeds.push(text.into_bytes());
    }
    Ok(seeds)
}

fn invitations() -> Seeds {
    let (identity, node) = (Identity::from_seed([5; 32]), PeerId::from(log()));
    let keys = KeySet::thread(vec![epoch().without_read()])?;
    let ticket = || Ticket::new(thread(), keys.clone(), Vec::new(), None).map(Box::new);
    let acts = [
        Act::Follow { ticket: ticket()?, code: Some("open sesame".into()) },
        Act::Follow { ticket: ticket()?, code: None },
        Act::Withdraw(thread()),
        Act::Leave(thread()),
    ];
    let mut seeds = Vec::new();
    for act in acts {
        let sealed = identity.invite(act, node, node, 1_700_000_000_000, [1; 32])?;
        seeds.push(hpke::open(&SigningKey::from_bytes(&LOG_SEED), hpke::INVITATION, &sealed)?.to_vec());
        seeds.push(sealed);
    }
    Ok(seeds)
}

fn identities() -> Vec<Vec<u8>> {
    let identity = Identity::from_seed([5; 32]);
    let public = identity.public();
    let statement = Statement { node: PeerId::from(log()), owner: public, issued_at: 1, expires_at: 2, nonce: [3; 16] };
    vec![identity.phrase().as_bytes().to_vec(), public.to_string().into_bytes(), statement.to_bytes()]
}

fn event(body: Option<Body>, content: Option<Content>, first: bool) -> Event {
    let other = spool_proto::LogId::from(&SigningKey::from_bytes(&[8; 32]));
    Event {
        time: Time::new(1_700_000_000_000, 1),
        kind: Kind::Application,
        content,
        heads: vec![CitedHead { log: other, counter: 3, cid: cid(1) }],
        owner: first.then(|| Identity::from_seed([5; 32]).bind(&thread(), &log())),
        body,
    }
}

/// Records of every form, as drafted.
fn drafts() -> Vec<Draft> {
    let inline = event(Some(Body::Inline(vec![1; 60].into())), Some(Content::Key([2; 32])), false);
    let block = event(Some(Body::Block { cid: cid(2), size: 9_000 }), None, false);
    let chunks = event(
        Some(Body::Chunks { manifests: vec![cid(3), cid(4)], size: 1 << 30 }),
        Some(Content::Key([2; 32])),
        false,
    );
    let admission = Some(Control::Admission([6; 64]));
    let addresses = Some(Control::Addresses(vec!["/ip4/192.0.2.1/tcp/4006".parse().expect("a multiaddr")]));
    let recipients = vec![(Identity::from_seed([5; 32]).public(), vec![1; 80])];
    let rekey = Some(Control::Rekey(Rekey { key_id: KeyId::new([1; 16]), admission: [2; 32], recipients }));
    vec![
        Draft { counter: 1, prev: None, skip: None, event: event(None, None, true), control: admission },
        Draft { counter: 2, prev: Some(cid(5)), skip: None, event: inline, control: None },
        Draft { counter: 4, prev: Some(cid(5)), skip: Some(cid(6)), event: block, control: addresses },
        Draft { counter: 3, prev: Some(cid(5)), skip: None, event: chunks, control: rekey },
        Draft {
            counter: 3,
            prev: Some(cid(5)),
            skip: None,
            event: event(None, None, false),
            control: Some(Control::Retire),
        },
    ]
}

fn sealed() -> Result<Vec<VerifiedRecord>, Box<dyn Error>> {
    let signer = SigningKey::from_bytes(&LOG_SEED);
    let seal = |draft: Draft| Ok(draft.seal(&thread(), &log(), log_keys(), &signer)?);
    drafts().into_iter().map(seal).collect()
}

fn records() -> Seeds {
    let (thread, id) = (thread(), log().to_bytes());
    let place = Place { layer: Layer::Record, thread: thread.as_bytes(), log: &id };
    let mut seeds = Vec::new();
    for record in sealed()? {
        seeds.push(seal::open(log_keys().follow(), place, &record.sealed().bytes)?);
        seeds.push(record.sealed().bytes.to_vec());
    }
    Ok(seeds)
}

fn events() -> Seeds {
    let (thread, id) = (thread(), log().to_bytes());
    let key = log_keys().read().ok_or("the fixture can read")?;
    let place = Place { layer: Layer::Event, thread: thread.as_bytes(), log: &id };
    let mut seeds = Vec::new();
    for draft in drafts() {
        let plain = seal::open(key, place, &draft.event.seal(key, &thread, &log()))?;
        seeds.push([&[draft.counter as u8], plain.as_slice()].concat());
    }
    Ok(seeds)
}

fn envelope() -> Envelope {
    let records = vec![Bytes::from(vec![1; 300]), Bytes::from(vec![2; 300])];
    Envelope {
        topic: topic(),
        log: log(),
        counter: 7,
        key_id: KeyId::new([1; 16]),
        records,
        blocks: vec![Bytes::from(vec![3; 100])],
        sender: PeerId::from(log()),
        signature: [9; 64],
    }
}

fn envelopes() -> Seeds {
    use prost::Message;
    Ok(vec![spool_proto::wire::pb::Envelope::from(envelope()).encode_to_vec()])
}

fn manifests() -> Seeds {
    let (thread, keys) = (thread(), log_keys());
    let secret = epoch().chunk_secret(false).ok_or("the fixture can read")?;
    let mut chunker = Chunker::new(Protection::Thread { key: [1; 32] }, keys, &thread, secret);
    for byte in 0..3 {
        chunker.chunk(&[byte; 1000])?;
    }
    let (_, sealed, _) = chunker.finish()?.blocks.pop().ok_or("a manifest")?;
    let id = log().to_bytes();
    let place = Place { layer: Layer::Manifest, thread: thread.as_bytes(), log: &id };
    Ok(vec![seal::open(keys.manifest(), place, &sealed)?, sealed.to_vec()])
}

/// Its checksum makes it all but impossible to come by another way.
fn key_file() -> Result<Vec<u8>, Box<dyn Error>> {
    let passphrase = Passphrase::new(b"passphrase".to_vec().into())?;
    let parameters = Parameters::new(8, 1, 1)?;
    let file = KeyFile::new(&vault::Key::new([7; 32]), &passphrase, parameters, [9; 16], vault::State::Sealed)?;
    Ok(file.to_bytes())
}

fn states() -> Vec<Vec<u8>> {
    let head = sync::Head { counter: 9, cid: cid(1) };
    let log = LogState {
        head: Some(head),
        frontier: vec![head, sync::Head { counter: 4, cid: cid(2) }],
        cited: [(log(), 3)].into(),
        fork: Some(sync::Fork { counter: 4, inert: 1, digest: [1; 32] }),
        owner: Some(Identity::from_seed([5; 32]).bind(&thread(), &log())),
        ..LogState::default()
    };
    let thread = ThreadState {
        keys: ThreadKeys::generate([9; 64]),
        name: Some("quakes".into()),
        joined_millis: 1_700_000_000_000,
        addresses: Vec::new(),
    };
    vec![log.to_bytes(), LogState::default().to_bytes(), thread.to_bytes().to_vec()]
}

fn heads() -> Vec<Head> {
    let fork = Fork { counter: 4, inert: 2, inert_digest: [3; 32] };
    vec![
        Head { log: log(), counter: 9, cid: Some(cid(1)), fork: None },
        Head { log: log(), counter: 3, cid: Some(cid(2)), fork: Some(fork) },
        Head { log: log(), counter: 0, cid: None, fork: Some(Fork { counter: 1, ..fork }) },
    ]
}

fn proofs() -> Vec<Proof> {
    [Role::Follower, Role::Reader, Role::Writer]
        .map(|role| Proof { topic: topic(), mac: [1; 32], role, terms: Terms::default() })
        .to_vec()
}

fn requests() -> Seeds {
    let digest: Digest = [1; 16];
    let root = Prefix::root();
    let child = root.child(10).ok_or("a digit")?;
    let requests = vec![
        Request::Proofs(proofs()),
        Request::Edges(vec![Node { prefix: root, digest }, Node { prefix: child, digest }]),
        Request::Heads { topic: topic(), after: None },
        Request::Heads { topic: topic(), after: Some(log()) },
        Request::Records { topic: topic(), log: log(), after: 0, until: u64::MAX },
        Request::Inert { topic: topic(), log: log(), after: Some((3, cid(1))) },
        Request::Inert { topic: topic(), log: log(), after: None },
        Request::Push(vec![envelope(), envelope()]),
        Request::Blocks { topic: topic(), cids: vec![cid(1), cid(2)] },
        Request::Invite { sealed: vec![1; 200].into() },
    ];
    requests.into_iter().map(|request| Ok(request.encode()?.to_vec())).collect()
}

fn responses() -> Seeds {
    let digest: Digest = [1; 16];
    let prefix = Prefix::root().child(10).ok_or("a digit")?;
    let opened = |contents| spool_proto::wire::Opened { prefix: prefix.clone(), contents };
    let children = spool_proto::wire::Contents::Children(Box::new([digest; 16]));
    let edges = spool_proto::wire::Contents::Edges(vec![Edge { topic: topic(), edge: digest }]);
    let responses = vec![
        Response::Proofs(proofs()),
        Response::Edges(vec![opened(children), opened(edges)]),
        Response::Heads { heads: heads(), more: true },
        Response::Records { envelope: Some(Box::new(envelope())), more: true },
        Response::Records { envelope: None, more: false },
        Response::Inert {
            records: vec![InertRecord { key_id: KeyId::new([1; 16]), record: vec![1; 90].into() }],
            more: false,
        },
        Response::Push(vec![Ack { topic: topic(), log: log(), counter: 3, busy: true }]),
        Response::Blocks { blocks: vec![vec![1; 90].into()], more: true },
        Response::Invite(InviteAnswer::Accepted { bodies_days: std::num::NonZeroU32::new(30), addresses: Vec::new() }),
        Response::Invite(InviteAnswer::Declined(Declined::NotOffered)),
        Response::Refusal(Refusal::Unknown),
    ];
    responses.into_iter().map(|response| Ok(response.encode()?.to_vec())).collect()
}

/// Transactions of every operation, and bodies that are none.
fn transactions() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = hostile::bodies("films").into_iter().map(|(_, body)| body.to_vec()).collect();
    seeds.extend(changes().map(|change| {
        let operations = vec![Operation::Change(Target::new("films", "1"), change)];
        spool_db::testing::body(&Transaction { reverts: Some(Reverts::Undo(7)), operations }).to_vec()
    }));
    seeds
}

fn changes() -> impl Iterator<Item = Change> {
    let path = || spool_db::Path::new(["a", "b"]);
    let fields = || json!({"a": {"b": 1.5}, "s": ["x", null, -1], "t": true});
    let map = fields().as_object().cloned().unwrap_or_default();
    let dots = || vec![Dot::new(&Dot::HERE, 0), Dot::new(&Stamp::from_bytes(&[7; Stamp::BYTES]), 1)];
    [
        Change::Create(map),
        Change::Set(path(), fields()),
        Change::Replace(path(), fields()),
        Change::Unset(path()),
        Change::Increment(path(), 3.into()),
        Change::Add(path(), "x".into()),
        Change::Remove(path(), "x".into(), Observed { dots: dots(), plain: true }),
        Change::Keep(path(), "x".into(), dots()),
        Change::Delete,
        Change::Undelete,
    ]
    .into_iter()
}

/// A document that has gone through all changes, after each of them.
fn documents() -> Vec<Vec<u8>> {
    let rooms = Rooms::default();
    let (log, target) = (World::log(1), Target::new("films", "1"));
    let mut replica = rooms.replica(1);
    let state = |change: Change| {
        let operations = vec![Operation::Change(target.clone(), change)];
        let body = spool_db::testing::body(&Transaction { reverts: None, operations });
        let time = Time::new(NOW - 1_000 + rooms.world().logs().map(|(_, length)| length).sum::<u64>(), 0);
        let counter = rooms.world().append(log, time, Vec::new(), body);
        replica.deliver(log, counter);
        replica.settle();
        replica.document(&target).to_bytes()
    };
    changes().map(state).collect()
}

/// Bytes of every kind: all are a row of choices.
fn folds() -> Vec<Vec<u8>> {
    let row = |step: u8| (0..400u16).map(|at| (at as u8).wrapping_mul(step).wrapping_add(step >> 2)).collect();
    let mut seeds = [1, 7, 13, 37, 101, 151, 211, 251].map(row).to_vec();
    // A long array, then an element added to it as to a set, then a text that is too much beside it; each folded by itself.
    let events: [&[u8]; 3] = [&[1, 5, 8, 64], &[5, 5, 6, 1], &[1, 0, 7, 15]];
    let mut seed = vec![3];
    for (time, change) in (0..).zip(events) {
        seed.extend([0, time, 0, 2, 0, 2]);
        seed.extend(change);
    }
    seed.extend([0, 1, 0, 0, 0, 7].repeat(3));
    seeds.push(seed);
    seeds
}

const FILTERS: [&str; 5] = [
    r#"year >= 1985 and (genres contains "Drama" or title = Brazil) and not exists cast"#,
    r#"not (a.b = [1, {"c": null}] or "and" != "x y") and a < -1.5e3 and b <= true"#,
    "true or false",
    "not not not exists a",
    r"a\.b = x",
];

const QUERIES: [&str; 3] = [
    r#"{"where": {"and": [{"year": {">=": 1985, "<": 1988}}, {"or": [{"title": "Brazil"}, {"genres": {"contains": "Drama"}}]}]},
"sort": [{"year": "desc"}, "title"], "skip": 2, "limit": 10, "after": "an id", "fields": ["title", "a.b"], "index": "year"}"#,
    r#"{"where": "not exists a and b = [1]"}"#,
    r#"{"where": {"not": [{"a": 1}, {"b": {"exists": true, "!=": null}}], "or": {"=": {}}}}"#,
];

const DEFINITIONS: [&str; 3] = [
    r##"{"schema": {"type": "object", "required": ["title"], "properties": {"title": {"type": "string", "pattern": "^[a-z]{1,9}$"}, "next": {"$ref": "#"}}},
"indexes": {"title": {"unique": true}, "a.b": {}}, "keep_both": {"title": true}} {"title": "brazil", "next": {"title": "x"}}"##,
    r##"{"schema": {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"n": {"minimum": 3, "multipleOf": 0.1}},
"allOf": [{"$ref": "#/definitions/n"}, {"not": {"enum": [1, null]}}], "items": [{"const": 1}], "uniqueItems": true, "dependencies": {"a": ["b"]}}} {"a": 1, "b": [1, 1]}"##,
    r##"{"schema": 7, "indexes": {"": {}, "a..b": {"unique": 1}, "c": null}, "keep_both": {"a": true, "a.b": true, "_id": true}, "other": {}} {}"##,
];

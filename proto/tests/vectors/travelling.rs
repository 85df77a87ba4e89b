//! Records, and what carries them between nodes.

use super::*;

/// A log of six records, which have everything in them that records can have.
pub(super) fn records() -> Vec<(&'static str, VerifiedRecord)> {
    let mut records: Vec<(&'static str, VerifiedRecord)> = Vec::new();
    let mut append = |what, kind, body: Option<SealedBody>, control: Option<Control>| {
        let counter = records.len() as u64 + 1;
        let cid =
            |counter: u64| records.iter().map(|(_, record)| record).find(|r| r.counter() == counter).map(|r| *r.cid());
        let cited = CitedHead { log: log_of(1), counter: 7, cid: block::cid(b"cited") };
        let event = Event {
            time: Time::new(1_700_000_000_000 + counter, (counter == 3).into()),
            kind,
            content: body.as_ref().and_then(|body| body.content.clone()),
            heads: if counter == 2 { vec![cited] } else { Vec::new() },
            owner: (counter == 1).then(|| identity().bind(&thread(), &log())),
            body: body.map(|body| body.body),
        };
        let skip = Some(lipmaa(counter)).filter(|skip| *skip != counter - 1).and_then(cid);
        let draft = Draft { counter, prev: cid(counter - 1), skip, event, control };
        records.push((what, draft.seal(&thread(), &log(), &log_keys(), &log_key()).unwrap()));
    };
    let admission = epoch().admit(&thread(), &log()).map(Control::Admission);
    append("first: owner and admission, inline body", Kind::Application, Some(body(b"hello", &CONTENT)), admission);
    append(
        "cites a record of another log, body is a block",
        Kind::Application,
        Some(body(&stream(8193), &CONTENT)),
        None,
    );
    append("body in chunks", Kind::Snapshot, Some(chunked(&chunks()).0), None);
    let [first, second, ..] = addresses();
    let addresses = Control::Addresses(vec![first.base, second.base]);
    append("skip link to record 1, addresses", Kind::Control, None, Some(addresses));
    let next = Epoch::generate([0x77; 64]);
    let set = KeySet::thread(vec![next.clone()]).unwrap().to_bytes();
    let sealed = hpke::seal(&identity().public(), hpke::KEY_SET, &set, [6; 32]);
    let rekey = Rekey {
        key_id: next.key_id(),
        admission: *next.admission().unwrap().as_bytes(),
        recipients: vec![(identity().public(), sealed)],
    };
    append("change of key", Kind::Control, None, Some(Control::Rekey(rekey)));
    append("retires the log", Kind::Control, None, Some(Control::Retire));
    records
}

pub(super) fn describe(what: &str, record: &VerifiedRecord) -> model::Record {
    let id = log().to_bytes();
    let place = |layer| Place { layer, thread: thread_bytes(), log: &id };
    let plaintext = seal::open(log_keys().follow(), place(Layer::Record), &record.sealed().bytes).unwrap();
    let event = record.opened().event().unwrap();
    let sealed = event.seal(log_keys().read().unwrap(), &thread(), &log());
    let signed = signed(record, &hash(&sealed));
    model::Record {
        what: what.to_owned(),
        counter: record.counter(),
        prev: record.prev().map(ToString::to_string),
        skip: record.skip().map(ToString::to_string),
        links: record.links().as_slice().iter().map(ToString::to_string).collect(),
        control: record.control().map(cbor_hex),
        signature: log_key().sign(&signed).to_bytes().into(),
        signed: signed.into(),
        plaintext: plaintext.into(),
        sealed: (&record.sealed().bytes).into(),
        cid: record.cid().to_string(),
        event: model::Event {
            millis: event.time.millis(),
            time_counter: event.time.counter(),
            kind: cbor::to_vec(&event.kind)[0].into(),
            content: event.content.as_ref().map(cbor_hex),
            heads: event.heads.iter().map(|head| self::head(head.log, head.counter, &head.cid)).collect(),
            owner: event.owner.as_ref().map(cbor_hex),
            body: event.body.as_ref().map(cbor_hex),
            plaintext: seal::open(log_keys().read().unwrap(), place(Layer::Event), &sealed).unwrap().into(),
            sealed: sealed.into(),
        },
    }
}

/// What the record's signature covers.
pub(crate) fn signed(record: &VerifiedRecord, event_hash: &[u8; 32]) -> Vec<u8> {
    let key_id: KeyId = record.sealed().key_id;
    let event_hash = serde_bytes::Bytes::new(event_hash);
    let links = (record.prev(), record.skip());
    cbor::to_vec(&(
        "spool/1 record",
        record.thread(),
        record.log(),
        record.counter(),
        links.0,
        links.1,
        key_id,
        event_hash,
        record.links(),
        record.control(),
    ))
}

pub(super) fn head(log: LogId, counter: u64, cid: &spool_proto::Cid) -> model::Head {
    model::Head { log: log.to_string(), counter, cid: cid.to_string() }
}

pub(super) fn envelope(records: &[(&str, VerifiedRecord)]) -> model::Envelope {
    let topic = keys().access().topic();
    let sealed: Vec<Bytes> = records[2..4].iter().map(|(_, record)| record.sealed().bytes.clone()).collect();
    let run = Run {
        log: log(),
        counter: 3,
        key_id: epoch().key_id(),
        records: sealed.clone(),
        blocks: vec![chunked(&chunks()).0.blocks[0].1.clone()],
    };
    let envelope = run.sign(topic, &signing(9));
    model::Envelope {
        topic: topic.to_string(),
        log: log().to_string(),
        counter: 3,
        key_id: envelope.key_id.to_string(),
        records: sealed.iter().map(Hex::from).collect(),
        blocks: envelope.blocks.iter().map(Hex::from).collect(),
        sender_seed: [9; 32].into(),
        sender: envelope.sender.to_string(),
        hash: envelope.signing_hash().into(),
        signature: envelope.signature.into(),
        protobuf: pb::Envelope::from(envelope).encode_to_vec().into(),
    }
}

pub(super) fn gossip(record: &VerifiedRecord) -> model::Gossip {
    let head = wire::Head { log: log(), counter: record.counter(), cid: Some(*record.cid()), fork: None };
    let plain = wire::Gossip::Heads(vec![head]).encode().unwrap();
    let place = Place { layer: Layer::Gossip, thread: thread_bytes(), log: &[] };
    let sealed = seal::seal(keys().access().gossip(), place, &plain);
    model::Gossip {
        head: self::head(log(), record.counter(), record.cid()),
        protobuf: plain.into(),
        message_id: hash(&sealed).into(),
        sealed: sealed.into(),
    }
}

pub(crate) fn edge(logs: &[model::EdgeLog]) -> [u8; 16] {
    keys().access().edge(logs.iter().map(|log| EdgeEntry {
        log: log.log.parse().unwrap(),
        counter: log.counter,
        head: log.cid.as_ref().map(|cid| cid.parse().unwrap()),
        fork: log.fork.as_ref().map(|fork| EdgeFork { inert: fork.inert, hashes: fork.xor.array() }),
    }))
}

pub(super) fn edges() -> Vec<model::Edge> {
    let mut logs = [1, 2, 3].map(log_of);
    logs.sort();
    let log = |log: LogId, head: Option<(u64, &str)>, fork: Option<model::EdgeFork>| model::EdgeLog {
        log: log.to_string(),
        counter: head.map_or(0, |head| head.0),
        cid: head.map(|head| block::cid(head.1.as_bytes()).to_string()),
        fork,
    };
    // Two inert records: the hashes of their CIDs, XORed.
    let [a, b] = ["one branch", "another"].map(|record| hash(&block::cid(record.as_bytes()).to_bytes()));
    let xor: Vec<u8> = a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    let fork = || Some(model::EdgeFork { inert: 2, xor: (&xor).into() });
    let all = [
        ("no logs", Vec::new()),
        ("two logs", vec![log(logs[0], Some((7, "head")), None), log(logs[1], Some((1, "other head")), None)]),
        (
            "one log, one forked after its record 4, one at its first record; the inert records are those with the blocks \"one branch\" and \"another\"",
            vec![
                log(logs[0], Some((7, "head")), None),
                log(logs[1], Some((4, "fourth")), fork()),
                log(logs[2], None, fork()),
            ],
        ),
    ];
    all.map(|(what, logs)| model::Edge { what: what.to_owned(), edge: edge(&logs).into(), logs }).into()
}

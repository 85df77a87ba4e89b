//! Every class of bad record.

use bytes::Bytes;
use spool_integration_tests::{Scripted, Writer, forge};
use spool_proto::{
    ThreadId, ThreadKeys, TopicId,
    envelope::Run,
    keys::{Epoch, ReadKey},
    record::VerifiedRecord,
    wire::Envelope,
};

use super::scene::Scene;

/// A record or envelope that is bad, and how many records before it in the same run are good.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) writer: Writer,
    pub(super) run: Run,
    /// Records of the writer's log that a receiver may keep.
    pub(super) good: u64,
    /// Whether the envelope's signature is spoilt as well.
    pub(super) forged_envelope: bool,
}

/// Every class of bad record, each with a writer of its own.
pub(super) fn attacks(thread: &ThreadId, keys: &ThreadKeys, seed: u64) -> Vec<Attack> {
    let epoch = keys.current().expect("keys of the whole thread");
    let writer = |number: u64, count: u64| {
        let mut writer = Writer::new(seed + number, thread, keys);
        writer.append_many(count);
        writer
    };
    let mut attacks = Vec::new();
    let mut add = |name, writer: &Writer, run: Run, good| {
        attacks.push(Attack { name, writer: writer.clone(), run, good, forged_envelope: false });
    };
    for (number, name, break_it) in [
        (1, "forged signature", forge::signature as fn(&Writer, &VerifiedRecord) -> Bytes),
        (2, "encoding that is not canonical", forge::encoding),
        (3, "another nonce", forge::nonce),
        (4, "sealed under another key", forge::key),
    ] {
        let writer = writer(number, 1);
        let bad = break_it(&writer, &writer.records[0]);
        add(name, &writer, writer.run_of(1, vec![bad]), 0);
    }
    let (from, to) = (writer(5, 1), writer(6, 0));
    add("record of another log", &to, to.run_of(1, vec![from.records[0].sealed().bytes.clone()]), 0);
    add(
        "record of another log, sealed anew",
        &to,
        to.run_of(1, vec![forge::moved_to(&to, &from, &from.records[0])]),
        0,
    );
    let elsewhere = ThreadId::new(thread.variant(), [77; 32]);
    let mut from = Writer::new(seed + 7, &elsewhere, keys);
    from.append(b"in another thread");
    let to = from.clone().in_thread(thread);
    let bytes = from.records[0].sealed().bytes.clone();
    add("record of another thread", &from, from.run_of(1, vec![bytes]), 0);
    add(
        "record of another thread, sealed anew",
        &to,
        to.run_of(1, vec![forge::moved_to(&to, &from, &from.records[0])]),
        0,
    );
    let read = ReadKey::new([66; 32]);
    let mut follower = Writer::in_epoch(seed + 8, thread, Epoch::new(epoch.follow().clone(), read));
    follower.append(b"a follower lets itself in");
    add("log that nobody admitted", &follower, follower.run(0, 1), 0);
    let mut skips = writer(9, 3);
    let mut draft = skips.draft(b"skips to where it should not");
    draft.skip = Some(*skips.records[1].cid());
    let bad = skips.seal(draft);
    skips.records.push(bad);
    add("broken skip", &skips, skips.run(0, 4), 3);
    let honest = writer(10, 1);
    let run = honest.run(0, 1);
    attacks.push(Attack { name: "forged envelope", writer: honest, run, good: 0, forged_envelope: true });
    attacks
}

impl Attack {
    pub(super) fn envelope(&self, attacker: &Scripted, topic: TopicId) -> Envelope {
        let mut envelope = attacker.sign(self.run.clone(), topic);
        if self.forged_envelope {
            envelope.signature[3] ^= 1;
        }
        envelope
    }

    pub(super) async fn left_nothing(&self, scene: &Scene) {
        let head = scene.victim.head(&scene.thread, &self.writer.log).await;
        assert!(head <= self.good, "{}: record {head} was taken", self.name);
    }
}

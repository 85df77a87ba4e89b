//! A member whose events break the rules of time, in records that are signed as they should be.

use rand::{Rng, RngExt, seq::IteratorRandom};
use spool_proto::{
    Cid, DeviceId, Identity, LogId, block,
    body::{Protection, seal_body},
    clock::Time,
    event::{CitedHead, Event, Kind},
    keys::LogKeys,
    lipmaa::lipmaa,
    record::{Control, Draft, VerifiedRecord},
    sync::{
        Writer,
        sim::{NodeId, SharedThread, Simulation, ThreadImage},
    },
};

/// Records that are pushed at a time: those before the newest may have been lost.
const PUSHED: usize = 4;
/// How far ahead of every clock it goes now and then: longer than others accept, shorter than a run with its end.
const FAR_AHEAD_MILLIS: u64 = 12 * 60 * 1_000;

pub(crate) struct Rogue {
    pub(crate) node: NodeId,
    pub(crate) thread: SharedThread,
    writer: Writer,
    keys: LogKeys,
    records: Vec<VerifiedRecord>,
    greatest: Time,
}

impl Rogue {
    /// With a log beside that of the node.
    pub(crate) fn new(node: NodeId, thread: &SharedThread, seed: [u8; 32]) -> Self {
        let identity = Identity::from_seed(seed);
        let signer = identity.log_key(&thread.id, &DeviceId::new([3; 16]));
        let log = LogId::from(&signer);
        let epoch = thread.keys.current().expect("a thread has an epoch");
        let writer =
            Writer { log, signer, owner: identity.bind(&thread.id, &log), admission: epoch.admit(&thread.id, &log) };
        let keys = LogKeys::derive(epoch, &log);
        Self { node, thread: thread.clone(), writer, keys, records: Vec::new(), greatest: Time::default() }
    }

    fn cid(&self, counter: u64) -> Option<Cid> {
        Some(*self.records.get(usize::try_from(counter.checked_sub(1)?).ok()?)?.cid())
    }

    /// At a time that others may or may not let count.
    fn time(&mut self, now_millis: u64, rng: &mut impl Rng) -> Time {
        let time = match rng.random_range(0..100) {
            0..50 => Time::after(self.greatest, now_millis),
            50..70 => Time::new(now_millis - rng.random_range(0..20_000), rng.random_range(0..3)),
            70..80 => self.greatest,
            80..98 => Time::new(now_millis + rng.random_range(0..2_000), 0),
            _ => Time::new(now_millis + FAR_AHEAD_MILLIS, 0),
        };
        self.greatest = self.greatest.max(time);
        time
    }

    /// Records of others, whatever their times; some that nobody has.
    fn heads(&self, image: &ThreadImage, rng: &mut impl Rng) -> Vec<CitedHead> {
        let others = image.logs.iter().filter(|(id, log)| **id != self.writer.log && !log.main.is_empty());
        let some = rng.random_range(0..3);
        let mut heads: Vec<_> = others
            .sample(rng, some)
            .into_iter()
            .map(|(id, log)| {
                let length = log.main.len() as u64;
                let counter = length - rng.random_range(0..length.min(5));
                let nowhere = || block::cid(&counter.to_be_bytes());
                let cid = log.at(counter).map(|head| head.cid).filter(|_| rng.random_bool(0.9));
                CitedHead { log: *id, counter, cid: cid.unwrap_or_else(nowhere) }
            })
            .collect();
        heads.sort_unstable_by_key(|head| head.log);
        heads
    }

    /// Writes an event with this body and pushes it to whoever is connected.
    pub(crate) fn write(&mut self, simulation: &mut Simulation, body: &[u8], rng: &mut impl Rng) {
        let Some(image) = simulation.written(self.node).threads.get(&self.thread.id) else { return };
        let heads = self.heads(image, rng);
        let time = self.time(simulation.wall_millis(self.node), rng);
        let counter = self.records.len() as u64 + 1;
        let first = counter == 1;
        let mut key = [9; 32];
        key[..8].copy_from_slice(&counter.to_be_bytes());
        let sealed = seal_body(body, &Protection::Thread { key }, &self.keys, &self.thread.id).expect("a small body");
        assert!(sealed.blocks.is_empty(), "nobody would have the block");
        let event = Event {
            time,
            kind: Kind::Application,
            content: sealed.content,
            heads,
            owner: first.then(|| self.writer.owner.clone()),
            body: Some(sealed.body),
        };
        let draft = Draft {
            counter,
            prev: self.cid(counter - 1),
            skip: self.cid(lipmaa(counter)).filter(|_| !first && lipmaa(counter) != counter - 1),
            event,
            control: self.writer.admission.map(Control::Admission).filter(|_| first),
        };
        let record = draft.seal(&self.thread.id, &self.writer.log, &self.keys, &self.writer.signer);
        self.records.push(record.expect("a small record"));
        let topic = self.thread.keys.access().topic();
        for record in &self.records[self.records.len().saturating_sub(PUSHED)..] {
            simulation.push_record(self.node, topic, record);
        }
    }
}

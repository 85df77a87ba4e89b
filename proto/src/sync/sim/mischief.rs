//! What malicious nodes do unasked.

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use rand::{RngExt, seq::IndexedRandom};

use super::{SharedThread, malice::Malice, node::NodeId, simulation::Simulation};
use crate::{
    Identity,
    clock::Time,
    envelope::Run,
    event::{Event, Kind},
    id::{DeviceId, LogId, TopicId},
    keys::{Epoch, LogKeys, ReadKey},
    record::{Control, Draft, VerifiedRecord},
    wire::Request,
};

impl Simulation {
    /// Lets a malicious node do something of its kind in one of its threads.
    pub fn make_mischief(&mut self, node: NodeId) {
        let (Some(malice), true) = (self.node(node).malice, self.is_up(node)) else { return };
        let all = self.threads.clone();
        let of_node: Vec<_> = all.iter().filter(|thread| thread.members.contains(&node)).cloned().collect();
        let Some(thread) = of_node.choose(&mut self.rng).cloned() else { return };
        let topic = thread.keys.access().topic();
        match malice {
            Malice::Replay => {
                let heard = self.node(node).heard.clone();
                if let Some((topic, data)) = heard.choose(&mut self.rng) {
                    self.shout(node, *topic, data);
                }
            }
            Malice::Noise => {
                let bytes = Bytes::copy_from_slice(&self.random_bytes());
                self.shout(node, topic, &bytes);
            }
            Malice::NoProof => {
                let Some(other) = all.choose(&mut self.rng) else { return };
                let topic = other.keys.access().topic();
                self.ask_all(node, &Request::Heads { topic, after: None });
            }
            Malice::Unadmitted => {
                let record = self.unadmitted(&thread);
                self.push_record(node, topic, &record);
            }
            Malice::BrokenSkip => {
                if let Some(record) = self.broken_skip(node, &thread) {
                    self.push_record(node, topic, &record);
                }
            }
            Malice::Silent
            | Malice::DamagedRecords
            | Malice::ForgedEnvelopes
            | Malice::FalseHeads
            | Malice::WrongAnswers
            | Malice::Resealed
            | Malice::Cloned => {}
        }
    }

    fn shout(&mut self, by: NodeId, topic: TopicId, data: &Bytes) {
        for to in self.node(by).peers.clone() {
            self.send_gossip(by, to, topic, data, true);
        }
    }

    fn ask_all(&mut self, by: NodeId, request: &Request) {
        for to in self.node(by).peers.clone() {
            self.ask(by, to, request.clone());
        }
    }

    /// Pushes a record to all peers of a node.
    pub fn push_record(&mut self, by: NodeId, topic: TopicId, record: &VerifiedRecord) {
        let sealed = record.sealed();
        let run = Run {
            log: *record.log(),
            counter: record.counter(),
            key_id: sealed.key_id,
            records: vec![sealed.bytes.clone()],
            blocks: Vec::new(),
        };
        let envelope = run.sign(topic, &self.node(by).key.clone());
        self.ask_all(by, &Request::Push(vec![envelope]));
    }

    /// The first record of a log that somebody made who holds the follow key only.
    pub fn unadmitted(&mut self, thread: &SharedThread) -> VerifiedRecord {
        let identity = Identity::from_seed(self.random_bytes());
        let signer = identity.log_key(&thread.id, &DeviceId::new([9; 16]));
        let log = LogId::from(&signer);
        let follow = thread.keys.current().expect("a thread has an epoch").follow().clone();
        let epoch = Epoch::new(follow, ReadKey::new(self.random_bytes()));
        let control = epoch.admit(&thread.id, &log).map(Control::Admission).filter(|_| self.rng.random_bool(0.5));
        let event = empty_event(Time::new(1, 1), Some(identity.bind(&thread.id, &log)));
        self.seal_record(
            thread,
            &LogKeys::derive(&epoch, &log),
            &signer,
            Draft { counter: 1, prev: None, skip: None, event, control },
        )
    }

    /// A record after the head of a node's own log, signed by its writer, whose skip link is wrong; none where there is no skip link.
    pub fn broken_skip(&mut self, node: NodeId, thread: &SharedThread) -> Option<VerifiedRecord> {
        let writer = self.writer(node, thread)?.clone();
        let head = self.disk(node).find(&thread.id, &writer.log)?.state.head?;
        let counter = head.counter + 1;
        if crate::lipmaa::lipmaa(counter) == head.counter {
            return None;
        }
        let key_id = thread.keys.current()?.key_id();
        let keys = thread.keys.log_keys(&key_id, &writer.log)?;
        let skip = Some(crate::block::cid(&self.random_bytes()));
        let event = empty_event(Time::new(u64::from(u32::MAX), 1), None);
        Some(self.seal_record(
            thread,
            &keys,
            &writer.signer,
            Draft { counter, prev: Some(head.cid), skip, event, control: None },
        ))
    }

    fn seal_record(&self, thread: &SharedThread, keys: &LogKeys, signer: &SigningKey, draft: Draft) -> VerifiedRecord {
        draft.seal(&thread.id, keys.log(), keys, signer).expect("a small record")
    }
}

fn empty_event(time: Time, owner: Option<crate::owner::Owner>) -> Event {
    Event { time, kind: Kind::Control, content: None, heads: Vec::new(), owner, body: None }
}

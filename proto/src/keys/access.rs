use std::fmt;

use cid::Cid;
use libp2p_identity::PeerId;
use subtle::ConstantTimeEq;

use super::{FollowKey, SealKey, hmac, kdf, lp};
use crate::id::{LogId, TopicId};

/// Decides who can find a thread and speak about it: topic, place in the DHT, gossip, and the proof of access come from it.
///
/// It follows from the follow key of the current epoch, so a new epoch moves the thread. Everything that has a fixed value is
/// computed when the key is made.
#[derive(Clone)]
pub struct AccessKey {
    key: FollowKey,
    topic: TopicId,
    dht: [u8; 32],
    gossip: SealKey,
}

/// Which way a proof of access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer that asks to the one that answers.
    Request,
    /// Back, in the answer.
    Response,
}

/// What the edge of a thread says about one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeEntry {
    /// The log.
    pub log: LogId,
    /// Counter of its head, or of the last record before the fork; 0 where the fork is at the first record.
    pub counter: u64,
    /// That record; `None` if and only if the counter is 0.
    pub head: Option<Cid>,
    /// What is inert behind a fork, if the log is forked.
    pub fork: Option<EdgeFork>,
}

/// The inert records of a forked log, in a form that does not depend on the order in which they arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeFork {
    /// How many there are.
    pub inert: u64,
    /// XOR of the SHA-256 hashes of their CIDs.
    pub hashes: [u8; 32],
}

impl AccessKey {
    /// The access key that a key set of single logs hands over.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self {
            topic: TopicId::new(hmac(&bytes, &[b"spool/1 topic"])),
            dht: hmac(&bytes, &[b"spool/1 dht"]),
            gossip: SealKey::new(kdf(&bytes, "gossip", &[])),
            key: FollowKey::new(bytes),
        }
    }

    /// The access key of a thread whose current epoch has this follow key.
    pub fn of(follow: &FollowKey) -> Self {
        Self::new(kdf(follow.as_bytes(), "access", &[]))
    }

    /// The key itself: for handing it over or storing it, never for logs.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Where the thread's gossip goes.
    pub const fn topic(&self) -> TopicId {
        self.topic
    }

    /// Under which key the thread's peers provide themselves in the DHT.
    pub const fn dht_key(&self) -> &[u8; 32] {
        &self.dht
    }

    /// Seals what is published.
    pub const fn gossip(&self) -> &SealKey {
        &self.gossip
    }

    /// Proves to the other end of a connection that this peer knows the thread. Both peer ids must be those that the
    /// connection authenticated.
    pub fn proof(&self, requester: &PeerId, responder: &PeerId, direction: Direction) -> [u8; 32] {
        let mut message = b"spool/1 proof".to_vec();
        lp(&mut message, &requester.to_bytes());
        lp(&mut message, &responder.to_bytes());
        message.push(match direction {
            Direction::Request => 0,
            Direction::Response => 1,
        });
        hmac(self.as_bytes(), &[&message])
    }

    /// Whether `proof` is right, in a time that does not depend on it.
    pub fn verify_proof(&self, proof: &[u8; 32], requester: &PeerId, responder: &PeerId, direction: Direction) -> bool {
        self.proof(requester, responder, direction).ct_eq(proof).into()
    }

    /// A short hash over the heads of all logs: peers with the same edge have the same records.
    ///
    /// Pure; costs a hash of about 120 bytes a log. `entries` come in ascending order of their log ids; in another order the
    /// edge is one that no other peer computes.
    pub fn edge(&self, entries: impl IntoIterator<Item = EdgeEntry>) -> [u8; 16] {
        let mut message = b"spool/1 edge".to_vec();
        let mut before: Option<LogId> = None;
        for entry in entries {
            debug_assert!(before.is_none_or(|before| before < entry.log), "entries are sorted by log id");
            before = Some(entry.log);
            lp(&mut message, &entry.log.to_bytes());
            message.extend_from_slice(&entry.counter.to_be_bytes());
            lp(&mut message, &entry.head.map(|head| head.to_bytes()).unwrap_or_default());
            if let Some(fork) = entry.fork {
                message.extend_from_slice(b"fork");
                message.extend_from_slice(&fork.inert.to_be_bytes());
                message.extend_from_slice(&fork.hashes);
            }
        }
        let edge = hmac(self.as_bytes(), &[&message]);
        *edge.first_chunk().expect("32 bytes begin with 16")
    }
}

impl PartialEq for AccessKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for AccessKey {}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn log(seed: u8) -> LogId {
        LogId::from(&SigningKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn a_proof_holds_for_one_pair_and_one_direction() {
        let key = AccessKey::new([1; 32]);
        let (alice, bob) = (PeerId::from(log(1)), PeerId::from(log(2)));
        let proof = key.proof(&alice, &bob, Direction::Request);
        assert!(key.verify_proof(&proof, &alice, &bob, Direction::Request));
        assert!(!key.verify_proof(&proof, &alice, &bob, Direction::Response));
        assert!(!key.verify_proof(&proof, &bob, &alice, Direction::Request));
        assert!(!AccessKey::new([2; 32]).verify_proof(&proof, &alice, &bob, Direction::Request));
    }

    #[test]
    fn every_field_moves_the_edge() {
        let key = AccessKey::new([1; 32]);
        let head = crate::block::cid(b"head");
        let entry = EdgeEntry { log: log(1), counter: 3, head: Some(head), fork: None };
        let fork = EdgeFork { inert: 2, hashes: [7; 32] };
        let edges = [
            key.edge([]),
            key.edge([entry]),
            AccessKey::new([2; 32]).edge([entry]),
            key.edge([EdgeEntry { log: log(2), ..entry }]),
            key.edge([EdgeEntry { counter: 4, ..entry }]),
            key.edge([EdgeEntry { head: Some(crate::block::cid(b"other")), ..entry }]),
            key.edge([EdgeEntry { head: None, counter: 0, ..entry }]),
            key.edge([EdgeEntry { fork: Some(fork), ..entry }]),
            key.edge([EdgeEntry { fork: Some(EdgeFork { inert: 3, ..fork }), ..entry }]),
            key.edge([EdgeEntry { fork: Some(EdgeFork { hashes: [8; 32], ..fork }), ..entry }]),
        ];
        for (i, edge) in edges.iter().enumerate() {
            assert!(!edges[i + 1..].contains(edge), "{i}");
        }
    }
}

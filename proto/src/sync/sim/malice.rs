//! Nodes that do not keep to the protocol: what they make of the messages of an engine that does.

use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use ed25519_dalek::{Signer, SigningKey};
use rand::RngExt;

use super::{node::NodeId, simulation::Simulation};
use crate::{
    id::LogId,
    wire::{Envelope, Head, Request, Response},
};

/// How a node misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malice {
    /// Never answers.
    Silent,
    /// Sends damaged records in well-signed envelopes.
    DamagedRecords,
    /// Sends envelopes with a wrong signature.
    ForgedEnvelopes,
    /// Claims records and logs that do not exist.
    FalseHeads,
    /// Answers what was not asked.
    WrongAnswers,
    /// Publishes old messages again.
    Replay,
    /// Publishes random bytes.
    Noise,
    /// Asks about threads without having proven access.
    NoProof,
    /// Sends records sealed under another nonce.
    Resealed,
    /// Opens logs that nobody admitted; as a follower it cannot do better.
    Unadmitted,
    /// A writer that signs records with a wrong skip link.
    BrokenSkip,
    /// A writer whose keys another node has too.
    Cloned,
}

impl Malice {
    /// All ways to misbehave.
    pub const ALL: [Malice; 12] = [
        Malice::Silent,
        Malice::DamagedRecords,
        Malice::ForgedEnvelopes,
        Malice::FalseHeads,
        Malice::WrongAnswers,
        Malice::Replay,
        Malice::Noise,
        Malice::NoProof,
        Malice::Resealed,
        Malice::Unadmitted,
        Malice::BrokenSkip,
        Malice::Cloned,
    ];

    /// Whether it never sends a block that it is asked for.
    pub(super) fn withholds_blocks(self) -> bool {
        matches!(self, Malice::Silent | Malice::WrongAnswers)
    }
}

impl Simulation {
    /// What a malicious node makes of its engine's request; none if it sends nothing.
    pub(super) fn twist_request(&mut self, by: NodeId, request: Request) -> Option<Request> {
        let Some(malice) = self.node(by).malice else { return Some(request) };
        Some(match request {
            Request::Push(mut envelopes) => {
                envelopes.iter_mut().for_each(|envelope| self.twist_envelope(by, malice, envelope));
                Request::Push(envelopes)
            }
            request => request,
        })
    }

    /// What it makes of a response.
    pub(super) fn twist_response(&mut self, by: NodeId, response: Response) -> Option<Response> {
        let Some(malice) = self.node(by).malice else { return Some(response) };
        Some(match (malice, response) {
            (Malice::Silent, _) => return None,
            (Malice::FalseHeads, Response::Heads { mut heads, more }) => {
                for head in &mut heads {
                    head.counter = head.counter.saturating_add(self.rng.random_range(1..1_000));
                }
                if let Some(head) = heads.first_mut() {
                    head.counter = u64::MAX;
                }
                let key = SigningKey::from_bytes(&self.random_bytes());
                let cid = crate::block::cid(&self.random_bytes());
                heads.push(Head {
                    log: LogId::from(&key),
                    counter: self.rng.random_range(1..1_000),
                    cid: Some(cid),
                    fork: None,
                });
                Response::Heads { heads, more }
            }
            (Malice::WrongAnswers, Response::Records { envelope: Some(mut envelope), more }) => {
                match self.rng.random_range(0..3) {
                    0 => envelope.counter = envelope.counter.saturating_add(1),
                    1 => envelope.log = LogId::from(&SigningKey::from_bytes(&self.random_bytes())),
                    _ => return Some(Response::Push(Vec::new())),
                }
                Response::Records { envelope: Some(envelope), more }
            }
            (Malice::WrongAnswers, Response::Heads { .. }) => Response::Records { envelope: None, more: true },
            (Malice::WrongAnswers, Response::Blocks { more, .. }) => {
                Response::Blocks { blocks: vec![Bytes::copy_from_slice(&self.random_bytes())], more }
            }
            (_, Response::Records { envelope: Some(mut envelope), more }) => {
                self.twist_envelope(by, malice, &mut envelope);
                Response::Records { envelope: Some(envelope), more }
            }
            (Malice::DamagedRecords | Malice::Resealed, Response::Inert { mut records, more }) => {
                for record in &mut records {
                    record.record = damaged(&record.record);
                }
                Response::Inert { records, more }
            }
            (_, response) => response,
        })
    }

    /// What it makes of a message to a topic.
    pub(super) fn twist_gossip(&mut self, by: NodeId, data: Bytes) -> Option<Bytes> {
        match self.node(by).malice {
            Some(Malice::DamagedRecords) => Some(damaged(&data)),
            _ => Some(data),
        }
    }

    fn twist_envelope(&mut self, by: NodeId, malice: Malice, envelope: &mut Envelope) {
        match malice {
            Malice::ForgedEnvelopes => {
                envelope.signature[self.rng.random_range(0..64)] ^= 1;
                return;
            }
            Malice::DamagedRecords => {
                let index = self.rng.random_range(0..envelope.records.len());
                envelope.records[index] = damaged(&envelope.records[index]);
            }
            Malice::Resealed => {
                let index = self.rng.random_range(0..envelope.records.len());
                if let Some(resealed) = self.resealed(envelope, index) {
                    envelope.records[index] = resealed;
                }
            }
            _ => return,
        }
        envelope.signature = self.node(by).key.sign(&envelope.signing_hash()).to_bytes();
    }

    /// A record of an envelope under a nonce of the sender's choice.
    fn resealed(&mut self, envelope: &Envelope, index: usize) -> Option<Bytes> {
        let shared = self.threads.iter().find(|shared| shared.keys.access().topic() == envelope.topic)?;
        let keys = shared.keys.log_keys(&envelope.key_id, &envelope.log)?;
        let cipher = XChaCha20Poly1305::new(keys.follow().cipher().into());
        let log = envelope.log.to_bytes();
        let aad = [b"spool/1 record".as_slice(), shared.id.as_bytes(), &log]
            .iter()
            .flat_map(|part| [&(part.len() as u32).to_be_bytes(), *part].concat())
            .collect::<Vec<u8>>();
        let (nonce, rest) = envelope.records[index].split_first_chunk::<24>()?;
        let plain = cipher.decrypt(&XNonce::from(*nonce), Payload { msg: rest, aad: &aad }).ok()?;
        let mut other = [0; 24];
        other.copy_from_slice(&self.random_bytes()[..24]);
        let sealed = cipher.encrypt(&XNonce::from(other), Payload { msg: &plain, aad: &aad }).ok()?;
        Some([other.as_slice(), &sealed].concat().into())
    }
}

fn damaged(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}

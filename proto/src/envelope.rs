//! Envelopes: runs of records on their way, signed by whoever sends them.

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};

use crate::{
    PeerId,
    id::{KeyId, LogId, TopicId},
    wire::Envelope,
};

/// Consecutive sealed records of one log under one key, before they are signed for sending.
#[derive(Debug, Clone)]
pub struct Run {
    /// The log.
    pub log: LogId,
    /// Counter of the first record.
    pub counter: u64,
    /// The key that all of them are sealed under.
    pub key_id: KeyId,
    /// The records, oldest first.
    pub records: Vec<Bytes>,
    /// Blocks that they link to: all, some or none.
    pub blocks: Vec<Bytes>,
}

impl Run {
    /// The envelope of this run, signed with the sending node's key: one signature, however many records.
    pub fn sign(self, topic: TopicId, node_key: &SigningKey) -> Envelope {
        let mut envelope = Envelope {
            topic,
            log: self.log,
            counter: self.counter,
            key_id: self.key_id,
            records: self.records,
            blocks: self.blocks,
            sender: peer_id(node_key),
            signature: [0; 64],
        };
        envelope.signature = node_key.sign(&envelope.signing_hash()).to_bytes();
        envelope
    }
}

/// The peer id of a node key.
///
/// # Panics
///
/// Never: every ed25519 signing key has a public key that libp2p accepts.
pub fn peer_id(node_key: &SigningKey) -> PeerId {
    let key = libp2p_identity::ed25519::PublicKey::try_from_bytes(node_key.verifying_key().as_bytes())
        .expect("the public half of a signing key is a valid key");
    PeerId::from_public_key(&key.into())
}

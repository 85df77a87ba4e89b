use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey};
use libp2p_identity::PeerId;
use serde::{Serialize, Serializer};
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use super::{Statement, statement::challenge};
use crate::{
    cbor,
    id::{self, LogId, ThreadId, peer_verifying_key},
    identity::IdentityKey,
    keys::lp,
    limits::MAX_STATEMENT_BYTES,
};

/// Binds a log to its owner. Proves nothing before [`verify`](Self::verify) said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The owner's own node wrote it.
    Direct {
        /// The owner.
        identity: IdentityKey,
        /// The owner's signature over thread and log.
        signature: [u8; 64],
    },
    /// A node wrote it for a client.
    Delegated {
        /// Canonical form of the [`Statement`] that the client agreed to.
        statement: Vec<u8>,
        /// The client's signature over the hash of the statement.
        client_signature: [u8; 64],
        /// The node's signature over thread, log, owner and the hash of the statement.
        node_signature: [u8; 64],
    },
}

/// The proven author of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Author {
    /// Who.
    pub key: IdentityKey,
    /// The node that wrote in that name; `None` if the author signed for the log.
    pub via: Option<PeerId>,
}

/// Why a binding proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The owner did not sign for this log in this thread.
    #[error("the owner's signature does not hold for this log in this thread")]
    OwnerSignature,
    /// The client did not sign this statement.
    #[error("the client's signature does not hold for the statement")]
    ClientSignature,
    /// The node did not sign for this log in this thread.
    #[error("the node's signature does not hold for this log in this thread")]
    NodeSignature,
    /// What the client signed is no delegation.
    #[error("the client's statement is not a delegation")]
    Statement(#[from] cbor::Error),
    /// The node's peer id has no key that could be checked.
    #[error("the delegation's node cannot be checked")]
    Node(#[from] id::Error),
}

impl Owner {
    /// The binding that an owner signs; see [`Identity::bind`](crate::identity::Identity::bind).
    pub(crate) fn direct(identity: &SigningKey, thread: &ThreadId, log: &LogId) -> Self {
        let signature = identity.sign(&direct_message(thread, log)).to_bytes();
        Self::Direct { identity: IdentityKey::from(identity), signature }
    }

    /// The binding that `node` signs for a client that agreed to `statement`. It does not verify unless `node` is the key of
    /// the statement's node and the client's signature is one over [`Statement::challenge`].
    pub fn delegated(
        statement: &Statement,
        client_signature: [u8; 64],
        node: &SigningKey,
        thread: &ThreadId,
        log: &LogId,
    ) -> Self {
        let bytes = statement.to_bytes();
        let message = delegated_message(thread, log, &statement.owner, &challenge(&bytes));
        Self::Delegated { statement: bytes, client_signature, node_signature: node.sign(&message).to_bytes() }
    }

    /// Checks the binding for this log in this thread, and says who the author is.
    ///
    /// Pure, so it says nothing about time: whether a delegation still held when a record was written is a question to
    /// [`statement`](Self::statement).
    ///
    /// # Errors
    ///
    /// [`Error`] names the signature that does not hold, or says why the statement is none.
    pub fn verify(&self, thread: &ThreadId, log: &LogId) -> Result<Author, Error> {
        match self {
            Owner::Direct { identity, signature } => {
                if !identity.verify(&direct_message(thread, log), signature) {
                    return Err(Error::OwnerSignature);
                }
                Ok(Author { key: *identity, via: None })
            }
            Owner::Delegated { statement, client_signature, node_signature } => {
                let challenge = challenge(statement);
                let Statement { owner, node, .. } = Statement::from_bytes(statement)?;
                let node_key = peer_verifying_key(&node)?;
                if !owner.verify(&challenge, client_signature) {
                    return Err(Error::ClientSignature);
                }
                let message = delegated_message(thread, log, &owner, &challenge);
                if node_key.verify_strict(&message, &Signature::from_bytes(node_signature)).is_err() {
                    return Err(Error::NodeSignature);
                }
                Ok(Author { key: owner, via: Some(node) })
            }
        }
    }

    /// The client's statement, if the log was written by a node for a client. Unproven before [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// If it is too large, not canonical, or not a statement.
    pub fn statement(&self) -> Result<Option<Statement>, cbor::Error> {
        match self {
            Owner::Direct { .. } => Ok(None),
            Owner::Delegated { statement, .. } => Statement::from_bytes(statement).map(Some),
        }
    }
}

fn direct_message(thread: &ThreadId, log: &LogId) -> Vec<u8> {
    let mut message = b"spool/1 owner".to_vec();
    lp(&mut message, thread.as_bytes());
    lp(&mut message, &log.to_bytes());
    message
}

fn delegated_message(thread: &ThreadId, log: &LogId, owner: &IdentityKey, challenge: &[u8; 32]) -> Vec<u8> {
    let mut message = b"spool/1 delegated".to_vec();
    lp(&mut message, thread.as_bytes());
    lp(&mut message, &log.to_bytes());
    lp(&mut message, owner.as_bytes());
    message.extend_from_slice(challenge);
    message
}

/// "X", or "X via node N": a delegated record is never shown as X's own.
impl fmt::Display for Author {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.via {
            None => write!(formatter, "{}", self.key),
            Some(node) => write!(formatter, "{} via node {node}", self.key),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Owner::Direct { identity, signature } => (0u64, identity, Bytes::new(signature)).serialize(serializer),
            Owner::Delegated { statement, client_signature, node_signature } => {
                (1u64, Bytes::new(statement), Bytes::new(client_signature), Bytes::new(node_signature))
                    .serialize(serializer)
            }
        }
    }
}

cbor::deserialize_tagged!(Owner, "owner binding", |sequence, kind| match kind {
    0 => {
        let identity = cbor::field(&mut sequence, "owner's key")?;
        let signature: ByteArray<64> = cbor::field(&mut sequence, "owner's signature")?;
        Owner::Direct { identity, signature: signature.into_array() }
    }
    1 => {
        let statement: ByteBuf = cbor::field(&mut sequence, "statement")?;
        if statement.len() > MAX_STATEMENT_BYTES {
            return Err(serde::de::Error::custom(format_args!(
                "statement of {} bytes, at most {MAX_STATEMENT_BYTES} are permitted",
                statement.len()
            )));
        }
        let client: ByteArray<64> = cbor::field(&mut sequence, "client's signature")?;
        let node: ByteArray<64> = cbor::field(&mut sequence, "node's signature")?;
        Owner::Delegated {
            statement: statement.into_vec(),
            client_signature: client.into_array(),
            node_signature: node.into_array(),
        }
    }
    kind => return Err(cbor::unknown("owner binding", kind)),
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Variant, identity::Identity};

    fn thread(seed: u8) -> ThreadId {
        ThreadId::new(Variant::Raw, [seed; 32])
    }

    fn signing(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn log(seed: u8) -> LogId {
        LogId::from(&signing(seed))
    }

    fn statement() -> Statement {
        Statement {
            node: PeerId::from(log(9)),
            owner: IdentityKey::from(&signing(8)),
            issued_at: 1_000,
            expires_at: 2_000,
            nonce: [5; 16],
        }
    }

    fn delegated(client: u8, node: u8) -> Owner {
        let agreed = signing(client).sign(&statement().challenge()).to_bytes();
        Owner::delegated(&statement(), agreed, &signing(node), &thread(1), &log(1))
    }

    #[test]
    fn a_direct_binding_names_its_owner_for_one_log_in_one_thread() {
        let identity = Identity::from_seed([1; 32]);
        let owner = identity.bind(&thread(1), &log(1));
        let author = owner.verify(&thread(1), &log(1)).unwrap();
        assert_eq!(author, Author { key: identity.public(), via: None });
        assert_eq!(author.to_string(), identity.public().to_string());
        assert!(matches!(owner.verify(&thread(2), &log(1)), Err(Error::OwnerSignature)));
        assert!(matches!(owner.verify(&thread(1), &log(2)), Err(Error::OwnerSignature)));
        let Owner::Direct { signature, .. } = owner else { panic!("bind is direct") };
        let stolen = Owner::Direct { identity: Identity::from_seed([2; 32]).public(), signature };
        assert!(matches!(stolen.verify(&thread(1), &log(1)), Err(Error::OwnerSignature)));
    }

    #[test]
    fn a_delegated_binding_is_shown_as_such() {
        let author = delegated(8, 9).verify(&thread(1), &log(1)).unwrap();
        assert_eq!(author, Author { key: statement().owner, via: Some(statement().node) });
        assert_eq!(author.to_string(), format!("{} via node {}", statement().owner, statement().node));
    }

    #[test]
    fn a_delegation_takes_both_signatures_and_this_log() {
        assert!(matches!(delegated(7, 9).verify(&thread(1), &log(1)), Err(Error::ClientSignature)));
        assert!(matches!(delegated(8, 7).verify(&thread(1), &log(1)), Err(Error::NodeSignature)));
        assert!(matches!(delegated(8, 9).verify(&thread(1), &log(2)), Err(Error::NodeSignature)));
        assert!(matches!(delegated(8, 9).verify(&thread(2), &log(1)), Err(Error::NodeSignature)));
    }

    #[test]
    fn a_signature_over_anything_but_a_statement_delegates_nothing() {
        let client = signing(8);
        for bytes in [b"hello".to_vec(), vec![0x80], vec![0; MAX_STATEMENT_BYTES + 1]] {
            let owner = Owner::Delegated {
                client_signature: client.sign(&challenge(&bytes)).to_bytes(),
                statement: bytes,
                node_signature: [0; 64],
            };
            assert!(matches!(owner.verify(&thread(1), &log(1)), Err(Error::Statement(_))));
        }
        let hashed =
            Statement { node: "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap(), ..statement() };
        let agreed = client.sign(&hashed.challenge()).to_bytes();
        let owner = Owner::delegated(&hashed, agreed, &signing(9), &thread(1), &log(1));
        assert!(matches!(owner.verify(&thread(1), &log(1)), Err(Error::Node(_))));
    }

    #[test]
    fn a_statement_holds_from_its_issue_to_its_expiry() {
        let held = delegated(8, 9).statement().unwrap().unwrap();
        assert_eq!(held, statement());
        assert_eq!([999, 1_000, 2_000, 2_001].map(|at| held.holds_at(at)), [false, true, true, false]);
        assert_eq!(Identity::from_seed([1; 32]).bind(&thread(1), &log(1)).statement().unwrap(), None);
    }

    #[test]
    fn both_forms_are_arrays_that_begin_with_their_kind() {
        for owner in [Identity::from_seed([1; 32]).bind(&thread(1), &log(1)), delegated(8, 9)] {
            let bytes = cbor::to_vec(&owner);
            assert_eq!(cbor::from_slice::<Owner>(&bytes, 2048).unwrap(), owner);
            let kind = matches!(owner, Owner::Delegated { .. });
            assert_eq!(bytes[..2], [0x83 + u8::from(kind), u8::from(kind)]);
        }
        let unknown = cbor::from_slice::<Owner>(&[0x82, 0x07, 0x00], 2048).unwrap_err().to_string();
        assert!(unknown.contains("owner binding 7"), "{unknown}");
    }
}

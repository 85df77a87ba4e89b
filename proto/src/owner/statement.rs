use libp2p_identity::PeerId;
use serde::{Deserialize, Serialize, de::Error as _};
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};

use crate::{cbor, identity::IdentityKey, limits::MAX_STATEMENT_BYTES};

const TAG: &str = "spool/1 delegation";

/// "This node may write for me, from then until then": what a client signs when it answers a login challenge.
///
/// The client sees only the challenge, 32 bytes; the nonce makes it a new one each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Statement {
    /// The node that may write.
    pub node: PeerId,
    /// For whom.
    pub owner: IdentityKey,
    /// From when, unix seconds.
    pub issued_at: u64,
    /// Until when, unix seconds.
    pub expires_at: u64,
    /// 16 random bytes.
    pub nonce: [u8; 16],
}

impl Statement {
    /// What the client signs: the hash of the canonical form.
    pub fn challenge(&self) -> [u8; 32] {
        challenge(&self.to_bytes())
    }

    /// Whether the delegation holds at this time, in unix seconds.
    pub fn holds_at(&self, unix_seconds: u64) -> bool {
        (self.issued_at..=self.expires_at).contains(&unix_seconds)
    }

    /// The canonical form.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Reads the canonical form.
    ///
    /// # Errors
    ///
    /// If it is too large, not canonical, or not a statement.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, cbor::Error> {
        cbor::from_slice(bytes, MAX_STATEMENT_BYTES)
    }
}

/// A statement that its owner has signed: what a node needs to write in the owner's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// What was agreed to.
    pub statement: Statement,
    /// The owner's signature over [`Statement::challenge`].
    pub signature: [u8; 64],
}

impl Delegation {
    /// Whether the owner has signed it.
    pub fn is_signed(&self) -> bool {
        self.statement.owner.verify(&self.statement.challenge(), &self.signature)
    }
}

/// What a client signed that agreed to the statement with this canonical form.
pub(super) fn challenge(statement: &[u8]) -> [u8; 32] {
    Sha256::digest(statement).into()
}

/// `["spool/1 delegation", node's peer id, owner's public key, issued at, expiry, nonce]`.
#[derive(Serialize, Deserialize)]
struct Wire(String, ByteBuf, IdentityKey, u64, u64, ByteArray<16>);

impl From<Statement> for Wire {
    fn from(statement: Statement) -> Self {
        let Statement { node, owner, issued_at, expires_at, nonce } = statement;
        Self(TAG.into(), ByteBuf::from(node.to_bytes()), owner, issued_at, expires_at, ByteArray::new(nonce))
    }
}

impl TryFrom<Wire> for Statement {
    type Error = serde::de::value::Error;

    fn try_from(Wire(tag, node, owner, issued_at, expires_at, nonce): Wire) -> Result<Self, Self::Error> {
        if tag != TAG {
            return Err(Self::Error::custom(format_args!("not a statement that begins with \"{TAG}\"")));
        }
        let node = PeerId::from_bytes(&node).map_err(Self::Error::custom)?;
        Ok(Self { node, owner, issued_at, expires_at, nonce: nonce.into_array() })
    }
}

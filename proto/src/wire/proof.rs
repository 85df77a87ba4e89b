use std::fmt;

use super::{Error, field, pb};
use crate::TopicId;

/// Shows that its sender holds the access key of a thread, to one peer and on one connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The thread's topic.
    pub topic: TopicId,
    /// The proof itself, as [`AccessKey::proof`](crate::keys::AccessKey::proof) makes it; compare it in constant time.
    pub mac: [u8; 32],
    /// What the sender does in the thread, by its own account.
    pub role: Role,
}

/// The part of a peer in a thread. A hint from the peer itself: it orders pushes and grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Replicates what it cannot read.
    Follower,
    /// Reads, and has no log.
    Reader,
    /// Has a log of its own.
    Writer,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("topic", &self.topic).field("role", &self.role).finish_non_exhaustive()
    }
}

impl TryFrom<pb::proofs::Proof> for Proof {
    type Error = Error;

    fn try_from(proof: pb::proofs::Proof) -> Result<Self, Error> {
        Ok(Self {
            topic: field::topic("Proof.topic", &proof.topic)?,
            mac: field::array("Proof.mac", &proof.mac)?,
            role: match proof.role {
                0 => Role::Follower,
                1 => Role::Reader,
                2 => Role::Writer,
                value => return Err(Error::Unknown { field: "Proof.role", value: value.into() }),
            },
        })
    }
}

impl From<Proof> for pb::proofs::Proof {
    fn from(proof: Proof) -> Self {
        let role = match proof.role {
            Role::Follower => 0,
            Role::Reader => 1,
            Role::Writer => 2,
        };
        Self { topic: field::bytes(proof.topic.as_bytes()), mac: field::bytes(proof.mac), role }
    }
}

use std::{fmt, num::NonZeroU32};

use super::{Error, field, limits, pb};
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
    /// What it keeps of the thread, by its own account.
    pub terms: Terms,
}

/// What a peer keeps of a thread. Told by itself: others show it, and send nothing in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Terms {
    /// Bodies that came longer ago than so many days are not kept; their records are. `None`: everything is.
    pub bodies_days: Option<NonZeroU32>,
    /// What the thread may use there is used up: nothing more of it is taken.
    pub is_full: bool,
}

impl Terms {
    /// The days as they are sent: 0 for no end.
    pub(super) fn days(self) -> u32 {
        self.bodies_days.map_or(0, NonZeroU32::get)
    }
}

pub(super) fn bodies_days(field: &'static str, days: u32) -> Result<Option<NonZeroU32>, Error> {
    if days > limits::MAX_BODIES_DAYS {
        return Err(Error::Invalid { field, reason: "more days than anything is kept" });
    }
    Ok(NonZeroU32::new(days))
}

/// The part of a peer in a thread. A hint from the peer itself: it orders pushes and grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Role {
    /// Replicates what it cannot read.
    #[default]
    Follower,
    /// Reads, and has no log.
    Reader,
    /// Has a log of its own.
    Writer,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("topic", &self.topic)
            .field("role", &self.role)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
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
            terms: Terms { bodies_days: bodies_days("Proof.bodies_days", proof.bodies_days)?, is_full: proof.full },
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
        let Terms { is_full, .. } = proof.terms;
        let bodies_days = proof.terms.days();
        Self {
            topic: field::bytes(proof.topic.as_bytes()),
            mac: field::bytes(proof.mac),
            role,
            bodies_days,
            full: is_full,
        }
    }
}

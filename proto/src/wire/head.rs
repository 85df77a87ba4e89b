use super::{Error, field, pb};
use crate::{Cid, LogId};

/// The newest record of a log that a peer has, and what it knows of a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The log.
    pub log: LogId,
    /// Sequence number of its newest record, from 1. Of a forked log: of the last record before the fork, which may be 0.
    pub counter: u64,
    /// The record's CID; absent exactly where `counter` is 0.
    pub cid: Option<Cid>,
    /// The fork, if one is known.
    pub fork: Option<Fork>,
}

/// The lowest fork of a log that is known, and a summary of the inert records that are kept because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fork {
    /// Counter that two valid records share, from 1.
    pub counter: u64,
    /// How many inert records the sender keeps.
    pub inert: u64,
    /// XOR of the SHA-256 of their CIDs.
    pub inert_digest: [u8; 32],
}

impl TryFrom<pb::Head> for Head {
    type Error = Error;

    fn try_from(head: pb::Head) -> Result<Self, Error> {
        let log = field::log("Head.log", &head.log)?;
        let fork = head.fork.map(Fork::try_from).transpose()?;
        let cid = match (head.counter, fork) {
            (0, Some(_)) if head.cid.is_empty() => None,
            _ => Some(field::cid("Head.cid", &head.cid)?),
        };
        if cid.is_some() {
            field::counter("Head.counter", head.counter)?;
        }
        Ok(Self { log, counter: head.counter, cid, fork })
    }
}

impl From<Head> for pb::Head {
    fn from(head: Head) -> Self {
        Self {
            log: field::bytes(head.log.to_bytes()),
            counter: head.counter,
            cid: head.cid.map(|cid| cid.to_bytes().into()).unwrap_or_default(),
            fork: head.fork.map(pb::Fork::from),
        }
    }
}

impl TryFrom<pb::Fork> for Fork {
    type Error = Error;

    fn try_from(fork: pb::Fork) -> Result<Self, Error> {
        Ok(Self {
            counter: field::counter("Fork.counter", fork.counter)?,
            inert: fork.inert,
            inert_digest: field::array("Fork.inert_digest", &fork.inert_digest)?,
        })
    }
}

impl From<Fork> for pb::Fork {
    fn from(fork: Fork) -> Self {
        Self { counter: fork.counter, inert: fork.inert, inert_digest: field::bytes(fork.inert_digest) }
    }
}

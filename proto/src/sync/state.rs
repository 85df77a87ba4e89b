//! What the engine keeps of a thread and of a log across restarts.

use std::collections::BTreeMap;

use cid::Cid;
use multiaddr::Multiaddr;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    cbor,
    clock::Time,
    event::Opened,
    id::LogId,
    keys::ThreadKeys,
    lipmaa::{self, lipmaa},
    owner::Owner,
    record::{Control, VerifiedRecord},
};

/// Bytes of a stored log state at the most: a log that cites 4,096 others, and a frontier.
const MAX_LOG_STATE_BYTES: usize = 1024 * 1024;
/// Bytes of a stored thread state at the most: its keys of all epochs.
const MAX_THREAD_STATE_BYTES: usize = 256 * 1024;

/// A position in a log: the CID of the record with this counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// 1-based.
    pub counter: u64,
    /// CID of the record.
    pub cid: Cid,
}

/// What is known of a fork: the lowest counter with two valid records, and a summary of all records that are inert because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The lowest counter at which two different valid records are proven.
    pub counter: u64,
    /// How many inert records are kept here.
    pub inert: u64,
    /// XOR of the SHA-256 digests of their CIDs.
    #[serde(with = "serde_bytes")]
    pub digest: [u8; 32],
}

/// A log as the engine keeps it; stored with every run of records that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogState {
    /// Newest record of the main chain, inert or not.
    pub head: Option<Head>,
    /// The records that later ones may link to, newest first; begins with the head.
    pub frontier: Vec<Head>,
    /// Time of the newest event that could be opened.
    pub time: Time,
    /// Of an own log: how far it has cited each other log.
    #[serde(with = "pairs")]
    pub cited: BTreeMap<LogId, u64>,
    /// The lowest fork that is proven.
    pub fork: Option<Fork>,
    /// The record before the fork.
    pub before_fork: Option<Head>,
    /// Of an own log: a record that came from a peer though this node never wrote it.
    pub rolled_back: Option<u64>,
    /// Whether the log's last record has retired it.
    pub retired: bool,
    /// Whether its first record carried a valid admission.
    pub admitted: bool,
    /// Whose it is, where that can be read.
    pub owner: Option<Owner>,
    /// Where its writer says that it can be reached (binary multiaddrs).
    pub addresses: Vec<ByteBuf>,
}

impl LogState {
    /// From its stored form.
    ///
    /// # Errors
    ///
    /// [`cbor::Error`] if the bytes are no log state: the store is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, cbor::Error> {
        cbor::from_slice(bytes, MAX_LOG_STATE_BYTES)
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Counter of the newest record of the main chain; 0 for none.
    pub fn counter(&self) -> u64 {
        self.head.map_or(0, |head| head.counter)
    }

    /// Counter of the newest record that counts: the last before a fork.
    pub fn active_counter(&self) -> u64 {
        self.fork.map_or(self.counter(), |fork| self.counter().min(fork.counter - 1))
    }

    /// The newest record that counts: of a forked log the last before the fork; `None` too while its CID is not known.
    pub fn active_head(&self) -> Option<Head> {
        self.head
            .filter(|head| self.fork.is_none_or(|fork| head.counter < fork.counter))
            .or_else(|| self.before_fork.filter(|head| head.counter == self.active_counter()))
    }

    /// The CID at `counter`, if it is one of those that are remembered.
    pub fn known_cid(&self, counter: u64) -> Option<&Cid> {
        self.frontier.iter().find(|head| head.counter == counter).map(|head| &head.cid)
    }

    /// What the record after the head must name as `prev` and `skip`.
    pub fn next_links(&self) -> (Option<Cid>, Option<Cid>) {
        let counter = self.counter() + 1;
        let skip = match lipmaa(counter) {
            0 => None,
            link if link == counter - 1 => None,
            link => self.known_cid(link).copied(),
        };
        (self.head.map(|head| head.cid), skip)
    }

    /// Moves the head to `record`, which must be the next one.
    pub fn advance(&mut self, record: &VerifiedRecord) {
        let head = Head { counter: record.counter(), cid: *record.cid() };
        self.head = Some(head);
        self.frontier.insert(0, head);
        let needed = lipmaa::frontier(head.counter);
        self.frontier.retain(|kept| needed.contains(&kept.counter));
        if let Opened::Event(event) = record.opened() {
            self.time = self.time.max(event.time);
            if let Some(owner) = &event.owner {
                self.owner = Some(owner.clone());
            }
        }
        match record.control() {
            Some(Control::Addresses(addresses)) => {
                self.addresses = addresses.iter().map(|address| ByteBuf::from(address.to_vec())).collect();
            }
            Some(Control::Retire) => self.retired = true,
            Some(Control::Admission(_) | Control::Rekey(_)) | None => {}
        }
    }

    /// The announced addresses, parsed.
    pub fn addresses(&self) -> impl Iterator<Item = Multiaddr> + '_ {
        self.addresses.iter().filter_map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok())
    }

    /// How far `log` has been cited.
    pub fn cited(&self, log: &LogId) -> u64 {
        self.cited.get(log).copied().unwrap_or(0)
    }
}

/// A map as a list of pairs: DAG-CBOR maps have text keys only.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::id::LogId;

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<LogId, u64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<LogId, u64>, D::Error> {
        Ok(Vec::<(LogId, u64)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// A thread as a node keeps it: the key book's entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreadState {
    /// The keys that this node holds.
    pub keys: ThreadKeys,
    /// A name for people; local, or taken from a ticket.
    pub name: Option<String>,
    /// When it was created or joined here, milliseconds since 1970.
    pub joined_millis: u64,
    /// Where it was learnt to live: addresses from tickets (binary multiaddrs that end in a peer).
    pub addresses: Vec<ByteBuf>,
}

impl ThreadState {
    /// From its stored form.
    ///
    /// # Errors
    ///
    /// [`cbor::Error`] if the bytes are no thread state: the store is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, cbor::Error> {
        cbor::from_slice(bytes, MAX_THREAD_STATE_BYTES)
    }

    /// The stored form; holds keys.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<Vec<u8>> {
        cbor::to_vec(self).into()
    }
}

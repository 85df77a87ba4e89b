use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AccessKey, AdmissionKey, Epoch, Error, LogGrant, LogKeys, merge};
use crate::{
    cbor,
    id::{KeyId, LogId},
    key_set::{KeySet, Scope},
    limits::{MAX_EPOCHS, MAX_LOG_KEYS, MAX_SEALED_KEY_SET_BYTES},
};

/// Version of the form in which a node keeps thread keys for itself.
const VERSION: u64 = 1;

/// What somebody holds of a thread: keys of the whole thread, epoch by epoch, or of single logs, or both.
///
/// There is at least one key in it, and so always an access key: that of the newest epoch or, where there is none, the one that
/// came with the single logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct ThreadKeys {
    access: AccessKey,
    epochs: Vec<Epoch>,
    /// Grants that say more than the epochs do.
    logs: BTreeMap<(LogId, KeyId), LogGrant>,
}

impl ThreadKeys {
    /// Keys of a whole thread, oldest epoch first.
    ///
    /// # Errors
    ///
    /// If there is no epoch, more than `MAX_EPOCHS`, or one twice.
    pub fn new(epochs: Vec<Epoch>) -> Result<Self, Error> {
        let newest = epochs.last().ok_or(Error::Empty)?;
        let access = AccessKey::of(newest.follow());
        Self::checked(access, epochs, BTreeMap::new())
    }

    /// Keys of single logs.
    ///
    /// # Errors
    ///
    /// If there is no log, more than `MAX_LOG_KEYS`, or one log in one epoch twice.
    pub fn single_logs(access: AccessKey, grants: Vec<LogGrant>) -> Result<Self, Error> {
        let mut logs = BTreeMap::new();
        for grant in grants {
            let key_id = grant.key_id();
            if logs.insert((*grant.log(), key_id), grant).is_some() {
                return Err(Error::Duplicate(key_id));
            }
        }
        if logs.is_empty() {
            return Err(Error::Empty);
        }
        Self::checked(access, Vec::new(), logs)
    }

    /// Keys of a new thread out of 64 random bytes.
    pub fn generate(entropy: [u8; 64]) -> Self {
        Self::of(Epoch::generate(entropy))
    }

    /// A Textile thread key of 32 or 64 bytes, as the only epoch.
    ///
    /// # Errors
    ///
    /// [`Error::TextileLength`] for any other length.
    pub fn from_textile(bytes: &[u8]) -> Result<Self, Error> {
        Epoch::from_textile(bytes).map(Self::of)
    }

    fn of(epoch: Epoch) -> Self {
        Self { access: AccessKey::of(epoch.follow()), epochs: vec![epoch], logs: BTreeMap::new() }
    }

    fn checked(access: AccessKey, epochs: Vec<Epoch>, logs: BTreeMap<(LogId, KeyId), LogGrant>) -> Result<Self, Error> {
        if epochs.len() > MAX_EPOCHS {
            return Err(Error::TooMany { what: "key epochs", actual: epochs.len(), limit: MAX_EPOCHS });
        }
        if logs.len() > MAX_LOG_KEYS {
            return Err(Error::TooMany { what: "keys of single logs", actual: logs.len(), limit: MAX_LOG_KEYS });
        }
        let mut ids: Vec<_> = epochs.iter().map(Epoch::key_id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Duplicate(twice[0]));
        }
        Ok(Self { access, epochs, logs })
    }

    /// Where the thread lives and who may speak about it.
    pub const fn access(&self) -> &AccessKey {
        &self.access
    }

    /// The newest epoch, under which new records are sealed; `None` where only keys of single logs are known.
    pub fn current(&self) -> Option<&Epoch> {
        self.epochs.last()
    }

    /// All epochs, oldest first.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The keys of single logs that say more than the epochs do.
    pub fn single_log_keys(&self) -> impl ExactSizeIterator<Item = &LogGrant> {
        self.logs.values()
    }

    /// The names of all epochs of which any key is known, newest first; those of single logs, which have no order, last.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        let epochs = self.epochs.iter().rev().map(Epoch::key_id);
        let single: BTreeSet<_> = self.logs.values().map(LogGrant::key_id).collect();
        epochs.chain(single.into_iter().filter(|key_id| self.epoch(key_id).is_none()))
    }

    /// The epoch with this name.
    pub fn epoch(&self, key_id: &KeyId) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| epoch.key_id() == *key_id)
    }

    /// Whether what is written now can be read: the newest epoch or, where only keys of single logs are known, one of them.
    pub fn can_read(&self) -> bool {
        match self.current() {
            Some(epoch) => epoch.can_read(),
            None => self.logs.values().any(LogGrant::can_read),
        }
    }

    /// What new logs of this epoch are checked against, if it is known.
    pub fn admission(&self, key_id: &KeyId) -> Option<&AdmissionKey> {
        let of_epoch = self.epoch(key_id).and_then(Epoch::admission);
        of_epoch.or_else(|| self.logs.values().filter(|grant| grant.key_id() == *key_id).find_map(LogGrant::admission))
    }

    /// The keys of `log` in the epoch with this name; `None` if they are not known. Costs what [`LogKeys::derive`] costs.
    pub fn log_keys(&self, key_id: &KeyId, log: &LogId) -> Option<LogKeys> {
        self.grant(key_id, log).map(|grant| LogKeys::from(&grant))
    }

    fn grant(&self, key_id: &KeyId, log: &LogId) -> Option<LogGrant> {
        let single = self.logs.get(&(*log, *key_id)).cloned();
        single.or_else(|| self.epoch(key_id).map(|epoch| LogGrant::derive(epoch, log)))
    }

    /// Joins what `other` knows about the same thread: read keys where only follow keys were known, more epochs, more logs.
    /// Tells whether that added anything.
    ///
    /// Epochs keep the order that the two sets give them; where both have epochs that the other lacks between the same two, as
    /// after two changes of key at once, these are ordered by key id, so that everybody comes to the same order.
    ///
    /// # Errors
    ///
    /// If the sets contradict each other, if they have no epoch in common ([`Error::Unrelated`]: where one is known to be the
    /// newer, use [`advance`](Self::advance)), or if there would be too many keys. Nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<bool, Error> {
        let epochs = merge::epochs(&self.epochs, &other.epochs)?;
        let logs = merge::logs(&epochs, self.logs.values().chain(other.logs.values()))?;
        let unchanged = epochs == self.epochs && logs == self.logs;
        let access = match epochs.last() {
            Some(newest) => AccessKey::of(newest.follow()),
            // Nothing orders two access keys; but an old key set adds nothing, and so does not win.
            None if unchanged => self.access.clone(),
            None => other.access.clone(),
        };
        *self = Self::checked(access, epochs, logs)?;
        Ok(!unchanged)
    }

    /// Adds an epoch that is newer than all others, or what it says more about one that is known. Tells whether that added
    /// anything.
    ///
    /// # Errors
    ///
    /// If it contradicts what is known, or if there would be too many epochs. Nothing is changed then.
    pub fn advance(&mut self, epoch: Epoch) -> Result<bool, Error> {
        let mut epochs = self.epochs.clone();
        match epochs.iter_mut().find(|known| known.key_id() == epoch.key_id()) {
            Some(known) => *known = known.join(&epoch)?,
            None => epochs.push(epoch),
        }
        if epochs == self.epochs {
            return Ok(false);
        }
        let logs = merge::logs(&epochs, self.logs.values())?;
        let newest = epochs.last().expect("one was just added or found");
        *self = Self::checked(AccessKey::of(newest.follow()), epochs, logs)?;
        Ok(true)
    }

    /// What to hand over for following or for reading: all epochs or, where there are none, all single logs.
    ///
    /// # Errors
    ///
    /// [`Error::CannotRead`] if reading is asked for and what is written now cannot be read here.
    pub fn to_set(&self, scope: Scope) -> Result<KeySet, Error> {
        self.check_scope(scope)?;
        if !self.epochs.is_empty() {
            let epochs = self.epochs.iter();
            return KeySet::thread(match scope {
                Scope::Read => epochs.cloned().collect(),
                Scope::Follow => epochs.map(Epoch::without_read).collect(),
            });
        }
        KeySet::logs(self.access.clone(), self.logs.values().map(|grant| in_scope(grant.clone(), scope)).collect())
    }

    /// What to hand over for these logs only, in all epochs of which their keys are known.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownLog`] if there are no keys of one of them, [`Error::CannotRead`] as above, and [`Error::TooMany`] if
    /// logs times epochs exceed what one set may carry.
    pub fn to_log_set(&self, logs: &[LogId], scope: Scope) -> Result<KeySet, Error> {
        self.check_scope(scope)?;
        let mut grants = Vec::new();
        for log in logs {
            let before = grants.len();
            let epochs = self.epochs.iter().map(Epoch::key_id);
            let single = self.logs.range((*log, KeyId::new([0; 16]))..).take_while(|((of, _), _)| of == log);
            let mut key_ids: Vec<_> = epochs.chain(single.map(|((_, key_id), _)| *key_id)).collect();
            key_ids.sort_unstable();
            key_ids.dedup();
            grants.extend(key_ids.iter().filter_map(|id| self.grant(id, log)).map(|grant| in_scope(grant, scope)));
            if grants.len() == before {
                return Err(Error::UnknownLog);
            }
        }
        KeySet::logs(self.access.clone(), grants)
    }

    fn check_scope(&self, scope: Scope) -> Result<(), Error> {
        match scope {
            Scope::Read if !self.can_read() => Err(Error::CannotRead),
            Scope::Read | Scope::Follow => Ok(()),
        }
    }

    /// The form in which a node keeps them for itself. Secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::to_vec(self))
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are damaged or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, cbor::Error> {
        cbor::from_slice(bytes, 2 * MAX_SEALED_KEY_SET_BYTES)
    }
}

fn in_scope(grant: LogGrant, scope: Scope) -> LogGrant {
    match scope {
        Scope::Read => grant,
        Scope::Follow => grant.without_read(),
    }
}

/// `[version, epochs, access key where there is no epoch, grants]`.
#[derive(Serialize, Deserialize)]
struct Stored(u64, Vec<Epoch>, Option<serde_bytes::ByteArray<32>>, Vec<LogGrant>);

impl From<ThreadKeys> for Stored {
    fn from(keys: ThreadKeys) -> Self {
        let access = keys.epochs.is_empty().then(|| serde_bytes::ByteArray::new(*keys.access.as_bytes()));
        Self(VERSION, keys.epochs, access, keys.logs.into_values().collect())
    }
}

impl TryFrom<Stored> for ThreadKeys {
    type Error = String;

    fn try_from(Stored(version, epochs, access, logs): Stored) -> Result<Self, String> {
        if version != VERSION {
            return Err(format!("stored keys of version {version} are not known (only {VERSION})"));
        }
        let keys = match access {
            Some(access) => Self::single_logs(AccessKey::new(access.into_array()), logs),
            None => Self::new(epochs).and_then(|keys| {
                let logs = merge::logs(&keys.epochs, logs.iter())?;
                Self::checked(keys.access, keys.epochs, logs)
            }),
        };
        keys.map_err(|error| error.to_string())
    }
}

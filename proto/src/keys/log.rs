use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::{AdmissionKey, Epoch, Error, FollowKey, ReadKey, SealKey, epoch::join_known, kdf};
use crate::id::{KeyId, LogId, ThreadId};

/// The keys of one log in one epoch, as they are handed over to somebody who gets no keys of the whole thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct LogGrant {
    log: LogId,
    key_id: KeyId,
    follow: FollowKey,
    read: Option<ReadKey>,
    admission: Option<AdmissionKey>,
}

/// A grant as it is written: `[log id, key id, log follow key, log read key, admission public key]`.
#[derive(Serialize, Deserialize)]
struct Parts(LogId, KeyId, FollowKey, Option<ReadKey>, Option<AdmissionKey>);

impl From<LogGrant> for Parts {
    fn from(grant: LogGrant) -> Self {
        Self(grant.log, grant.key_id, grant.follow, grant.read, grant.admission)
    }
}

impl From<Parts> for LogGrant {
    fn from(Parts(log, key_id, follow, read, admission): Parts) -> Self {
        Self { log, key_id, follow, read, admission }
    }
}

impl LogGrant {
    /// The keys of `log` that follow from `epoch`; for reading only if the epoch can read.
    pub fn derive(epoch: &Epoch, log: &LogId) -> Self {
        let log_bytes = log.to_bytes();
        Self {
            log: *log,
            key_id: epoch.key_id(),
            follow: FollowKey::new(kdf(epoch.follow().as_bytes(), "log follow", &[&log_bytes])),
            read: epoch.read().map(|read| ReadKey::new(kdf(read.as_bytes(), "log read", &[&log_bytes]))),
            admission: epoch.admission().cloned(),
        }
    }

    /// The log.
    pub const fn log(&self) -> &LogId {
        &self.log
    }

    /// The epoch.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Whether the log's events can be read with it.
    pub const fn can_read(&self) -> bool {
        self.read.is_some()
    }

    /// What the log's first record is checked against, if it is known.
    pub const fn admission(&self) -> Option<&AdmissionKey> {
        self.admission.as_ref()
    }

    /// The same grant without the read key.
    pub fn without_read(&self) -> Self {
        Self { read: None, ..self.clone() }
    }

    /// What both know about this log in this epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if they contradict each other.
    pub(super) fn join(&self, other: &Self) -> Result<Self, Error> {
        let conflict = || Error::Conflict(self.key_id);
        if self.follow != other.follow {
            return Err(conflict());
        }
        Ok(Self {
            log: self.log,
            key_id: self.key_id,
            follow: self.follow.clone(),
            read: join_known(self.read.as_ref(), other.read.as_ref()).ok_or_else(conflict)?,
            admission: join_known(self.admission.as_ref(), other.admission.as_ref()).ok_or_else(conflict)?,
        })
    }
}

/// Everything that working on one log in one epoch takes, computed once.
///
/// Making it costs some ten derivations and the decompression of a point (about 30 µs): cache it per log, in an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeys {
    log: LogId,
    key_id: KeyId,
    verifying: VerifyingKey,
    follow: SealKey,
    read: Option<SealKey>,
    manifest: SealKey,
    public: SealKey,
    admission: Option<AdmissionKey>,
}

impl LogKeys {
    /// The keys of `log` in `epoch`.
    pub fn derive(epoch: &Epoch, log: &LogId) -> Self {
        Self::from(&LogGrant::derive(epoch, log))
    }

    /// The log.
    pub const fn log(&self) -> &LogId {
        &self.log
    }

    /// The epoch, as records name it.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The key that the log's records are signed with, decompressed.
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Seals records.
    pub const fn follow(&self) -> &SealKey {
        &self.follow
    }

    /// Seals events; `None` for a follower.
    pub const fn read(&self) -> Option<&SealKey> {
        self.read.as_ref()
    }

    /// Seals manifests.
    pub const fn manifest(&self) -> &SealKey {
        &self.manifest
    }

    /// Seals public bodies, in place of a content key.
    pub const fn public(&self) -> &SealKey {
        &self.public
    }

    /// What the log's first record is checked against; `None` where only a Textile service key is known.
    pub const fn admission(&self) -> Option<&AdmissionKey> {
        self.admission.as_ref()
    }

    /// Whether `signature` admits this log to `thread`; `None` where that cannot be known.
    pub fn admits(&self, thread: &ThreadId, signature: &[u8; 64]) -> Option<bool> {
        self.admission.as_ref().map(|key| key.admits(thread, &self.log, signature))
    }
}

impl From<&LogGrant> for LogKeys {
    fn from(grant: &LogGrant) -> Self {
        let follow = grant.follow.as_bytes();
        Self {
            log: grant.log,
            key_id: grant.key_id,
            verifying: grant.log.verifying_key(),
            follow: SealKey::new(*follow),
            read: grant.read.as_ref().map(|read| SealKey::new(*read.as_bytes())),
            manifest: SealKey::new(kdf(follow, "manifest", &[])),
            public: SealKey::new(kdf(follow, "public", &[])),
            admission: grant.admission.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn a_grant_gives_the_same_keys_as_its_epoch() {
        let epoch = Epoch::generate([3; 64]);
        let log = LogId::from(&SigningKey::from_bytes(&[1; 32]));
        let grant = LogGrant::derive(&epoch, &log);
        assert_eq!(LogKeys::from(&grant), LogKeys::derive(&epoch, &log));
        let follower = LogKeys::derive(&epoch.without_read(), &log);
        assert_eq!(LogKeys::from(&grant.without_read()), follower);
        assert!(follower.read().is_none());
        let bytes = crate::cbor::to_vec(&grant);
        assert_eq!(crate::cbor::from_slice::<LogGrant>(&bytes, 512).unwrap(), grant);
    }

    #[test]
    fn all_keys_of_a_log_differ_from_each_other_and_from_those_of_other_logs() {
        let epoch = Epoch::generate([3; 64]);
        let mut seen = Vec::new();
        for seed in [1, 2] {
            let keys = LogKeys::derive(&epoch, &LogId::from(&SigningKey::from_bytes(&[seed; 32])));
            for key in [keys.follow(), keys.read().unwrap(), keys.manifest(), keys.public()] {
                for half in [key.cipher(), key.nonce()] {
                    assert!(!seen.contains(half));
                    seen.push(*half);
                }
            }
        }
    }

    #[test]
    fn admission_is_unknown_where_only_a_service_key_is_known() {
        let epoch = Epoch::generate([3; 64]);
        let thread = ThreadId::new(crate::id::Variant::Raw, [1; 32]);
        let log = LogId::from(&SigningKey::from_bytes(&[1; 32]));
        let signature = epoch.admit(&thread, &log).unwrap();
        assert_eq!(LogKeys::derive(&epoch.without_read(), &log).admits(&thread, &signature), Some(true));
        assert_eq!(LogKeys::derive(&epoch.without_read(), &log).admits(&thread, &[0; 64]), Some(false));
        let service = Epoch::follow_only(epoch.follow().clone(), None);
        assert_eq!(LogKeys::derive(&service, &log).admits(&thread, &signature), None);
    }
}

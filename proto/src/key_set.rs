//! Key sets: the keys that an invite, a ticket or a change of key hands over (`docs/protocol.md`, section 4).

use serde::{Serialize, Serializer, ser::SerializeTuple};
use serde_bytes::ByteArray;
use zeroize::Zeroizing;

use crate::{
    cbor,
    keys::{AccessKey, Epoch, Error, LogGrant, ThreadKeys},
    limits::MAX_SEALED_KEY_SET_BYTES,
};

const VERSION: u64 = 1;

/// What somebody is invited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To keep and serve the thread without reading it.
    Follow,
    /// To read it and, in a raw thread, to write.
    Read,
}

/// Keys on their way to somebody: of a whole thread, or of single logs.
///
/// Was checked to be well formed: not empty, nothing twice, within the limits. Whether the keys are genuine shows only when
/// they are joined with others, or when records open under them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Keys);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Keys {
    Thread(Vec<Epoch>),
    Logs { access: AccessKey, grants: Vec<LogGrant> },
}

/// Why bytes are not a key set.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A version that does not exist yet.
    #[error("key set version {0} is not known (only {VERSION})")]
    Version(u64),
    /// Too large, not canonical, or not a key set.
    #[error("not a key set")]
    Malformed(#[from] cbor::Error),
}

impl KeySet {
    /// Keys of a whole thread, oldest epoch first.
    ///
    /// # Errors
    ///
    /// As [`ThreadKeys::new`].
    pub fn thread(epochs: Vec<Epoch>) -> Result<Self, Error> {
        ThreadKeys::new(epochs.clone())?;
        Ok(Self(Keys::Thread(epochs)))
    }

    /// Keys of single logs.
    ///
    /// # Errors
    ///
    /// As [`ThreadKeys::single_logs`].
    pub fn logs(access: AccessKey, grants: Vec<LogGrant>) -> Result<Self, Error> {
        ThreadKeys::single_logs(access.clone(), grants.clone())?;
        Ok(Self(Keys::Logs { access, grants }))
    }

    /// The keys, ready for use or for joining with those that are known already.
    pub fn into_keys(self) -> ThreadKeys {
        let keys = match self.0 {
            Keys::Thread(epochs) => ThreadKeys::new(epochs),
            Keys::Logs { access, grants } => ThreadKeys::single_logs(access, grants),
        };
        keys.expect("checked when the set was made")
    }

    /// Whether it permits to read what is written now, or only to follow.
    pub fn scope(&self) -> Scope {
        let can_read = match &self.0 {
            Keys::Thread(epochs) => epochs.last().is_some_and(Epoch::can_read),
            Keys::Logs { grants, .. } => grants.iter().any(LogGrant::can_read),
        };
        if can_read { Scope::Read } else { Scope::Follow }
    }

    /// Whether it holds keys of the whole thread, not of single logs.
    pub const fn is_whole_thread(&self) -> bool {
        matches!(self.0, Keys::Thread(_))
    }

    /// The canonical form. Secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::to_vec(self))
    }

    /// Reads the canonical form.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names an unknown version, and says what else was wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let set = cbor::from_slice(bytes, MAX_SEALED_KEY_SET_BYTES);
        set.map_err(|error| match version(bytes) {
            Some(version) if version != VERSION => DecodeError::Version(version),
            _ => DecodeError::Malformed(error),
        })
    }
}

/// The integer at the front of a CBOR array of at most 23 elements, if that is what `bytes` begin with.
pub(crate) fn version(bytes: &[u8]) -> Option<u64> {
    let (0x81..=0x97, head) = bytes.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    let (first, argument) = head.split_first()?;
    match first {
        0x00..=0x17 => Some((*first).into()),
        0x18 => argument.first().map(|byte| (*byte).into()),
        0x19 => argument.first_chunk().map(|bytes| u16::from_be_bytes(*bytes).into()),
        0x1a => argument.first_chunk().map(|bytes| u32::from_be_bytes(*bytes).into()),
        0x1b => argument.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
        _ => None,
    }
}

impl Serialize for KeySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_tuple(2)?;
        fields.serialize_element(&VERSION)?;
        fields.serialize_element(&self.0)?;
        fields.end()
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Keys::Thread(epochs) => (0u64, epochs).serialize(serializer),
            Keys::Logs { access, grants } => {
                (1u64, serde_bytes::Bytes::new(access.as_bytes()), grants).serialize(serializer)
            }
        }
    }
}

cbor::deserialize_tagged!(KeySet, "key set version", |sequence, version| {
    if version != VERSION {
        return Err(serde::de::Error::custom(DecodeError::Version(version)));
    }
    let keys: Keys = cbor::field(&mut sequence, "scope of the key set")?;
    KeySet(keys)
});

cbor::deserialize_tagged!(Keys, "scope of a key set", |sequence, scope| {
    let set = match scope {
        0 => KeySet::thread(cbor::field(&mut sequence, "thread keys")?),
        1 => {
            let access: ByteArray<32> = cbor::field(&mut sequence, "access key")?;
            KeySet::logs(AccessKey::new(access.into_array()), cbor::field(&mut sequence, "keys of logs")?)
        }
        scope => return Err(cbor::unknown("scope of a key set", scope)),
    };
    set.map_err(serde::de::Error::custom)?.0
});

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{id::LogId, keys::FollowKey, limits::MAX_EPOCHS};

    fn keys() -> ThreadKeys {
        ThreadKeys::new(vec![Epoch::generate([1; 64]), Epoch::generate([2; 64])]).unwrap()
    }

    fn logs() -> [LogId; 2] {
        [1, 2].map(|seed| LogId::from(&SigningKey::from_bytes(&[seed; 32])))
    }

    #[test]
    fn sets_of_both_kinds_and_scopes_round_trip() {
        for scope in [Scope::Follow, Scope::Read] {
            for set in [keys().to_set(scope).unwrap(), keys().to_log_set(&logs(), scope).unwrap()] {
                assert_eq!(set.scope(), scope);
                assert_eq!(KeySet::from_bytes(&set.to_bytes()).unwrap(), set);
            }
        }
        assert!(keys().to_set(Scope::Read).unwrap().is_whole_thread());
        assert!(!keys().to_log_set(&logs(), Scope::Read).unwrap().is_whole_thread());
        assert_eq!(keys().to_set(Scope::Read).unwrap().into_keys(), keys());
    }

    #[test]
    fn the_form_is_that_of_the_protocol() {
        let epoch = Epoch::generate([1; 64]);
        let admission = epoch.admission().unwrap().as_bytes();
        let expected = [
            &[0x82, 0x01, 0x82, 0x00, 0x81, 0x83, 0x58, 0x20][..],
            &[1; 32],
            &[0x58, 0x20],
            &[1; 32],
            &[0x58, 0x20],
            admission,
        ]
        .concat();
        assert_eq!(*KeySet::thread(vec![epoch.clone()]).unwrap().to_bytes(), expected);
        let service = KeySet::thread(vec![Epoch::follow_only(epoch.follow().clone(), None)]).unwrap();
        let expected = [&[0x82, 0x01, 0x82, 0x00, 0x81, 0x83, 0x58, 0x20][..], &[1; 32], &[0xf6, 0xf6]].concat();
        assert_eq!(*service.to_bytes(), expected);
    }

    #[test]
    fn unknown_versions_and_scopes_are_named() {
        let mut bytes = keys().to_set(Scope::Read).unwrap().to_bytes();
        bytes[1] = 2;
        assert_eq!(KeySet::from_bytes(&bytes).unwrap_err().to_string(), "key set version 2 is not known (only 1)");
        assert!(matches!(KeySet::from_bytes(&[0x83, 0x18, 0x63, 0xf6, 0xf6]), Err(DecodeError::Version(99))));
        (bytes[1], bytes[3]) = (1, 2);
        let error = KeySet::from_bytes(&bytes).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("scope of a key set 2"), "{source}");
    }

    #[test]
    fn empty_doubled_and_contradicting_sets_are_refused() {
        let epoch = Epoch::generate([1; 64]);
        assert_eq!(KeySet::thread(Vec::new()), Err(Error::Empty));
        assert_eq!(KeySet::thread(vec![epoch.clone(), epoch.clone()]), Err(Error::Duplicate(epoch.key_id())));
        assert!(KeySet::from_bytes(&[0x82, 0x01, 0x82, 0x00, 0x80]).is_err());
        let grant = LogGrant::derive(&epoch, &logs()[0]);
        let access = AccessKey::of(epoch.follow());
        assert_eq!(KeySet::logs(access.clone(), Vec::new()), Err(Error::Empty));
        assert!(matches!(KeySet::logs(access, vec![grant.clone(), grant]), Err(Error::Duplicate(_))));
        // The admission key is the last field: another valid key in its place does not belong to the read key.
        let mut bytes = KeySet::thread(vec![epoch]).unwrap().to_bytes();
        let length = bytes.len();
        bytes[length - 32..].copy_from_slice(Epoch::generate([2; 64]).admission().unwrap().as_bytes());
        assert!(KeySet::from_bytes(&bytes).is_err());
    }

    #[test]
    fn too_many_keys_are_refused() {
        let epoch = |i: usize| {
            let mut follow = [0; 32];
            follow[..8].copy_from_slice(&i.to_be_bytes());
            Epoch::follow_only(FollowKey::new(follow), None)
        };
        let set = |count| KeySet::thread((0..count).map(epoch).collect());
        assert!(set(MAX_EPOCHS).is_ok());
        assert!(matches!(set(MAX_EPOCHS + 1), Err(Error::TooMany { limit: MAX_EPOCHS, .. })));
    }

    #[test]
    fn no_key_shows_in_debug() {
        let text = format!("{:?}", keys().to_set(Scope::Read).unwrap());
        assert!(text.contains("FollowKey(..)") && text.contains("ReadKey(..)"), "{text}");
    }
}

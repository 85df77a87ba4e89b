//! The version of what is stored.

use spool_proto::vault::KeyName;

use crate::{
    keys,
    kv::{self, Batch, Kv, Space},
};

/// The version that this program writes: the layout in [`crate::keys`].
pub const VERSION: u32 = 1;

/// Why a store's schema is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Written by a newer program.
    #[error("store schema version {found} is newer than this program's {VERSION}: use a newer spool")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Not a version at all.
    #[error("the store is damaged: what it says of itself is malformed")]
    Malformed,
    /// Opened without the key under which its secrets are sealed.
    #[error("the store is sealed, and the repository has no key for it: put `repo.key` back from a backup")]
    Sealed,
    /// Opened with a key, and its secrets lie open.
    #[error(
        "the store is not sealed, though the repository has a key: it is that of another repository, or of an earlier time"
    )]
    NotSealed,
    /// Opened with the key of another repository.
    #[error("the store is sealed under the key of another repository: put the two back from one backup")]
    OtherKey,
    /// Its secrets are half sealed.
    #[error("sealing or unsealing the store was interrupted and has to be finished first")]
    Unfinished,
    /// It could not be read or written.
    #[error(transparent)]
    Kv(#[from] kv::Error),
}

/// Checks the version, and that the store is sealed under this key; an empty store gets both, synced before anything else is written.
pub(crate) fn check_or_create(kv: &dyn Kv, key: Option<KeyName>) -> Result<(), Error> {
    if !is_current(kv)? {
        let mut batch = Batch::default();
        batch.put(Space::Meta, keys::SCHEMA, VERSION.to_be_bytes().to_vec());
        if let Some(key) = key {
            batch.put(Space::Meta, keys::SEALED_UNDER, key.to_vec());
        }
        return Ok(kv.write(&batch, true)?);
    }
    if kv.get(Space::Meta, keys::RESEALING)?.is_some() {
        return Err(Error::Unfinished);
    }
    match (sealed_under(kv)?, key) {
        (None, None) => Ok(()),
        (Some(sealed), Some(key)) if sealed == key => Ok(()),
        (Some(_), Some(_)) => Err(Error::OtherKey),
        (Some(_), None) => Err(Error::Sealed),
        (None, Some(_)) => Err(Error::NotSealed),
    }
}

/// Whether there is a store of this version; `false` where there is none.
pub(crate) fn is_current(kv: &dyn Kv) -> Result<bool, Error> {
    let Some(stored) = kv.get(Space::Meta, keys::SCHEMA)? else { return Ok(false) };
    let stored = stored.as_ref().try_into().map_err(|_| Error::Malformed)?;
    match u32::from_be_bytes(stored) {
        VERSION => Ok(true),
        0 => Err(Error::Malformed),
        found => Err(Error::Newer { found }),
    }
}

/// The name of the key under which secrets are sealed, if they are.
pub(crate) fn sealed_under(kv: &dyn Kv) -> Result<Option<KeyName>, Error> {
    let Some(stored) = kv.get(Space::Meta, keys::SEALED_UNDER)? else { return Ok(None) };
    Ok(Some(stored.as_ref().try_into().map_err(|_| Error::Malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Memory, Reads as _};

    fn with_version(bytes: &[u8]) -> Memory {
        let kv = Memory::new();
        let mut batch = Batch::default();
        batch.put(Space::Meta, keys::SCHEMA, bytes.to_vec());
        kv.write(&batch, true).unwrap();
        kv
    }

    #[test]
    fn a_newer_store_is_refused_by_name() {
        let error = check_or_create(&with_version(&9u32.to_be_bytes()), None).unwrap_err();
        assert_eq!(error.to_string(), "store schema version 9 is newer than this program's 1: use a newer spool");
    }

    #[test]
    fn a_new_store_is_of_this_version_and_opens_again() {
        let kv = Memory::new();
        check_or_create(&kv, None).unwrap();
        assert_eq!(kv.get(Space::Meta, keys::SCHEMA).unwrap().unwrap().as_ref(), 1u32.to_be_bytes());
        check_or_create(&kv, None).unwrap();
    }

    #[test]
    fn a_store_opens_under_its_own_key_only() {
        let key = |seed| Some([seed; 16]);
        for own in [None, key(1)] {
            let kv = Memory::new();
            check_or_create(&kv, own).unwrap();
            check_or_create(&kv, own).unwrap();
            let refused = |other| check_or_create(&kv, other).unwrap_err();
            match own {
                Some(_) => assert!(matches!((refused(None), refused(key(2))), (Error::Sealed, Error::OtherKey))),
                None => assert!(matches!(refused(key(1)), Error::NotSealed)),
            }
            let mut batch = Batch::default();
            batch.put(Space::Meta, keys::RESEALING, vec![1]);
            kv.write(&batch, true).unwrap();
            assert!(matches!(refused(own), Error::Unfinished));
        }
    }

    #[test]
    fn nonsense_is_no_version() {
        for bytes in [&[][..], &[0, 0, 0, 0], &[1], &[0, 0, 0, 0, 1]] {
            assert!(matches!(check_or_create(&with_version(bytes), None), Err(Error::Malformed)));
        }
    }
}

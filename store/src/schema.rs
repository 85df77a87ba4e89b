//! The version of what is stored.

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
    #[error("the store is damaged: its schema version is malformed")]
    Malformed,
    /// It could not be read or written.
    #[error(transparent)]
    Kv(#[from] kv::Error),
}

/// Checks the version; an empty store gets this program's, synced before anything else is written.
pub(crate) fn check_or_create(kv: &dyn Kv) -> Result<(), Error> {
    let Some(stored) = kv.get(Space::Meta, keys::SCHEMA)? else {
        let mut batch = Batch::default();
        batch.put(Space::Meta, keys::SCHEMA, VERSION.to_be_bytes().to_vec());
        return Ok(kv.write(&batch, true)?);
    };
    let stored = stored.as_ref().try_into().map_err(|_| Error::Malformed)?;
    match u32::from_be_bytes(stored) {
        VERSION => Ok(()),
        0 => Err(Error::Malformed),
        found => Err(Error::Newer { found }),
    }
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
        let error = check_or_create(&with_version(&9u32.to_be_bytes())).unwrap_err();
        assert_eq!(error.to_string(), "store schema version 9 is newer than this program's 1: use a newer spool");
    }

    #[test]
    fn a_new_store_is_of_this_version_and_opens_again() {
        let kv = Memory::new();
        check_or_create(&kv).unwrap();
        assert_eq!(kv.get(Space::Meta, keys::SCHEMA).unwrap().unwrap().as_ref(), 1u32.to_be_bytes());
        check_or_create(&kv).unwrap();
    }

    #[test]
    fn nonsense_is_no_version() {
        for bytes in [&[][..], &[0, 0, 0, 0], &[1], &[0, 0, 0, 0, 1]] {
            assert!(matches!(check_or_create(&with_version(bytes)), Err(Error::Malformed)));
        }
    }
}

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use super::{Error, Key};
use crate::limits::{MAX_ARGON2_KIB, MAX_ARGON2_LANES, MAX_ARGON2_PASSES, MAX_ARGON2_WORK_KIB, MAX_PASSPHRASE_BYTES};

/// Random bytes beside a passphrase: those that RFC 9106 recommends.
pub(super) const SALT_BYTES: usize = 16;

/// What an owner knows and nobody else. Bytes as they were given: nothing is normalised.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase that somebody chose.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] and [`Error::TooLong`].
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        match bytes.len() {
            0 => Err(Error::Empty),
            1..=MAX_PASSPHRASE_BYTES => Ok(Self(bytes)),
            _ => Err(Error::TooLong),
        }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase(..)")
    }
}

/// What trying one passphrase costs, stored beside what it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    pub(super) kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl Parameters {
    /// What RFC 9106, section 4, recommends where memory is scarce: 64 MiB, three passes, four lanes. More than the least that OWASP names (46 MiB and one pass, or what is
    /// worth as much), and still for a small machine that follows.
    pub const RECOMMENDED: Self = Self { kib: 64 * 1024, passes: 3, lanes: 4 };

    /// Other ones, within the bounds of what is read.
    ///
    /// # Errors
    ///
    /// [`Error::Parameters`].
    pub fn new(kib: u32, passes: u32, lanes: u32) -> Result<Self, Error> {
        let is_good = (1..=MAX_ARGON2_LANES).contains(&lanes)
            && (1..=MAX_ARGON2_PASSES).contains(&passes)
            && (8 * lanes..=MAX_ARGON2_KIB).contains(&kib)
            && u64::from(kib) * u64::from(passes) <= MAX_ARGON2_WORK_KIB;
        is_good.then_some(Self { kib, passes, lanes }).ok_or(Error::Parameters { kib, passes, lanes })
    }

    /// KiB of memory that is filled.
    pub fn kib(&self) -> u32 {
        self.kib
    }

    /// How often.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// The key that a passphrase comes to: Argon2id, version 1.3, 32 bytes.
    pub(super) fn derive(&self, passphrase: &Passphrase, salt: &[u8; SALT_BYTES]) -> Result<Key, Error> {
        let params = Params::new(self.kib, self.passes, self.lanes, Some(32));
        let params = params.map_err(|_| Error::Parameters { kib: self.kib, passes: self.passes, lanes: self.lanes })?;
        let mut memory: Vec<Block> = Vec::new();
        memory.try_reserve_exact(params.block_count()).map_err(|_| Error::Memory(self.kib))?;
        memory.resize(params.block_count(), Block::default());
        let mut derived = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hashed = argon2.hash_password_into_with_memory(&passphrase.0, salt, &mut *derived, &mut memory[..]);
        // Whoever has the last blocks has the key.
        memory.zeroize();
        hashed.expect("parameters, salt and passphrase are within the bounds of Argon2");
        Ok(Key::new(*derived))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    pub(crate) fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes().to_vec().into()).unwrap()
    }

    #[test]
    fn passphrases_have_bounds_and_do_not_show() {
        assert!(matches!(Passphrase::new(Vec::new().into()), Err(Error::Empty)));
        assert!(matches!(Passphrase::new(vec![b'x'; MAX_PASSPHRASE_BYTES + 1].into()), Err(Error::TooLong)));
        assert_eq!(
            format!("{:?}", Passphrase::new(vec![b'x'; MAX_PASSPHRASE_BYTES].into()).unwrap()),
            "Passphrase(..)"
        );
    }

    #[test]
    fn parameters_have_bounds() {
        let (kib, passes, lanes) = (MAX_ARGON2_KIB, MAX_ARGON2_PASSES, MAX_ARGON2_LANES);
        for good in [(8, 1, 1), (kib, 4, 1), (kib, 1, lanes), (1024, passes, 1), (8 * lanes, 1, lanes)] {
            assert!(Parameters::new(good.0, good.1, good.2).is_ok(), "{good:?}");
        }
        for bad in [
            (0, 1, 1),
            (7, 1, 1),
            (15, 1, 2),
            (8, 0, 1),
            (8, 1, 0),
            (kib + 1, 1, 1),
            (1024, passes + 1, 1),
            (kib, 5, 1),
            (u32::MAX, 1, 1),
            (8, u32::MAX, 1),
            (u32::MAX, u32::MAX, u32::MAX),
            (kib, 1, lanes + 1),
        ] {
            assert!(matches!(Parameters::new(bad.0, bad.1, bad.2), Err(Error::Parameters { .. })), "{bad:?}");
        }
        let Parameters { kib, passes, lanes } = Parameters::RECOMMENDED;
        assert_eq!(Parameters::new(kib, passes, lanes).unwrap(), Parameters::RECOMMENDED);
    }

    /// Made with the reference implementation (`argon2` 20171227): `echo -n passphrase | argon2 0123456789abcdef -id -k 64 -t 2 -p 2 -l 32 -v 13 -r`.
    #[test]
    fn derivation_is_argon2id_of_the_rfc() {
        let parameters = Parameters::new(64, 2, 2).unwrap();
        let derived = parameters.derive(&passphrase("passphrase"), b"0123456789abcdef").unwrap();
        assert_eq!(
            HEXLOWER.encode(derived.as_bytes()),
            "da81f2fd0f0e2f9c73cb5ca008371b455cd533df857f163df9d7099274b5d4df"
        );
    }
}

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, Tag},
};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Error;
use crate::{
    keys::{SealKey, hmac, kdf},
    seal::{NONCE_BYTES, OVERHEAD_BYTES, TAG_BYTES},
};

/// The key of a repository, under which everything secret in it lies.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// What a key is called: it tells two apart and nothing else of them.
pub type KeyName = [u8; 16];

/// What is sealed. Each part has a key of its own, so that nothing can be passed off as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The key itself, in a key file.
    Key,
    /// A small file of the repository; its place is its name.
    File,
    /// A thread in the store, with its keys; its place is its key in the store and its local number.
    Thread,
    /// A value of a view in the store; its place is its key in the store.
    View,
}

impl Part {
    fn label(self) -> &'static str {
        match self {
            Part::Key => "vault key",
            Part::File => "vault file",
            Part::Thread => "vault thread",
            Part::View => "vault view",
        }
    }
}

impl Key {
    /// The key that these bytes are; random ones make a new key.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself: for sealing it, never for logs.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its name.
    pub fn name(&self) -> KeyName {
        let mut name = KeyName::default();
        name.copy_from_slice(&kdf(&self.0, "vault name", &[])[..16]);
        name
    }

    /// What seals and opens one part.
    pub fn sealer(&self, part: Part) -> Sealer {
        Sealer(SealKey::new(kdf(&self.0, part.label(), &[])))
    }

    /// A MAC under this key.
    pub(super) fn tag(&self, message: &[u8]) -> [u8; 32] {
        hmac(&kdf(&self.0, "vault tag", &[]), &[message])
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(..)")
    }
}

/// Seals and opens the values of one part: XChaCha20-Poly1305, with the place of the value authenticated.
///
/// The nonce is an HMAC of place and value. So no randomness is needed, and no two values are ever sealed under one nonce, also where a disk goes back to
/// an older state; an equal value in an equal place is an equal sealed value, and that is all that shows.
#[derive(Clone)]
pub struct Sealer(SealKey);

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// Seals a value; the result is [`OVERHEAD_BYTES`] longer.
    pub fn seal(&self, place: &[u8], value: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(value.len() + OVERHEAD_BYTES);
        let length = (place.len() as u64).to_be_bytes();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hmac(self.0.nonce(), &[&length, place, value])[..NONCE_BYTES]);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = XChaCha20Poly1305::new(self.0.cipher().into())
            .encrypt_inout_detached(&XNonce::from(nonce), place, (&mut sealed[NONCE_BYTES..]).into())
            .expect("a value in memory is far below the cipher's limit of 256 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what [`Sealer::seal`] made for the same place.
    ///
    /// # Errors
    ///
    /// [`Error::DoesNotOpen`].
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Error::DoesNotOpen)?;
        let (value, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Error::DoesNotOpen)?;
        let mut value = value.to_vec();
        XChaCha20Poly1305::new(self.0.cipher().into())
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                place,
                value.as_mut_slice().into(),
                &Tag::<XChaCha20Poly1305>::from(*tag),
            )
            .map_err(|_| Error::DoesNotOpen)?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [Part; 4] = [Part::Key, Part::File, Part::Thread, Part::View];

    #[test]
    fn a_value_opens_in_its_place_and_nowhere_else() {
        let key = Key::new([7; 32]);
        for value in [&b"value"[..], b""] {
            let sealed = key.sealer(Part::View).seal(b"place", value);
            assert_eq!(sealed.len(), value.len() + OVERHEAD_BYTES);
            assert_eq!(key.sealer(Part::View).open(b"place", &sealed).unwrap(), value);
            assert!(key.sealer(Part::View).open(b"plac", &sealed).is_err());
            assert!(key.sealer(Part::Thread).open(b"place", &sealed).is_err());
            assert!(Key::new([8; 32]).sealer(Part::View).open(b"place", &sealed).is_err());
            for bit in 0..sealed.len() * 8 {
                let mut damaged = sealed.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(key.sealer(Part::View).open(b"place", &damaged).is_err(), "bit {bit}");
            }
            for length in 0..sealed.len() {
                assert!(key.sealer(Part::View).open(b"place", &sealed[..length]).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn equal_values_show_only_where_their_places_are_equal() {
        let sealer = Key::new([7; 32]).sealer(Part::View);
        assert_eq!(sealer.seal(b"a", b"value"), sealer.seal(b"a", b"value"));
        let nonce = |place: &[u8], value: &[u8]| sealer.seal(place, value)[..NONCE_BYTES].to_vec();
        let nonces = [nonce(b"a", b"value"), nonce(b"b", b"value"), nonce(b"a", b"other"), nonce(b"av", b"alue")];
        for (i, one) in nonces.iter().enumerate() {
            assert!(nonces[i + 1..].iter().all(|other| other != one), "{i}");
        }
    }

    #[test]
    fn parts_have_keys_of_their_own_and_nothing_shows() {
        let key = Key::new([0xab; 32]);
        let sealed = PARTS.map(|part| key.sealer(part).seal(b"", b"value"));
        for (i, one) in sealed.iter().enumerate() {
            assert!(sealed[i + 1..].iter().all(|other| other != one), "{i}");
        }
        assert_eq!(format!("{key:?} {:?}", key.sealer(Part::File)), "Key(..) Sealer(..)");
        assert_ne!(key.name(), Key::new([0xac; 32]).name());
    }
}

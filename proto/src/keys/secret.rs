use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{hmac, kdf};

/// Declares a secret of 32 bytes: wiped on drop, silent in `Debug`, compared in constant time.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The key that these bytes are.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The key itself: for sealing it to somebody or storing it, never for logs.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                ByteArray::deserialize(deserializer).map(|bytes| Self(bytes.into_array()))
            }
        }
    };
}

secret! {
    /// Opens the record layer: chain, links, signatures. All that a follower has.
    FollowKey
}

secret! {
    /// Opens the event layer, and with it the bodies.
    ReadKey
}

secret! {
    /// What a thread's chunk keys come from: equal chunks get equal keys within the thread, and tell an outsider nothing.
    ChunkSecret
}

impl ChunkSecret {
    /// The key of the chunk whose plaintext has this SHA-256 hash.
    pub fn key(&self, hash: &[u8; 32]) -> SealKey {
        SealKey::new(hmac(&self.0, &[hash]))
    }
}

/// A key that seals one layer, with the nonce key that belongs to it (`docs/protocol.md`, section 3).
///
/// Making one costs a derivation: keep it where it is used again.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealKey {
    cipher: [u8; 32],
    nonce: [u8; 32],
}

impl SealKey {
    /// Derives the nonce key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { nonce: kdf(&key, "nonce", &[]), cipher: key }
    }

    /// The key of the cipher: the key that this was made from.
    pub const fn cipher(&self) -> &[u8; 32] {
        &self.cipher
    }

    /// The key of the HMAC that makes nonces out of plaintexts.
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }
}

impl PartialEq for SealKey {
    fn eq(&self, other: &Self) -> bool {
        self.cipher.ct_eq(&other.cipher).into()
    }
}

impl Eq for SealKey {}

impl fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_shows_in_debug() {
        let texts = [
            format!("{:?}", FollowKey::new([0xab; 32])),
            format!("{:#?}", ReadKey::new([0xab; 32])),
            format!("{:?}", ChunkSecret::new([0xab; 32])),
            format!("{:?}", SealKey::new([0xab; 32])),
        ];
        assert_eq!(texts, ["FollowKey(..)", "ReadKey(..)", "ChunkSecret(..)", "SealKey(..)"]);
    }

    #[test]
    fn secrets_are_byte_strings_of_32_bytes() {
        let bytes = crate::cbor::to_vec(&ReadKey::new([3; 32]));
        assert_eq!(bytes, [&[0x58, 0x20][..], &[3; 32]].concat());
        assert_eq!(crate::cbor::from_slice::<ReadKey>(&bytes, 64).unwrap(), ReadKey::new([3; 32]));
        let short = [&[0x58, 0x1f][..], &[3; 31]].concat();
        assert!(crate::cbor::from_slice::<ReadKey>(&short, 64).is_err());
    }

    #[test]
    fn chunk_keys_depend_on_secret_and_content() {
        let secret = ChunkSecret::new([1; 32]);
        assert_eq!(secret.key(&[5; 32]), secret.key(&[5; 32]));
        assert_ne!(secret.key(&[5; 32]), secret.key(&[6; 32]));
        assert_ne!(secret.key(&[5; 32]), ChunkSecret::new([2; 32]).key(&[5; 32]));
    }
}

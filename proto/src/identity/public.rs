use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, VerifyingKey};
use multibase::Base;

use crate::id::{Error, serde_as_bytes, verifying_key};

const WHAT: &str = "identity key";
/// What libp2p's protobuf form of an ed25519 public key begins with: key type 1, 32 bytes of key.
const PREFIX: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
/// Characters of the longest text form: base 2, one character a bit, and its prefix.
const MAX_TEXT: usize = 1 + 8 * (PREFIX.len() + 32);

/// The public half of an identity: who owns a log, and to whom keys are sealed.
///
/// Its text is the one that Textile's clients use for identities: multibase, base32, of libp2p's protobuf form of the key. Was
/// checked to be a valid key, not of low order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey([u8; 32]);

impl IdentityKey {
    /// Reads the 32 bytes of the key.
    ///
    /// # Errors
    ///
    /// If they are not 32 bytes, not a valid key, or one of low order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let length = Error::Length { what: WHAT, expected: 32, actual: bytes.len() };
        let key = bytes.try_into().map_err(|_| length)?;
        verifying_key(WHAT, &key)?;
        Ok(Self(key))
    }

    /// The 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key for checking signatures. Decompresses a point.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_bytes(&self.0).expect("checked when the key was read")
    }

    /// Whether `signature` is one by this identity over `message`, by the strict rules that hold everywhere.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.verifying_key().verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// The last characters of the text, for logs; the first ones are the same in all keys.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text[text.len().saturating_sub(8)..].to_owned()
    }
}

impl From<&ed25519_dalek::SigningKey> for IdentityKey {
    fn from(key: &ed25519_dalek::SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }
}

impl fmt::Display for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&multibase::encode(Base::Base32Lower, [&PREFIX[..], &self.0].concat()))
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityKey({self})")
    }
}

impl FromStr for IdentityKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let not_text = Error::Text { what: WHAT, encoding: "multibase" };
        if text.len() > MAX_TEXT {
            return Err(not_text);
        }
        let (_, bytes) = multibase::decode(text).map_err(|_| not_text)?;
        Self::from_bytes(bytes.strip_prefix(&PREFIX).ok_or(Error::NotEd25519Key { what: WHAT })?)
    }
}

serde_as_bytes!(IdentityKey, "identity key", |key| &key.0);

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    const TEXT: &str = "bbaareiekrdr525aj6gk72uw3fu6luxlszjtqtpy5sqjbx43uraa3id3plq";

    #[test]
    fn text_and_signature_are_those_of_the_npm_client() {
        let signing = SigningKey::from_bytes(&[1; 32]);
        let key = IdentityKey::from(&signing);
        assert_eq!(HEXLOWER.encode(key.as_bytes()), "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
        assert_eq!(key.to_string(), TEXT);
        assert_eq!(TEXT.parse(), Ok(key));
        let signature: [u8; 64] = HEXLOWER
            .decode(
                b"0e1bd06c6ab98ef354701a00c55715d1b65a915d898b9f68e8e48b037c345c56\
                  75a243feeae3e7c4deca2da6d340854edc5b86655461e74d9d65e02333521f0e",
            )
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(signing.sign(&[7; 32]).to_bytes(), signature);
        assert!(key.verify(&[7; 32], &signature));
        assert!(!key.verify(&[8; 32], &signature));
        assert!(!key.verify(&[7; 32], &[0; 64]));
    }

    #[test]
    fn other_keys_and_other_texts_are_refused() {
        // Key type 2 is secp256k1.
        let other = multibase::encode(Base::Base32Lower, [&[0x08, 0x02, 0x12, 0x20][..], &[1; 32]].concat());
        assert_eq!(other.parse::<IdentityKey>(), Err(Error::NotEd25519Key { what: WHAT }));
        assert!(matches!(TEXT[..58].parse::<IdentityKey>(), Err(Error::Text { .. } | Error::Length { .. })));
        assert!(matches!("".parse::<IdentityKey>(), Err(Error::Text { .. })));
        assert_eq!(IdentityKey::from_bytes(&[0; 32]), Err(Error::PublicKey { what: WHAT }));
        assert!(matches!(IdentityKey::from_bytes(&[0; 31]), Err(Error::Length { actual: 31, .. })));
    }
}

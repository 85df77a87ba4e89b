use std::{fmt, str::FromStr};

use ed25519_dalek::VerifyingKey;
use libp2p_identity::PeerId;
use multibase::Base;

use super::{Error, serde_as_bytes, verifying_key};

const WHAT: &str = "log id";

/// A log: its id is the peer-id form of its ed25519 public key, so every id names a key that was checked to be a valid one.
///
/// Holds the 32 bytes only and is cheap to copy and compare. Reading one from bytes costs the decompression of a point
/// (about 10 µs); [`verifying_key`](Self::verifying_key) costs it again, so hot paths take the key from
/// [`LogKeys`](crate::keys::LogKeys), which keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId([u8; 32]);

impl LogId {
    /// Length in bytes of the peer-id form.
    pub const BYTES: usize = 38;
    /// What the peer-id form of every ed25519 key begins with: identity multihash, 36 bytes, protobuf with key type 1
    /// and 32 bytes of key.
    pub(super) const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

    /// Reads the peer-id form, 38 bytes.
    ///
    /// # Errors
    ///
    /// If it is not the peer id of an ed25519 key, or the key is not valid or of low order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let key = bytes.strip_prefix(&Self::PREFIX).ok_or(Error::NotEd25519 { what: WHAT })?;
        let key = key.try_into().map_err(|_| Error::NotEd25519 { what: WHAT })?;
        Self::from_public_key(key)
    }

    /// The id of the log with this public key, 32 bytes.
    ///
    /// # Errors
    ///
    /// If the key is not valid or of low order.
    pub fn from_public_key(key: &[u8; 32]) -> Result<Self, Error> {
        verifying_key(WHAT, key)?;
        Ok(Self(*key))
    }

    /// The peer-id form, 38 bytes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..6].copy_from_slice(&Self::PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// The 32 bytes of the public key.
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that every record of the log is signed with. Decompresses a point: keep it where it is needed often.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_bytes(&self.0).expect("checked when the id was made")
    }

    /// The last characters of the text, for logs; the first ones are the same in all ids.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text[text.len().saturating_sub(8)..].to_owned()
    }
}

/// The id of the log that is written with this key.
impl From<&ed25519_dalek::SigningKey> for LogId {
    fn from(key: &ed25519_dalek::SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }
}

impl From<LogId> for PeerId {
    fn from(log: LogId) -> Self {
        PeerId::from_bytes(&log.to_bytes()).expect("an identity multihash of 36 bytes is a peer id")
    }
}

impl TryFrom<&PeerId> for LogId {
    type Error = Error;

    fn try_from(peer: &PeerId) -> Result<Self, Error> {
        Self::from_bytes(&peer.to_bytes())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&Base::Base58Btc.encode(self.to_bytes()))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LogId({self})")
    }
}

impl FromStr for LogId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let not_text = Error::Text { what: WHAT, encoding: "base58btc" };
        if text.len() > 2 * Self::BYTES {
            return Err(not_text);
        }
        Self::from_bytes(&Base::Base58Btc.decode(text).map_err(|_| not_text)?)
    }
}

serde_as_bytes!(LogId, "log id", |log| &log.to_bytes());

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn text_and_bytes_are_those_of_the_peer_id() {
        let signing = SigningKey::from_bytes(&[1; 32]);
        let log = LogId::from(&signing);
        let peer = PeerId::from(log);
        assert_eq!(peer.to_bytes(), log.to_bytes());
        assert_eq!(peer.to_string(), log.to_string());
        assert_eq!(LogId::try_from(&peer), Ok(log));
        assert_eq!(log.to_string().parse(), Ok(log));
        assert_eq!(LogId::from_bytes(&log.to_bytes()), Ok(log));
        assert_eq!(log.verifying_key(), signing.verifying_key());
        assert!(log.to_string().ends_with(&log.short()));
        let key = libp2p_identity::ed25519::PublicKey::try_from_bytes(log.public_key()).unwrap();
        assert_eq!(PeerId::from_public_key(&key.into()), peer);
    }

    #[test]
    fn peer_ids_of_other_keys_are_refused() {
        let hashed: PeerId = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap();
        assert_eq!(LogId::try_from(&hashed), Err(Error::NotEd25519 { what: WHAT }));
        let mut weak = LogId::from(&SigningKey::from_bytes(&[1; 32])).to_bytes();
        weak[6..].fill(0);
        assert_eq!(LogId::from_bytes(&weak), Err(Error::PublicKey { what: WHAT }));
        assert!(LogId::from_bytes(&weak[..37]).is_err());
        assert!(matches!("0OIl".parse::<LogId>(), Err(Error::Text { .. })));
    }
}

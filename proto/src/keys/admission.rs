use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

use super::{ReadKey, kdf, lp};
use crate::id::{self, LogId, ThreadId};

/// The public half of an epoch's admission key: what followers check new logs against.
///
/// Only who holds the read key can admit a log, so a follower cannot mint logs of its own. Holds the decompressed point.
#[derive(Clone, PartialEq, Eq)]
pub struct AdmissionKey(VerifyingKey);

impl AdmissionKey {
    /// Reads the 32 bytes of the key.
    ///
    /// # Errors
    ///
    /// If they are not a valid key, or one of low order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, id::Error> {
        id::verifying_key("admission key", bytes).map(Self)
    }

    pub(super) fn of(read: &ReadKey) -> Self {
        Self(signer(read).verifying_key())
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key for checking signatures.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }

    /// Whether `signature` admits the log to the thread.
    pub fn admits(&self, thread: &ThreadId, log: &LogId, signature: &[u8; 64]) -> bool {
        self.0.verify_strict(&message(thread, log), &Signature::from_bytes(signature)).is_ok()
    }
}

/// The signature that admits `log` to `thread`.
pub(super) fn admit(read: &ReadKey, thread: &ThreadId, log: &LogId) -> [u8; 64] {
    signer(read).sign(&message(thread, log)).to_bytes()
}

fn signer(read: &ReadKey) -> SigningKey {
    SigningKey::from_bytes(&kdf(read.as_bytes(), "admission", &[]))
}

fn message(thread: &ThreadId, log: &LogId) -> Vec<u8> {
    let mut message = b"spool/1 admission".to_vec();
    lp(&mut message, thread.as_bytes());
    lp(&mut message, &log.to_bytes());
    message
}

impl fmt::Debug for AdmissionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AdmissionKey(..)")
    }
}

impl Serialize for AdmissionKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for AdmissionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteArray::deserialize(deserializer)?.into_array();
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Variant;

    #[test]
    fn only_the_signed_log_in_the_signed_thread_is_admitted() {
        let read = ReadKey::new([4; 32]);
        let thread = ThreadId::new(Variant::Raw, [1; 32]);
        let log = LogId::from(&SigningKey::from_bytes(&[2; 32]));
        let key = AdmissionKey::of(&read);
        let signature = admit(&read, &thread, &log);
        assert!(key.admits(&thread, &log, &signature));
        assert!(!key.admits(&ThreadId::new(Variant::Raw, [9; 32]), &log, &signature));
        assert!(!key.admits(&thread, &LogId::from(&SigningKey::from_bytes(&[3; 32])), &signature));
        assert!(!AdmissionKey::of(&ReadKey::new([5; 32])).admits(&thread, &log, &signature));
        let mut damaged = signature;
        damaged[40] ^= 1;
        assert!(!key.admits(&thread, &log, &damaged));
    }
}

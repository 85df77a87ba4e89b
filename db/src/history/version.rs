//! The short name of a state of a document.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::Document;

/// Names one state of a document, the same on every peer: the first 16 bytes of the SHA-256 of its stored form, in hexadecimal.
/// It changes with every event that changes the document, and when an event arrives late or ceases to count before the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId([u8; 16]);

/// A text that names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version: 32 hexadecimal digits")]
pub struct Malformed(String);

impl VersionId {
    /// Of a document in its stored form.
    pub(crate) fn of(state: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(state).into();
        Self(*digest.first_chunk().expect("32 bytes are more than 16"))
    }
}

impl Document {
    /// The name of this state.
    pub fn version(&self) -> VersionId {
        VersionId::of(&self.to_bytes())
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::str::FromStr for VersionId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let good = text.len() == 32 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| good);
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| Malformed(text.to_owned()))
    }
}

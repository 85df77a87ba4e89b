//! A token that opens the API.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Whoever shows it may do everything that the owner of the node may.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token that somebody else chose.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Whether this is what was shown. How long that takes says nothing of how much of it is right.
    pub fn is(&self, shown: &str) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(shown.as_bytes())
    }

    /// Its text, to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Token {}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

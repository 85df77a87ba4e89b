//! The token that callers of the API show.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Error, Locked, Repo, create::random, files, files::Access};

const FILE: &str = "api-token";
/// Random bytes of a token.
const BYTES: usize = 32;

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

impl Repo {
    /// The token in the repository; none before a daemon has run.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn api_token(&self) -> Result<Option<Token>, Error> {
        match files::read(&self.path(FILE)) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Ok(Some(Token(text))),
        }
    }
}

impl Locked {
    /// The token in the repository, which is made where there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn make_api_token(&self) -> Result<Token, Error> {
        if let Some(token) = self.api_token()? {
            return Ok(token);
        }
        let text = Zeroizing::new(BASE64URL_NOPAD.encode(&*Zeroizing::new(random::<BYTES>()?)));
        files::write(&self.path(FILE), Zeroizing::new(format!("{}\n", *text)).as_bytes(), Access::Private)?;
        Ok(Token(text))
    }
}

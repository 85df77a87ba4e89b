//! The token that callers of the API show.

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::{Error, Locked, Repo, create::random, files, files::Access};
use crate::config::Token;

const FILE: &str = "api-token";
/// Random bytes of a token.
const BYTES: usize = 32;

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
            Ok(text) => Ok(Some(Token::new(text.as_str()))),
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
        Ok(Token::new(text.as_str()))
    }
}

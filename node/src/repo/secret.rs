//! What is secret in small files: in the open, or sealed under the key of the repository (`docs/keys-at-rest.md`).

use data_encoding::BASE64URL_NOPAD;
use spool_proto::vault::{self, Key, KeyFile, Parameters, Part, Passphrase, State};
use zeroize::Zeroizing;

use super::create::{line, random};
use super::files::{self, Access};
use super::{Error, Repo};

/// The file with the recovery phrase.
pub(super) const IDENTITY: &str = "identity";
/// The file with the node's key.
pub(super) const NODE_KEY: &str = "node.key";
/// The file with the key of the repository, sealed under a passphrase.
pub(super) const KEY_FILE: &str = "repo.key";
/// Begins a file that is sealed; no phrase and no key begins so.
const MARK: &str = "sealed-1 ";

/// A fresh key.
pub(super) fn new_key() -> Result<Key, Error> {
    Ok(Key::new(*Zeroizing::new(random()?)))
}

impl Repo {
    /// The file with the key, as far as it can be read without the passphrase; none where the keys lie open.
    ///
    /// # Errors
    /// [`Error::Vault`] if it is damaged.
    pub fn key_file(&self) -> Result<Option<KeyFile>, Error> {
        let path = self.path(KEY_FILE);
        let Some(bytes) = files::read_bytes(&path)? else { return Ok(None) };
        KeyFile::from_bytes(&bytes).map(Some).map_err(|source| Error::Vault { path, source })
    }

    /// Gets at the keys with the passphrase. Takes a while, on purpose.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], [`Error::NotProtected`], [`Error::Vault`].
    pub fn unlock(&mut self, passphrase: &Passphrase) -> Result<(), Error> {
        let file = self.key_file()?.ok_or_else(|| Error::NotProtected(self.dir().into()))?;
        let key = file.open(passphrase).map_err(|source| match source {
            vault::Error::WrongPassphrase => Error::WrongPassphrase(self.dir().into()),
            source => Error::Vault { path: self.path(KEY_FILE), source },
        })?;
        self.key = Some(key);
        Ok(())
    }

    /// Whether [`Repo::unlock`] has been done, or need not be.
    ///
    /// # Errors
    /// As [`Repo::key_file`].
    pub fn is_unlocked(&self) -> Result<bool, Error> {
        Ok(self.key.is_some() || self.key_file()?.is_none())
    }

    /// What the secrets of the repository are sealed under; none where they lie open.
    ///
    /// # Errors
    /// [`Error::NeedsPassphrase`] before [`Repo::unlock`].
    pub fn key(&self) -> Result<Option<&Key>, Error> {
        match self.is_unlocked()? {
            true => Ok(self.key.as_ref()),
            false => Err(Error::NeedsPassphrase(self.dir().into())),
        }
    }

    /// Makes a key, and puts it under a passphrase; nothing is sealed under it yet.
    pub(super) fn make_key(
        &mut self,
        passphrase: &Passphrase,
        parameters: Parameters,
        state: State,
    ) -> Result<(), Error> {
        let key = new_key()?;
        self.write_key_file(&self.sealed_key(&key, passphrase, parameters, state)?)?;
        self.key = Some(key);
        Ok(())
    }

    pub(super) fn sealed_key(
        &self,
        key: &Key,
        passphrase: &Passphrase,
        parameters: Parameters,
        state: State,
    ) -> Result<KeyFile, Error> {
        let made = KeyFile::new(key, passphrase, parameters, random()?, state);
        made.map_err(|source| Error::Vault { path: self.path(KEY_FILE), source })
    }

    pub(super) fn write_key_file(&self, file: &KeyFile) -> Result<(), Error> {
        files::replace(&self.path(KEY_FILE), &file.to_bytes())
    }

    pub(super) fn write_layout(&self, layout: u32) -> Result<(), Error> {
        files::write(&self.path("version"), line(&layout.to_string()).as_bytes(), Access::Shared)
    }

    /// What is in a secret file.
    pub(super) fn secret(&self, name: &str) -> Result<Zeroizing<String>, Error> {
        let path = self.path(name);
        let text = files::read(&path)?;
        let damaged = |message: &str| Error::Damaged { path: path.clone(), message: message.into() };
        let state = self.key_file()?.map(|file| file.state());
        let Some(sealed) = text.strip_prefix(MARK) else {
            return match state {
                Some(State::Sealed) => Err(damaged("it lies open, in a repository whose keys are under a passphrase")),
                Some(State::Sealing | State::Unsealing) | None => Ok(text),
            };
        };
        if state.is_none() {
            return Err(damaged("it is sealed, and repo.key, which opens it, is gone"));
        }
        let key = self.key()?.ok_or_else(|| damaged("it is sealed"))?;
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).map_err(|_| damaged("it is cut off or changed"))?;
        let opened = key.sealer(Part::File).open(name.as_bytes(), &sealed);
        let opened = Zeroizing::new(opened.map_err(|source| Error::Vault { path: path.clone(), source })?);
        let text = std::str::from_utf8(&opened).map_err(|_| damaged("what it seals is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Writes a secret file, sealed where there is a key; what was there before is overwritten.
    pub(super) fn write_secret(&self, name: &str, text: &str) -> Result<(), Error> {
        let content = match &self.key {
            None => line(text),
            Some(key) => {
                let sealed = key.sealer(Part::File).seal(name.as_bytes(), text.as_bytes());
                line(&format!("{MARK}{}", BASE64URL_NOPAD.encode(&sealed)))
            }
        };
        files::replace(&self.path(name), content.as_bytes())
    }
}

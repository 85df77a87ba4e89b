//! Opening a repository and reading what is in it.

use std::path::{Path, PathBuf};

use libp2p_identity::Keypair;
use spool_proto::{DeviceId, Identity, vault::Key};
use zeroize::Zeroizing;

use super::secret::{IDENTITY, KEY_FILE, NODE_KEY};
use super::{Error, files};

/// The layout of a repository whose keys lie open.
pub(super) const LAYOUT_OPEN: u32 = 1;
/// The layout of one that has a passphrase, or had one: programs that know only the other must not take sealed keys for damaged ones.
pub(super) const LAYOUT: u32 = 2;

/// A directory that is a repository of a layout that this version knows.
#[derive(Debug, Clone)]
pub struct Repo {
    dir: PathBuf,
    /// What its secrets are sealed under; none before [`Repo::unlock`], and where they lie open.
    pub(super) key: Option<Key>,
}

impl Repo {
    /// `.spool` in the user's home.
    pub fn default_dir() -> Option<PathBuf> {
        std::env::home_dir().map(|home| home.join(".spool"))
    }

    /// Opens the repository in `dir`, which it does not lock.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none, [`Error::Version`] where it is of a later version.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let repo = Self::at(dir.into());
        let found = match files::read(&repo.path("version")) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(match repo.path(super::backup::LIST).symlink_metadata() {
                    Ok(_) => Error::Backup(repo.dir),
                    Err(_) => Error::Missing(repo.dir),
                });
            }
            read => read?,
        };
        if [LAYOUT_OPEN, LAYOUT].iter().any(|known| found.as_str() == known.to_string()) {
            return Ok(repo);
        }
        let found = found.chars().take(16).collect();
        Err(Error::Version { path: repo.dir, found, known: LAYOUT })
    }

    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir, key: None }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file or directory in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.path("config.toml")
    }

    /// Where the database is.
    pub fn store_dir(&self) -> PathBuf {
        self.path("store")
    }

    /// The owner's identity.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or is under a passphrase and this is not [unlocked](Repo::unlock).
    pub fn identity(&self) -> Result<Identity, Error> {
        let path = self.path(IDENTITY);
        let phrase = self.secret(IDENTITY)?;
        // The error of the phrase is not shown: it could quote a word.
        Identity::from_phrase(&phrase).map_err(|_| Error::Damaged { path, message: "not a recovery phrase".into() })
    }

    /// The seed of the node's key pair.
    ///
    /// # Errors
    /// As [`Repo::identity`].
    pub fn node_seed(&self) -> Result<Zeroizing<[u8; 32]>, Error> {
        let path = self.path(NODE_KEY);
        let text = self.secret(NODE_KEY)?;
        let damaged = || Error::Damaged { path: path.clone(), message: "not 32 bytes in hexadecimal".into() };
        let mut seed = Zeroizing::new([0; 32]);
        let exact = data_encoding::HEXLOWER.decode_len(text.len()).is_ok_and(|len| len == seed.len());
        if !exact || data_encoding::HEXLOWER.decode_mut(text.as_bytes(), &mut *seed).is_err() {
            return Err(damaged());
        }
        Ok(seed)
    }

    /// The node's key pair.
    ///
    /// # Errors
    /// As [`Repo::identity`].
    pub fn node_key(&self) -> Result<Keypair, Error> {
        let damaged = |_| Error::Damaged { path: self.path("node.key"), message: "not an ed25519 key".into() };
        Keypair::ed25519_from_bytes(&mut *self.node_seed()?).map_err(damaged)
    }

    /// The id of this installation.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn device(&self) -> Result<DeviceId, Error> {
        let path = self.path("device");
        let text = files::read(&path)?;
        text.parse().map_err(|_| Error::Damaged { path, message: "not a device id".into() })
    }

    /// Where the daemon of this repository said that its API is. It may have died since.
    pub fn api(&self) -> Option<String> {
        let text = files::read(&self.path("api")).ok()?;
        Some(text.to_string()).filter(|text| !text.is_empty())
    }

    /// Where the daemon of this repository said that it serves metrics and health. It may have died since.
    pub fn http(&self) -> Option<String> {
        let text = files::read(&self.path("http")).ok()?;
        Some(text.to_string()).filter(|text| !text.is_empty())
    }

    /// Files with secrets that others on this machine can read, with their mode.
    pub fn exposed(&self) -> Vec<(PathBuf, u32)> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &PathBuf| std::fs::metadata(path).map(|data| data.permissions().mode() & 0o777);
            let secrets = [IDENTITY, NODE_KEY, KEY_FILE, "api-token"].map(|name| self.path(name)).into_iter();
            secrets
                .filter_map(|path| mode(&path).ok().map(|mode| (path, mode)))
                .filter(|(_, mode)| mode & 0o077 != 0)
                .collect()
        }
        #[cfg(not(unix))]
        Vec::new()
    }
}

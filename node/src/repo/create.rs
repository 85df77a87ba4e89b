//! Making a repository.

use std::path::{Component, Path, PathBuf};

use spool_proto::vault::{Parameters, Passphrase, State};
use spool_proto::{DeviceId, Identity};
use zeroize::Zeroizing;

use super::files::{self, Access};
use super::open::{LAYOUT, LAYOUT_OPEN};
use super::secret::{IDENTITY, KEY_FILE, NODE_KEY};
use super::{Error, Repo};
use crate::config;

/// What a new repository begins with.
#[derive(Default)]
pub struct Init {
    /// What this installation is called.
    pub name: Option<String>,
    /// The phrase of an identity that exists already; `None` makes a new one.
    pub recover: Option<Zeroizing<String>>,
    /// What its keys are put under; without one they lie open.
    pub passphrase: Option<Passphrase>,
}

impl Repo {
    /// Makes a repository in `dir`, with a new node key and a new device id, and returns it with the identity's recovery phrase.
    ///
    /// # Errors
    /// [`Error::Exists`] if `dir` holds any file of a repository: nothing is overwritten, ever.
    pub fn create(dir: impl Into<PathBuf>, init: &Init) -> Result<(Self, Zeroizing<String>), Error> {
        let mut repo = Self::at(dir.into());
        let identity = match &init.recover {
            Some(phrase) => Identity::from_phrase(phrase).map_err(Error::Phrase)?,
            None => Identity::from_seed(random()?),
        };
        refuse_taken(&repo)?;
        make_dir(repo.dir())?;
        let phrase = identity.phrase();
        let node_key = Zeroizing::new(random::<32>()?);
        let node_key = Zeroizing::new(data_encoding::HEXLOWER.encode(&*node_key));
        if let Some(passphrase) = &init.passphrase {
            repo.make_key(passphrase, Parameters::RECOMMENDED, State::Sealed)?;
        }
        repo.write_secret(IDENTITY, &phrase)?;
        repo.write_secret(NODE_KEY, &node_key)?;
        files::write(&repo.path("device"), line(&new_device()?.to_string()).as_bytes(), Access::Shared)?;
        files::write(&repo.config_path(), config::template(init.name.as_deref()).as_bytes(), Access::Shared)?;
        // Last, because it is what makes the directory a repository: a crash before leaves something that is refused, not half of one.
        repo.write_layout(if repo.key.is_some() { LAYOUT } else { LAYOUT_OPEN })?;
        Ok((repo, phrase))
    }
}

/// Nothing of a repository may be there, nor a backup.
pub(super) fn refuse_taken(repo: &Repo) -> Result<(), Error> {
    refuse_unclear(repo.dir())?;
    let taken = ["version", IDENTITY, NODE_KEY, KEY_FILE, "device", "config.toml", "store", super::backup::LIST];
    match taken.iter().any(|name| repo.path(name).symlink_metadata().is_ok()) {
        true => Err(Error::Exists(repo.dir().into())),
        false => Ok(()),
    }
}

/// A path that goes on with `..` after what is not there is made of nothing when it is looked at, and of another directory, with all
/// that this has, when the missing one is made.
pub(super) fn refuse_unclear(dir: &Path) -> Result<(), Error> {
    let missing = dir.ancestors().take_while(|above| above.symlink_metadata().is_err()).count();
    let is_clear = !dir.components().rev().take(missing).any(|part| part == Component::ParentDir);
    if is_clear { Ok(()) } else { Err(Error::Unclear(dir.into())) }
}

/// A fresh device id.
pub(super) fn new_device() -> Result<DeviceId, Error> {
    Ok(DeviceId::new(random()?))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Error::Entropy)?;
    Ok(bytes)
}

pub(super) fn line(text: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{text}\n"))
}

/// Makes the directory for its owner alone; one that is there and empty of ours is narrowed to that.
pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    #[cfg(unix)]
    {
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        std::fs::set_permissions(dir, mode).map_err(Error::io("make private", dir))?;
    }
    Ok(())
}

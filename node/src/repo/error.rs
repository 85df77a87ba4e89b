//! What can be wrong with a repository.

use std::path::PathBuf;

use spool_proto::vault;

use crate::model::ErrorKind;

/// Why a repository could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none.
    #[error("there is no Spool repository at {0}; `spool init` makes one")]
    Missing(PathBuf),
    /// There is one already, or something that could be one.
    #[error(
        "{0} is there already and nothing was changed; choose another place with --repo, or remove it if you are sure that nobody needs its identity"
    )]
    Exists(PathBuf),
    /// It is a backup.
    #[error("{0} is a backup and no repository; `spool repo restore` makes one of it, elsewhere")]
    Backup(PathBuf),
    /// There is no backup, or none that was finished.
    #[error("{0} is not a backup: it has no backup.json, which is written when one is complete")]
    NoBackup(PathBuf),
    /// A backup goes into a directory of its own.
    #[error("{0} is not empty and nothing was changed; name a directory that is not there yet")]
    NotEmpty(PathBuf),
    /// What is at the end of a path can be told only when there is something on the way to it.
    #[error("{0} leaves a directory that is not there with `..`; name the place without it")]
    Unclear(PathBuf),
    /// A backup would be lost with the repository.
    #[error("{directory} is within the repository {repo}; a backup belongs elsewhere")]
    Within {
        /// Where it should have been made.
        directory: PathBuf,
        /// The repository.
        repo: PathBuf,
    },
    /// The database could not be copied.
    #[error("cannot copy the database")]
    Checkpoint(#[source] spool_store::Error),
    /// Made by a later version.
    #[error("the repository {path} has layout {found}, this version of spool knows up to {known}; use the newer spool")]
    Version {
        /// The repository.
        path: PathBuf,
        /// Its layout, as written, cut to 16 characters.
        found: String,
        /// The layout of this version.
        known: u32,
    },
    /// Another process has it.
    #[error("the repository {path} is in use by {}; stop it first", holder(*.pid))]
    InUse {
        /// The repository.
        path: PathBuf,
        /// The process, where the lock file tells.
        pid: Option<u32>,
    },
    /// A file of it is not what it should be.
    #[error("{path} is damaged: {message}; put it back from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong; never the content.
        message: String,
    },
    /// Its keys are under a passphrase, which was not given.
    #[error(
        "the keys of {0} are under a passphrase: give it with --passphrase-fd, in SPOOL_PASSPHRASE or as the systemd credential spool-passphrase; on a terminal it is asked for"
    )]
    NeedsPassphrase(PathBuf),
    /// It is under another passphrase.
    #[error("this is not the passphrase of {0}; nothing was changed")]
    WrongPassphrase(PathBuf),
    /// It has a passphrase already.
    #[error("the keys of {0} are under a passphrase already; `spool repo passphrase change` sets another one")]
    Protected(PathBuf),
    /// It has no passphrase.
    #[error("the keys of {0} are not under a passphrase; `spool repo passphrase set` puts them there")]
    NotProtected(PathBuf),
    /// Some of its keys are under a passphrase and others are not.
    #[error(
        "setting or removing the passphrase of {0} was interrupted; start its daemon or run `spool repo passphrase set` with the same passphrase, either of which finishes it"
    )]
    Unfinished(PathBuf),
    /// The file with its key, or something sealed under that, does not open.
    #[error("cannot open {path}")]
    Vault {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: vault::Error,
    },
    /// The database was not sealed or unsealed to the end.
    #[error("cannot rewrite the keys in the database; nothing is lost, the same again goes on where this ended")]
    Reseal(#[source] spool_store::protect::Error),
    /// The recovery phrase is not one.
    #[error("this is not a recovery phrase")]
    Phrase(#[source] spool_proto::identity::PhraseError),
    /// The system has no randomness.
    #[error("no randomness from the system")]
    Entropy(#[source] getrandom::Error),
    /// A file could not be read or written.
    #[error("cannot {what} {path}")]
    Io {
        /// "read", "write", ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) | Self::NoBackup(_) => ErrorKind::NotFound,
            Self::Exists(_) | Self::NotEmpty(_) | Self::Protected(_) => ErrorKind::Exists,
            Self::Backup(_)
            | Self::Version { .. }
            | Self::InUse { .. }
            | Self::NeedsPassphrase(_)
            | Self::WrongPassphrase(_)
            | Self::NotProtected(_)
            | Self::Unfinished(_)
            | Self::Vault { source: vault::Error::Version(_), .. } => ErrorKind::Refused,
            Self::Vault { source: vault::Error::Memory(_), .. } | Self::Reseal(_) => ErrorKind::Failed,
            Self::Vault { .. } => ErrorKind::Damaged,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Phrase(_) | Self::Unclear(_) | Self::Within { .. } => ErrorKind::Invalid,
            Self::Entropy(_) | Self::Checkpoint(_) | Self::Io { .. } => ErrorKind::Failed,
        }
    }

    /// A stable name for programs, in kebab case.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "no-repository",
            Self::Exists(_) => "repository-exists",
            Self::Backup(_) => "is-a-backup",
            Self::NoBackup(_) => "no-backup",
            Self::NotEmpty(_) => "not-empty",
            Self::Unclear(_) => "unclear-path",
            Self::Within { .. } => "within-repository",
            Self::Version { .. } => "newer-repository",
            Self::InUse { .. } => "repository-in-use",
            Self::Damaged { .. } => "damaged",
            Self::NeedsPassphrase(_) => "passphrase-needed",
            Self::WrongPassphrase(_) => "wrong-passphrase",
            Self::Protected(_) => "already-protected",
            Self::NotProtected(_) => "not-protected",
            Self::Unfinished(_) => "unfinished-passphrase",
            Self::Vault { source: vault::Error::Version(_), .. } => "newer-repository",
            Self::Vault { source: vault::Error::Memory(_), .. } | Self::Reseal(_) => "failed",
            Self::Vault { .. } => "damaged",
            Self::Phrase(_) => "invalid-phrase",
            Self::Entropy(_) | Self::Checkpoint(_) | Self::Io { .. } => "failed",
        }
    }

    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

fn holder(pid: Option<u32>) -> String {
    let Some(pid) = pid else { return "another process".into() };
    match crate::process::command(pid) {
        Some(command) => format!("process {pid} (`{command}`)"),
        None => format!("process {pid}"),
    }
}

//! What a repository keeps on disk under a passphrase (`docs/keys-at-rest.md`).
//!
//! ```text
//! passphrase ─ Argon2id ─▶ opens the [`KeyFile`] ─▶ [`Key`], random, one for each repository ─▶ a [`Sealer`] for each [`Part`]
//! ```
//!
//! Another passphrase is another key file, and nothing else changes. As everywhere in this crate there are no files here, and randomness is an argument.

mod key_file;
mod passphrase;
mod sealer;

pub use key_file::{KeyFile, State};
pub use passphrase::{Parameters, Passphrase};
pub use sealer::{Key, KeyName, Part, Sealer};

use crate::{cbor, limits::MAX_PASSPHRASE_BYTES};

/// Why something that a passphrase protects does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No passphrase at all.
    #[error("the passphrase is empty")]
    Empty,
    /// Longer than one is read.
    #[error("the passphrase has more than {MAX_PASSPHRASE_BYTES} bytes")]
    TooLong,
    /// The key file has not the form that it must have.
    #[error("not a key file")]
    Malformed(#[source] cbor::Error),
    /// A key file of a version that does not exist yet.
    #[error("the key file has version {0}, only {known} is known; use the newer spool", known = key_file::VERSION)]
    Version(u64),
    /// Changed by accident: its checksum is another one.
    #[error("the key file is not as it was written: its checksum differs")]
    Checksum,
    /// Argon2 would need too much, or is told nonsense.
    #[error("Argon2 with {kib} KiB, {passes} passes and {lanes} lanes is out of bounds")]
    Parameters {
        /// Memory.
        kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes of it.
        lanes: u32,
    },
    /// The machine has not the memory that Argon2 needs.
    #[error("Argon2 needs {0} KiB of memory, which this machine does not give")]
    Memory(u32),
    /// Another passphrase than that of the key file.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// Opened, but its state was changed by whoever lacks the key.
    #[error("the key file was changed by somebody who does not know its key")]
    Forged,
    /// Another key, another place, or changed bytes: these cannot be told apart.
    #[error("does not open: sealed under another key, or damaged")]
    DoesNotOpen,
}

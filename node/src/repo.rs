//! The repository: a directory with all that a node keeps.
//!
//! ```text
//! ~/.spool/            0700
//!   version            layout version
//!   config.toml        settings, all optional
//!   identity     0600  the owner's recovery phrase
//!   node.key     0600  the node's key: what its peer id is made from
//!   repo.key     0600  under a passphrase, what identity, node.key and the secrets in the database are sealed under; not there without one
//!   device             id of this installation
//!   lock               held, with the process id inside, while a process uses the repository
//!   api, http          where the running daemon listens
//!   api-token    0600  what callers of the API show
//!   store/             the database
//! ```
//!
//! Only one process at a time has a [`Locked`] repository; everything that writes goes through it. A copy of the directory that is put
//! back later must take a new device id before it appends: its logs may have gone on elsewhere.

mod backup;
mod create;
mod error;
mod files;
mod lock;
mod open;
mod protect;
mod restore;
mod secret;
mod token;

pub use backup::Progress;
pub use create::Init;
pub use error::Error;
pub(crate) use files::Partial;
pub use lock::{AddressFile, Locked};
pub use open::Repo;
pub use restore::{Restore, Restored};

//! Keys of a thread and everything that is derived from them (`docs/protocol.md`, section 4).
//!
//! [`ThreadKeys`] is what a node holds of a thread: its epochs, or the keys of single logs. From it come [`AccessKey`] (where
//! the thread lives and who may speak about it) and, per log, [`LogKeys`]. Deriving costs a few dozen hashes, so callers
//! do it once per log and keep the result.
//!
//! No key shows itself in `Debug`, and all secret ones are wiped when they are dropped.

mod access;
mod admission;
mod derive;
mod epoch;
mod error;
mod log;
mod merge;
mod secret;
mod thread;

pub use access::{AccessKey, Direction, EdgeEntry, EdgeFork};
pub use admission::AdmissionKey;
pub use epoch::Epoch;
pub use error::Error;
pub use log::{LogGrant, LogKeys};
pub use secret::{ChunkSecret, FollowKey, ReadKey, SealKey};
pub use thread::ThreadKeys;

pub(crate) use derive::{hmac, kdf, lp};

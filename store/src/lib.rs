//! What a Spool node keeps: blocks, logs, keys and addresses, in RocksDB (default feature `rocksdb`).
//!
//! [`Store`] reads; the [`commit::Committer`] writes, on an OS thread of its own, in groups, so that many commits share one fsync. What
//! belongs together, such as blocks, records and the new head, is in one batch and so is there as a whole or not at all. Both stand on the narrow
//! trait [`kv::Kv`], which has a memory and a fault-injecting implementation for tests (feature `test-utils`).
//!
//! ```text
//!            engine                 serving, database
//!              │ Commit                    │
//!              ▼                           ▼
//!   commit::Committer ─▶ one batch    Store: typed reads
//!              └──────────▶ kv::Kv ◀───────┘
//! ```
//!
//! Layout of keys and values: [`keys`]. Bounds: [`limits`]. Schema version: [`schema`].

pub mod addresses;
pub mod commit;
pub mod keys;
pub mod kv;
pub mod limits;
#[cfg(feature = "rocksdb")]
pub mod protect;
#[cfg(feature = "rocksdb")]
mod reseal;
pub mod schema;
mod secrets;
pub mod store;
pub mod view;

#[cfg(test)]
mod fixture;

pub use addresses::AddressBook;
pub use commit::{Commit, Committer};
pub use kv::Kv;
pub use store::{Error, OpenError, Store};
pub use view::View;

//! A running node: where engine, store and network meet.
//!
//! [`Node`] is the handle that interfaces use. Behind it one task owns the sync engine (`runtime`): it feeds the engine what happens and carries out, in order, what it
//! asks for (`executor`). Everything slow happens elsewhere: the store's writer thread commits, a pool checks
//! signatures, blocking tasks read.
//!
//! ```text
//!  callers ─▶ calls ──▶ ┌─────────┐ effects ┌──────────┐ ─▶ store's writer ─▶ commit feed ─┐
//!  swarm ──▶ events ──▶ │ runtime │ ──────▶ │ executor │ ─▶ swarm                          │
//!  results ───────────▶ │ engine  │         └──────────┘ ─▶ pool, lookups ─▶ results       │
//!     ▲                 └─────────┘ ◀──────────────────────────────────────────────────────┘
//! ```

mod addresses;
mod announce;
mod append;
mod archive;
mod backup;
mod bodies;
mod call;
mod clients;
mod database;
mod entry;
mod executor;
mod export;
mod feed;
mod files;
mod follow;
mod guests;
mod handle;
mod health;
mod home;
mod import;
mod keyring;
mod limits;
mod log;
mod lookup;
mod metrics;
mod objects;
mod offer;
mod outbox;
mod runtime;
mod scheduler;
mod serve;
mod standings;
mod start;
mod status;
mod sync;
mod synced;
mod threads;
mod verify;

pub use crate::model::Error;
pub use append::Pending;
pub(crate) use database::try_rules;
pub use database::{Committing, Transaction, Way};
pub use handle::Node;
pub(crate) use health::{Check, disk};
pub(crate) use offer::Offer;
pub use start::Parts;
pub(crate) use start::open_store;
pub(crate) use threads::storage;

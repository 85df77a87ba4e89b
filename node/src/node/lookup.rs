//! Questions of the engine to the store, answered on blocking threads.

use spool_proto::{
    ThreadId,
    sync::{Found, Lookup},
};
use spool_store::{Error, Store};

use super::limits::LOOKUP_CIDS;

/// Wanted blocks that are given to the engine at once.
const WANTS: usize = spool_proto::sync::limits::MAX_WANTS;

pub(super) fn look_up(store: &Store, thread: &ThreadId, lookup: &Lookup) -> Found {
    find(store, thread, lookup).unwrap_or_else(|error| {
        tracing::error!(thread = thread.short(), error = crate::chain(&error), "read");
        Found::Failed(error.to_string())
    })
}

fn find(store: &Store, thread: &ThreadId, lookup: &Lookup) -> Result<Found, Error> {
    Ok(match lookup {
        Lookup::Cids { log, from, until } => Found::Cids(store.cids(thread, log, *from, *until, LOOKUP_CIDS)?),
        Lookup::Inert { log, fork } => {
            let digest = store.inert_digest(thread, log, *fork)?;
            Found::Inert { count: digest.count, digest: digest.xor }
        }
        Lookup::Wants => Found::Wants(store.wants(thread, None, WANTS)?),
    })
}

//! Transactions: reads of one state, and writes that become one event or nothing.

use std::collections::{BTreeMap, BTreeSet};

use spool_proto::IdentityKey;
use spool_store::view::Reader;

use crate::{Document, Target, Transaction, collection::Definition, documents, history::VersionId, projector};

mod error;
mod filter;
mod guard;
mod keep_both;
mod overlay;
mod read;
mod save;
mod write;

pub use error::{Error, Kind};
pub use filter::Filter;
pub use guard::Misfit;
pub use read::Read;
pub(crate) use read::of;
pub use write::Write;

/// What a transaction has relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Only whether the document exists.
    Existence(bool),
    /// All of it.
    Version(VersionId),
}

impl Seen {
    /// Whether that still holds.
    pub(crate) fn holds(&self, target: &Target, reader: &Reader<'_>) -> Result<bool, projector::Error> {
        Ok(match self {
            Seen::Existence(alive) => *alive == documents::is_alive(reader, target)?,
            Seen::Version(version) => *version == documents::version(reader, target)?,
        })
    }
}

/// What a transaction wants to happen.
pub(crate) struct Draft {
    /// In whose name it is written, if not the owner's.
    pub(crate) client: Option<IdentityKey>,
    pub(crate) transaction: Transaction,
    pub(crate) seen: BTreeMap<Target, Seen>,
    pub(crate) written: BTreeMap<Target, Document>,
    /// Documents that count as written, though perhaps nothing of them changes.
    pub(crate) touched: BTreeSet<Target>,
    pub(crate) definitions: BTreeMap<String, Definition>,
    /// That nothing, or not more, is to be changed was found by reading, so what was read has to hold still.
    pub(crate) has_saved: bool,
}

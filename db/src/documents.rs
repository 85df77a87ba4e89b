//! The view of documents: transactions folded into collections.
//!
//! Each document has its state and the list of the events that have changed it, some of them with the state that they left. An event that comes
//! in order is applied to the state. One that comes late, or that ceases to count, is put into the list or taken out of it, and the document is folded again from the last
//! kept state before it. So the cost is that of the documents that are touched, from that point on.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use spool_store::view::{Batch, Reader};

use crate::{
    Document, Stamp,
    collection::COLLECTIONS,
    history::VersionId,
    judge::Judge,
    limits::CHECKPOINT_EVENTS,
    operation::{Decoded, Target, Transaction},
    projector::{Added, Error, Input, Past, Reducer, Ruling},
    query::Documents as _,
    source::Source,
};

pub mod changes;
pub(crate) mod events;
mod fold;
pub(crate) mod history;
pub(crate) mod indexes;
pub(crate) mod keys;
mod reading;
pub(crate) mod rules;
pub(crate) mod stored;

pub use changes::{Change, Kind};
use events::ByTarget;
pub use reading::Collection;
pub use stored::Entry;

/// Number of the view.
pub const VIEW: u8 = 1;
/// Number of the view in which another one is folded afresh, to hold it against that.
pub const SCRATCH_VIEW: u8 = 2;
/// What this program understands of transactions, and how it keeps what comes of them. Since 2 indexes on `_mod` and `_id` have entries, since 3 histories have
/// small changes, since 4 events are judged.
const VERSION: u64 = 5;

/// Folds transactions into documents.
pub struct Documents {
    /// Events of a document between two states that are kept.
    keep_every: u16,
    version: u64,
    /// Changes of the last batch.
    changes: Vec<Change>,
    committed: Vec<Change>,
    feed: changes::Feed,
    indexes: indexes::Indexes,
    rules: rules::Rules,
}

/// What happens to one document in a batch.
#[derive(Default)]
struct Touched {
    added: BTreeMap<Stamp, Arc<ByTarget>>,
    removed: Vec<Stamp>,
}

impl Default for Documents {
    fn default() -> Self {
        Self::keeping(CHECKPOINT_EVENTS)
    }
}

impl Documents {
    /// Keeps a document's state every so many events; what comes out is the same.
    pub fn keeping(keep_every: u16) -> Self {
        Self {
            keep_every,
            version: VERSION,
            changes: Vec::new(),
            committed: Vec::new(),
            feed: changes::Feed::default(),
            indexes: indexes::Indexes::default(),
            rules: rules::Rules::default(),
        }
    }

    /// Judges by rules with this. Without it, what is to be judged is held back.
    #[must_use]
    pub fn judged_by(mut self, judge: Option<Arc<dyn Judge>>) -> Self {
        self.rules.set_judge(judge);
        self
    }

    /// Denies what brings together more events of a document than this, as if that were the bound.
    #[cfg(any(test, feature = "test-utils"))]
    #[must_use]
    pub fn bringing_together(mut self, most: usize) -> Self {
        self.rules.bring_together(most);
        self
    }

    /// Lets the positions of changes begin after this one, if they are not further already.
    pub(crate) fn with_positions_after(mut self, start: u64) -> Self {
        self.feed = changes::Feed::after(start);
        self
    }

    /// Says that it is of another version, as an older program would.
    #[cfg(any(test, feature = "test-utils"))]
    #[must_use]
    pub fn of_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// What the batches since the last call have changed, oldest first.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.committed)
    }
}

impl Reducer for Documents {
    fn version(&self) -> u64 {
        self.version
    }

    fn lasting_key(&self) -> &'static [u8] {
        keys::LAST_POSITION
    }

    fn opened(&mut self, reader: &Reader<'_>) -> Result<(), Error> {
        self.rules.load(reader)
    }

    fn has_rules(&self) -> bool {
        self.rules.is_on()
    }

    fn sort_out(&mut self, added: Vec<Added>, batch: &mut Batch) -> Result<(Vec<Added>, Vec<Added>), Error> {
        self.rules.sort_out(added, batch)
    }

    fn folded_before(&mut self, reader: &Reader<'_>, batch: &mut Batch) -> Result<Option<Vec<Stamp>>, Error> {
        self.rules.folded_before(reader, batch)
    }

    fn judge(
        &mut self,
        event: &Added,
        is_folded: bool,
        past: &Past<'_>,
        source: &dyn Source,
    ) -> Result<(Ruling, usize), Error> {
        self.rules.judge(event, is_folded, past, source)
    }

    fn reduce(&mut self, input: Input<'_>, batch: &mut Batch) -> Result<(), Error> {
        let mut touched: BTreeMap<Target, Touched> = BTreeMap::new();
        for Added { stamp, body } in &input.removed {
            for target in read(body).map(ByTarget::new).iter().flat_map(ByTarget::targets) {
                touched.entry(target.clone()).or_default().removed.push(*stamp);
            }
        }
        for Added { stamp, body } in &input.added {
            let known = self.rules.known(stamp);
            let Some(transaction) = known.or_else(|| Some(Arc::new(ByTarget::new(read(body)?)))) else { continue };
            for target in transaction.targets() {
                touched.entry(target.clone()).or_default().added.insert(*stamp, transaction.clone());
            }
        }
        let mut folder = fold::Folder::new(input.reader, input.source, self.keep_every);
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for (target, touched) in touched {
            self.rules.touch(&target, touched.added.keys().copied(), &touched.removed);
            let Some(mut folded) = folder.fold(&target, touched, batch)? else { continue };
            self.changes.extend(self.feed.note(&target, &mut folded, input.reader, batch)?);
            stored::write(&target, &folded, batch);
            let [before, after] =
                [&folded.before, &folded.after].map(|entry| entry.as_ref().map(|entry| &entry.document));
            self.indexes.update(&target, before, after, input.reader, batch)?;
            if target.collection == COLLECTIONS {
                self.indexes.define(&target.id, after, input.reader, batch)?;
            }
            *counts.entry(target.collection).or_default() += folded.born();
        }
        for (collection, change) in counts.into_iter().filter(|(_, change)| *change != 0) {
            let count = Collection::new(input.reader, &collection).count()?.saturating_add_signed(change);
            batch.put(keys::count(&collection), count.to_be_bytes().to_vec());
        }
        Ok(())
    }

    fn work(&mut self, reader: &Reader<'_>, batch: &mut Batch) -> Result<bool, Error> {
        self.indexes.work(reader, batch)
    }

    fn committed(&mut self) {
        self.committed.append(&mut self.changes);
        self.rules.committed();
    }

    fn aborted(&mut self) {
        self.changes.clear();
        self.feed.reset();
        self.indexes.forget();
        self.rules.forget();
    }
}

/// The transaction in an event's body. What is malformed has no effect, on any peer; what is of a newer version has none here before an upgrade, which folds
/// everything anew.
pub(crate) fn read(body: &[u8]) -> Option<Transaction> {
    match Transaction::decode(body) {
        Ok(Decoded::Transaction(transaction)) => Some(transaction),
        Ok(Decoded::Newer(_) | Decoded::Other) | Err(_) => None,
    }
}

/// A document as it is stored; `None` if nothing was ever written to it.
///
/// # Errors
///
/// [`Error`].
pub fn document(reader: &Reader<'_>, target: &Target) -> Result<Option<Document>, Error> {
    Ok(stored::read(reader, target)?.map(|entry| entry.document))
}

/// Whether a document exists, without decoding it.
pub(crate) fn is_alive(reader: &Reader<'_>, target: &Target) -> Result<bool, Error> {
    let value = reader.get(&keys::document(target))?;
    value.map_or(Ok(false), |value| Ok(stored::raw(&target.id, &value)?.is_some()))
}

/// The version of a document, without decoding it.
pub(crate) fn version(reader: &Reader<'_>, target: &Target) -> Result<VersionId, Error> {
    let Some(value) = reader.get(&keys::document(target))? else { return Ok(Document::default().version()) };
    stored::state(&value).map(VersionId::of).ok_or(Error::Damaged("a document"))
}

/// What the hash over all documents begins with.
pub(crate) const HASH_PREFIX: &[u8] = b"spool/1 documents";

/// One document of that hash.
pub(crate) fn hash_one(hash: &mut sha2::Sha256, key: &[u8], state: &[u8]) {
    use sha2::Digest as _;
    for part in [key, state] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
}

/// How many documents exist, in all collections but Spool's own.
///
/// # Errors
///
/// [`Error`].
pub fn count(reader: &Reader<'_>) -> Result<u64, Error> {
    let (mut total, mut damaged) = (0u64, false);
    reader.scan_prefix(keys::COUNTS, &mut |key, value| {
        let count = value.try_into().map(u64::from_be_bytes);
        if key.get(1) != Some(&b'_') {
            total = total.saturating_add(count.unwrap_or(0));
        }
        damaged |= count.is_err();
        ControlFlow::Continue(())
    })?;
    if damaged { Err(Error::Damaged("the size of a collection")) } else { Ok(total) }
}

/// A hash over all documents, existing or not, and their whole state. Equal on all peers that have folded the same events.
///
/// # Errors
///
/// [`Error`].
pub fn hash(reader: &Reader<'_>) -> Result<[u8; 32], Error> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new_with_prefix(HASH_PREFIX);
    let mut damaged = false;
    reader.scan_prefix(keys::DOCUMENTS, &mut |key, value| {
        let Some(state) = stored::state(value) else {
            damaged = true;
            return ControlFlow::Break(());
        };
        hash_one(&mut hash, key, state);
        ControlFlow::Continue(())
    })?;
    if damaged { Err(Error::Damaged("a document")) } else { Ok(hash.finalize().into()) }
}

//! A document folded once more, without what is taken back.

use std::borrow::Cow;

use serde_json::Value;
use spool_store::view::after_prefix;

use super::{chains::Void, own::Own, writes::Writes};
use crate::{
    Document, Path, Stamp,
    document::Existence,
    documents::keys,
    history::past::Past,
    operation::{Change, Target},
    projector::Error,
    stamp::Dot,
};

/// What the document would be, and who has written where.
pub(super) struct Refolded {
    pub(super) without: Document,
    /// What the event, and the transaction that it is about, put in place of something else.
    pub(super) own: Writes,
    /// What others have written after the event, or this log has and did not undo.
    pub(super) later: Writes,
    pub(super) additions: Additions,
}

/// Additions to sets, and values kept side by side, by what does not count: an undone removal is an addition.
#[derive(Default)]
pub(super) struct Additions(Vec<(Path, Value, Dot)>);

impl Additions {
    pub(super) fn contain(&self, path: &Path, value: &Value, dot: &Dot) -> bool {
        self.0.iter().any(|(at, added, own)| (at, added, own) == (path, value, dot))
    }

    fn note(&mut self, change: &Change, dot: Dot) {
        if let Change::Add(path, value) | Change::Keep(path, value, _) = change {
            self.0.push((path.clone(), value.clone(), dot));
        }
    }

    fn any(&self, path: &Path, dots: &[Dot]) -> bool {
        self.0.iter().any(|(at, _, dot)| at == path && dots.contains(dot))
    }
}

/// Folds a document as if what is void had never been.
pub(super) fn refold(past: &mut Past<'_>, target: &Target, event: &Own, void: &Void) -> Result<Refolded, Error> {
    let first = first(past, target, event, void)?;
    let kept = past.kept(target, &keys::event(target, &first))?;
    let (mut without, mut size) = (kept.document, kept.size);
    let mut existence = without.existence;
    let (mut own, mut later, mut undone, mut earlier) =
        (Writes::default(), Writes::default(), Writes::default(), Writes::default());
    let mut additions = Additions::default();
    for stamp in past.stamps(&kept.from, &after_prefix(&keys::history(target)))? {
        let transaction = past.events.get(&stamp)?;
        let is_void = void.stamps.contains(&stamp);
        if !is_void {
            // What was created and taken back is deleted: nothing makes it unborn again, and a create that follows hides what it has.
            if (without.existence, existence) == (Existence::Unborn, Existence::Deleted) {
                without.existence = existence;
            }
            let changes: Vec<_> = transaction
                .changes(target)
                .map(|(index, change)| (index, named(change, &additions, &undone, &without)))
                .collect();
            without.apply(stamp, changes.iter().map(|(index, change)| (*index, change.as_ref())), &mut size);
        }
        for (index, change) in transaction.changes(target) {
            if void.chain.contains(&stamp) {
                // What others have not overwritten of the transaction, its undo may have left as it was.
                own.note(change, &mut existence.clone());
            }
            if is_void {
                additions.note(change, Dot::new(&stamp, index));
                undone.note(change, &mut existence);
            } else if stamp > event.stamp {
                later.note_all(change, &mut existence);
            } else {
                earlier.note(change, &mut existence);
            }
        }
    }
    Ok(Refolded { without, own, later, additions })
}

/// The first event of this document that does not count, or that is taken back: nothing before it becomes different.
fn first(past: &Past<'_>, target: &Target, event: &Own, void: &Void) -> Result<Stamp, Error> {
    for stamp in void.stamps.union(&void.chain).take_while(|stamp| **stamp < event.stamp) {
        if past.reader.get(&keys::event(target, stamp))?.is_some() {
            return Ok(*stamp);
        }
    }
    Ok(event.stamp)
}

/// Who has named what an undo or redo has put back has meant what was there before it.
fn named<'a>(change: &'a Change, additions: &Additions, undone: &Writes, without: &Document) -> Cow<'a, Change> {
    match change {
        Change::Remove(path, value, observed)
            if additions.any(path, &observed.dots) || (observed.plain && undone.overlap(path)) =>
        {
            Cow::Owned(Change::Remove(path.clone(), value.clone(), without.observed(path, value)))
        }
        Change::Keep(path, value, seen) if additions.any(path, seen) => {
            Cow::Owned(Change::Keep(path.clone(), value.clone(), without.seen(path)))
        }
        Change::Create(_)
        | Change::Set(..)
        | Change::Replace(..)
        | Change::Unset(_)
        | Change::Increment(..)
        | Change::Add(..)
        | Change::Remove(..)
        | Change::Keep(..)
        | Change::Delete
        | Change::Undelete => Cow::Borrowed(change),
    }
}

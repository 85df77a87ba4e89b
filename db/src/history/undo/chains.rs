//! Which events count for nothing, because they were undone or are themselves the undoing.
//!
//! An undo refers to a transaction or to a redo, a redo to an undo: each transaction has a chain of them. It counts, at its own place, if the chain ends
//! with a redo; else it does not. The undos and redos themselves never do.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Error,
    own::{Own, OwnLog},
};
use crate::{Stamp, limits::UNDO_RECORDS, operation::Reverts};

/// What does not count once `event`, an own transaction, undo or redo, is taken back. `marks` are the undos and redos from the present back to it, newest first.
pub(super) fn void(own: &OwnLog<'_>, event: &Own, marks: &[(u64, Reverts)]) -> Result<BTreeSet<Stamp>, Error> {
    let mut void = BTreeSet::from([event.stamp]);
    let known: BTreeMap<u64, Reverts> = marks.iter().copied().collect();
    let (mut followed, mut steps) = (BTreeSet::new(), 0);
    for (newest, last) in marks {
        if followed.contains(newest) {
            continue;
        }
        let is_taken_back = *newest == event.stamp.counter;
        let is_undone = matches!(last, Reverts::Undo(_)) != is_taken_back;
        let (mut counter, mut next) = (*newest, Some(*last));
        while let Some(Reverts::Undo(older) | Reverts::Redo(older)) = next {
            followed.insert(counter);
            void.extend(own.at(counter)?.map(|mark| mark.stamp));
            steps += 1;
            if steps > UNDO_RECORDS {
                return Err(Error::TooFarBack);
            }
            if older >= counter {
                break;
            }
            counter = older;
            next = match known.get(&counter) {
                Some(reverts) => Some(*reverts),
                None => own.at(counter)?.and_then(|older| older.transaction.reverts),
            };
            if next.is_none() && is_undone {
                void.extend(own.at(counter)?.map(|original| original.stamp));
            }
        }
    }
    Ok(void)
}

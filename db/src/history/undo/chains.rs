//! Which events count for nothing, because they were undone or are themselves the undoing.
//!
//! An undo refers to a transaction or to a redo, a redo to an undo: each transaction has a chain of them. It counts, at its own place, if the chain ends
//! with a redo; else it does not. The undos and redos themselves never do.

//!
//! An undo or redo was made for what counted then. So where something ceases to count, all undos and redos after it are looked at, and not only those that came
//! after the one that is taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Error,
    own::{Own, OwnLog},
};
use crate::{Stamp, limits::UNDO_RECORDS, operation::Reverts};

/// What the taking back of an event comes to.
pub(super) struct Void {
    /// What does not count then.
    pub(super) stamps: BTreeSet<Stamp>,
    /// The event, what it refers to, and so on down to the transaction.
    pub(super) chain: BTreeSet<Stamp>,
}

/// What does not count once `event`, an own transaction, undo or redo, is taken back. `marks` are the undos and redos from the present back to it, newest first;
/// `own` goes on before it.
pub(super) fn void(own: &mut OwnLog<'_>, event: &Own, mut marks: Vec<(u64, Reverts)>) -> Result<Void, Error> {
    let mut void = BTreeSet::from([event.stamp]);
    let mut own_chain = void.clone();
    let mut chains = Chains { known: marks.iter().copied().collect(), followed: BTreeSet::new(), steps: 0 };
    let mut looked_at = 0;
    while looked_at < marks.len() {
        for (newest, last) in &marks[looked_at..] {
            if !chains.followed.contains(newest) {
                let is_own = *newest == event.stamp.counter;
                let (marks, original) = chains.follow(own, (*newest, *last))?;
                void.extend(&marks);
                if matches!(last, Reverts::Undo(_)) != is_own {
                    void.extend(original);
                }
                if is_own {
                    own_chain.extend(marks.into_iter().chain(original));
                }
            }
        }
        looked_at = marks.len();
        let oldest = void.first().map_or(0, |stamp| stamp.counter);
        while let Some(older) = own.next_from(oldest)? {
            if let Some(reverts) = older.transaction.reverts {
                marks.push((older.stamp.counter, reverts));
                chains.known.insert(older.stamp.counter, reverts);
            }
        }
    }
    Ok(Void { stamps: void, chain: own_chain })
}

struct Chains {
    known: BTreeMap<u64, Reverts>,
    /// Marks whose chain is done. A mark that nothing newer refers to is the newest of its chain.
    followed: BTreeSet<u64>,
    steps: u64,
}

impl Chains {
    /// The marks from the newest one down, and the transaction that they are about.
    fn follow(
        &mut self,
        own: &OwnLog<'_>,
        (mut counter, last): (u64, Reverts),
    ) -> Result<(Vec<Stamp>, Option<Stamp>), Error> {
        let (mut marks, mut reverts) = (Vec::new(), Some(last));
        while let Some(Reverts::Undo(older) | Reverts::Redo(older)) = reverts {
            self.followed.insert(counter);
            marks.extend(own.at(counter)?.map(|mark| mark.stamp));
            self.steps += 1;
            if self.steps > UNDO_RECORDS {
                return Err(Error::TooFarBack);
            }
            if older >= counter {
                return Ok((marks, None));
            }
            counter = older;
            reverts = match self.known.get(&counter) {
                Some(reverts) => Some(*reverts),
                None => own.at(counter)?.and_then(|older| older.transaction.reverts),
            };
        }
        Ok((marks, own.at(counter)?.map(|original| original.stamp)))
    }
}

//! Transactions whose events are on their way.

use std::collections::BTreeMap;

use spool_proto::LogId;

use spool_store::view::Reader;

use super::{Committed, Error, Receipt, Target, unique::Claim};
use crate::projector::{self, Verdict};

/// Who waits for a transaction, and what there is to tell.
type Told = (Committed, Result<Receipt, Error>);

#[derive(Default)]
pub(super) struct Commits {
    next: u64,
    under_way: BTreeMap<u64, Commit>,
    /// How many of them write a document.
    targets: BTreeMap<Target, usize>,
    /// Values that no two documents may have and that are on their way, by index and key.
    claims: BTreeMap<Claim, Target>,
    /// How far each log has been folded: an event may be before whoever appended it has been told.
    folded: BTreeMap<LogId, u64>,
    stopped: bool,
}

struct Commit {
    targets: Vec<Target>,
    claims: Vec<Claim>,
    receipt: Option<Receipt>,
    done: Committed,
}

impl Commits {
    /// Whether an event that writes a document is on its way.
    pub(super) fn is_in_flight(&self, target: &Target) -> bool {
        self.targets.contains_key(target)
    }

    /// The document of a transaction on its way that takes one of these values.
    pub(super) fn claimed(&self, claims: &BTreeMap<Claim, Target>) -> Option<Target> {
        claims.keys().find_map(|claim| self.claims.get(claim).cloned())
    }

    /// Nothing will be folded any more. Returns all who wait.
    pub(super) fn stop(&mut self) -> Vec<Committed> {
        self.stopped = true;
        let numbers: Vec<_> = self.under_way.keys().copied().collect();
        numbers.into_iter().filter_map(|number| self.end(number)).map(|commit| commit.done).collect()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// How far a log was folded when that was last looked at.
    pub(super) fn folded_until(&self, log: &LogId) -> u64 {
        self.folded.get(log).copied().unwrap_or(0)
    }

    pub(super) fn begin(&mut self, targets: Vec<Target>, claims: BTreeMap<Claim, Target>, done: Committed) -> u64 {
        let number = self.next;
        self.next += 1;
        targets.iter().for_each(|target| *self.targets.entry(target.clone()).or_default() += 1);
        let commit = Commit { targets, claims: claims.keys().cloned().collect(), receipt: None, done };
        self.claims.extend(claims);
        self.under_way.insert(number, commit);
        number
    }

    /// An event was appended, or not. Returns who waits for that, if there is nothing more to wait for.
    pub(super) fn appended(
        &mut self,
        number: u64,
        result: Result<Receipt, Box<dyn std::error::Error + Send + Sync>>,
        view: &Reader<'_>,
    ) -> Option<Told> {
        let commit = self.under_way.get_mut(&number)?;
        let result = match result {
            Err(error) => Err(Error::Append(error)),
            Ok(receipt) => {
                commit.receipt = Some(receipt);
                if self.folded.get(&receipt.log).is_none_or(|until| *until < receipt.counter) {
                    return None;
                }
                outcome(&receipt, view)?
            }
        };
        self.end(number).map(|commit| (commit.done, result))
    }

    /// More was folded. Returns all whose events are among that.
    pub(super) fn folded(&mut self, folded: impl Iterator<Item = (LogId, u64)>, view: &Reader<'_>) -> Vec<Told> {
        self.folded.extend(folded);
        let folded = &self.folded;
        let ready = self.under_way.iter().filter_map(|(number, commit)| {
            let receipt = commit.receipt?;
            let is_folded = folded.get(&receipt.log).is_some_and(|until| *until >= receipt.counter);
            is_folded.then(|| outcome(&receipt, view)).flatten().map(|result| (*number, result))
        });
        let ready: Vec<_> = ready.collect();
        let ended = ready.into_iter().filter_map(|(number, result)| Some((self.end(number)?.done, result)));
        ended.collect()
    }

    fn end(&mut self, number: u64) -> Option<Commit> {
        let commit = self.under_way.remove(&number)?;
        for target in &commit.targets {
            if let Some(count) = self.targets.get_mut(target) {
                *count -= 1;
                if *count == 0 {
                    self.targets.remove(target);
                }
            }
        }
        for claim in &commit.claims {
            self.claims.remove(claim);
        }
        Some(commit)
    }
}

/// What has become of an event that was folded; nothing yet if it is to be judged.
fn outcome(receipt: &Receipt, view: &Reader<'_>) -> Option<Result<Receipt, Error>> {
    match projector::verdict(view, &receipt.log, receipt.counter) {
        Ok(Verdict::Waiting) => None,
        Ok(Verdict::Accepted) => Some(Ok(*receipt)),
        Ok(Verdict::Denied(denial)) => Some(Err(Error::Denied(denial))),
        Err(error) => Some(Err(error.into())),
    }
}

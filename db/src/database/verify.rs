//! A view held against the events that it was folded from.

use std::sync::Arc;

use spool_store::View;

use super::{Database, lock};
use crate::{
    documents::Documents,
    judge::Judge,
    limits::{REBUILD_KEYS, VERIFY_ATTEMPTS},
    projector::{self, Projector},
    transaction::Error,
};

mod bounded;
mod compare;

use bounded::Bounded;

/// What a verification has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Records that were folded afresh.
    pub records: u64,
    /// Documents that were compared, existing or not.
    pub documents: u64,
    /// Entries of indexes that were.
    pub entries: u64,
    /// The hash over the documents as they are to be.
    pub hash: [u8; 32],
    /// What is not as it is to be, at most [`MAX_FAULTS`](crate::limits::MAX_FAULTS).
    pub faults: Vec<Fault>,
    /// How many such things there are.
    pub found: u64,
}

/// Something that is not as its events make it. Folding everything anew mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub what: What,
    /// In which collection.
    pub collection: String,
    /// The document; empty where it is about a collection as a whole.
    pub id: String,
    /// For people: how it differs.
    pub detail: String,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A document is missing, too many, or another one.
    Document,
    /// The list of the events that have changed a document, or a state that was kept with it.
    History,
    /// How many documents of a collection exist.
    Count,
    /// Whether an event is denied, or why.
    Verdict,
    /// An index has an entry too few or too many.
    Entry,
    /// What is known of an index.
    Index,
}

impl Database {
    /// Folds the events of this view afresh in another one, up to exactly where this one is, and compares them: documents, their histories, verdicts, counts of collections,
    /// and entries of complete indexes. The other one, another room of the store, is cleared before and after. `told` is told how many records of how many are
    /// folded. Blocks, for as long as folding everything takes; the database goes on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::View`] if events or views cannot be read, or `scratch` not be written. What is found is no error.
    pub fn verify(&self, scratch: &View, told: &mut dyn FnMut(u64, u64)) -> Result<Verification, Error> {
        let mut attempts = 1;
        let result = loop {
            let result = self.verify_once(scratch, told);
            // Where it has moved on, what was found is looked for once more: rather twice than wrongly.
            match &result {
                Ok((verification, at)) if verification.found > 0 && attempts < VERIFY_ATTEMPTS => {
                    if self.0.view.snapshot(projector::positions)? == *at {
                        break result;
                    }
                    attempts += 1;
                }
                Ok(_) | Err(_) => break result,
            }
        };
        clear(scratch)?;
        Ok(result?.0)
    }

    fn verify_once(
        &self,
        scratch: &View,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<(Verification, projector::Positions), Error> {
        clear(scratch)?;
        let source = self.source();
        // Not while it is being cleared, which takes several batches.
        let standing_still = lock(&self.0.projector);
        self.0.view.snapshot(|reader| {
            drop(standing_still);
            let at = projector::positions(reader)?;
            let records = at.values().sum();
            let bounded = Bounded::new(source, reader, at.clone())?;
            fold(scratch, bounded, self.0.judge.clone(), told)?;
            let mut verification = Verification { records, ..Verification::default() };
            scratch.snapshot(|fresh| compare::compare(reader, fresh, &mut verification))?;
            Ok((verification, at))
        })
    }
}

fn clear(scratch: &View) -> Result<(), projector::Error> {
    while scratch.clear(REBUILD_KEYS, &[])? {}
    Ok(())
}

fn fold(
    scratch: &View,
    source: Bounded,
    judge: Option<Arc<dyn Judge>>,
    told: &mut dyn FnMut(u64, u64),
) -> Result<(), projector::Error> {
    let documents = Documents::default().judged_by(judge);
    // What waits to be judged is left out, and the rest was judged without what is not here.
    let mut projector = Projector::open(scratch.clone(), Arc::new(source), documents)?.without_patience();
    // Whatever is in the view was not ahead when it was folded.
    let always = spool_proto::clock::Time::MAX.millis();
    loop {
        let progress = projector.step(always, false)?;
        // Nobody follows these.
        projector.reducer_mut().take_changes();
        let (folded, total) = progress.folded;
        told(folded, total);
        if !progress.more {
            return Ok(());
        }
    }
}

//! How far a database is, as of its last step. Asking never waits for a step.

use spool_proto::clock::Time;

use super::{Database, lock};
use crate::{
    Projector,
    documents::Documents,
    projector::{Error, Held, Progress},
};

pub(super) struct Standing {
    held: Vec<Held>,
    more: bool,
    /// Records that were folded, and those that are here and count.
    folded: (u64, u64),
    now: Time,
}

impl Standing {
    /// Before the first step.
    pub(super) fn at_rest(projector: &Projector<Documents>) -> Result<Self, Error> {
        Ok(Self { held: Vec::new(), more: true, folded: projector.count()?, now: projector.now() })
    }

    pub(super) fn moved(&mut self, projector: &Projector<Documents>, progress: &Progress) {
        self.held.clone_from(&progress.held);
        self.more = progress.more;
        self.folded = progress.folded;
        self.now = projector.now();
    }
}

impl Database {
    /// What was held back in the last step; while it [is folding](Self::is_folding), perhaps not all of it.
    pub fn held(&self) -> Vec<Held> {
        lock(&self.0.standing).held.clone()
    }

    /// Whether there was more to do after the last step, or there was none yet.
    pub fn is_folding(&self) -> bool {
        lock(&self.0.standing).more
    }

    /// How many records are folded or passed over for good, and how many are here and count. What is held back makes the difference when nothing is
    /// left to do.
    pub fn folded(&self) -> (u64, u64) {
        lock(&self.0.standing).folded
    }

    /// The greatest time that is folded: what "now" means for a tag.
    pub fn now(&self) -> Time {
        lock(&self.0.standing).now
    }
}

//! The database of one member of a thread, on a node that crashes.

use std::sync::Arc;

use spool_db::{
    Document, Projector, Target,
    documents::{self, Documents},
    projector::{Held, Progress},
    testing::Rooms,
};
use spool_proto::sync::sim::ThreadImage;
use spool_store::{View, kv::Faulty};

use crate::source::Disk;

/// Number of the view in its room.
const VIEW: u8 = 1;
/// Events of a document between two states that are kept: fewer than nodes have, so that states are dropped and found again.
const KEEP_EVERY: u16 = 5;
/// Steps after which whoever still has something to do will never be done.
const MAX_STEPS: usize = 10_000;

pub(crate) struct Member {
    pub(crate) disk: Disk,
    kv: Arc<Faulty>,
    view: View,
    projector: Projector<Documents>,
    /// Bodies may have come since the last step.
    blocks_arrived: bool,
    /// The next write of the view fails.
    failing: bool,
    /// What the last step held back.
    pub(crate) held: Vec<Held>,
}

fn open(kv: &Arc<Faulty>, disk: &Disk) -> (View, Projector<Documents>) {
    let view = Rooms::on(kv.clone()).view(VIEW);
    let projector = Projector::open(view.clone(), Arc::new(disk.clone()), Documents::keeping(KEEP_EVERY));
    (view, projector.expect("the view opens"))
}

impl Member {
    pub(crate) fn new(image: ThreadImage) -> Self {
        let (disk, kv) = (Disk::new(image), Arc::new(Faulty::new()));
        let (view, projector) = open(&kv, &disk);
        Self { disk, kv, view, projector, blocks_arrived: true, failing: false, held: Vec::new() }
    }

    pub(crate) fn blocks_arrived(&mut self) {
        self.blocks_arrived = true;
    }

    /// Folds one batch of what the disk has; returns how many events, and whether there is more.
    pub(crate) fn step(&mut self, now_millis: u64) -> Progress {
        match self.projector.step(now_millis, std::mem::take(&mut self.blocks_arrived)) {
            Ok(progress) => {
                self.held.clone_from(&progress.held);
                progress
            }
            Err(error) => {
                assert!(std::mem::take(&mut self.failing), "{error}");
                // What has arrived is looked for again, as after any failure.
                self.blocks_arrived = true;
                Progress { more: true, ..Progress::default() }
            }
        }
    }

    /// Folds everything.
    pub(crate) fn settle(&mut self, now_millis: u64) {
        let done = (0..MAX_STEPS).any(|_| !self.step(now_millis).more);
        assert!(done, "still more to do after {MAX_STEPS} steps");
    }

    /// The next write of the view fails, as on a full disk.
    pub(crate) fn fail_next_write(&mut self) {
        if !std::mem::replace(&mut self.failing, true) {
            self.kv.fail_write(1);
        }
    }

    /// Begins again with what the view has.
    pub(crate) fn restart(&mut self) {
        (self.view, self.projector) = open(&self.kv, &self.disk);
        self.blocks_arrived = true;
    }

    /// Begins again with nothing.
    pub(crate) fn rebuild(&mut self) {
        if !self.failing {
            self.projector.rebuild().expect("the view can be cleared");
        }
    }

    /// All that was folded so far survives a power cut.
    pub(crate) fn sync(&mut self) {
        spool_store::Kv::sync(&*self.kv).expect("a disk that syncs");
    }

    /// A power cut: the view is as it was when it was last synced. Returns how many of its batches are gone.
    pub(crate) fn power_cut(&mut self) -> usize {
        let lost = self.kv.unsynced();
        self.kv = Arc::new(self.kv.power_cut(0));
        self.failing = false;
        self.restart();
        lost
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        documents::hash(&self.view.reader()).expect("the view can be read")
    }

    pub(crate) fn document(&self, target: &Target) -> Document {
        documents::document(&self.view.reader(), target).expect("the view can be read").unwrap_or_default()
    }
}

//! Stories of commits, told without a thread wherever time plays no part.

mod failures;
mod groups;
mod power_cut;
mod reads;
mod removal;
mod thread;

use std::sync::Arc;

use spool_proto::sync::{BatchId, Durability, Write};

use super::{Commit, Event, writer::Writer};
use crate::{
    kv::{Faulty, Kv},
    store::Store,
};

/// A store over a disk that can fail, and the writer that the committer's thread would drive.
pub(crate) struct Rig {
    pub(crate) kv: Arc<Faulty>,
    pub(crate) store: Store,
    pub(super) writer: Writer,
    pub(crate) events: Vec<Event>,
    next: u64,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(Faulty::new())
    }

    /// Starts on what a disk holds.
    pub(crate) fn on(kv: Faulty) -> Self {
        let kv = Arc::new(kv);
        let store = Store::with_kv(kv.clone() as Arc<dyn Kv>).unwrap();
        let writer = Writer::new(store.shared().clone()).unwrap();
        Self { kv, store, writer, events: Vec::new(), next: 1 }
    }

    /// What a node that starts after a power cut has.
    pub(crate) fn after_power_cut(&self, kept: usize) -> Self {
        Self::on(self.kv.power_cut(kept))
    }

    /// One commit as a group of its own; returns what was reported.
    pub(crate) fn commit(&mut self, durability: Durability, writes: Vec<Write>) -> Vec<String> {
        self.group(vec![(durability, writes)])
    }

    pub(crate) fn group(&mut self, commits: Vec<(Durability, Vec<Write>)>) -> Vec<String> {
        let commits: Vec<Commit> = commits
            .into_iter()
            .map(|(durability, writes)| {
                let batch = BatchId(self.next);
                self.next += 1;
                Commit { batch, durability, writes }
            })
            .collect();
        let before = self.events.len();
        self.writer.commit(&commits, &mut |event| self.events.push(event));
        self.events[before..].iter().map(short).collect()
    }

    pub(crate) fn sync(&mut self) -> Vec<String> {
        let before = self.events.len();
        self.writer.sync(&mut |event| self.events.push(event));
        self.events[before..].iter().map(short).collect()
    }

    /// The last position that was reported as synced.
    pub(crate) fn synced(&self) -> u64 {
        let synced = |event: &Event| match event {
            Event::Synced { through } => Some(through.0),
            Event::Written { .. } | Event::Failed { .. } | Event::Poisoned { .. } => None,
        };
        self.events.iter().rev().find_map(synced).unwrap_or(0)
    }

    pub(crate) fn purge(&mut self) -> usize {
        let mut steps = 0;
        while self.writer.is_purging() {
            self.writer.purge_step();
            steps += 1;
        }
        steps
    }
}

/// An event in a few characters: `written 1`, `synced 1`, `failed 1-2: why`, `poisoned`.
pub(crate) fn short(event: &Event) -> String {
    match event {
        Event::Written { through } => format!("written {}", through.0),
        Event::Synced { through } => format!("synced {}", through.0),
        Event::Failed { from, through, error } => format!("failed {}-{}: {error}", from.0, through.0),
        Event::Poisoned { .. } => "poisoned".to_owned(),
    }
}

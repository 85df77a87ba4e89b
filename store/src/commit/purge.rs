//! Deletes what removed threads had, a bounded step at a time.
//!
//! A removal is one mark in the store; the rest is found from there, so a crash in between costs nothing: the next start finds the mark
//! and goes on. A block goes with the last thread that refers to it.

use std::{collections::VecDeque, ops::ControlFlow};

use sha2::{Digest, Sha256};

use super::{Error, staging::Staging};
use crate::{
    keys::{self, KEY_ID_BYTES, ThreadNumber},
    kv::{Batch, Kv, Space},
    limits::{PURGE_BYTES, PURGE_KEYS},
    store,
};

/// What is deleted, in this order; the mark goes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    References,
    Records,
    Inert,
    Views,
    Logs,
    Mark,
}

/// The removals under way.
#[derive(Debug)]
pub(super) struct Purge {
    threads: VecDeque<ThreadNumber>,
    phase: Phase,
    /// The last key that was deleted in this phase: beginning anew would pass over all that was deleted before.
    after: Option<Vec<u8>>,
}

/// One step: what to write, and where to go on once it is written.
pub(super) struct Step {
    pub(super) batch: Batch,
    next: Position,
}

enum Position {
    Key(Vec<u8>),
    Phase(Phase),
    NextThread,
}

impl Purge {
    /// Finds the removals that are not finished.
    pub(super) fn load(kv: &dyn Kv) -> Result<Self, store::Error> {
        let mut threads = VecDeque::new();
        let marks = keys::threads::REMOVALS;
        kv.scan(Space::Threads, marks, &keys::after_prefix(marks), &mut |key, _| {
            threads.extend(keys::number_at_end(key).map(ThreadNumber));
            ControlFlow::Continue(())
        })?;
        Ok(Self { threads, phase: Phase::References, after: None })
    }

    pub(super) fn add(&mut self, thread: ThreadNumber) {
        self.threads.push_back(thread);
    }

    pub(super) fn is_done(&self) -> bool {
        self.threads.is_empty()
    }

    /// What to delete next; none if all is done.
    pub(super) fn plan(&self, kv: &dyn Kv) -> Result<Option<Step>, Error> {
        let Some(thread) = self.threads.front() else { return Ok(None) };
        let mut staging = Staging::new(kv);
        let next = match self.phase {
            Phase::References => self.references(&mut staging, *thread)?,
            Phase::Records => self.keys(&mut staging, *thread, Space::Records, Phase::Inert)?,
            Phase::Inert => self.keys(&mut staging, *thread, Space::Inert, Phase::Views)?,
            Phase::Views => self.keys(&mut staging, *thread, Space::Views, Phase::Logs)?,
            Phase::Logs => self.keys(&mut staging, *thread, Space::Logs, Phase::Mark)?,
            Phase::Mark => {
                staging.delete(Space::Threads, keys::threads::removal(*thread));
                Position::NextThread
            }
        };
        Ok(Some(Step { batch: staging.into_batch(), next }))
    }

    /// A step was written. Returns whether a thread's removal is finished by it.
    pub(super) fn done(&mut self, step: Step) -> bool {
        let finished = matches!(step.next, Position::NextThread);
        match step.next {
            Position::Key(key) => self.after = Some(key),
            Position::Phase(phase) => (self.phase, self.after) = (phase, None),
            Position::NextThread => {
                self.threads.pop_front();
                (self.phase, self.after) = (Phase::References, None);
            }
        }
        finished
    }

    fn references(&self, staging: &mut Staging<'_>, thread: ThreadNumber) -> Result<Position, Error> {
        let page = self.page(staging.kv(), Space::References, &keys::references::of_thread(thread))?;
        for (key, _) in &page {
            let digest = keys::digest_at_end(key).ok_or(store::Error::Malformed("reference"))?;
            staging.delete(Space::References, key.clone());
            staging.delete(Space::References, keys::references::by_block(&digest, thread));
            staging.delete(Space::References, keys::references::want(thread, &digest));
            if staging.keys(Space::References, &keys::references::of_block(&digest))?.is_empty() {
                staging.delete(Space::Blocks, digest.to_vec());
                staging.delete(Space::Index, keys::index::block(&digest));
            }
        }
        Ok(position(&page, Phase::Records))
    }

    /// Deletes the next keys of a space; with records, what finds them by their digest.
    fn keys(
        &self,
        staging: &mut Staging<'_>,
        thread: ThreadNumber,
        space: Space,
        next: Phase,
    ) -> Result<Position, Error> {
        let page = self.page(staging.kv(), space, &thread.bytes())?;
        for (key, digest) in &page {
            staging.delete(space, key.clone());
            if has_records(space) {
                staging.delete(Space::Index, keys::index::record(digest));
            }
        }
        Ok(position(&page, next))
    }

    /// The next keys of a phase. With records, the digest of each: their index entries are found by it.
    fn page(&self, kv: &dyn Kv, space: Space, prefix: &[u8]) -> Result<Vec<(Vec<u8>, keys::Digest)>, Error> {
        let from = self.after.as_deref().map_or(prefix.to_vec(), keys::after);
        let mut page = Vec::new();
        let mut bytes = 0;
        kv.scan(space, &from, &keys::after_prefix(prefix), &mut |key, value| {
            let digest = match value.get(KEY_ID_BYTES..) {
                Some(sealed) if has_records(space) => Sha256::digest(sealed).into(),
                Some(_) | None => keys::Digest::default(),
            };
            page.push((key.to_vec(), digest));
            bytes += value.len();
            if page.len() >= PURGE_KEYS || bytes >= PURGE_BYTES {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }
}

fn has_records(space: Space) -> bool {
    matches!(space, Space::Records | Space::Inert)
}

fn position(page: &[(Vec<u8>, keys::Digest)], next: Phase) -> Position {
    page.last().map_or(Position::Phase(next), |(key, _)| Position::Key(key.clone()))
}

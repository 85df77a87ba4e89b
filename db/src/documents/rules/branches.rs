//! Documents as writers have seen them.
//!
//! Where a writer had seen all that is known of a document, that is the document itself. Else it is applied again, from the last state of it that was kept before the first
//! event that the writer had not seen; and what comes of that is kept in memory, since whoever writes on without the others goes on from there.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use spool_store::view::Reader;

use super::keys;
use crate::{
    Document, Stamp,
    document::Size,
    documents::{events::Events, history, stored},
    limits::{BRANCH_BYTES, BRANCHES},
    operation::{Change, Target},
    projector::{Error, Past},
    source::Source,
};

/// About what one event in a list takes.
const EVENT_BYTES: usize = 64;
/// About what a document takes more in memory than it takes as it is stored.
const IN_MEMORY: usize = 4;

/// Of each log the last event that is in a state of a document.
type Cut = BTreeMap<[u8; 32], u64>;

/// A document with some of its events.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) document: Document,
    cut: Cut,
    size: Size,
}

impl State {
    /// With an event more.
    pub(super) fn with<'a>(&self, stamp: &Stamp, changes: impl Iterator<Item = (u32, &'a Change)>) -> Self {
        let mut after = self.clone();
        after.apply(stamp, changes);
        after
    }

    fn apply<'a>(&mut self, stamp: &Stamp, changes: impl Iterator<Item = (u32, &'a Change)>) {
        self.document.apply(*stamp, changes, &mut self.size);
        self.cut.insert(stamp.log, stamp.counter);
    }

    fn sees(&self, stamp: &Stamp) -> bool {
        self.cut.get(&stamp.log).is_some_and(|counter| *counter >= stamp.counter)
    }
}

/// What is known of one document.
struct Known {
    /// Its events, by log, in their order.
    logs: BTreeMap<[u8; 32], Vec<Stamp>>,
    events: usize,
    /// As writers have seen it; the one that was used last at the end.
    states: Vec<Arc<State>>,
    bytes: usize,
    used: u64,
    /// The first event that this batch has added or taken away: the view does not have it so before that is written.
    changed: Option<Stamp>,
}

/// Documents as writers have seen them, those that were asked for last.
#[derive(Default)]
pub(super) struct Branches {
    known: BTreeMap<Target, Known>,
    by_use: BTreeMap<u64, Target>,
    /// Events that this batch adds, or takes away.
    written: BTreeMap<Target, Vec<(Stamp, bool)>>,
    clock: u64,
    bytes: usize,
}

impl Known {
    fn load(target: &Target, reader: &Reader<'_>) -> Result<Self, Error> {
        let (mut logs, mut events): (BTreeMap<[u8; 32], Vec<Stamp>>, usize) = (BTreeMap::new(), 0);
        reader.scan_prefix(&keys::history(target), &mut |key, _| {
            if let Some(stamp) = keys::stamp(key) {
                logs.entry(stamp.log).or_default().push(stamp);
                events += 1;
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self { logs, events, states: Vec::new(), bytes: events * EVENT_BYTES, used: 0, changed: None })
    }

    /// The events of each log that are in the past of an event, and of the document.
    fn seen<'a>(&'a self, before: &Stamp, past: &Past<'_>) -> Seen<'a> {
        let logs = self.logs.iter().map(|(log, stamps)| {
            let until = past.of(log);
            let end = stamps.partition_point(|stamp| stamp.counter <= until && stamp < before);
            (log, &stamps[..end])
        });
        let logs: Vec<_> = logs.filter(|(_, stamps)| !stamps.is_empty()).collect();
        Seen { events: logs.iter().map(|(_, stamps)| stamps.len()).sum(), logs }
    }

    /// The first event that is not among those.
    fn first_unseen(&self, seen: &Seen<'_>) -> Option<Stamp> {
        let unseen = self.logs.iter().filter_map(|(log, stamps)| {
            let count = seen.logs.iter().find(|(other, _)| *other == log).map_or(0, |(_, stamps)| stamps.len());
            stamps.get(count)
        });
        unseen.min().copied()
    }

    /// The batch changes a list.
    fn change(&mut self, stamp: &Stamp, is_added: bool) {
        if self.write(stamp, is_added) {
            self.changed = Some(self.changed.map_or(*stamp, |changed| changed.min(*stamp)));
        }
    }

    /// A list changes: what was made with the old one is void.
    fn write(&mut self, stamp: &Stamp, is_added: bool) -> bool {
        let stamps = self.logs.entry(stamp.log).or_default();
        match (stamps.binary_search_by_key(&stamp.counter, |known| known.counter), is_added) {
            (Err(at), true) => {
                stamps.insert(at, *stamp);
                self.events += 1;
            }
            (Ok(at), false) => {
                stamps.remove(at);
                self.events -= 1;
            }
            (Ok(_), true) | (Err(_), false) => return false,
        }
        // A state that the event itself was put to last is one that knows it.
        self.states.retain(|state| !state.sees(stamp) || is_added && state.document.last == Some(*stamp));
        true
    }
}

/// Events of a document that are in somebody's past.
struct Seen<'a> {
    logs: Vec<(&'a [u8; 32], &'a [Stamp])>,
    events: usize,
}

impl<'a> Seen<'a> {
    /// Those that a state does not have, in their order; none if some of them come before its last.
    fn missing(&self, state: &State) -> Option<Vec<Stamp>> {
        let of = |log: &[u8; 32]| self.logs.iter().find(|(other, _)| *other == log).map(|(_, stamps)| *stamps);
        for (log, counter) in &state.cut {
            if of(log).and_then(<[Stamp]>::last).is_none_or(|last| last.counter < *counter) {
                return None;
            }
        }
        let mut missing = Vec::new();
        for (log, stamps) in &self.logs {
            let counter = state.cut.get(*log).copied().unwrap_or(0);
            let rest = &stamps[stamps.partition_point(|stamp| stamp.counter <= counter)..];
            if rest.first().is_some_and(|first| Some(*first) < state.document.last) {
                return None;
            }
            missing.extend_from_slice(rest);
        }
        missing.sort_unstable();
        Some(missing)
    }

    /// Those after one of them.
    fn after(&self, last: Option<Stamp>) -> Vec<Stamp> {
        let rest = |stamps: &&'a [Stamp]| &stamps[stamps.partition_point(|stamp| Some(*stamp) <= last)..];
        let mut found: Vec<_> = self.logs.iter().flat_map(|(_, stamps)| rest(stamps)).copied().collect();
        found.sort_unstable();
        found
    }

    fn cut_until(&self, last: Option<Stamp>) -> Cut {
        let logs = self.logs.iter().filter_map(|(log, stamps)| {
            let end = stamps.partition_point(|stamp| Some(*stamp) <= last);
            Some((**log, stamps[..end].last()?.counter))
        });
        logs.collect()
    }

    /// How many events have to be applied again because the last of them had not been seen together with some that come before it. Depends on nothing but the past.
    fn brought_together(&self, past: &Past<'_>) -> Result<usize, Error> {
        let Some(last) = self.logs.iter().filter_map(|(_, stamps)| stamps.last()).max() else { return Ok(0) };
        let before = past.before(last)?;
        let unseen = self.logs.iter().filter_map(|(log, stamps)| {
            let until = if **log == last.log { last.counter } else { before.of(log) };
            stamps.get(stamps.partition_point(|stamp| stamp.counter <= until))
        });
        let Some(first) = unseen.min() else { return Ok(0) };
        Ok(self.logs.iter().map(|(_, stamps)| stamps.len() - stamps.partition_point(|stamp| stamp < first)).sum())
    }
}

impl Branches {
    /// A document as the writer of an event had seen it; none if that brings together more than `most` events.
    pub(super) fn document(
        &mut self,
        target: &Target,
        event: &Stamp,
        past: &Past<'_>,
        source: &dyn Source,
        most: usize,
    ) -> Result<Option<Arc<State>>, Error> {
        self.know(target, past.reader())?;
        let Some(known) = self.known.get_mut(target) else { return Ok(Some(Arc::default())) };
        let seen = known.seen(event, past);
        if seen.events > most && seen.brought_together(past)? > most {
            return Ok(None);
        }
        let states = known.states.iter().rev();
        let nearest = states.filter_map(|state| Some((state, seen.missing(state)?)));
        let nearest = nearest.min_by_key(|(_, missing)| missing.len());
        let (mut state, rest) = match nearest {
            Some((state, missing)) if missing.len() <= BRANCHES => (state.clone(), missing),
            nearest => {
                let base = base(known, target, &seen, past.reader())?;
                let rest = seen.after(base.document.last);
                match nearest {
                    Some((state, missing)) if missing.len() <= rest.len() => (state.clone(), missing),
                    Some(_) | None => (Arc::new(base), rest),
                }
            }
        };
        if !rest.is_empty() {
            let mut events = Events::new(source);
            let state = Arc::make_mut(&mut state);
            for stamp in &rest {
                let value = past.reader().get(&keys::event(target, stamp))?;
                match value.map(|value| history::read_changes(&value)).transpose()?.flatten() {
                    Some(changes) => state.apply(stamp, changes.iter().map(|(index, change)| (*index, change))),
                    None => state.apply(stamp, events.get(stamp)?.changes(target)),
                }
            }
        }
        Ok(Some(state))
    }

    /// A writer has gone on from one state of a document to another one.
    pub(super) fn reach(&mut self, target: &Target, before: &State, after: Arc<State>) {
        let Some(known) = self.known.get_mut(target) else { return };
        let bytes = known.bytes;
        known.states.retain(|state| state.cut != before.cut && state.cut != after.cut);
        known.states.push(after);
        if known.states.len() > BRANCHES {
            known.states.remove(0);
        }
        let sizes = known.states.iter().map(|state| state.size.bytes() * IN_MEMORY);
        known.bytes = sizes.sum::<usize>() + known.events * EVENT_BYTES;
        self.bytes = self.bytes + known.bytes - bytes;
        self.make_room(target);
    }

    /// An event of this batch changes a document, or does not any more.
    pub(super) fn write(&mut self, target: &Target, stamp: &Stamp, is_added: bool) {
        self.written.entry(target.clone()).or_default().push((*stamp, is_added));
        if let Some(known) = self.known.get_mut(target) {
            known.change(stamp, is_added);
        }
    }

    /// Events are about to be written.
    pub(super) fn touch(&mut self, target: &Target, added: impl Iterator<Item = Stamp>, removed: &[Stamp]) {
        let Some(known) = self.known.get_mut(target) else { return };
        for (stamp, is_added) in added.map(|stamp| (stamp, true)).chain(removed.iter().map(|stamp| (*stamp, false))) {
            known.write(&stamp, is_added);
        }
    }

    pub(super) fn committed(&mut self) {
        for target in std::mem::take(&mut self.written).into_keys() {
            if let Some(known) = self.known.get_mut(&target) {
                known.changed = None;
            }
        }
    }

    fn know(&mut self, target: &Target, reader: &Reader<'_>) -> Result<(), Error> {
        self.clock += 1;
        if let Some(known) = self.known.get_mut(target) {
            self.by_use.remove(&known.used);
            known.used = self.clock;
        } else {
            let mut known = Known::load(target, reader)?;
            let written = self.written.get(target).into_iter().flatten();
            written.for_each(|(stamp, is_added)| known.change(stamp, *is_added));
            known.used = self.clock;
            self.bytes += known.bytes;
            self.known.insert(target.clone(), known);
        }
        self.by_use.insert(self.clock, target.clone());
        self.make_room(target);
        Ok(())
    }

    /// Forgets documents that were not asked for for long, but none that this batch has changed.
    fn make_room(&mut self, but: &Target) {
        while self.bytes > BRANCH_BYTES {
            let is_free = |target: &Target| target != but;
            let Some((used, target)) = self.by_use.iter().find(|(_, target)| is_free(target)) else { return };
            let (used, target) = (*used, target.clone());
            self.by_use.remove(&used);
            if let Some(known) = self.known.remove(&target) {
                self.bytes = self.bytes.saturating_sub(known.bytes);
            }
        }
    }
}

/// The latest state that the view has and that is a beginning of what was seen.
fn base(known: &Known, target: &Target, seen: &Seen<'_>, reader: &Reader<'_>) -> Result<State, Error> {
    let first = known.first_unseen(seen);
    let first = first.into_iter().chain(known.changed).min();
    if first.is_none() {
        let Some(entry) = stored::read(reader, target)? else { return Ok(State::default()) };
        let cut = seen.cut_until(entry.document.last);
        return Ok(State { size: Size::stored(entry.bytes), document: entry.document, cut });
    }
    let until = first.map_or_else(Vec::new, |first| keys::event(target, &first));
    let mut kept = None;
    reader.scan_back(&keys::history(target), &until, &mut |_, value| {
        let Some(state) = history::kept(value) else { return ControlFlow::Continue(()) };
        kept = Some((history::read_kept(state), state.len()));
        ControlFlow::Break(())
    })?;
    let Some((document, bytes)) = kept else { return Ok(State::default()) };
    let document = document?;
    let cut = seen.cut_until(document.last);
    Ok(State { size: Size::stored(bytes), document, cut })
}

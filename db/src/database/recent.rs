//! The last changes, one by one. Who is further behind reads the feed, which has the last change of each document only.

use std::collections::VecDeque;

use super::Change;

/// Changes after a position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The changes, oldest first.
    pub items: Vec<Change>,
    /// Where to go on.
    pub position: u64,
    /// Changes of documents that were changed again were left out: whoever asks was too far behind.
    pub lagged: bool,
}

pub(super) struct Recent {
    items: VecDeque<(Change, usize)>,
    bytes: usize,
    /// The position before the oldest item.
    before: u64,
    /// The last position, where there is no item: behind all that were given out before this node was started.
    start: u64,
    max_items: usize,
    max_bytes: usize,
}

impl Recent {
    /// Nothing has changed since `before`; what changes gets positions behind `start`.
    pub(super) fn new(before: u64, start: u64, max_items: usize, max_bytes: usize) -> Self {
        // Whoever begins at 0 asks for what is there, and not how it came to be.
        let before = if before == 0 { start } else { before };
        Self { items: VecDeque::new(), bytes: 0, before, start: start.max(before), max_items, max_bytes }
    }

    pub(super) fn extend(&mut self, changes: Vec<Change>) {
        for change in changes {
            let bytes = change.fields.as_ref().map_or(0, crate::document::size_of) + 256;
            self.bytes += bytes;
            self.items.push_back((change, bytes));
            while self.items.len() > self.max_items || self.bytes > self.max_bytes {
                let Some((oldest, bytes)) = self.items.pop_front() else { break };
                self.bytes -= bytes;
                self.before = oldest.position;
            }
        }
    }

    /// `None` if something after that position is not here any more.
    pub(super) fn after(&self, after: u64, count: usize) -> Option<Changes> {
        if after < self.before {
            return None;
        }
        let start = self.items.partition_point(|(change, _)| change.position <= after);
        let items: Vec<_> = self.items.iter().skip(start).take(count).map(|(change, _)| change.clone()).collect();
        let position = items.last().map_or(after, |last| last.position);
        Some(Changes { items, position, lagged: false })
    }

    pub(super) fn position(&self) -> u64 {
        self.items.back().map_or(self.before.max(self.start), |(change, _)| change.position)
    }

    pub(super) fn clear(&mut self, position: u64) {
        *self = Self::new(position, self.start, self.max_items, self.max_bytes);
    }
}

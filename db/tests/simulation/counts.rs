//! What has happened in a run.

use std::fmt;

#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) written: usize,
    pub(crate) records: usize,
    pub(crate) void: usize,
    pub(crate) forked: usize,
    pub(crate) folded: usize,
    pub(crate) power_cuts: usize,
    pub(crate) lost_batches: usize,
    pub(crate) rebuilds: usize,
    pub(crate) failed_writes: usize,
    pub(crate) held_for_time: usize,
    pub(crate) held_for_bodies: usize,
    pub(crate) compared: usize,
    pub(crate) alike: usize,
}

impl Counts {
    fn all(&self) -> [(&'static str, usize); 13] {
        [
            ("transactions written", self.written),
            ("records in the end", self.records),
            ("events that do not count", self.void),
            ("forked logs", self.forked),
            ("events folded or taken back", self.folded),
            ("power cuts", self.power_cuts),
            ("batches lost in them", self.lost_batches),
            ("views folded anew", self.rebuilds),
            ("failed writes", self.failed_writes),
            ("times ahead", self.held_for_time),
            ("bodies awaited", self.held_for_bodies),
            ("comparisons with the oracle on the way", self.compared),
            ("members with equal heads on the way", self.alike),
        ]
    }

    pub(crate) fn everything_happened(&self) -> bool {
        self.all().iter().all(|(_, count)| *count > 0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.all().iter().map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(&counts.join(", "))
    }
}

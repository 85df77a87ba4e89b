//! Takes out of the files of a store what was overwritten or deleted in some spaces.
//!
//! That is in the write-ahead log, which goes once all spaces are flushed, and in older tables, which go once everything is compacted.

use std::collections::BTreeSet;

use rocksdb::{BottommostLevelCompaction, CompactOptions, FlushOptions};

use super::{Rocks, read_error, write_error};
use crate::kv::{Error, Space};

pub(super) fn overwritten(rocks: &Rocks, spaces: &[Space]) -> Result<(), Error> {
    let all: Vec<_> = Space::ALL.into_iter().map(|space| rocks.family(space)).collect();
    rocks.db.flush_cfs_opt(&all, &FlushOptions::default()).map_err(write_error)?;
    let old = tables(rocks, spaces)?;
    for space in spaces {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        rocks.db.compact_range_cf_opt(rocks.family(*space), None::<&[u8]>, None::<&[u8]>, &options);
    }
    // Compactions do not say that they have failed, as on a full disk.
    match tables(rocks, spaces)?.intersection(&old).next() {
        None => Ok(()),
        Some(left) => Err(Error::Write(format!("the table {left} was not compacted; is the disk full?").into())),
    }
}

/// The names of the tables of these spaces.
fn tables(rocks: &Rocks, spaces: &[Space]) -> Result<BTreeSet<String>, Error> {
    let live = rocks.db.live_files().map_err(read_error)?;
    let is_of = |family: &str| spaces.iter().any(|space| space.name() == family);
    Ok(live.into_iter().filter(|file| is_of(&file.column_family_name)).map(|file| file.name).collect())
}

//! Gives back the space of deleted blocks.
//!
//! A blob file that holds nothing but deleted blocks is removed by RocksDB. Threads that were followed at the same time share files, though, and a
//! file of which one block is left stays; those are rewritten once at least [`RECLAIM_PERCENT`] of all is garbage.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rocksdb::{BottommostLevelCompaction, ColumnFamily, CompactOptions, DB};
use tracing::{info, warn};

use super::super::Space;
use crate::limits::RECLAIM_PERCENT;

/// At most one run at a time, on a thread of its own: rewriting takes as long as it takes.
#[derive(Default)]
pub(super) struct Reclaim(Mutex<Option<JoinHandle<()>>>);

impl Reclaim {
    /// Starts a run. Where one is under way, what was deleted since is left to the next.
    pub(super) fn start(&self, db: &Arc<DB>) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let db = db.clone();
        let spawned = std::thread::Builder::new().name("spool-reclaim".to_owned()).spawn(move || {
            if let Err(error) = run(&db) {
                warn!(%error, "space of deleted blocks is not given back for now");
            }
        });
        *running = spawned.inspect_err(|error| warn!(%error, "no thread to give space back")).ok();
    }

    /// Interrupts a run, which stops all background work of the database: only before closing it.
    pub(super) fn stop(&self, db: &DB) {
        let Some(thread) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if !thread.is_finished() {
            db.cancel_all_background_work(false);
        }
        if thread.join().is_err() {
            warn!("giving back space had panicked");
        }
    }
}

fn run(db: &DB) -> Result<(), rocksdb::Error> {
    let Some(blocks) = db.cf_handle(Space::Blocks.name()) else { return Ok(()) };
    // Cheap: keys only. It makes the deletions known to the blob files, and drops the files that are all garbage.
    compact(db, blocks);
    let (all, garbage) = (blob_bytes(db, blocks)?, garbage_bytes(db, blocks)?);
    if garbage == 0 || garbage.saturating_mul(100) < all.saturating_mul(RECLAIM_PERCENT) {
        return Ok(());
    }
    info!(bytes = all - garbage, "rewriting the blocks that are left in files of deleted ones");
    db.set_options_cf(blocks, &[("enable_blob_garbage_collection", "true")])?;
    compact(db, blocks);
    db.set_options_cf(blocks, &[("enable_blob_garbage_collection", "false")])
}

fn compact(db: &DB, family: &ColumnFamily) {
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
}

/// Bytes of all blob files.
pub(super) fn blob_bytes(db: &DB, family: &ColumnFamily) -> Result<u64, rocksdb::Error> {
    Ok(db.property_int_value_cf(family, c"rocksdb.live-blob-file-size")?.unwrap_or(0))
}

/// Bytes of deleted blobs in them, as far as compactions have seen the deletions.
fn garbage_bytes(db: &DB, family: &ColumnFamily) -> Result<u64, rocksdb::Error> {
    Ok(db.property_int_value_cf(family, c"rocksdb.live-blob-file-garbage-size")?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Batch, Kv, Reads as _, Rocks, rocks::Options};

    const BLOCK: usize = 64 * 1024;

    /// Four flushes of 32 blocks, of which every one is deleted whose number is no multiple of `keep`.
    fn with_deleted(kv: &Rocks, keep: u32) {
        for flush in 0..4u32 {
            let mut batch = Batch::default();
            (0..32).for_each(|n| batch.put(Space::Blocks, (32 * flush + n).to_be_bytes(), vec![n as u8; BLOCK]));
            kv.write(&batch, false).unwrap();
            kv.db.flush_cf(kv.family(Space::Blocks)).unwrap();
        }
        let mut batch = Batch::default();
        (0..128u32).filter(|n| n % keep > 0).for_each(|n| batch.delete(Space::Blocks, n.to_be_bytes()));
        kv.write(&batch, false).unwrap();
    }

    fn reclaim(kv: &Rocks) -> u64 {
        kv.reclaim();
        kv.reclaim.0.lock().unwrap().take().unwrap().join().unwrap();
        kv.statistics().unwrap().spaces[Space::Blocks as usize].disk_bytes
    }

    #[test]
    fn space_is_given_back_where_that_frees_more_than_it_rewrites() {
        for keep in [3, 4] {
            let directory = tempfile::tempdir().unwrap();
            let kv = Rocks::open(directory.path(), &Options::default()).unwrap();
            with_deleted(&kv, keep);
            let left = reclaim(&kv);
            let live = u64::from(128u32.div_ceil(keep)) * BLOCK as u64;
            assert!(left < live * 11 / 10, "{left} bytes left of {live} live ones");
            for n in (0..128u32).step_by(keep as usize) {
                assert_eq!(kv.get(Space::Blocks, &n.to_be_bytes()).unwrap().unwrap(), vec![(n % 32) as u8; BLOCK]);
            }
        }
    }

    #[test]
    fn little_garbage_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let kv = Rocks::open(directory.path(), &Options::default()).unwrap();
        with_deleted(&kv, u32::MAX);
        let mut batch = Batch::default();
        (0..128u32).for_each(|n| batch.put(Space::Blocks, (1_000 + n).to_be_bytes(), vec![1; BLOCK]));
        kv.write(&batch, false).unwrap();
        // Three files are all garbage and go in any case; the first stays, for the one block that is left in it.
        let left = reclaim(&kv) / BLOCK as u64;
        assert_eq!(left, 128 + 32, "blocks' worth of bytes left");
    }

    #[test]
    fn closing_the_store_during_a_rewrite_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let kv = Rocks::open(directory.path(), &Options::default()).unwrap();
        with_deleted(&kv, 4);
        kv.reclaim();
        drop(kv);
        let kv = Rocks::open(directory.path(), &Options::default()).unwrap();
        assert!(kv.get(Space::Blocks, &4u32.to_be_bytes()).unwrap().is_some());
        assert!(kv.get(Space::Blocks, &5u32.to_be_bytes()).unwrap().is_none());
    }
}

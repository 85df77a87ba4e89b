//! A look at RocksDB's logs before it reads them itself.
//!
//! Its reader does not come back from a damage that looks like the header of a *recycled* record: behind an ordinary first record it refuses such a
//! header without passing over it, and meets it again for ever (`log_reader.cc`, `ReadPhysicalRecord`). This program has no logs recycled, so
//! such a header is damage wherever it stands, and nothing behind it would count: recovery ends at the first damage.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Logs are written in blocks of so many bytes; no record crosses the end of one.
const BLOCK_BYTES: usize = 32 * 1024;
/// Checksum, length and type of an ordinary record.
const HEADER_BYTES: usize = 4 + 2 + 1;
/// Types of recycled records: full, first, middle, last, sizes of timestamps, the log before.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// Where the files of a store would hold up their reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) path: PathBuf,
    /// Offset in bytes of the header that is none.
    pub(super) at: u64,
}

/// Looks through the files of a store that are read as logs.
pub(super) fn damages(directory: &Path) -> io::Result<Vec<Damage>> {
    let mut found = Vec::new();
    // The name of the list of files that counts; there is none in a new store.
    let manifest = fs::read_to_string(directory.join("CURRENT")).unwrap_or_default();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if (is_write_ahead(&path) || path.file_name().is_some_and(|name| name == manifest.trim_end()))
            && let Some(at) = damaged_at(File::open(&path)?)?
        {
            found.push(Damage { path, at });
        }
    }
    Ok(found)
}

/// Cuts a log off where its damage begins: what recovery would have made of any other damage.
pub(super) fn cut(damage: &Damage) -> io::Result<()> {
    let file = File::options().write(true).open(&damage.path)?;
    file.set_len(damage.at)?;
    file.sync_all()
}

pub(super) fn is_write_ahead(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// The first header of a recycled record behind another record.
///
/// Checksums are not looked at: behind a record whose checksum is wrong RocksDB goes on at the next block, and there this does, too.
fn damaged_at(mut file: impl io::Read) -> io::Result<Option<u64>> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut begin = 0;
    let mut is_first = true;
    loop {
        block.clear();
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        let mut rest = block.as_slice();
        while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let [_, _, _, _, low, high, kind] = *header;
            let length = usize::from(u16::from_le_bytes([low, high]));
            match (RECYCLED.contains(&kind), is_first) {
                // A log that was recycled all the way through is read to its end.
                (true, true) => return Ok(None),
                (true, false) => return Ok(Some(begin + (block.len() - rest.len()) as u64)),
                (false, _) => {}
            }
            // What does not fit, and the zeros of what was never written, end a block.
            let Some(next) = behind.get(length..).filter(|_| kind != 0 || length > 0) else { break };
            is_first = false;
            rest = next;
        }
        if block.len() < BLOCK_BYTES {
            return Ok(None);
        }
        begin += BLOCK_BYTES as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: u16) -> Vec<u8> {
        let mut record = vec![9; HEADER_BYTES + usize::from(length)];
        record[4..6].copy_from_slice(&length.to_le_bytes());
        record[6] = kind;
        record
    }

    fn at(parts: &[Vec<u8>]) -> Option<u64> {
        damaged_at(parts.concat().as_slice()).unwrap()
    }

    #[test]
    fn a_header_of_a_recycled_record_is_found_where_the_reader_would_meet_it() {
        for kind in RECYCLED {
            assert_eq!(at(&[record(1, 100), record(kind, 20)]), Some(107), "{kind}");
            assert_eq!(at(&[record(1, 100), vec![kind; 40_000]]), Some(107), "{kind}");
            // Behind one that does not fit the block is gone, and the next one begins with it.
            let block = [record(2, 1_000), vec![1; BLOCK_BYTES - 1_007]].concat();
            assert_eq!(at(&[block, vec![kind; 100]]), Some(BLOCK_BYTES as u64), "{kind}");
        }
    }

    #[test]
    fn other_logs_are_left_alone() {
        assert_eq!(at(&[]), None);
        assert_eq!(at(&[record(1, 100), record(4, 300), record(1, 0), vec![5; 6]]), None);
        // Within a record there may be anything.
        assert_eq!(at(&[record(1, 100), [record(1, 0), vec![5; 100]].concat()]), Some(114));
        assert_eq!(at(&[[record(1, 100)[..7].to_vec(), vec![5; 100]].concat(), record(1, 3)]), None);
        assert_eq!(at(&[record(5, 100), record(1, 3), vec![7; 100]]), None, "recycled");
        assert_eq!(at(&[record(1, 100), vec![0; 100_000]]), None, "preallocated");
        assert_eq!(at(&[vec![0; 100_000], record(1, 3)]), None);
    }
}

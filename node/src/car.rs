//! Content-addressed archives, version 1: <https://ipld.io/specs/transport/car/carv1/>.
//!
//! A header with the roots, then blocks, each behind its length and its CID. What is read is hostile: lengths are checked before anything is allocated, every block against
//! its CID, and only what this program would have written itself is taken.

use std::io::{self, Read, Write};

use bytes::Bytes;
use cid::{Cid, multihash::Multihash};
use sha2::{Digest, Sha256};
use spool_proto::block;

/// Multicodec `dag-cbor`.
pub(crate) const DAG_CBOR: u64 = 0x71;
/// Roots of one archive: a head for each log of a thread, and the index.
pub(crate) const MAX_ROOTS: usize = 65_537;
/// Bytes of one block: the largest of a thread, or an index of as many logs as there can be.
pub(crate) const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a root in the header: a CID as a link of DAG-CBOR.
const ROOT_BYTES: usize = 41;
/// Bytes of a header: its roots, and less than 32 beside them.
const MAX_HEADER_BYTES: usize = MAX_ROOTS * ROOT_BYTES + 32;
/// Bytes of a length: nine groups of seven bits are more than any file has.
const MAX_LENGTH_BYTES: usize = 9;
/// What a link begins with: tag 42, 37 bytes, and the byte that says that no other base was used.
const LINK: [u8; 5] = [0xd8, 0x2a, 0x58, 0x25, 0x00];

/// Why an archive is not taken. Places are bytes from its beginning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It ends within something.
    #[error("the file ends at byte {at}, in the middle of something: it is not whole")]
    Truncated {
        /// Where.
        at: u64,
    },
    /// A length is not one.
    #[error("the length at byte {at} is malformed")]
    Length {
        /// Where.
        at: u64,
    },
    /// Something is larger than anything can be.
    #[error("what begins at byte {at} says to have {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Where.
        at: u64,
        /// What it says.
        bytes: u64,
        /// What may be.
        limit: u64,
    },
    /// The header is another than that of an archive of version 1.
    #[error("the header is not that of a CAR file of version 1: {0}")]
    Header(&'static str),
    /// A CID of another kind.
    #[error("the block at byte {at} has a CID of a kind that no thread has")]
    Cid {
        /// Where.
        at: u64,
    },
    /// A block is not what its CID says.
    #[error("the block at byte {at} is not the one that its CID {cid} names")]
    Hash {
        /// Where.
        at: u64,
        /// What it should be.
        cid: Cid,
    },
    /// It is a good archive, and not of this thread, or not whole.
    #[error("the file is not taken, nothing of it was: {0}")]
    Content(String),
    /// The file could not be read.
    #[error("cannot read the file")]
    Io(#[source] io::Error),
}

/// One block, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) at: u64,
    pub(crate) cid: Cid,
    pub(crate) bytes: Bytes,
}

/// The CID of an index.
pub(crate) fn index_cid(bytes: &[u8]) -> Cid {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    Cid::new_v1(DAG_CBOR, Multihash::wrap(block::SHA2_256, &digest).expect("32 bytes fit into a multihash of 64"))
}

/// The header of an archive with these roots.
pub(crate) fn header(roots: &[Cid]) -> Vec<u8> {
    let mut body = vec![0xa2, 0x65];
    body.extend_from_slice(b"roots");
    match roots.len() {
        count @ 0..24 => body.push(0x80 | count as u8),
        count @ 24..256 => body.extend([0x98, count as u8]),
        count @ 256..65_536 => {
            body.push(0x99);
            body.extend_from_slice(&(count as u16).to_be_bytes());
        }
        count => {
            body.push(0x9a);
            body.extend_from_slice(&(count as u32).to_be_bytes());
        }
    }
    for root in roots {
        body.extend_from_slice(&LINK);
        body.extend_from_slice(&root.to_bytes());
    }
    body.push(0x67);
    body.extend_from_slice(b"version\x01");
    let mut header = length(body.len());
    header.append(&mut body);
    header
}

/// Writes a block.
pub(crate) fn write(out: &mut dyn Write, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
    let cid = cid.to_bytes();
    out.write_all(&length(cid.len() + bytes.len()))?;
    out.write_all(&cid)?;
    out.write_all(bytes)
}

fn length(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_LENGTH_BYTES);
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// Reads an archive from one place on.
pub(crate) struct Reader<R> {
    input: R,
    at: u64,
}

impl<R: Read> Reader<R> {
    /// `at` is where `input` stands.
    pub(crate) fn new(input: R, at: u64) -> Self {
        Self { input, at }
    }

    /// Where the next thing begins.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The roots.
    pub(crate) fn header(&mut self) -> Result<Vec<Cid>, Error> {
        let Some(length) = self.length()? else { return Err(Error::Truncated { at: 0 }) };
        let bytes = self.bytes(0, length, MAX_HEADER_BYTES)?;
        let wrong = |what| Err(Error::Header(what));
        let mut roots = Vec::new();
        let Some(begin) = bytes.windows(LINK.len()).position(|window| window == LINK) else {
            return wrong("it has no roots");
        };
        for root in bytes.get(begin..).unwrap_or_default().chunks_exact(ROOT_BYTES) {
            let Some(cid) = root.strip_prefix(&LINK) else { break };
            match Cid::try_from(cid) {
                Ok(cid) => roots.push(cid),
                Err(_) => return wrong("a root is no CID"),
            }
        }
        // There is one way to write it: whatever else it says shows here.
        if header(&roots) != [self::length(bytes.len()), bytes].concat() || roots.len() > MAX_ROOTS {
            return wrong("it is not in the canonical form");
        }
        Ok(roots)
    }

    /// The next block, whose CID is right; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, Error> {
        let at = self.at;
        let Some(length) = self.length()? else { return Ok(None) };
        let bytes = self.bytes(at, length, MAX_BLOCK_BYTES + block::CID_BYTES)?;
        let Some((cid, _)) = bytes.split_at_checked(block::CID_BYTES) else { return Err(Error::Cid { at }) };
        let cid = Cid::try_from(cid).map_err(|_| Error::Cid { at })?;
        let is_known = cid.version() == cid::Version::V1
            && [block::RAW, DAG_CBOR].contains(&cid.codec())
            && cid.hash().code() == block::SHA2_256
            && cid.hash().size() == 32;
        if !is_known {
            return Err(Error::Cid { at });
        }
        let bytes = Bytes::from(bytes).slice(block::CID_BYTES..);
        if Sha256::digest(&bytes)[..] != *cid.hash().digest() {
            return Err(Error::Hash { at, cid });
        }
        Ok(Some(Block { at, cid, bytes }))
    }

    /// A length, in the shortest form; none at the end.
    fn length(&mut self) -> Result<Option<u64>, Error> {
        let (begin, mut value) = (self.at, 0u64);
        for index in 0..MAX_LENGTH_BYTES {
            let mut byte = [0];
            match self.input.read_exact(&mut byte) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && index == 0 => return Ok(None),
                Err(error) => return Err(self.failed(error)),
            }
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << (7 * index);
            if byte[0] < 0x80 {
                // A longer form than needed would be another file with the same content.
                let is_shortest = byte[0] != 0 || index == 0;
                return if is_shortest && value > 0 { Ok(Some(value)) } else { Err(Error::Length { at: begin }) };
            }
        }
        Err(Error::Length { at: begin })
    }

    fn bytes(&mut self, begin: u64, length: u64, limit: usize) -> Result<Vec<u8>, Error> {
        if length > limit as u64 {
            return Err(Error::TooLarge { at: begin, bytes: length, limit: limit as u64 });
        }
        // What is allocated grows with what comes, not with what is said.
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(length).read_to_end(&mut bytes).map_err(Error::Io)?;
        self.at += read as u64;
        if (read as u64) < length {
            return Err(Error::Truncated { at: self.at });
        }
        Ok(bytes)
    }

    fn failed(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated { at: self.at },
            _ => Error::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(blocks: &[&[u8]]) -> (Vec<Cid>, Vec<u8>) {
        let cids: Vec<Cid> = blocks.iter().map(|bytes| block::cid(bytes)).collect();
        let mut file = header(&cids);
        for (cid, bytes) in cids.iter().zip(blocks) {
            write(&mut file, cid, bytes).unwrap();
        }
        (cids, file)
    }

    fn read(file: &[u8]) -> Result<(Vec<Cid>, Vec<Bytes>), Error> {
        let mut reader = Reader::new(file, 0);
        let roots = reader.header()?;
        let mut blocks = Vec::new();
        while let Some(Block { bytes, .. }) = reader.next()? {
            blocks.push(bytes);
        }
        Ok((roots, blocks))
    }

    #[test]
    fn what_is_written_is_read() {
        for count in [1, 23, 24, 300] {
            let blocks: Vec<Vec<u8>> = (0..count).map(|index: usize| vec![index as u8; index * 7]).collect();
            let (cids, file) = archive(&blocks.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let (roots, read) = read(&file).unwrap();
            assert_eq!((roots, read.len()), (cids, blocks.len()));
            assert!(read.iter().zip(&blocks).all(|(read, block)| read[..] == block[..]));
        }
    }

    /// Bytes from the specification's site: the header of `carv1-basic.car`, as far as it is the same in every file.
    #[test]
    fn the_header_is_that_of_the_specification() {
        let (_, file) = archive(&[b"a"]);
        assert_eq!(file[0] as usize, 7 + 1 + 41 + 9);
        assert_eq!(&file[1..9], b"\xa2\x65roots\x81");
        assert_eq!(&file[9..14], b"\xd8\x2a\x58\x25\x00");
        assert_eq!(&file[50..59], b"\x67version\x01");
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let (_, file) = archive(&[b"first block", b"second block"]);
        let whole = read(&file).unwrap();
        for end in 0..file.len() {
            match read(&file[..end]) {
                // Between two blocks: whoever knows how many there are notices.
                Ok((roots, blocks)) => assert!(roots == whole.0 && blocks.len() < whole.1.len(), "{end}"),
                Err(error) => assert!(matches!(error, Error::Truncated { .. } | Error::Header(_)), "{end}: {error}"),
            }
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A root may be another by one bit, which whoever compares it with the blocks notices.
            assert!(read(&flipped).is_err() || read(&flipped).unwrap().0 != whole.0, "bit {bit}");
        }
    }

    #[test]
    fn lengths_are_believed_only_as_far_as_they_can_be() {
        let (_, file) = archive(&[b"a block"]);
        let header = header(&read(&file).unwrap().0).len();
        let with = |length: &[u8]| [&file[..header], length, &[0; 64]].concat();
        assert!(matches!(read(&with(&[0xff; 12])), Err(Error::Length { .. })));
        assert!(matches!(read(&with(&[0x80, 0x00])), Err(Error::Length { .. })), "not the shortest form");
        assert!(matches!(read(&with(&[0x00])), Err(Error::Length { .. })), "nothing has no CID");
        assert!(matches!(read(&with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])), Err(Error::TooLarge { .. })));
        assert!(matches!(read(&with(&[0x05])), Err(Error::Cid { .. })));
        assert!(matches!(read(&with(&[0x30])), Err(Error::Cid { .. })));
        assert!(matches!(read(&[0xff, 0xff, 0xff, 0x7f]), Err(Error::TooLarge { .. })), "a header");
        assert!(matches!(read(&[]), Err(Error::Truncated { at: 0 })));
    }
}

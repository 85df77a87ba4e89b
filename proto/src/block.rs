//! Blocks and their CIDs: CIDv1, codec raw, sha2-256, and no other.

use cid::{Cid, multihash::Multihash};
use sha2::{Digest, Sha256};

/// Multicodec `raw`.
pub const RAW: u64 = 0x55;
/// Multihash `sha2-256`.
pub const SHA2_256: u64 = 0x12;
/// Bytes of a CID of ours in binary form.
pub const CID_BYTES: usize = 36;

/// A CID of another kind than blocks here have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are no CID at all.
    #[error("not a cid")]
    NotACid,
    /// Version, codec or hash that version 1 of the protocol does not use.
    #[error(
        "cid of version {version}, codec 0x{codec:x}, hash 0x{hash:x}; only version 1, raw (0x55), sha2-256 (0x12) is known"
    )]
    Unknown {
        /// CID version.
        version: u64,
        /// Multicodec.
        codec: u64,
        /// Multihash code.
        hash: u64,
    },
}

/// The CID of a block.
pub fn cid(block: &[u8]) -> Cid {
    from_digest(Sha256::digest(block).into())
}

/// The CID with this SHA-256 digest.
pub fn from_digest(digest: [u8; 32]) -> Cid {
    Cid::new_v1(RAW, Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit into a multihash of 64"))
}

/// The SHA-256 digest in a CID of ours.
///
/// # Errors
///
/// [`Error::Unknown`] if version, codec or hash are others.
pub fn digest(cid: &Cid) -> Result<[u8; 32], Error> {
    let unknown = || Error::Unknown { version: cid.version().into(), codec: cid.codec(), hash: cid.hash().code() };
    if cid.version() != cid::Version::V1 || cid.codec() != RAW || cid.hash().code() != SHA2_256 {
        return Err(unknown());
    }
    cid.hash().digest().try_into().map_err(|_| unknown())
}

/// Reads a CID of ours from its binary form.
///
/// # Errors
///
/// [`Error`] says what is wrong with it.
pub fn cid_from_bytes(bytes: &[u8]) -> Result<Cid, Error> {
    if bytes.len() > 2 * CID_BYTES {
        return Err(Error::NotACid);
    }
    let cid = Cid::try_from(bytes).map_err(|_| Error::NotACid)?;
    digest(&cid)?;
    if cid.encoded_len() != bytes.len() {
        return Err(Error::NotACid);
    }
    Ok(cid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_round_trips_and_others_are_refused_by_name() {
        let cid = cid(b"hello");
        assert_eq!(cid.to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
        assert_eq!(cid_from_bytes(&cid.to_bytes()).unwrap(), cid);
        let dag_cbor = Cid::new_v1(0x71, *cid.hash());
        assert!(cid_from_bytes(&dag_cbor.to_bytes()).unwrap_err().to_string().contains("0x71"));
        assert_eq!(cid_from_bytes(&[1, 2]), Err(Error::NotACid));
    }
}

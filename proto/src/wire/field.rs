//! Reads single fields: bytes into ids and fixed arrays, with the field's name in every error.

use bytes::Bytes;

use super::{error::Error, limits};
use crate::{Cid, KeyId, LogId, PeerId, TopicId, block};

pub(super) fn topic(field: &'static str, bytes: &[u8]) -> Result<TopicId, Error> {
    TopicId::from_bytes(bytes).map_err(|source| Error::Id { field, source })
}

pub(super) fn log(field: &'static str, bytes: &[u8]) -> Result<LogId, Error> {
    LogId::from_bytes(bytes).map_err(|source| Error::Id { field, source })
}

pub(super) fn key(field: &'static str, bytes: &[u8]) -> Result<KeyId, Error> {
    KeyId::from_bytes(bytes).map_err(|source| Error::Id { field, source })
}

pub(super) fn cid(field: &'static str, bytes: &[u8]) -> Result<Cid, Error> {
    block::cid_from_bytes(bytes).map_err(|source| Error::Cid { field, source })
}

pub(super) fn peer(field: &'static str, bytes: &[u8]) -> Result<PeerId, Error> {
    length(field, bytes, 1, limits::MAX_PEER_ID_BYTES)?;
    PeerId::from_bytes(bytes).map_err(|source| Error::PeerId { field, source })
}

pub(super) fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Length { field, actual: bytes.len(), least: N, most: N })
}

pub(super) fn length(field: &'static str, bytes: &[u8], least: usize, most: usize) -> Result<(), Error> {
    if !(least..=most).contains(&bytes.len()) {
        return Err(Error::Length { field, actual: bytes.len(), least, most });
    }
    Ok(())
}

pub(super) fn count<T>(field: &'static str, items: &[T], limit: usize) -> Result<(), Error> {
    if items.len() > limit {
        return Err(Error::TooMany { field, limit });
    }
    Ok(())
}

/// Counters start at 1.
pub(super) fn counter(field: &'static str, value: u64) -> Result<u64, Error> {
    if value == 0 {
        return Err(Error::Invalid { field, reason: "counters start at 1" });
    }
    Ok(value)
}

/// Every item converted, at most `limit` of them.
pub(super) fn items<P, T>(field: &'static str, items: Vec<P>, limit: usize) -> Result<Vec<T>, Error>
where
    T: TryFrom<P, Error = Error>,
{
    count(field, &items, limit)?;
    items.into_iter().map(T::try_from).collect()
}

/// Sealed records, each within its bounds.
pub(super) fn records(field: &'static str, records: &[Bytes]) -> Result<(), Error> {
    records.iter().try_for_each(|record| length(field, record, limits::MIN_SEALED_BYTES, limits::MAX_RECORD_BYTES))
}

/// Blocks, each within its bounds.
pub(super) fn blocks(field: &'static str, blocks: &[Bytes]) -> Result<(), Error> {
    blocks.iter().try_for_each(|block| length(field, block, limits::MIN_SEALED_BYTES, limits::MAX_BLOCK_BYTES))
}

/// Ids and digests as prost has them.
pub(super) fn bytes(value: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(value.as_ref())
}

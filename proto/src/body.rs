//! Bodies: sealed inline, as one block, or in chunks under manifests. Specified in `docs/protocol.md`, section 6.

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::{
    block, cbor,
    event::{Body, Content},
    hpke,
    id::ThreadId,
    identity::{Identity, IdentityKey},
    keys::{ChunkSecret, LogKeys, SealKey},
    limits::{MAX_BLOCK_BYTES, MAX_INLINE_BODY_BYTES, MAX_LINKS, MAX_MANIFEST_CHUNKS, MAX_SINGLE_BODY_BYTES},
    seal::{self, Layer, Place},
};

#[cfg(test)]
mod tests;

const VERSION: u64 = 1;
/// The HPKE purpose of content keys.
const PURPOSE: &str = "content key";

/// Who can open a body.
#[derive(Clone)]
pub enum Protection {
    /// Every reader of the thread: a fresh single-use key.
    Thread {
        /// 32 random bytes, never used twice.
        key: [u8; 32],
    },
    /// One recipient only.
    Recipient {
        /// Who.
        to: IdentityKey,
        /// 32 random bytes, never used twice.
        key: [u8; 32],
        /// 32 more random bytes, for sealing the key.
        entropy: [u8; 32],
    },
    /// Followers too: no key of its own.
    Public,
}

impl Protection {
    fn content(&self) -> Option<Content> {
        match self {
            Protection::Thread { key } => Some(Content::Key(*key)),
            Protection::Recipient { to, key, entropy } => {
                Some(Content::Recipient { to: *to, sealed: hpke::seal(to, PURPOSE, key, *entropy) })
            }
            Protection::Public => None,
        }
    }

    fn key(&self, keys: &LogKeys) -> SealKey {
        match self {
            Protection::Thread { key } | Protection::Recipient { key, .. } => SealKey::new(*key),
            Protection::Public => keys.public().clone(),
        }
    }

    fn is_public(&self) -> bool {
        matches!(self, Protection::Public)
    }
}

/// A body that is ready to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBody {
    /// Its key, as the event carries it.
    pub content: Option<Content>,
    /// Where it is.
    pub body: Body,
    /// Blocks that have to be stored with the record: CID, bytes, and of a manifest the chunks that it lists.
    pub blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
}

/// Why a body cannot be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too large for one block; cut it with [`Chunker`].
    #[error("a body of {0} bytes does not fit into one block of {MAX_SINGLE_BODY_BYTES}; add it as a file")]
    TooLarge(usize),
    /// More chunks than manifests can list.
    #[error("a body has at most {} chunks", MAX_LINKS * MAX_MANIFEST_CHUNKS)]
    TooManyChunks,
    /// The body is sealed to somebody else.
    #[error("the body is sealed to {0}")]
    NotTheRecipient(IdentityKey),
    /// Does not open.
    #[error("body: {0}")]
    Seal(#[from] seal::Error),
    /// The content key does not open.
    #[error("content key: {0}")]
    ContentKey(String),
    /// A manifest that breaks the format.
    #[error("manifest: {0}")]
    Manifest(String),
    /// A chunk whose content is not what its manifest names.
    #[error("the chunk is not the one that the manifest names")]
    WrongChunk,
    /// The read key is needed.
    #[error("this node holds no read key of the thread")]
    NoReadKey,
}

/// Seals a body of at most [`MAX_SINGLE_BODY_BYTES`]: inline when small and not public, else as one block.
///
/// # Errors
///
/// [`Error::TooLarge`] if it has to be chunked.
pub fn seal_body(
    plain: &[u8],
    protection: &Protection,
    keys: &LogKeys,
    thread: &ThreadId,
) -> Result<SealedBody, Error> {
    if plain.len() > MAX_SINGLE_BODY_BYTES {
        return Err(Error::TooLarge(plain.len()));
    }
    let log = keys.log().to_bytes();
    let sealed = Bytes::from(seal::seal(&protection.key(keys), place(Layer::Body, thread, &log), plain));
    let content = protection.content();
    if plain.len() <= MAX_INLINE_BODY_BYTES && !protection.is_public() {
        return Ok(SealedBody { content, body: Body::Inline(sealed), blocks: Vec::new() });
    }
    let cid = block::cid(&sealed);
    let body = Body::Block { cid, size: plain.len() as u64 };
    Ok(SealedBody { content, body, blocks: vec![(cid, sealed, Vec::new())] })
}

/// The key that opens a body: from the event, from the event with the recipient's identity, or the log's public key.
///
/// # Errors
///
/// [`Error::NotTheRecipient`] or [`Error::ContentKey`].
pub fn content_key(content: Option<&Content>, keys: &LogKeys, identity: Option<&Identity>) -> Result<SealKey, Error> {
    match content {
        None => Ok(keys.public().clone()),
        Some(Content::Key(key)) => Ok(SealKey::new(*key)),
        Some(Content::Recipient { to, sealed }) => {
            let identity = identity.filter(|identity| identity.public() == *to).ok_or(Error::NotTheRecipient(*to))?;
            let key = identity.open(PURPOSE, sealed).map_err(|error| Error::ContentKey(error.to_string()))?;
            let key: [u8; 32] = key.as_slice().try_into().map_err(|_| Error::ContentKey("not 32 bytes".to_owned()))?;
            Ok(SealKey::new(key))
        }
    }
}

/// Opens an inline body or the block of a body.
///
/// # Errors
///
/// [`Error::Seal`] if it does not open.
pub fn open_body(sealed: &[u8], key: &SealKey, keys: &LogKeys, thread: &ThreadId) -> Result<Vec<u8>, Error> {
    Ok(seal::open(key, place(Layer::Body, thread, &keys.log().to_bytes()), sealed)?)
}

/// Seals a large body chunk by chunk, so that no more than one chunk is in memory. Where to cut is the caller's work, with
/// FastCDC and the thread's gear seed: `docs/protocol.md`, section 6.
pub struct Chunker<'a> {
    protection: Protection,
    keys: &'a LogKeys,
    thread: &'a ThreadId,
    secret: ChunkSecret,
    entries: Vec<Entry>,
    manifests: Vec<Cid>,
    size: u64,
}

struct Entry {
    cid: Cid,
    size: u64,
    hash: [u8; 32],
}

/// A block to store: CID, sealed bytes, and the chunks that it lists if it is a manifest.
pub type Block = (Cid, Bytes, Vec<Cid>);

impl<'a> Chunker<'a> {
    /// Begins a body. `secret` is the thread's chunk secret, of public bodies the public one.
    pub fn new(protection: Protection, keys: &'a LogKeys, thread: &'a ThreadId, secret: ChunkSecret) -> Self {
        Self { protection, keys, thread, secret, entries: Vec::new(), manifests: Vec::new(), size: 0 }
    }

    /// Whether this body is public.
    pub fn is_public(&self) -> bool {
        self.protection.is_public()
    }

    /// Seals the next chunk; returns the blocks to store: the chunk, and now and then a manifest.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for a chunk that no block can hold, [`Error::TooManyChunks`].
    pub fn chunk(&mut self, plain: &[u8]) -> Result<Vec<Block>, Error> {
        if plain.len() + seal::OVERHEAD_BYTES > MAX_BLOCK_BYTES {
            return Err(Error::TooLarge(plain.len()));
        }
        let hash: [u8; 32] = Sha256::digest(plain).into();
        let key = self.secret.key(&hash);
        let sealed = Bytes::from(seal::seal(&key, place(Layer::Chunk, self.thread, &[]), plain));
        let cid = block::cid(&sealed);
        self.entries.push(Entry { cid, size: plain.len() as u64, hash });
        self.size += plain.len() as u64;
        let mut blocks = vec![(cid, sealed, Vec::new())];
        if self.entries.len() == MAX_MANIFEST_CHUNKS {
            blocks.push(self.manifest()?);
        }
        Ok(blocks)
    }

    /// Ends the body; what is left to store comes with it.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyChunks`].
    pub fn finish(mut self) -> Result<SealedBody, Error> {
        let mut blocks = Vec::new();
        if !self.entries.is_empty() || self.manifests.is_empty() {
            blocks.push(self.manifest()?);
        }
        let body = Body::Chunks { manifests: self.manifests, size: self.size };
        Ok(SealedBody { content: self.protection.content(), body, blocks })
    }

    fn manifest(&mut self) -> Result<Block, Error> {
        if self.manifests.len() == MAX_LINKS {
            return Err(Error::TooManyChunks);
        }
        let entries = std::mem::take(&mut self.entries);
        let log = self.keys.log().to_bytes();
        let hashes: Vec<u8> = entries.iter().flat_map(|entry| entry.hash).collect();
        let key = self.protection.key(self.keys);
        let hashes = seal::seal(&key, place(Layer::Hashes, self.thread, &log), &hashes);
        let chunks = entries.iter().map(|entry| (entry.cid, entry.size)).collect();
        let plain = cbor::to_vec(&PlainManifest(VERSION, chunks, ByteBuf::from(hashes)));
        let sealed = Bytes::from(seal::seal(self.keys.manifest(), place(Layer::Manifest, self.thread, &log), &plain));
        let cid = block::cid(&sealed);
        self.manifests.push(cid);
        Ok((cid, sealed, entries.into_iter().map(|entry| entry.cid).collect()))
    }
}

#[derive(Serialize, Deserialize)]
struct PlainManifest(u64, Vec<(Cid, u64)>, ByteBuf);

/// A chunk as its manifest lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLink {
    /// CID of the sealed chunk.
    pub cid: Cid,
    /// Bytes before sealing.
    pub size: u64,
}

/// The chunks of a body, as a follower sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    chunks: Vec<ChunkLink>,
    hashes: Vec<u8>,
}

impl Manifest {
    /// Opens a manifest with the keys that followers have.
    ///
    /// # Errors
    ///
    /// [`Error::Seal`] or [`Error::Manifest`].
    pub fn open(keys: &LogKeys, thread: &ThreadId, sealed: &[u8]) -> Result<Self, Error> {
        let log = keys.log().to_bytes();
        let plain = seal::open(keys.manifest(), place(Layer::Manifest, thread, &log), sealed)?;
        let PlainManifest(version, chunks, hashes) =
            cbor::from_slice(&plain, MAX_BLOCK_BYTES).map_err(|error| Error::Manifest(error.to_string()))?;
        if version != VERSION {
            return Err(Error::Manifest(format!("version {version} is not known (only {VERSION})")));
        }
        if chunks.len() > MAX_MANIFEST_CHUNKS {
            return Err(Error::Manifest(format!("{} chunks, at most {MAX_MANIFEST_CHUNKS}", chunks.len())));
        }
        if chunks.iter().any(|(cid, size)| block::digest(cid).is_err() || *size > MAX_BLOCK_BYTES as u64) {
            return Err(Error::Manifest("a chunk that no block can hold".to_owned()));
        }
        let chunks = chunks.into_iter().map(|(cid, size)| ChunkLink { cid, size }).collect();
        Ok(Self { chunks, hashes: hashes.into_vec() })
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> &[ChunkLink] {
        &self.chunks
    }

    /// The hashes of the chunks' contents, with the key that readers have.
    ///
    /// # Errors
    ///
    /// [`Error::Seal`] if the key is another, [`Error::Manifest`] if there is not one hash for each chunk.
    pub fn hashes(&self, key: &SealKey, keys: &LogKeys, thread: &ThreadId) -> Result<Vec<[u8; 32]>, Error> {
        let hashes = seal::open(key, place(Layer::Hashes, thread, &keys.log().to_bytes()), &self.hashes)?;
        let (hashes, rest) = hashes.as_chunks::<32>();
        if hashes.len() != self.chunks.len() || !rest.is_empty() {
            return Err(Error::Manifest("not one hash for each chunk".to_owned()));
        }
        Ok(hashes.to_vec())
    }
}

/// Opens one chunk and checks it against the hash in its manifest.
///
/// # Errors
///
/// [`Error::Seal`] or [`Error::WrongChunk`].
pub fn open_chunk(sealed: &[u8], hash: &[u8; 32], secret: &ChunkSecret, thread: &ThreadId) -> Result<Vec<u8>, Error> {
    let plain = seal::open(&secret.key(hash), place(Layer::Chunk, thread, &[]), sealed)?;
    let actual: [u8; 32] = Sha256::digest(&plain).into();
    if actual != *hash {
        return Err(Error::WrongChunk);
    }
    Ok(plain)
}

fn place<'a>(layer: Layer, thread: &'a ThreadId, log: &'a [u8]) -> Place<'a> {
    Place { layer, thread: thread.as_bytes(), log }
}

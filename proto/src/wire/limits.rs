//! Every bound of the wire format, with its unit and its reason.

pub use crate::limits::{MAX_BLOCK_BYTES, MAX_RECORD_BYTES};

/// Bytes of a request or response. A page is filled up to [`PAGE_BYTES`], and the item that goes over it may itself be a
/// block of 1 MiB; 64 KiB are for ids and lengths.
pub const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024 + 64 * 1024;
/// Bytes at which a sender ends a page: small enough that several in flight cost little, large enough that a round trip
/// is well used.
pub const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes of a gossip message before it is sealed: one record of the largest size and its envelope, or a page of heads.
pub const MAX_GOSSIP_BYTES: usize = 128 * 1024;
/// Bytes of anything sealed, at least: its nonce and tag.
pub const MIN_SEALED_BYTES: usize = 40;

/// Proofs in one request or response: 4,096 are 300 KB. Whoever shares more threads sends several.
pub const MAX_PROOFS: usize = 4_096;
/// Nodes of the edge tree in one request: all 2,048 answers, opened into 16 digests each, are 750 KB.
pub const MAX_EDGE_NODES: usize = 2_048;
/// Hexadecimal digits of a topic id, so of the longest prefix.
pub const MAX_PREFIX_DIGITS: usize = 64;
/// Children of a node of the edge tree.
pub const EDGE_CHILDREN: usize = 16;
/// Edges under all nodes of one response: 16,384 are 900 KB.
pub const MAX_EDGES: usize = 16_384;
/// Heads in one page, or in one gossip message: 1,024 are 85 KB, and 145 KB if all logs are forked, which gossip does not
/// take.
pub const MAX_HEADS: usize = 1_024;
/// Records of one envelope: a page of the smallest records that can be.
pub const MAX_ENVELOPE_RECORDS: usize = 8_192;
/// Blocks beside the records of one envelope.
pub const MAX_ENVELOPE_BLOCKS: usize = 256;
/// Envelopes in one push, one for each log; more take several pushes.
pub const MAX_PUSH_ENVELOPES: usize = 256;
/// Inert records in one page.
pub const MAX_INERT_RECORDS: usize = 8_192;
/// Blocks asked for at once: 256 of the average chunk are 64 MiB, enough to keep pages flowing.
pub const MAX_BLOCK_CIDS: usize = 256;
/// Bytes of a sealed invitation: all that can be sealed to a key, twice what the keys of 256 epochs and 16 addresses take.
pub const MAX_INVITE_BYTES: usize = crate::limits::MAX_SEALED_KEY_SET_BYTES;
/// Days that bodies are kept, at most, where they are not kept for good: a hundred years.
pub const MAX_BODIES_DAYS: u32 = 36_525;
/// Bytes of a peer id; those in use have 38 (inlined ed25519 key) or 34 (SHA-256).
pub const MAX_PEER_ID_BYTES: usize = 66;

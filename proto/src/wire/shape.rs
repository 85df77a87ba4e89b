//! Counts the repeated fields of a frame before prost decodes it.
//!
//! An empty nested message takes two bytes on the wire and up to a hundred in memory, so a frame of 2 MiB could make prost
//! allocate 100 MiB. This walk allocates nothing; it refuses more items than a message may have, and items shorter than
//! they can be, after which what prost allocates is at most a few times the frame.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::{Error, limits};

/// The fields of a message that can allocate: all that repeat, and all that lead to such.
pub(super) struct Shape(&'static [Field]);

struct Field {
    tag: u32,
    name: &'static str,
    /// Items in one message; 1 for a field that does not repeat.
    most: usize,
    /// Bytes of one item.
    least_bytes: usize,
    inner: Option<&'static Shape>,
}

/// Fields of the largest [`Shape`].
const MAX_FIELDS: usize = 9;

const fn repeated(tag: u32, name: &'static str, most: usize, least_bytes: usize) -> Field {
    Field { tag, name, most, least_bytes, inner: None }
}

const fn message(tag: u32, name: &'static str, inner: &'static Shape) -> Field {
    Field { tag, name, most: 1, least_bytes: 0, inner: Some(inner) }
}

// Least sizes of items: the fields of fixed length that they cannot do without, each with two bytes of key and length.
const HEAD_BYTES: usize = 2 + 38;
const PROOF_BYTES: usize = 2 + 32 + 2 + 32;
const NODE_BYTES: usize = 2 + 16;
const EDGE_BYTES: usize = 2 + 32 + 2 + 16;
const INERT_BYTES: usize = 2 + 16 + 2 + limits::MIN_SEALED_BYTES;
const ACK_BYTES: usize = 2 + 32 + 2 + 38;
const ENVELOPE_BYTES: usize = 2 + 32 + 2 + 38 + 2 + 16 + 2 + 64;
const CID_BYTES: usize = crate::block::CID_BYTES;

static ENVELOPE: Shape = Shape(&[
    repeated(6, "Envelope.records", limits::MAX_ENVELOPE_RECORDS, limits::MIN_SEALED_BYTES),
    repeated(7, "Envelope.blocks", limits::MAX_ENVELOPE_BLOCKS, limits::MIN_SEALED_BYTES),
]);
static HEADS: Shape = Shape(&[repeated(1, "heads", limits::MAX_HEADS, HEAD_BYTES)]);
static PROOFS: Shape = Shape(&[repeated(1, "Proofs.proofs", limits::MAX_PROOFS, PROOF_BYTES)]);
static EDGES_REQUEST: Shape = Shape(&[repeated(1, "EdgesRequest.nodes", limits::MAX_EDGE_NODES, NODE_BYTES)]);
static BLOCKS_REQUEST: Shape = Shape(&[repeated(2, "BlocksRequest.cids", limits::MAX_BLOCK_CIDS, CID_BYTES)]);
static PUSH_REQUEST: Shape = Shape(&[Field {
    tag: 1,
    name: "PushRequest.envelopes",
    most: limits::MAX_PUSH_ENVELOPES,
    least_bytes: ENVELOPE_BYTES,
    inner: Some(&ENVELOPE),
}]);
static OPENED: Shape = Shape(&[
    repeated(2, "Opened.children", limits::EDGE_CHILDREN, 16),
    repeated(3, "Opened.edges", limits::MAX_EDGES, EDGE_BYTES),
]);
static EDGES_RESPONSE: Shape = Shape(&[Field {
    tag: 1,
    name: "EdgesResponse.opened",
    most: limits::MAX_EDGE_NODES,
    least_bytes: 0,
    inner: Some(&OPENED),
}]);
static RECORDS_RESPONSE: Shape = Shape(&[message(1, "RecordsResponse.envelope", &ENVELOPE)]);
static INERT_RESPONSE: Shape = Shape(&[repeated(1, "InertResponse.records", limits::MAX_INERT_RECORDS, INERT_BYTES)]);
static PUSH_RESPONSE: Shape = Shape(&[repeated(1, "PushResponse.acks", limits::MAX_PUSH_ENVELOPES, ACK_BYTES)]);
static BLOCKS_RESPONSE: Shape =
    Shape(&[repeated(1, "BlocksResponse.blocks", limits::MAX_BLOCK_CIDS, limits::MIN_SEALED_BYTES)]);
static ACCEPTED: Shape = Shape(&[repeated(2, "Accepted.addresses", crate::limits::MAX_ADDRESSES, 1)]);
static INVITE_RESPONSE: Shape = Shape(&[message(1, "InviteResponse.accepted", &ACCEPTED)]);
static NOTHING: Shape = Shape(&[]);

pub(super) static GOSSIP: Shape =
    Shape(&[message(1, "Gossip.envelope", &ENVELOPE), message(2, "Gossip.heads", &HEADS)]);
pub(super) static REQUEST: Shape = Shape(&[
    message(1, "Request.proofs", &PROOFS),
    message(2, "Request.edges", &EDGES_REQUEST),
    message(3, "Request.heads", &NOTHING),
    message(4, "Request.records", &NOTHING),
    message(5, "Request.inert", &NOTHING),
    message(6, "Request.push", &PUSH_REQUEST),
    message(7, "Request.blocks", &BLOCKS_REQUEST),
    message(8, "Request.invite", &NOTHING),
]);
pub(super) static RESPONSE: Shape = Shape(&[
    message(1, "Response.proofs", &PROOFS),
    message(2, "Response.edges", &EDGES_RESPONSE),
    message(3, "Response.heads", &HEADS),
    message(4, "Response.records", &RECORDS_RESPONSE),
    message(5, "Response.inert", &INERT_RESPONSE),
    message(6, "Response.push", &PUSH_RESPONSE),
    message(7, "Response.blocks", &BLOCKS_RESPONSE),
    message(8, "Response.invite", &INVITE_RESPONSE),
    message(15, "Response.refusal", &NOTHING),
]);

/// Walks `frame`, whose own size was checked.
pub(super) fn check(shape: &Shape, mut frame: &[u8]) -> Result<(), Error> {
    let mut seen = [0; MAX_FIELDS];
    while !frame.is_empty() {
        let (tag, wire_type) = decode_key(&mut frame).map_err(protobuf)?;
        let item = match wire_type {
            WireType::Varint => {
                decode_varint(&mut frame).map_err(protobuf)?;
                continue;
            }
            WireType::SixtyFourBit => {
                split(&mut frame, 8)?;
                continue;
            }
            WireType::ThirtyTwoBit => {
                split(&mut frame, 4)?;
                continue;
            }
            WireType::LengthDelimited => {
                let length = decode_varint(&mut frame).map_err(protobuf)?;
                split(&mut frame, length)?
            }
            // Groups are obsolete and nest without a length: none of our messages has them.
            WireType::StartGroup | WireType::EndGroup => return Err(Error::Protobuf(None)),
        };
        let Some(index) = shape.0.iter().position(|field| field.tag == tag) else { continue };
        let field = &shape.0[index];
        seen[index] += 1;
        if seen[index] > field.most {
            return Err(Error::TooMany { field: field.name, limit: field.most });
        }
        if item.len() < field.least_bytes {
            let (actual, least) = (item.len(), field.least_bytes);
            return Err(Error::Length { field: field.name, actual, least, most: limits::MAX_FRAME_BYTES });
        }
        if let Some(inner) = field.inner {
            check(inner, item)?;
        }
    }
    Ok(())
}

fn split<'a>(frame: &mut &'a [u8], length: u64) -> Result<&'a [u8], Error> {
    let length = usize::try_from(length).map_err(|_| Error::Protobuf(None))?;
    let (item, rest) = frame.split_at_checked(length).ok_or(Error::Protobuf(None))?;
    *frame = rest;
    Ok(item)
}

fn protobuf(source: prost::DecodeError) -> Error {
    Error::Protobuf(Some(source))
}

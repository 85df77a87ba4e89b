//! Records that no honest writer makes, out of good ones.

use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, Tag},
};
use serde_bytes::{ByteArray, ByteBuf};
use spool_proto::{
    Cid, KeyId, cbor,
    keys::SealKey,
    limits::MAX_RECORD_BYTES,
    record::{Control, Links, VerifiedRecord},
    seal::{self, Layer, NONCE_BYTES, Place},
};

use crate::Writer;

/// The plaintext of a record, in the order of its fields.
type Plain = (u64, u64, Option<Cid>, Option<Cid>, KeyId, ByteBuf, Links, Option<Control>, ByteArray<64>);

fn place<'a>(writer: &'a Writer, log: &'a [u8]) -> Place<'a> {
    Place { layer: Layer::Record, thread: writer.thread.as_bytes(), log }
}

fn open(writer: &Writer, record: &VerifiedRecord) -> Vec<u8> {
    let log = writer.log.to_bytes();
    seal::open(writer.keys.follow(), place(writer, &log), &record.sealed().bytes).expect("the writer's own record")
}

fn close(writer: &Writer, plain: &[u8]) -> Bytes {
    let log = writer.log.to_bytes();
    seal::seal(writer.keys.follow(), place(writer, &log), plain).into()
}

/// One bit of the signature is another; the seal is right.
///
/// # Panics
///
/// If the record is not the writer's.
pub fn signature(writer: &Writer, record: &VerifiedRecord) -> Bytes {
    let mut plain: Plain = cbor::from_slice(&open(writer, record), MAX_RECORD_BYTES).expect("canonical");
    plain.8[10] ^= 1;
    close(writer, &cbor::to_vec(&plain))
}

/// The counter takes one byte more than it must; sealed as it should be, and the signature holds for what it says.
///
/// # Panics
///
/// If the record is not the writer's, or its counter is above 23.
pub fn encoding(writer: &Writer, record: &VerifiedRecord) -> Bytes {
    let mut plain = open(writer, record);
    assert_eq!(plain.get(..3), Some([0x89, 0x01, record.counter() as u8].as_slice()), "nine fields, version, counter");
    assert!(record.counter() < 24, "one byte");
    plain.insert(2, 0x18);
    close(writer, &plain)
}

/// The same plaintext under another nonce: another CID for what was signed once.
///
/// # Panics
///
/// If the record is not the writer's.
pub fn nonce(writer: &Writer, record: &VerifiedRecord) -> Bytes {
    let mut text = open(writer, record);
    let log = writer.log.to_bytes();
    let mut associated = Vec::new();
    for part in [b"spool/1 record".as_slice(), writer.thread.as_bytes(), &log] {
        associated.extend_from_slice(&(part.len() as u32).to_be_bytes());
        associated.extend_from_slice(part);
    }
    let nonce = [9; NONCE_BYTES];
    let tag: Tag<XChaCha20Poly1305> = XChaCha20Poly1305::new(writer.keys.follow().cipher().into())
        .encrypt_inout_detached(&XNonce::from(nonce), &associated, text.as_mut_slice().into())
        .expect("a short text");
    [nonce.as_slice(), &text, &tag].concat().into()
}

/// The record as one of another log or thread, sealed under that one's key as whoever can follow it is able to.
///
/// # Panics
///
/// If the record is not the writer's.
pub fn moved_to(other: &Writer, writer: &Writer, record: &VerifiedRecord) -> Bytes {
    close(other, &open(writer, record))
}

/// Sealed under a key that is none of the thread's.
///
/// # Panics
///
/// If the record is not the writer's.
pub fn key(writer: &Writer, record: &VerifiedRecord) -> Bytes {
    let log = writer.log.to_bytes();
    seal::seal(&SealKey::new([13; 32]), place(writer, &log), &open(writer, record)).into()
}

//! One function seals every layer: XChaCha20-Poly1305 under a nonce that is computed from key and plaintext.
//!
//! Sealing is deterministic and opening checks it (`docs/protocol.md`, section 3). So one plaintext has exactly one sealed form under
//! a key: whoever merely holds the key cannot make a second CID out of a signed record, and, because the nonce commits to
//! the key, no sealed text opens under two keys. Layers, thread and log are authenticated with it.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, Tag},
};
use subtle::ConstantTimeEq;

use crate::keys::{SealKey, hmac};

/// Bytes of the nonce before the ciphertext.
pub const NONCE_BYTES: usize = 24;
/// Bytes of the authentication tag behind the ciphertext.
pub const TAG_BYTES: usize = 16;
/// How much longer a sealed text is than its plaintext, bytes.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// What a sealed text is; part of what is authenticated, so that no layer can be passed off as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A record, under the log follow key.
    Record,
    /// An event, under the log read key.
    Event,
    /// A body, under its content key.
    Body,
    /// A chunk of a body, under its chunk key; belongs to no log.
    Chunk,
    /// The list of a body's chunks, under the manifest key.
    Manifest,
    /// The chunks' hashes within a manifest, under the content key.
    Hashes,
    /// What is published, under the gossip key; belongs to no log.
    Gossip,
}

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Layer::Record => "spool/1 record",
            Layer::Event => "spool/1 event",
            Layer::Body => "spool/1 body",
            Layer::Chunk => "spool/1 chunk",
            Layer::Manifest => "spool/1 manifest",
            Layer::Hashes => "spool/1 hashes",
            Layer::Gossip => "spool/1 gossip",
        }
    }
}

/// Where a sealed text belongs: authenticated, not contained.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The layer.
    pub layer: Layer,
    /// The thread id's bytes.
    pub thread: &'a [u8],
    /// The log id's bytes; empty where the layer belongs to no log.
    pub log: &'a [u8],
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let parts = [self.layer.name().as_bytes(), self.thread, self.log];
        let mut data = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
        for part in parts {
            data.extend_from_slice(&(part.len() as u32).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// Why a sealed text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than nonce and tag.
    #[error("sealed text of {0} bytes is too short")]
    TooShort(usize),
    /// Another key, another place, or changed bytes: these cannot be told apart.
    #[error("does not open: wrong key or damaged bytes")]
    DoesNotOpen,
    /// Opens, but under a nonce other than the one that its plaintext has.
    #[error("sealed under a nonce that its plaintext does not have")]
    WrongNonce,
}

/// Seals `plaintext`; the result is [`OVERHEAD_BYTES`] longer.
pub fn seal(key: &SealKey, place: Place<'_>, plaintext: &[u8]) -> Vec<u8> {
    let nonce = nonce(key, plaintext);
    let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let tag = XChaCha20Poly1305::new(key.cipher().into())
        .encrypt_inout_detached(&XNonce::from(nonce), &place.associated_data(), (&mut sealed[NONCE_BYTES..]).into())
        .expect("a text in memory is far below the cipher's limit of 256 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens what [`seal`] made, and nothing else.
///
/// # Errors
///
/// [`Error`]; a wrong key and damaged bytes are the same error.
pub fn open(key: &SealKey, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    if sealed.len() < OVERHEAD_BYTES {
        return Err(Error::TooShort(sealed.len()));
    }
    let (stored_nonce, rest) = sealed.split_at(NONCE_BYTES);
    let (ciphertext, tag) = rest.split_at(rest.len() - TAG_BYTES);
    let stored_nonce: [u8; NONCE_BYTES] = stored_nonce.try_into().expect("split at its length");
    let tag: [u8; TAG_BYTES] = tag.try_into().expect("split at its length");
    let mut plaintext = ciphertext.to_vec();
    XChaCha20Poly1305::new(key.cipher().into())
        .decrypt_inout_detached(
            &XNonce::from(stored_nonce),
            &place.associated_data(),
            plaintext.as_mut_slice().into(),
            &Tag::<XChaCha20Poly1305>::from(tag),
        )
        .map_err(|_| Error::DoesNotOpen)?;
    if !bool::from(nonce(key, &plaintext).ct_eq(&stored_nonce)) {
        return Err(Error::WrongNonce);
    }
    Ok(plaintext)
}

fn nonce(key: &SealKey, plaintext: &[u8]) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&hmac(key.nonce(), &[plaintext])[..NONCE_BYTES]);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { layer: Layer::Body, thread: b"thread", log: b"log" };

    #[test]
    fn sealing_is_deterministic_and_opens() {
        let key = SealKey::new([7; 32]);
        let sealed = seal(&key, PLACE, b"hello");
        assert_eq!(sealed, seal(&key, PLACE, b"hello"));
        assert_eq!(sealed.len(), 5 + OVERHEAD_BYTES);
        assert_eq!(open(&key, PLACE, &sealed).unwrap(), b"hello");
    }

    #[test]
    fn another_nonce_for_the_same_plaintext_is_refused() {
        let key = SealKey::new([7; 32]);
        let nonce = [9; NONCE_BYTES];
        let mut text = b"hello".to_vec();
        let tag = XChaCha20Poly1305::new(key.cipher().into())
            .encrypt_inout_detached(&XNonce::from(nonce), &PLACE.associated_data(), text.as_mut_slice().into())
            .unwrap();
        let resealed = [nonce.as_slice(), &text, &tag].concat();
        assert_eq!(open(&key, PLACE, &resealed), Err(Error::WrongNonce));
    }

    #[test]
    fn every_flipped_bit_and_every_other_place_is_refused() {
        let key = SealKey::new([7; 32]);
        let sealed = seal(&key, PLACE, b"hello");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key, PLACE, &damaged).is_err(), "bit {bit}");
        }
        for place in [
            Place { layer: Layer::Chunk, ..PLACE },
            Place { thread: b"threa", log: b"dlog", ..PLACE },
            Place { log: b"", ..PLACE },
        ] {
            assert_eq!(open(&key, place, &sealed), Err(Error::DoesNotOpen));
        }
        assert_eq!(open(&SealKey::new([8; 32]), PLACE, &sealed), Err(Error::DoesNotOpen));
        assert_eq!(open(&key, PLACE, &sealed[..39]), Err(Error::TooShort(39)));
    }
}

//! Sealing to an identity: HPKE (RFC 9180) in base mode with X25519, HKDF-SHA-256 and ChaCha20-Poly1305.
//!
//! The X25519 keys are the birational images of the identity's ed25519 keys. Base mode says nothing about the sender; who
//! sealed something shows in the signed record that carries it.

use std::convert::Infallible;

use ::hpke::{
    Deserializable, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    single_shot_open, single_shot_seal_with_rng,
};
use ed25519_dalek::SigningKey;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{identity::IdentityKey, keys::kdf, limits::MAX_SEALED_KEY_SET_BYTES};

type Kem = X25519HkdfSha256;
type PublicKey = <Kem as ::hpke::Kem>::PublicKey;
type PrivateKey = <Kem as ::hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as ::hpke::Kem>::EncappedKey;

/// Purpose of key sets that go to one recipient.
pub const KEY_SET: &str = "key set";
/// Purpose of content keys of bodies for one recipient.
pub const CONTENT_KEY: &str = "content key";

/// Purpose of invitations, which are sealed to the key of a node.
pub const INVITATION: &str = "invitation";

/// Bytes of the encapsulated key at the front.
const ENCAPPED_BYTES: usize = 32;
/// How much longer sealed is than plain: encapsulated key and tag.
pub const OVERHEAD_BYTES: usize = ENCAPPED_BYTES + 16;

/// Why something does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short to be anything sealed.
    #[error("{0} bytes are too short for something sealed to a key")]
    TooShort(usize),
    /// Larger than anything that is sealed to a key.
    #[error("{0} bytes sealed to a key, at most {MAX_SEALED_KEY_SET_BYTES} are permitted")]
    TooLarge(usize),
    /// Sealed to somebody else, for another purpose, or damaged.
    #[error("does not open: sealed to another key, for another purpose, or damaged")]
    DoesNotOpen,
}

/// Seals `plaintext` to `recipient` for one `purpose`: encapsulated key ‖ ciphertext.
///
/// Deterministic in its arguments. The ephemeral key depends on all of them, so entropy that is used again, as for many
/// recipients of one change of key, gives nothing away but whether all arguments were equal.
pub fn seal(recipient: &IdentityKey, purpose: &str, plaintext: &[u8], entropy: [u8; 32]) -> Vec<u8> {
    let entropy = Zeroizing::new(entropy);
    let ikm = kdf(&*entropy, "hpke", &[recipient.as_bytes(), purpose.as_bytes(), plaintext]);
    let point = recipient.verifying_key().to_montgomery();
    let public = PublicKey::from_bytes(point.as_bytes()).expect("32 bytes by type");
    let (encapped, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        &info(purpose),
        plaintext,
        &[],
        &mut KeyMaterial(ikm),
    )
    .expect("identity keys are not of low order, and the plaintext is far below the cipher's limit");
    [&encapped.to_bytes()[..], &ciphertext].concat()
}

/// Opens what was sealed to the identity with this key for `purpose`.
///
/// # Errors
///
/// [`Error::DoesNotOpen`] if it was sealed to another key or for another purpose, or was changed; nothing tells which.
pub fn open(identity: &SigningKey, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if sealed.len() < OVERHEAD_BYTES {
        return Err(Error::TooShort(sealed.len()));
    }
    if sealed.len() > MAX_SEALED_KEY_SET_BYTES {
        return Err(Error::TooLarge(sealed.len()));
    }
    let (encapped, ciphertext) = sealed.split_at(ENCAPPED_BYTES);
    let encapped = EncappedKey::from_bytes(encapped).map_err(|_| Error::DoesNotOpen)?;
    let scalar = Zeroizing::new(identity.to_scalar_bytes());
    let private = PrivateKey::from_bytes(&*scalar).expect("32 bytes by type");
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeR::Base,
        &private,
        &encapped,
        &info(purpose),
        ciphertext,
        &[],
    )
    .map(Zeroizing::new)
    .map_err(|_| Error::DoesNotOpen)
}

fn info(purpose: &str) -> Vec<u8> {
    [b"spool/1 ", purpose.as_bytes()].concat()
}

/// The "random generator" that the HPKE crate asks for the key material of the ephemeral key (`ikmE` of RFC 9180, section
/// 7.1.3): hands it out as the first 32 bytes. It is asked for no more; if it were, more would be derived.
#[derive(Zeroize, ZeroizeOnDrop)]
struct KeyMaterial([u8; 32]);

impl TryRng for KeyMaterial {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for piece in target.chunks_mut(32) {
            piece.copy_from_slice(&self.0[..piece.len()]);
            self.0 = kdf(&self.0, "hpke more", &[]);
        }
        Ok(())
    }
}

impl TryCryptoRng for KeyMaterial {}

#[cfg(test)]
mod tests {
    use ::hpke::Kem as _;
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::identity::Identity;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// RFC 9180, appendix A.2.1: the key material that we pass is the RFC's `ikmE`.
    #[test]
    fn the_suite_is_that_of_the_rfc() {
        let ikm: [u8; 32] = hex("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b").try_into().unwrap();
        let (_, public) = Kem::derive_keypair(&hex("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"));
        assert_eq!(public.to_bytes()[..], hex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"));
        let (encapped, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &public,
            b"Ode on a Grecian Urn",
            b"Beauty is truth, truth beauty",
            b"Count-0",
            &mut KeyMaterial(ikm),
        )
        .unwrap();
        assert_eq!(encapped.to_bytes()[..], hex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"));
        assert_eq!(
            ciphertext,
            hex("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28")
        );
    }

    #[test]
    fn only_the_recipient_opens_and_only_for_the_purpose() {
        let (alice, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let sealed = seal(&alice.public(), KEY_SET, b"the keys", [7; 32]);
        assert_eq!(sealed.len(), 8 + OVERHEAD_BYTES);
        assert_eq!(*alice.open(KEY_SET, &sealed).unwrap(), b"the keys");
        assert_eq!(bob.open(KEY_SET, &sealed), Err(Error::DoesNotOpen));
        assert_eq!(alice.open(CONTENT_KEY, &sealed), Err(Error::DoesNotOpen));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // The highest bit of an X25519 key is ignored by the exchange, but not by the key schedule.
            assert_eq!(alice.open(KEY_SET, &damaged), Err(Error::DoesNotOpen), "bit {bit}");
        }
        assert_eq!(alice.open(KEY_SET, &sealed[..47]), Err(Error::TooShort(47)));
        assert_eq!(alice.open(KEY_SET, &[0; 1 << 20]), Err(Error::TooLarge(1 << 20)));
        assert_eq!(alice.open(KEY_SET, &[0; 100]), Err(Error::DoesNotOpen));
    }

    #[test]
    fn entropy_that_is_used_again_gives_other_ephemeral_keys() {
        let (alice, bob) = (Identity::from_seed([1; 32]).public(), Identity::from_seed([2; 32]).public());
        let sealed = seal(&alice, KEY_SET, b"the keys", [7; 32]);
        assert_eq!(sealed, seal(&alice, KEY_SET, b"the keys", [7; 32]));
        for other in [
            seal(&bob, KEY_SET, b"the keys", [7; 32]),
            seal(&alice, CONTENT_KEY, b"the keys", [7; 32]),
            seal(&alice, KEY_SET, b"The keys", [7; 32]),
            seal(&alice, KEY_SET, b"the keys", [8; 32]),
        ] {
            assert_ne!(sealed[..32], other[..32]);
        }
    }

    #[test]
    fn any_key_opens_what_is_sealed_to_it() {
        for seed in 0..32 {
            let identity = Identity::from_seed([seed; 32]);
            let sealed = seal(&identity.public(), KEY_SET, &[seed; 100], [seed; 32]);
            assert_eq!(*identity.open(KEY_SET, &sealed).unwrap(), [seed; 100]);
        }
    }
}

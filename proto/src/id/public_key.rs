use ed25519_dalek::VerifyingKey;
use libp2p_identity::PeerId;

use super::{Error, LogId};

/// The key of a peer, read from its id: peer ids of ed25519 keys contain the key.
///
/// # Errors
///
/// If the id is that of another kind of key, or the key is not valid.
pub fn peer_verifying_key(peer: &PeerId) -> Result<VerifyingKey, Error> {
    const WHAT: &str = "peer id";
    let bytes = peer.to_bytes();
    let key = bytes.strip_prefix(&LogId::PREFIX).and_then(|key| key.try_into().ok());
    verifying_key(WHAT, key.ok_or(Error::NotEd25519 { what: WHAT })?)
}

/// The key that `bytes` are: canonical, on the curve and not of low order.
///
/// ed25519-dalek reads keys by the rules of ZIP-215, which permit several encodings of a few points. One key must be one
/// id here, so those are refused.
pub(crate) fn verifying_key(what: &'static str, bytes: &[u8; 32]) -> Result<VerifyingKey, Error> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| Error::PublicKey { what })?;
    if key.is_weak() || !is_reduced(bytes) {
        return Err(Error::PublicKey { what });
    }
    Ok(key)
}

/// Whether the y coordinate is below the field's prime, 2^255 - 19. The other points with two encodings, those with
/// x = 0, are of low order.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let all_high_bits = bytes[31] & 0x7f == 0x7f && bytes[1..31].iter().all(|byte| *byte == 0xff);
    !(all_high_bits && bytes[0] >= 0xed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn low(first: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = first;
        bytes
    }

    #[test]
    fn points_of_low_order_are_refused() {
        // y = 1 is the neutral element, y = 0 a point of order 4, y = -1 the point of order 2.
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for bytes in [low(0), low(1), minus_one] {
            assert!(VerifyingKey::from_bytes(&bytes).unwrap().is_weak());
            assert!(verifying_key("key", &bytes).is_err());
        }
    }

    #[test]
    fn a_second_encoding_of_a_key_is_refused() {
        let mut refused = 0;
        for y in 2..19 {
            let mut unreduced = [0xff; 32];
            (unreduced[0], unreduced[31]) = (0xed + y, 0x7f);
            let (Ok(key), Ok(same)) = (VerifyingKey::from_bytes(&low(y)), VerifyingKey::from_bytes(&unreduced)) else {
                continue;
            };
            assert_eq!(key.to_edwards(), same.to_edwards());
            assert!(!key.is_weak());
            assert!(verifying_key("key", &low(y)).is_ok());
            assert!(verifying_key("key", &unreduced).is_err());
            refused += 1;
        }
        assert!(refused > 0, "some y below 19 is on the curve");
    }

    #[test]
    fn a_peers_key_is_read_from_its_id() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let peer = PeerId::from(LogId::from(&key));
        assert_eq!(peer_verifying_key(&peer), Ok(key.verifying_key()));
        let hashed: PeerId = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap();
        assert_eq!(peer_verifying_key(&hashed), Err(Error::NotEd25519 { what: "peer id" }));
    }

    #[test]
    fn bytes_off_the_curve_are_refused() {
        let off = (2..=255).map(low).find(|bytes| VerifyingKey::from_bytes(bytes).is_err()).unwrap();
        assert_eq!(verifying_key("log id", &off), Err(Error::PublicKey { what: "log id" }));
    }
}

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `KDF` of the protocol: HKDF-SHA-256 without salt, where the info binds a label and every piece of context by its length.
pub(crate) fn kdf(key: &[u8], label: &str, context: &[&[u8]]) -> [u8; 32] {
    let mut info = Vec::with_capacity(16 + label.len() + context.iter().map(|piece| piece.len() + 4).sum::<usize>());
    info.extend_from_slice(b"spool/1 ");
    info.extend_from_slice(label.as_bytes());
    info.push(0);
    for piece in context {
        lp(&mut info, piece);
    }
    let mut derived = [0; 32];
    Hkdf::<Sha256>::new(None, key).expand(&info, &mut derived).expect("32 bytes are one block of hkdf");
    derived
}

/// HMAC-SHA-256 over the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("hmac takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Appends `lp(piece)`: its length as four bytes big-endian, then the piece.
pub(crate) fn lp(message: &mut Vec<u8>, piece: &[u8]) {
    let length = u32::try_from(piece.len()).expect("pieces of messages are far below 4 GiB");
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(piece);
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 4231, test case 2; the parts join without a seam.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let mac = hmac(b"Jefe", &[b"what do ya ", b"", b"want for nothing?"]);
        assert_eq!(HEXLOWER.encode(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn labels_and_contexts_are_told_apart() {
        let key = [1; 32];
        let all = [
            kdf(&key, "a", &[]),
            kdf(&key, "a", &[b""]),
            kdf(&key, "a", &[b"bc"]),
            kdf(&key, "a", &[b"b", b"c"]),
            kdf(&key, "ab", &[b"c"]),
            kdf(&[2; 32], "a", &[]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| other != one), "{i}");
        }
    }

    #[test]
    fn derivation_is_hkdf_of_the_rfc() {
        // One block of HKDF is HMAC(HMAC(zeros, key), info ‖ 0x01): RFC 5869, sections 2.2 and 2.3.
        let info = b"spool/1 log follow\0\0\0\0\x03log";
        let by_hand = hmac(&hmac(&[0; 32], &[&[7; 32]]), &[info, &[1]]);
        assert_eq!(kdf(&[7; 32], "log follow", &[b"log"]), by_hand);
    }
}

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Error, Key, Parameters, Part, Passphrase, passphrase::SALT_BYTES};
use crate::{cbor, limits::MAX_KEY_FILE_BYTES, seal::OVERHEAD_BYTES};

/// The version that this program writes.
pub(super) const VERSION: u64 = 1;
const SEALED_KEY_BYTES: usize = 32 + OVERHEAD_BYTES;

/// How far a repository is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum State {
    /// On the way: some secrets are sealed, others not yet.
    Sealing,
    /// All of them are sealed.
    Sealed,
    /// On the way back: some are sealed still.
    Unsealing,
}

impl From<State> for u8 {
    fn from(state: State) -> Self {
        match state {
            State::Sealing => 0,
            State::Sealed => 1,
            State::Unsealing => 2,
        }
    }
}

impl TryFrom<u8> for State {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, &'static str> {
        match number {
            0 => Ok(Self::Sealing),
            1 => Ok(Self::Sealed),
            2 => Ok(Self::Unsealing),
            _ => Err("no state of a key file"),
        }
    }
}

/// What the sealed key is bound to: `[version, KiB, passes, lanes, salt]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header(u64, u32, u32, u32, ByteArray<SALT_BYTES>);

/// What the tag is over: `[header, sealed key, state]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content(Header, ByteArray<SEALED_KEY_BYTES>, State);

/// `[content, tag, checksum]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored(Content, ByteArray<32>, ByteArray<32>);

/// A repository's key under a passphrase, as it is stored: whoever lacks the passphrase learns nothing of the key, and can change nothing unnoticed.
///
/// The checksum is there for disks that forget: without it a damaged file would look like a wrong passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    parameters: Parameters,
    content: Content,
    tag: [u8; 32],
}

impl KeyFile {
    /// Seals `key` under a passphrase. `salt` is fresh and random.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn new(
        key: &Key,
        passphrase: &Passphrase,
        parameters: Parameters,
        salt: [u8; SALT_BYTES],
        state: State,
    ) -> Result<Self, Error> {
        let Parameters { kib, passes, lanes } = parameters;
        let header = Header(VERSION, kib, passes, lanes, ByteArray::new(salt));
        let sealer = parameters.derive(passphrase, &salt)?.sealer(Part::Key);
        let sealed = sealer.seal(&cbor::to_vec(&header), key.as_bytes());
        let sealed = sealed.try_into().expect("32 bytes, nonce and tag");
        Ok(Self::with(parameters, Content(header, ByteArray::new(sealed), state), key))
    }

    fn with(parameters: Parameters, content: Content, key: &Key) -> Self {
        let tag = key.tag(&cbor::to_vec(&content));
        Self { parameters, content, tag }
    }

    /// The same with another state.
    #[must_use]
    pub fn in_state(&self, state: State, key: &Key) -> Self {
        let Content(header, sealed, _) = &self.content;
        Self::with(self.parameters, Content(header.clone(), *sealed, state), key)
    }

    /// From its stored form.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`], [`Error::Version`], [`Error::Checksum`], and [`Error::Parameters`] before any memory is taken.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let Stored(content, tag, checksum) = cbor::from_slice(bytes, MAX_KEY_FILE_BYTES).map_err(Error::Malformed)?;
        if checksum.into_array() != sum(&content, &tag) {
            return Err(Error::Checksum);
        }
        let Header(version, kib, passes, lanes, _) = content.0;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let parameters = Parameters::new(kib, passes, lanes)?;
        Ok(Self { parameters, content, tag: tag.into_array() })
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let tag = ByteArray::new(self.tag);
        let checksum = ByteArray::new(sum(&self.content, &tag));
        cbor::to_vec(&Stored(self.content.clone(), tag, checksum))
    }

    /// The key. Takes as long as its [`Parameters`] say, whether the passphrase is right or not.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassphrase`], [`Error::Forged`], [`Error::Memory`].
    pub fn open(&self, passphrase: &Passphrase) -> Result<Key, Error> {
        let Content(header, sealed, _) = &self.content;
        let sealer = self.parameters.derive(passphrase, &header.4)?.sealer(Part::Key);
        let opened = sealer.open(&cbor::to_vec(header), &**sealed).map(Zeroizing::new);
        let opened = opened.map_err(|_| Error::WrongPassphrase)?;
        let key = Key::new(opened.as_slice().try_into().expect("as long as what was sealed"));
        let is_good = bool::from(key.tag(&cbor::to_vec(&self.content)).ct_eq(&self.tag));
        is_good.then_some(key).ok_or(Error::Forged)
    }

    /// How far the repository is protected; believed only once the file was opened.
    pub fn state(&self) -> State {
        self.content.2
    }

    /// What trying a passphrase costs.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }
}

fn sum(content: &Content, tag: &ByteArray<32>) -> [u8; 32] {
    Sha256::digest(cbor::to_vec(&(content, tag))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes().to_vec().into()).unwrap()
    }

    fn made() -> (KeyFile, Key) {
        let key = Key::new([7; 32]);
        let parameters = Parameters::new(8, 1, 1).unwrap();
        (KeyFile::new(&key, &passphrase("right"), parameters, [9; 16], State::Sealed).unwrap(), key)
    }

    /// What somebody makes of a file who can compute a checksum.
    fn resummed(change: impl FnOnce(&mut Content, &mut [u8; 32])) -> KeyFile {
        let (mut file, _) = made();
        change(&mut file.content, &mut file.tag);
        KeyFile::from_bytes(&file.to_bytes()).unwrap()
    }

    #[test]
    fn the_passphrase_opens_it_and_no_other() {
        let (file, key) = made();
        let again = KeyFile::from_bytes(&file.to_bytes()).unwrap();
        assert_eq!(again, file);
        assert_eq!(again.open(&passphrase("right")).unwrap(), key);
        for wrong in ["righ", "right ", "Right", "right\n", "x"] {
            assert!(matches!(again.open(&passphrase(wrong)), Err(Error::WrongPassphrase)), "{wrong}");
        }
        assert!(file.to_bytes().len() < MAX_KEY_FILE_BYTES);
        assert!(!file.to_bytes().windows(32).any(|window| window == [7; 32]));
    }

    #[test]
    fn every_changed_byte_is_refused_as_damage_and_not_as_a_wrong_passphrase() {
        let bytes = made().0.to_bytes();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let refused = KeyFile::from_bytes(&damaged);
                assert!(matches!(refused, Err(Error::Malformed(_) | Error::Checksum)), "byte {at}: {refused:?}");
            }
        }
        for length in 0..bytes.len() {
            assert!(KeyFile::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(KeyFile::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert!(KeyFile::from_bytes(&[0; MAX_KEY_FILE_BYTES + 1]).is_err());
    }

    #[test]
    fn whoever_has_no_key_changes_nothing_unnoticed() {
        let forged = |file: KeyFile| file.open(&passphrase("right"));
        let state = resummed(|content, _| content.2 = State::Unsealing);
        assert!(matches!(forged(state), Err(Error::Forged)));
        assert!(matches!(forged(resummed(|_, tag| tag[0] ^= 1)), Err(Error::Forged)));
        let salt = resummed(|content, _| content.0.4 = ByteArray::new([8; 16]));
        assert!(matches!(forged(salt), Err(Error::WrongPassphrase)));
        let passes = resummed(|content, _| content.0.2 = 2);
        assert!(matches!(forged(passes), Err(Error::WrongPassphrase)));
        let sealed = resummed(|content, _| content.1[30] ^= 1);
        assert!(matches!(forged(sealed), Err(Error::WrongPassphrase)));
    }

    #[test]
    fn a_file_that_asks_for_too_much_is_refused_before_it_gets_it() {
        for (kib, passes, lanes) in [(u32::MAX, 1, 1), (8, u32::MAX, 1), (1024 * 1024, 64, 1), (0, 0, 0)] {
            let (mut file, _) = made();
            (file.content.0.1, file.content.0.2, file.content.0.3) = (kib, passes, lanes);
            assert!(matches!(KeyFile::from_bytes(&file.to_bytes()), Err(Error::Parameters { .. })), "{kib} {passes}");
        }
        let (mut file, _) = made();
        file.content.0.0 = 2;
        assert!(matches!(KeyFile::from_bytes(&file.to_bytes()), Err(Error::Version(2))));
    }

    #[test]
    fn the_state_changes_without_the_passphrase() {
        let (file, key) = made();
        let file = KeyFile::from_bytes(&file.in_state(State::Unsealing, &key).to_bytes()).unwrap();
        assert_eq!(file.state(), State::Unsealing);
        assert_eq!(file.open(&passphrase("right")).unwrap(), key);
    }
}

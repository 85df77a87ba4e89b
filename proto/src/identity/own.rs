use std::fmt;

use bip39::{Language, Mnemonic};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::IdentityKey;
use crate::{
    PeerId, hpke,
    id::{DeviceId, LogId, ThreadId, Variant},
    invitation::{self, Invitation},
    keys::{Epoch, FollowKey, ReadKey, ThreadKeys, kdf},
    owner::Owner,
};

const WORDS: usize = 24;

/// An identity with its secret: owns logs and opens what is sealed to it.
///
/// Wiped when it is dropped; never shows the seed, except as the phrase that its owner writes down.
#[derive(Clone)]
pub struct Identity {
    seed: Zeroizing<[u8; 32]>,
    signing: SigningKey,
}

/// What is wrong with a recovery phrase. Never repeats a word of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Too few or too many words.
    #[error("a recovery phrase has 24 words, this one has {0}")]
    WordCount(usize),
    /// A word that is on no English BIP-39 list.
    #[error("word {position} of the recovery phrase is not in the list of words; check its spelling")]
    UnknownWord {
        /// Which word, counted from 1.
        position: usize,
    },
    /// All words exist, but not together.
    #[error("the words of the recovery phrase do not belong together; is one wrong, or are two exchanged?")]
    Checksum,
}

impl Identity {
    /// The identity with this seed; a random seed makes a new identity.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let signing = SigningKey::from_bytes(&kdf(&*seed, "identity", &[]));
        Self { seed, signing }
    }

    /// The seed: for storing it, never for logs.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The 24 English BIP-39 words that the seed is written down as.
    pub fn phrase(&self) -> Zeroizing<String> {
        let words = Mnemonic::from_entropy_in(Language::English, &*self.seed).expect("32 bytes make 24 words");
        let mut phrase = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in words.words() {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    /// Reads the 24 words; spaces, line ends and capitals do not matter.
    ///
    /// # Errors
    ///
    /// [`PhraseError`] says what is wrong without repeating a word.
    pub fn from_phrase(phrase: &str) -> Result<Self, PhraseError> {
        let count = phrase.split_whitespace().count();
        if count != WORDS {
            return Err(PhraseError::WordCount(count));
        }
        let phrase = Zeroizing::new(phrase.to_ascii_lowercase());
        let words = Mnemonic::parse_in_normalized(Language::English, &phrase).map_err(|error| match error {
            bip39::Error::UnknownWord(index) => PhraseError::UnknownWord { position: index + 1 },
            bip39::Error::BadWordCount(count) => PhraseError::WordCount(count),
            bip39::Error::InvalidChecksum
            | bip39::Error::BadEntropyBitCount(_)
            | bip39::Error::AmbiguousLanguages(_) => PhraseError::Checksum,
        })?;
        let (entropy, _) = words.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        Ok(Self::from_seed(*entropy.first_chunk().expect("33 bytes begin with 32")))
    }

    /// The public half.
    pub fn public(&self) -> IdentityKey {
        IdentityKey::from(&self.signing)
    }

    /// The thread that this identity keeps for itself, and its keys. Whoever has the phrase needs nothing else to find and open it.
    pub fn home(&self) -> (ThreadId, ThreadKeys) {
        let derive = |label| kdf(&*self.seed, label, &[]);
        let epoch = Epoch::new(FollowKey::new(derive("home follow")), ReadKey::new(derive("home read")));
        let keys = ThreadKeys::new(vec![epoch]).expect("one epoch is neither none nor too many");
        (ThreadId::new(Variant::Raw, derive("home thread")), keys)
    }

    /// The key of this identity's log in `thread` on `device`.
    pub fn log_key(&self, thread: &ThreadId, device: &DeviceId) -> SigningKey {
        SigningKey::from_bytes(&kdf(&*self.seed, "log", &[thread.as_bytes(), device.as_bytes()]))
    }

    /// The key of the log that a node of this identity writes on `device` for a client, in `thread`. The client never has it; what is written
    /// is "client via node" (see [`Owner::delegated`]).
    pub fn client_log_key(&self, thread: &ThreadId, device: &DeviceId, client: &IdentityKey) -> SigningKey {
        SigningKey::from_bytes(&kdf(
            &*self.seed,
            "client log",
            &[thread.as_bytes(), device.as_bytes(), client.as_bytes()],
        ))
    }

    /// States that this identity owns `log` in `thread`.
    pub fn bind(&self, thread: &ThreadId, log: &LogId) -> Owner {
        Owner::direct(&self.signing, thread, log)
    }

    /// Signs an invitation in this identity's name, and seals it to the node that it is for.
    ///
    /// # Errors
    ///
    /// [`invitation::Error`] if its contents are not those of an invitation.
    pub fn invite(
        &self,
        act: invitation::Act,
        from: PeerId,
        to: PeerId,
        issued_millis: u64,
        entropy: [u8; 32],
    ) -> Result<Vec<u8>, invitation::Error> {
        Invitation { act, identity: self.public(), from, to, issued_millis }.seal(&self.signing, entropy)
    }

    /// Opens what was sealed to the public half for `purpose`.
    ///
    /// # Errors
    ///
    /// As [`hpke::open`].
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, hpke::Error> {
        hpke::open(&self.signing, purpose, sealed)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Test vectors of BIP-39's reference implementation, 256 bits.
    const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                         abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                         abandon art";
    const ONES: &str =
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote";

    #[test]
    fn the_phrase_is_the_seed() {
        for (seed, phrase) in [([0; 32], ZEROS), ([0xff; 32], ONES)] {
            assert_eq!(*Identity::from_seed(seed).phrase(), phrase);
            assert_eq!(Identity::from_phrase(phrase).unwrap().seed(), &seed);
        }
        let shouted = format!("  {}\n", ONES.to_uppercase().replace(' ', "\n\t "));
        assert_eq!(Identity::from_phrase(&shouted).unwrap().seed(), &[0xff; 32]);
    }

    #[test]
    fn a_wrong_phrase_is_explained_without_its_words() {
        let error = |phrase: &str| Identity::from_phrase(phrase).unwrap_err();
        assert_eq!(error(""), PhraseError::WordCount(0));
        assert_eq!(error(&ONES[..ONES.len() - 5]), PhraseError::WordCount(23));
        // A valid phrase of 12 words is not one of ours.
        assert_eq!(error(&format!("{}about", "abandon ".repeat(11))), PhraseError::WordCount(12));
        assert_eq!(error(&"zoo ".repeat(1 << 20)), PhraseError::WordCount(1 << 20));
        let unknown = error(&ONES.replacen("zoo zoo", "zoo zooo", 1));
        assert_eq!(unknown, PhraseError::UnknownWord { position: 2 });
        assert!(!unknown.to_string().contains("zoo"));
        assert_eq!(error(&ONES.replace("vote", "art")), PhraseError::Checksum);
    }

    #[test]
    fn every_thread_and_device_has_a_log_of_its_own() {
        let identity = Identity::from_seed([1; 32]);
        let thread = |seed| ThreadId::new(crate::id::Variant::Raw, [seed; 32]);
        let device = |seed| DeviceId::new([seed; 16]);
        let keys = [
            identity.log_key(&thread(1), &device(1)),
            identity.log_key(&thread(2), &device(1)),
            identity.log_key(&thread(1), &device(2)),
            Identity::from_seed([2; 32]).log_key(&thread(1), &device(1)),
            identity.signing.clone(),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[i + 1..].contains(key), "{i}");
        }
        assert_eq!(keys[0], Identity::from_seed([1; 32]).log_key(&thread(1), &device(1)));
    }

    #[test]
    fn every_identity_has_a_home_of_its_own() {
        let home = |seed| Identity::from_seed([seed; 32]).home();
        assert_eq!(home(1), home(1));
        let ((thread, keys), (other, other_keys)) = (home(1), home(2));
        assert_ne!(thread, other);
        assert_ne!(keys, other_keys);
        assert!(keys.can_read());
    }

    #[test]
    fn debug_shows_the_public_half_only() {
        let identity = Identity::from_seed([0xab; 32]);
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.public()));
    }
}

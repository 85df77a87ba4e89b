use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AdmissionKey, ChunkSecret, Error, FollowKey, ReadKey, admission, kdf};
use crate::id::{KeyId, LogId, ThreadId};

/// One generation of a thread's keys: a follow key, perhaps the read key, and what followers check new logs against.
///
/// Epochs are random and independent of each other; a new one shuts out whoever does not receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Epoch {
    id: KeyId,
    follow: FollowKey,
    read: Option<ReadKey>,
    admission: Option<AdmissionKey>,
}

/// An epoch as it is written: `[follow, read, admission public key]`.
#[derive(Serialize, Deserialize)]
struct Parts(FollowKey, Option<ReadKey>, Option<AdmissionKey>);

impl From<Epoch> for Parts {
    fn from(epoch: Epoch) -> Self {
        Self(epoch.follow, epoch.read, epoch.admission)
    }
}

impl TryFrom<Parts> for Epoch {
    type Error = Error;

    fn try_from(Parts(follow, read, admission): Parts) -> Result<Self, Error> {
        Self::from_parts(follow, read, admission)
    }
}

impl Epoch {
    /// The epoch with both keys; the admission key follows from the read key.
    pub fn new(follow: FollowKey, read: ReadKey) -> Self {
        let admission = Some(AdmissionKey::of(&read));
        Self { id: key_id(&follow), follow, read: Some(read), admission }
    }

    /// The epoch as a follower knows it. `admission` is unknown where somebody handed over a Textile service key only.
    pub fn follow_only(follow: FollowKey, admission: Option<AdmissionKey>) -> Self {
        Self { id: key_id(&follow), follow, read: None, admission }
    }

    /// A new epoch out of 64 random bytes.
    pub fn generate(entropy: [u8; 64]) -> Self {
        let entropy = Zeroizing::new(entropy);
        let (follow, read) = halves(&entropy);
        Self::new(FollowKey::new(follow), ReadKey::new(read))
    }

    /// A Textile thread key: 32 bytes are the follow key ("service key"), 64 bytes follow key and read key.
    ///
    /// # Errors
    ///
    /// [`Error::TextileLength`] for any other length.
    pub fn from_textile(bytes: &[u8]) -> Result<Self, Error> {
        if let Ok(both) = <&[u8; 64]>::try_from(bytes) {
            let (follow, read) = halves(both);
            return Ok(Self::new(FollowKey::new(follow), ReadKey::new(read)));
        }
        let follow = bytes.try_into().map_err(|_| Error::TextileLength(bytes.len()))?;
        Ok(Self::follow_only(FollowKey::new(follow), None))
    }

    /// The Textile form, 32 or 64 bytes: the reverse of [`from_textile`](Self::from_textile), without the admission key.
    pub fn to_textile(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(self.follow.as_bytes());
        if let Some(read) = &self.read {
            bytes.extend_from_slice(read.as_bytes());
        }
        bytes
    }

    /// An epoch out of its parts, as key sets carry them.
    ///
    /// # Errors
    ///
    /// [`Error::Admission`] if there is a read key and `admission` is not the key that follows from it.
    pub fn from_parts(
        follow: FollowKey,
        read: Option<ReadKey>,
        admission: Option<AdmissionKey>,
    ) -> Result<Self, Error> {
        let Some(read) = read else {
            return Ok(Self::follow_only(follow, admission));
        };
        let epoch = Self::new(follow, read);
        if epoch.admission != admission {
            return Err(Error::Admission(epoch.id));
        }
        Ok(epoch)
    }

    /// The name of this epoch, which travels beside what is sealed under it.
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Opens the record layer.
    pub const fn follow(&self) -> &FollowKey {
        &self.follow
    }

    /// Opens the event layer, if it is known.
    pub const fn read(&self) -> Option<&ReadKey> {
        self.read.as_ref()
    }

    /// What new logs are checked against, if it is known.
    pub const fn admission(&self) -> Option<&AdmissionKey> {
        self.admission.as_ref()
    }

    /// Whether the read key is known.
    pub const fn can_read(&self) -> bool {
        self.read.is_some()
    }

    /// The signature that admits `log` to `thread`; only who can read can make it.
    pub fn admit(&self, thread: &ThreadId, log: &LogId) -> Option<[u8; 64]> {
        self.read.as_ref().map(|read| admission::admit(read, thread, log))
    }

    /// What chunk keys come from, for public bodies or for the others; those take the read key.
    pub fn chunk_secret(&self, public: bool) -> Option<ChunkSecret> {
        self.body_key(public).map(|key| ChunkSecret::new(kdf(key, "chunks", &[])))
    }

    /// The seed of the table that decides where bodies are cut, for public bodies or for the others; those take the read key.
    pub fn gear_seed(&self, public: bool) -> Option<u64> {
        let seed = kdf(self.body_key(public)?, "gear", &[]);
        Some(u64::from_be_bytes(*seed.first_chunk().expect("32 bytes begin with 8")))
    }

    /// The same epoch without the read key.
    pub fn without_read(&self) -> Self {
        Self { read: None, ..self.clone() }
    }

    /// What both know about this epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if they contradict each other.
    pub(super) fn join(&self, other: &Self) -> Result<Self, Error> {
        let conflict = || Error::Conflict(self.id);
        if self.follow != other.follow {
            return Err(conflict());
        }
        Ok(Self {
            id: self.id,
            follow: self.follow.clone(),
            read: join_known(self.read.as_ref(), other.read.as_ref()).ok_or_else(conflict)?,
            admission: join_known(self.admission.as_ref(), other.admission.as_ref()).ok_or_else(conflict)?,
        })
    }

    fn body_key(&self, public: bool) -> Option<&[u8; 32]> {
        if public { Some(self.follow.as_bytes()) } else { self.read.as_ref().map(ReadKey::as_bytes) }
    }
}

/// The value that is known on either side, `None` if both know different ones.
pub(super) fn join_known<T: Clone + PartialEq>(one: Option<&T>, other: Option<&T>) -> Option<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => Some(one.or(other).cloned()),
    }
}

fn key_id(follow: &FollowKey) -> KeyId {
    let id = kdf(follow.as_bytes(), "id", &[]);
    KeyId::new(*id.first_chunk().expect("32 bytes begin with 16"))
}

fn halves(both: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (follow, read) = both.split_at(32);
    (follow.try_into().expect("half of 64 bytes"), read.try_into().expect("half of 64 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textile_keys_are_read_and_written() {
        let text =
            "bambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambqibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaiba";
        let (_, bytes) = multibase::decode(text).unwrap();
        let full = Epoch::from_textile(&bytes).unwrap();
        assert_eq!(full.follow(), &FollowKey::new([3; 32]));
        assert_eq!(full.read(), Some(&ReadKey::new([4; 32])));
        assert_eq!(multibase::encode(multibase::Base::Base32Lower, &*full.to_textile()), text);
        let (_, bytes) = multibase::decode("bambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambq").unwrap();
        let follow = Epoch::from_textile(&bytes).unwrap();
        assert!(!follow.can_read() && follow.admission().is_none());
        assert_eq!(follow.key_id(), full.key_id());
        assert_eq!(*follow.to_textile(), bytes);
        for length in [0, 31, 33, 63, 65] {
            assert_eq!(Epoch::from_textile(&vec![1; length]), Err(Error::TextileLength(length)));
        }
    }

    #[test]
    fn a_follower_has_what_public_bodies_need_and_no_more() {
        let full = Epoch::generate(std::array::from_fn(|i| i as u8));
        let follower = full.without_read();
        assert_eq!(follower.chunk_secret(true), full.chunk_secret(true));
        assert_eq!(follower.gear_seed(true), full.gear_seed(true));
        assert!(follower.chunk_secret(false).is_none() && follower.gear_seed(false).is_none());
        assert_ne!(full.chunk_secret(true), full.chunk_secret(false));
        assert_ne!(full.gear_seed(true), full.gear_seed(false));
        assert_eq!(follower.admission(), full.admission());
    }

    #[test]
    fn a_foreign_admission_key_beside_a_read_key_is_refused() {
        let epoch = Epoch::generate([7; 64]);
        let parts = |admission| Epoch::from_parts(epoch.follow().clone(), epoch.read().cloned(), admission);
        assert_eq!(parts(epoch.admission().cloned()), Ok(epoch.clone()));
        assert_eq!(parts(None), Err(Error::Admission(epoch.key_id())));
        let foreign = Epoch::generate([8; 64]).admission().cloned();
        assert_eq!(parts(foreign), Err(Error::Admission(epoch.key_id())));
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let text = format!("{:?}", Epoch::generate([0xab; 64]));
        assert!(!text.contains("171") && !text.contains("abab"), "{text}");
    }
}

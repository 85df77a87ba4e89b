use std::{fmt, str::FromStr};

use multibase::Base;

use super::{Error, serde_as_bytes};
use crate::limits::THREAD_ID_RANDOM_BYTES;

const VERSION: u64 = 1;
const HEAD_BYTES: usize = 2;
const MAX_BYTES: usize = HEAD_BYTES + 64;
/// Characters of the longest text form: base 2, one character a bit, and its prefix.
const MAX_TEXT: usize = 1 + 8 * MAX_BYTES;

/// What a thread promises about who may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// Whoever can read may write.
    Raw,
    /// Access control lists decide.
    AccessControlled,
}

impl Variant {
    const fn code(self) -> u8 {
        match self {
            Variant::Raw => 0x55,
            Variant::AccessControlled => 0x70,
        }
    }

    const fn from_code(code: u64) -> Option<Self> {
        match code {
            0x55 => Some(Variant::Raw),
            0x70 => Some(Variant::AccessControlled),
            _ => None,
        }
    }
}

/// A thread: version 1, a [`Variant`] and 16 to 64 random bytes.
///
/// An id is not an invitation: without the follow key nobody can tell where the thread lives. As text it is multibase,
/// base32 when written, any base when read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadId {
    /// Zero behind `length`, so that comparing the arrays compares the ids.
    bytes: [u8; MAX_BYTES],
    length: u8,
}

impl ThreadId {
    /// The id with these random bytes.
    pub fn new(variant: Variant, random: [u8; 32]) -> Self {
        let mut bytes = [0; HEAD_BYTES + 32];
        bytes[0] = VERSION as u8;
        bytes[1] = variant.code();
        bytes[HEAD_BYTES..].copy_from_slice(&random);
        Self::store(&bytes)
    }

    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// A version or variant that is not known, by name; too few or too many random bytes; an integer that is not in its
    /// shortest form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let varint = |bytes| unsigned_varint::decode::u64(bytes).map_err(|_| Error::ThreadVarint);
        let (version, rest) = varint(bytes)?;
        if version != VERSION {
            return Err(Error::ThreadVersion(version));
        }
        let (variant, random) = varint(rest)?;
        if Variant::from_code(variant).is_none() {
            return Err(Error::ThreadVariant(variant));
        }
        if !THREAD_ID_RANDOM_BYTES.contains(&random.len()) {
            return Err(Error::ThreadRandom(random.len()));
        }
        Ok(Self::store(bytes))
    }

    fn store(bytes: &[u8]) -> Self {
        let mut stored = [0; MAX_BYTES];
        stored[..bytes.len()].copy_from_slice(bytes);
        Self { bytes: stored, length: bytes.len() as u8 }
    }

    /// The binary form, 18 to 66 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Which kind of thread it is.
    pub fn variant(&self) -> Variant {
        Variant::from_code(self.bytes[1].into()).expect("checked when the id was made")
    }

    /// The first 12 characters of the text, for logs.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl std::hash::Hash for ThreadId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl AsRef<[u8]> for ThreadId {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&multibase::encode(Base::Base32Lower, self.as_bytes()))
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ThreadId({self})")
    }
}

impl FromStr for ThreadId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let not_text = Error::Text { what: "thread id", encoding: "multibase" };
        if text.len() > MAX_TEXT {
            return Err(not_text);
        }
        let (_, bytes) = multibase::decode(text).map_err(|_| not_text)?;
        Self::from_bytes(&bytes)
    }
}

serde_as_bytes!(ThreadId, "thread id", |thread| thread.as_bytes());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids_of_both_variants_are_read() {
        let raw: ThreadId = "bafkxd5bjgi6k4zivuoyxo4ua4mzyy".parse().unwrap();
        assert_eq!(raw.variant(), Variant::Raw);
        let bytes = data_encoding::HEXLOWER.decode(b"015571f429323cae6515a3b1777280e3338c").unwrap();
        assert_eq!(raw.as_bytes(), bytes);
        assert_eq!(raw.to_string(), "bafkxd5bjgi6k4zivuoyxo4ua4mzyy");
        let controlled: ThreadId = "bafyoiobghzefwlidfrwkqmzz2ka66zgmdmgeobw2mimktr5jivsavya".parse().unwrap();
        assert_eq!(controlled.variant(), Variant::AccessControlled);
        assert_eq!(controlled.as_bytes().len(), 34);
        assert_eq!(controlled.as_bytes()[2..6], [0xe4, 0x38, 0x26, 0x3e]);
    }

    #[test]
    fn the_npm_clients_example_is_written() {
        let id = ThreadId::new(Variant::Raw, [2; 32]);
        assert_eq!(id.to_string(), "bafkqeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq");
        assert_eq!(id.short(), "bafkqeaqcaib");
    }

    #[test]
    fn unknown_versions_and_variants_are_refused_by_name() {
        let with_head = |head: &[u8]| ThreadId::from_bytes(&[head, &[9; 16]].concat()).unwrap_err().to_string();
        assert_eq!(with_head(&[2, 0x55]), "thread id version 2 is not known (only 1)");
        assert_eq!(with_head(&[0, 0x55]), "thread id version 0 is not known (only 1)");
        assert!(with_head(&[1, 0x56]).starts_with("thread id variant 0x56 is not known"));
        assert!(with_head(&[1, 0xd5, 0x01]).starts_with("thread id variant 0xd5 is not known"));
    }

    #[test]
    fn longer_forms_of_the_integers_are_refused() {
        for head in [&[0x81, 0x00, 0x55][..], &[0x01, 0xd5, 0x00], &[0xff; 10]] {
            assert_eq!(ThreadId::from_bytes(&[head, &[9; 16]].concat()), Err(Error::ThreadVarint));
        }
        assert_eq!(ThreadId::from_bytes(&[]), Err(Error::ThreadVarint));
        assert_eq!(ThreadId::from_bytes(&[1]), Err(Error::ThreadVarint));
    }

    #[test]
    fn random_bytes_are_counted() {
        for (random, accepted) in
            [(0, false), (15, false), (16, true), (24, true), (64, true), (65, false), (9999, false)]
        {
            let bytes = [vec![1, 0x70], vec![3; random]].concat();
            assert_eq!(ThreadId::from_bytes(&bytes).is_ok(), accepted, "{random}");
        }
    }

    #[test]
    fn every_base_is_read() {
        let id = ThreadId::new(Variant::AccessControlled, std::array::from_fn(|i| i as u8));
        for base in [Base::Base2, Base::Base10, Base::Base16Upper, Base::Base36Lower, Base::Base58Btc, Base::Base64Url]
        {
            assert_eq!(multibase::encode(base, id.as_bytes()).parse(), Ok(id.clone()));
        }
        assert!(matches!("".parse::<ThreadId>(), Err(Error::Text { .. })));
        assert!(matches!("?abc".parse::<ThreadId>(), Err(Error::Text { .. })));
        assert!(matches!("z1".repeat(1 << 20).parse::<ThreadId>(), Err(Error::Text { .. })));
    }

    #[test]
    fn order_is_that_of_the_bytes() {
        let one_at = |position: usize, length: usize| -> Vec<u8> {
            [1, 0x55].into_iter().chain((0..length).map(|i| u8::from(i == position))).collect()
        };
        let ids = [one_at(99, 16), one_at(99, 17), one_at(1, 20), one_at(0, 16)]
            .map(|bytes| ThreadId::from_bytes(&bytes).unwrap());
        assert!(ids.is_sorted_by(|a, b| a < b && a.as_bytes() < b.as_bytes()));
    }
}

//! Tickets: an invitation as one line of text that can be sent over any channel (`docs/protocol.md`, section 4).

use std::{fmt, str::FromStr};

use multibase::Base;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    address::Address,
    cbor,
    id::ThreadId,
    key_set::{self, KeySet},
    limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_NAME_BYTES, MAX_TICKET_CHARACTERS},
};

const VERSION: u64 = 1;
const PREFIX: &str = "spool1";
const CHECKSUM_BYTES: usize = 4;

/// Everything that joining a thread takes: its id, keys, addresses and what its owner calls it.
///
/// `Display` is the ticket itself, **with the keys**: whoever sees the text can join. `Debug` shows no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(Fields);

/// `[version, thread id, key set, [address bytes, …], name]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fields(u64, ThreadId, KeySet, Vec<Address>, Option<String>);

/// Why a ticket cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than a ticket can be; nothing was decoded.
    #[error("{0} characters are too long for a ticket, at most {MAX_TICKET_CHARACTERS} are permitted")]
    TooLong(usize),
    /// Some other text.
    #[error("not a ticket: tickets begin with \"{PREFIX}\"")]
    NotATicket,
    /// A character is missing, too many, or changed.
    #[error("the ticket is damaged: a character is missing or wrong; copy it again in full")]
    Damaged,
    /// A version that does not exist yet.
    #[error("ticket version {0} is not known (only {VERSION}); a newer version of this software may read it")]
    Version(u64),
    /// Undamaged, but its contents make no sense.
    #[error("the ticket's contents are not valid")]
    Malformed(#[from] cbor::Error),
    /// More addresses than a ticket may carry.
    #[error("{0} addresses in a ticket, at most {MAX_ADDRESSES} are permitted")]
    TooManyAddresses(usize),
    /// An address that is longer than others would accept.
    #[error("address of {0} bytes in a ticket, at most {MAX_ADDRESS_BYTES} are permitted")]
    AddressTooLong(usize),
    /// A name that is too long, or would do more than be shown.
    #[error("the name in a ticket has at most {MAX_NAME_BYTES} bytes and no control characters")]
    Name,
}

impl Ticket {
    /// A ticket that others will accept.
    ///
    /// # Errors
    ///
    /// If there are too many addresses, one is too long, or the name is too long or has control characters in it.
    pub fn new(thread: ThreadId, keys: KeySet, addresses: Vec<Address>, name: Option<String>) -> Result<Self, Error> {
        Self::checked(Fields(VERSION, thread, keys, addresses, name))
    }

    fn checked(fields: Fields) -> Result<Self, Error> {
        let Fields(version, _, _, addresses, name) = &fields;
        if *version != VERSION {
            return Err(Error::Version(*version));
        }
        if addresses.len() > MAX_ADDRESSES {
            return Err(Error::TooManyAddresses(addresses.len()));
        }
        if let Some(long) =
            addresses.iter().map(|address| address.to_bytes().len()).find(|size| *size > MAX_ADDRESS_BYTES)
        {
            return Err(Error::AddressTooLong(long));
        }
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)) {
            return Err(Error::Name);
        }
        Ok(Self(fields))
    }

    /// The thread that it invites to.
    pub const fn thread(&self) -> &ThreadId {
        &self.0.1
    }

    /// The keys that it hands over.
    pub const fn keys(&self) -> &KeySet {
        &self.0.2
    }

    /// Where peers of the thread were when it was made.
    pub fn addresses(&self) -> &[Address] {
        &self.0.3
    }

    /// What its maker calls the thread. A hint only; has no control characters.
    pub fn name(&self) -> Option<&str> {
        self.0.4.as_deref()
    }
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    *Sha256::digest(payload).first_chunk().expect("a hash is longer than its first 4 bytes")
}

/// As the array of its fields: for what carries a ticket as a part of it.
impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::checked(Fields::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Zeroizing::new(cbor::to_vec(&self.0));
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let text = Zeroizing::new(Base::Base32Lower.encode(&*bytes));
        formatter.write_str(PREFIX)?;
        formatter.write_str(&text)
    }
}

/// White space around the ticket does not matter, and neither do capitals.
impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.len() > MAX_TICKET_CHARACTERS {
            return Err(Error::TooLong(text.len()));
        }
        let (prefix, data) = text.split_at_checked(PREFIX.len()).ok_or(Error::NotATicket)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(Error::NotATicket);
        }
        let bytes = Zeroizing::new(Base::Base32Lower.decode(data).map_err(|_| Error::Damaged)?);
        let (payload, sum) = bytes.split_last_chunk().ok_or(Error::Damaged)?;
        if checksum(payload) != *sum {
            return Err(Error::Damaged);
        }
        let fields =
            cbor::from_slice(payload, MAX_TICKET_CHARACTERS).map_err(|error| match key_set::version(payload) {
                Some(version) if version != VERSION => Error::Version(version),
                _ => Error::Malformed(error),
            })?;
        Self::checked(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::Variant,
        key_set::Scope,
        keys::{Epoch, ThreadKeys},
    };

    fn keys(scope: Scope) -> KeySet {
        let epochs = (1..4).map(|seed| Epoch::generate([seed; 64])).collect();
        ThreadKeys::new(epochs).unwrap().to_set(scope).unwrap()
    }

    fn thread() -> ThreadId {
        ThreadId::new(Variant::Raw, [2; 32])
    }

    fn addresses(count: u16) -> Vec<Address> {
        (0..count).map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect()
    }

    fn ticket() -> Ticket {
        Ticket::new(thread(), keys(Scope::Read), addresses(2), Some("Grüße".into())).unwrap()
    }

    fn with_checksum(payload: &[u8]) -> String {
        format!("{PREFIX}{}", Base::Base32Lower.encode([payload, &checksum(payload)].concat()))
    }

    #[test]
    fn a_ticket_survives_its_text() {
        for ticket in [ticket(), Ticket::new(thread(), keys(Scope::Follow), Vec::new(), None).unwrap()] {
            let text = ticket.to_string();
            assert!(text.starts_with("spool1") && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(text.parse::<Ticket>().unwrap(), ticket);
            assert_eq!(format!(" {}\n", text.to_uppercase()).parse::<Ticket>().unwrap(), ticket);
        }
        assert_eq!(ticket().name(), Some("Grüße"));
        assert_eq!((ticket().thread(), ticket().addresses().len()), (&thread(), 2));
        assert_eq!(ticket().keys().scope(), Scope::Read);
    }

    #[test]
    fn every_wrong_character_is_noticed() {
        let text = ticket().to_string();
        for position in PREFIX.len()..text.len() {
            let other = if &text[position..=position] == "a" { "b" } else { "a" };
            let damaged = format!("{}{other}{}", &text[..position], &text[position + 1..]);
            assert!(matches!(damaged.parse::<Ticket>(), Err(Error::Damaged)), "{position}");
            let shorter = format!("{}{}", &text[..position], &text[position + 1..]);
            assert!(matches!(shorter.parse::<Ticket>(), Err(Error::Damaged)), "{position}");
            assert!(matches!(text[..position].parse::<Ticket>(), Err(Error::Damaged)), "{position}");
        }
    }

    #[test]
    fn other_texts_are_no_tickets() {
        for text in ["", "spool", "hello, world", "spööl1", "https://example.org/spool1abc"] {
            assert!(matches!(text.parse::<Ticket>(), Err(Error::NotATicket)), "{text}");
        }
        let long = format!("spool1{}", "a".repeat(MAX_TICKET_CHARACTERS));
        assert!(matches!(long.parse::<Ticket>(), Err(Error::TooLong(_))));
    }

    #[test]
    fn an_unknown_version_is_named() {
        let later = with_checksum(&[0x82, 0x02, 0xf6]).parse::<Ticket>().unwrap_err();
        assert!(later.to_string().starts_with("ticket version 2 is not known"), "{later}");
        let mut payload = cbor::to_vec(&ticket().0);
        payload[1] = 9;
        assert!(matches!(with_checksum(&payload).parse::<Ticket>(), Err(Error::Version(9))));
        assert!(matches!(with_checksum(&[0x81, 0x01]).parse::<Ticket>(), Err(Error::Malformed(_))));
    }

    #[test]
    fn limits_hold_for_making_and_for_reading() {
        let make = |count, name: &str| Ticket::new(thread(), keys(Scope::Read), addresses(count), Some(name.into()));
        assert!(make(16, &"n".repeat(256)).is_ok());
        assert!(matches!(make(17, ""), Err(Error::TooManyAddresses(17))));
        assert!(matches!(make(0, &"n".repeat(257)), Err(Error::Name)));
        assert!(matches!(make(0, "\x1b[2J"), Err(Error::Name)));
        let fields = Fields(VERSION, thread(), keys(Scope::Read), addresses(17), None);
        assert!(matches!(with_checksum(&cbor::to_vec(&fields)).parse::<Ticket>(), Err(Error::TooManyAddresses(17))));
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", ticket());
        assert!(text.contains("FollowKey(..)") && text.contains("/ip4/192.0.2.1/tcp/0"), "{text}");
        assert!(!text.contains("[1, 1, 1"), "{text}");
    }
}

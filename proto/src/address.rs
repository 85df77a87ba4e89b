//! Addresses: where a peer is and, behind that, which thread or log is meant there (`docs/protocol.md`, section 2).
//!
//! `/ip4/192.0.2.1/tcp/4006/p2p/12D3Koo…/thread/bafk…` is a multiaddr with a protocol of our own at its end. The multiaddr crate does not
//! know `/thread` (code 406, as Textile uses it) and `/ipel` (407), so the end is split off here, protocol by protocol: a host name
//! that happens to be `thread`, or bytes that happen to look like a code, are no end.

use std::{fmt, str::FromStr};

use libp2p_identity::PeerId;
use multiaddr::{Multiaddr, Protocol};

use crate::{
    id::{self, LogId, ThreadId, serde_as_bytes},
    limits::MAX_ADDRESS_BYTES,
};

const THREAD_CODE: u32 = 406;
const LOG_CODE: u32 = 407;
const THREAD_NAME: &str = "thread";
const LOG_NAME: &str = "ipel";
/// Characters of an address: no protocol's text takes more than ten for a byte (`/p2p-websocket-star`, two bytes, is the worst).
const MAX_TEXT: usize = 10 * MAX_ADDRESS_BYTES;

/// A multiaddr and what is meant at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Where: may end in `/p2p/<peer>`, and may be empty if there is a target.
    pub base: Multiaddr,
    /// What.
    pub target: Target,
}

/// What is meant at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The peer itself.
    None,
    /// A thread.
    Thread(ThreadId),
    /// A log.
    Log(LogId),
}

/// Why something is not an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than an address can be; nothing was decoded.
    #[error("address of {actual} {unit}, at most {limit} are permitted")]
    TooLong {
        /// Its length.
        actual: usize,
        /// How long it may be.
        limit: usize,
        /// What is counted, bytes or characters.
        unit: &'static str,
    },
    /// There is nothing in it.
    #[error("an address has at least one component")]
    Empty,
    /// One of the multiaddr's own components is malformed or not known.
    #[error("not a multiaddr")]
    Multiaddr(#[from] multiaddr::Error),
    /// The thread or log at its end is none.
    #[error("bad id at the end of the address")]
    Id(#[from] id::Error),
    /// The id at its end is missing or cut off.
    #[error("the id behind /{0} is missing or cut off")]
    MissingId(&'static str),
    /// Something follows the thread or log.
    #[error("/{0} must be the last component of an address")]
    NotLast(&'static str),
    /// Two texts or two binary forms would mean the same address, or one text two of them.
    #[error("the address is not in its one canonical form")]
    NotCanonical,
}

impl Address {
    /// The peer whose id ends the multiaddr, if one does.
    pub fn peer(&self) -> Option<PeerId> {
        match self.base.iter().last() {
            Some(Protocol::P2p(peer)) => Some(peer),
            _ => None,
        }
    }

    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.base.to_vec();
        match &self.target {
            Target::None => {}
            Target::Thread(thread) => push_component(&mut bytes, THREAD_CODE, thread.as_bytes()),
            Target::Log(log) => push_component(&mut bytes, LOG_CODE, &log.to_bytes()),
        }
        bytes
    }

    /// Reads the binary form, at most `MAX_ADDRESS_BYTES` of it.
    ///
    /// # Errors
    ///
    /// [`Error`] says what is wrong; unknown protocols are refused by their code.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        check_length(bytes)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (code, value) = unsigned_varint::decode::u32(rest).map_err(multiaddr::Error::from)?;
            let name = match code {
                THREAD_CODE => THREAD_NAME,
                LOG_CODE => LOG_NAME,
                _ => {
                    (_, rest) = Protocol::from_bytes(rest)?;
                    continue;
                }
            };
            let (length, value) = unsigned_varint::decode::usize(value).map_err(|_| Error::MissingId(name))?;
            let (id, behind) = value.split_at_checked(length).ok_or(Error::MissingId(name))?;
            if !behind.is_empty() {
                return Err(Error::NotLast(name));
            }
            let target = match code {
                THREAD_CODE => Target::Thread(ThreadId::from_bytes(id)?),
                _ => Target::Log(LogId::from_bytes(id)?),
            };
            let base = &bytes[..bytes.len() - rest.len()];
            return Self { base: Multiaddr::try_from(base.to_vec())?, target }.checked();
        }
        Self { base: Multiaddr::try_from(bytes.to_vec())?, target: Target::None }.checked()
    }

    /// Refuses a multiaddr whose text does not mean the same: a host name with a slash in it would be shown, copied and
    /// parsed as other components.
    fn checked(self) -> Result<Self, Error> {
        if self.base.is_empty() && self.target == Target::None {
            return Err(Error::Empty);
        }
        if !self.base.is_empty() && !self.base.to_string().parse().is_ok_and(|base: Multiaddr| base == self.base) {
            return Err(Error::NotCanonical);
        }
        Ok(self)
    }
}

fn check_length(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_ADDRESS_BYTES {
        return Err(Error::TooLong { actual: bytes.len(), limit: MAX_ADDRESS_BYTES, unit: "bytes" });
    }
    Ok(())
}

fn push_component(bytes: &mut Vec<u8>, code: u32, value: &[u8]) {
    bytes.extend_from_slice(unsigned_varint::encode::u32(code, &mut unsigned_varint::encode::u32_buffer()));
    bytes.extend_from_slice(unsigned_varint::encode::usize(value.len(), &mut unsigned_varint::encode::usize_buffer()));
    bytes.extend_from_slice(value);
}

impl From<Multiaddr> for Address {
    fn from(base: Multiaddr) -> Self {
        Self { base, target: Target::None }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.base)?;
        match &self.target {
            Target::None => Ok(()),
            Target::Thread(thread) => write!(formatter, "/{THREAD_NAME}/{thread}"),
            Target::Log(log) => write!(formatter, "/{LOG_NAME}/{log}"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::TooLong { actual: text.len(), limit: MAX_TEXT, unit: "characters" });
        }
        let mut parts = text.split('/').peekable();
        if parts.next() != Some("") {
            return Err(multiaddr::Error::InvalidMultiaddr.into());
        }
        let mut protocols = Vec::new();
        let mut target = Target::None;
        while let Some(name) = parts.peek() {
            let name = match *name {
                THREAD_NAME => THREAD_NAME,
                LOG_NAME => LOG_NAME,
                _ => {
                    protocols.push(Protocol::from_str_parts(&mut parts)?);
                    continue;
                }
            };
            parts.next();
            let id = parts.next().ok_or(Error::MissingId(name))?;
            if parts.next().is_some() {
                return Err(Error::NotLast(name));
            }
            target = match name {
                THREAD_NAME => Target::Thread(id.parse()?),
                _ => Target::Log(id.parse()?),
            };
        }
        let address = Self { base: protocols.into_iter().collect(), target };
        check_length(&address.to_bytes())?;
        address.checked()
    }
}

serde_as_bytes!(Address, "address", |address| &address.to_bytes());

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    const THREAD: &str = "bafkxd5bjgi6k4zivuoyxo4ua4mzyy";

    fn log() -> LogId {
        LogId::from(&SigningKey::from_bytes(&[1; 32]))
    }

    fn parse(text: &str) -> Address {
        let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.to_string(), text);
        assert_eq!(Address::from_bytes(&address.to_bytes()).unwrap(), address);
        address
    }

    #[test]
    fn addresses_of_peers_threads_and_logs_round_trip() {
        let peer = PeerId::from(log());
        let base = format!("/ip4/192.0.2.1/udp/4006/quic-v1/p2p/{peer}");
        assert_eq!(parse(&base).peer(), Some(peer));
        let thread = parse(&format!("{base}/thread/{THREAD}"));
        assert_eq!((thread.peer(), &thread.target), (Some(peer), &Target::Thread(THREAD.parse().unwrap())));
        assert_eq!(thread.base, base.parse().unwrap());
        assert_eq!(parse(&format!("{base}/ipel/{}", log())).target, Target::Log(log()));
        let relayed = parse(&format!("{base}/p2p-circuit/thread/{THREAD}"));
        assert_eq!(relayed.peer(), None, "the relay is not the peer that is meant");
        assert!(parse(&format!("/thread/{THREAD}")).base.is_empty());
    }

    #[test]
    fn the_codes_are_those_of_the_protocol() {
        let bytes = parse(&format!("/thread/{THREAD}")).to_bytes();
        assert_eq!(bytes[..5], [0x96, 0x03, 18, 0x01, 0x55]);
        assert_eq!(parse(&format!("/ipel/{}", log())).to_bytes()[..5], [0x97, 0x03, 38, 0x00, 0x24]);
    }

    #[test]
    fn a_host_called_thread_is_a_host() {
        let address = parse(&format!("/dns4/thread/tcp/80/thread/{THREAD}"));
        assert_eq!(address.base, "/dns4/thread/tcp/80".parse().unwrap());
        assert_eq!(parse("/dns/ipel/tcp/1").target, Target::None);
        // Bytes of another component that look like our code: port 0x9603.
        let port = parse("/ip4/150.3.18.1/tcp/38403");
        assert_eq!(port.to_bytes(), [4, 0x96, 0x03, 18, 1, 6, 0x96, 0x03]);
        assert_eq!(port.target, Target::None);
    }

    #[test]
    fn what_stands_behind_the_target_is_refused() {
        let not_last = |text: &str| matches!(text.parse::<Address>(), Err(Error::NotLast(_)));
        assert!(not_last(&format!("/thread/{THREAD}/tcp/1")));
        assert!(not_last(&format!("/thread/{THREAD}/thread/{THREAD}")));
        assert!(not_last(&format!("/thread/{THREAD}/")));
        let mut bytes = parse(&format!("/ipel/{}", log())).to_bytes();
        bytes.extend_from_slice(&[6, 0, 80]);
        assert!(matches!(Address::from_bytes(&bytes), Err(Error::NotLast("ipel"))));
    }

    #[test]
    fn malformed_addresses_are_refused_with_their_reason() {
        assert!(matches!("".parse::<Address>(), Err(Error::Empty)));
        assert!(matches!("/".parse::<Address>(), Err(Error::Multiaddr(_))));
        assert!(matches!("tcp/1".parse::<Address>(), Err(Error::Multiaddr(_))));
        assert!(matches!("/thread".parse::<Address>(), Err(Error::MissingId("thread"))));
        assert!(matches!("/thread/".parse::<Address>(), Err(Error::Id(_))));
        assert!(matches!("/ipel/Qm".parse::<Address>(), Err(Error::Id(_))));
        assert!(matches!(Address::from_bytes(&[]), Err(Error::Empty)));
        assert!(matches!(Address::from_bytes(&[0x96, 0x03, 19, 1, 0x55]), Err(Error::MissingId("thread"))));
        assert!(matches!(Address::from_bytes(&[0x96, 0x03]), Err(Error::MissingId("thread"))));
        // The code in a longer form than it needs.
        assert!(matches!(Address::from_bytes(&[0x96, 0x83, 0x00, 1, 1]), Err(Error::Multiaddr(_))));
        let unknown = Address::from_bytes(&[0x98, 0x03]).unwrap_err();
        assert!(std::error::Error::source(&unknown).unwrap().to_string().contains("408"), "{unknown:?}");
    }

    #[test]
    fn sizes_are_checked_before_anything_is_decoded() {
        assert!(matches!(Address::from_bytes(&[0; 513]), Err(Error::TooLong { actual: 513, .. })));
        let long = format!("/dns/{}", "a".repeat(510));
        assert!(matches!(long.parse::<Address>(), Err(Error::TooLong { actual: 513, unit: "bytes", .. })));
        assert!(matches!("/tcp/1".repeat(1000).parse::<Address>(), Err(Error::TooLong { unit: "characters", .. })));
        parse(&long[..500]);
    }

    #[test]
    fn a_host_name_that_would_read_as_other_components_is_refused() {
        let name = format!("x/thread/{THREAD}");
        let mut bytes = vec![53, name.len() as u8];
        bytes.extend_from_slice(name.as_bytes());
        assert!(Multiaddr::try_from(bytes.clone()).is_ok());
        assert!(matches!(Address::from_bytes(&bytes), Err(Error::NotCanonical)));
    }
}

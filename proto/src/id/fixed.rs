use std::{fmt, str::FromStr};

use multibase::Base;

use super::{Error, serde_as_bytes};

/// Declares an id of `$bytes` bytes whose text is base32, lower case, without padding or prefix.
macro_rules! fixed_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Length in bytes.
            pub const BYTES: usize = $bytes;

            /// The id that these bytes are; every value is one.
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// Reads the id from a slice.
            ///
            /// # Errors
            ///
            /// [`Error::Length`] if the slice has another length.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
                let length = Error::Length { what: $what, expected: $bytes, actual: bytes.len() };
                bytes.try_into().map(Self).map_err(|_| length)
            }

            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first characters of the text, for logs.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl From<[u8; $bytes]> for $name {
            fn from(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&Base::Base32Lower.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let not_text = Error::Text { what: $what, encoding: "base32" };
                if text.len() > $bytes * 2 {
                    return Err(not_text);
                }
                Self::from_bytes(&Base::Base32Lower.decode(text).map_err(|_| not_text)?)
            }
        }

        serde_as_bytes!($name, $what, |id| &id.0);
    };
}

fixed_id! {
    /// Names the thread key, that is the epoch, under which something is sealed. Computed from the follow key alone, so that
    /// followers find their key by it.
    KeyId, 16, "key id"
}

fixed_id! {
    /// Where a thread lives on the network: its text is the gossipsub topic. Only who holds the access key can compute
    /// it, and it changes with every new key epoch.
    TopicId, 32, "topic id"
}

fixed_id! {
    /// One installation of the software; random. An owner has one log per thread and device, and a restored device takes a
    /// new id, so that it never extends a log whose end it may have forgotten.
    DeviceId, 16, "device id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_lower_case_base32_without_prefix() {
        let id = KeyId::new([0x61; 16]);
        assert_eq!(id.to_string(), "mfqwcylbmfqwcylbmfqwcylbme");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("{id:?}"), "KeyId(mfqwcylbmfqwcylbmfqwcylbme)");
        assert_eq!(id.short(), "mfqwcylb");
    }

    #[test]
    fn another_length_is_named() {
        assert_eq!(TopicId::from_bytes(&[0; 31]).unwrap_err().to_string(), "topic id has 31 bytes instead of 32");
        assert!(matches!("mfqwcylb".parse::<DeviceId>(), Err(Error::Length { actual: 5, .. })));
        assert!(matches!("not base 32".parse::<DeviceId>(), Err(Error::Text { .. })));
        assert!(matches!("a".repeat(1 << 20).parse::<KeyId>(), Err(Error::Text { .. })));
    }

    #[test]
    fn bits_behind_the_last_byte_are_refused() {
        // 128 bits take 26 characters of 5 bits, of whose last one two bits are used.
        assert!("mfqwcylbmfqwcylbmfqwcylbmf".parse::<KeyId>().is_err());
    }

    #[test]
    fn in_cbor_an_id_is_a_byte_string() {
        let id = DeviceId::new([7; 16]);
        let bytes = crate::cbor::to_vec(&id);
        assert_eq!(bytes, [&[0x50][..], &[7; 16]].concat());
        assert_eq!(crate::cbor::from_slice::<DeviceId>(&bytes, 32).unwrap(), id);
        assert!(crate::cbor::from_slice::<KeyId>(&bytes[..16], 32).is_err());
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<DeviceId>(&format!("\"{id}\"")).unwrap(), id);
    }
}

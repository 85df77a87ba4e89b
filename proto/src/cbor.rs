//! Canonical DAG-CBOR: one value has one encoding, and anything else is refused.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes were refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Larger than the format permits; nothing was decoded.
    #[error("{actual} bytes, at most {limit} are permitted")]
    TooLarge {
        /// Size that was seen, bytes.
        actual: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Not DAG-CBOR, or not the expected structure.
    #[error("not valid dag-cbor: {0}")]
    Invalid(#[source] serde_ipld_dagcbor::DecodeError<std::convert::Infallible>),
    /// Decodes, but is not the one encoding of its value.
    #[error("not the canonical encoding of its value")]
    NotCanonical,
}

/// The canonical encoding of `value`.
///
/// # Panics
///
/// If `value` has no CBOR form; our own types, which hold no floats and no maps with mixed keys, all have one.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("own types have a dag-cbor form, and a Vec takes every write")
}

/// Decodes `bytes`, at most `limit` of them, and checks that they are the canonical encoding of what they hold.
///
/// Re-encoding is the check: it costs less than a tenth of the signature that every caller verifies beside it, and it
/// cannot disagree with what this program writes.
///
/// # Errors
///
/// [`Error`] names what was wrong; nothing is decoded of oversize input.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, Error> {
    if bytes.len() > limit {
        return Err(Error::TooLarge { actual: bytes.len(), limit });
    }
    let value: T = serde_ipld_dagcbor::from_slice(bytes).map_err(Error::Invalid)?;
    if to_vec(&value) != bytes {
        return Err(Error::NotCanonical);
    }
    Ok(value)
}

/// Reads the next field of a tagged array, or says that it is missing.
pub(crate) fn field<'de, A, T>(sequence: &mut A, what: &'static str) -> Result<T, A::Error>
where
    A: serde::de::SeqAccess<'de>,
    T: serde::Deserialize<'de>,
{
    sequence.next_element()?.ok_or_else(|| serde::de::Error::custom(format_args!("{what} is missing")))
}

/// The error for a kind that this version does not know.
pub(crate) fn unknown<E: serde::de::Error>(what: &'static str, kind: u64) -> E {
    E::custom(format_args!("{what} {kind} is not known to this version"))
}

/// Implements `Deserialize` for an enum that is written as a tagged array.
macro_rules! deserialize_tagged {
    ($type:ty, $what:literal, |$sequence:ident, $kind:ident| $body:expr) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $type;
                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str(concat!("an array that begins with the kind of ", $what))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(
                        self,
                        mut $sequence: A,
                    ) -> Result<Self::Value, A::Error> {
                        let $kind: u64 = $crate::cbor::field(&mut $sequence, $what)?;
                        let value = $body;
                        if $sequence.next_element::<serde::de::IgnoredAny>()?.is_some() {
                            return Err(serde::de::Error::custom(concat!("too many fields in ", $what)));
                        }
                        Ok(value)
                    }
                }
                deserializer.deserialize_seq(Visitor)
            }
        }
    };
}
pub(crate) use deserialize_tagged;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oversize_input_is_refused_before_it_is_decoded() {
        assert!(matches!(from_slice::<Vec<u64>>(&[0xff; 9], 8), Err(Error::TooLarge { actual: 9, limit: 8 })));
    }

    #[test]
    fn a_longer_form_of_an_integer_is_refused() {
        assert_eq!(from_slice::<u64>(&[0x05], 8).unwrap(), 5);
        assert!(from_slice::<u64>(&[0x18, 0x05], 8).is_err());
        assert!(from_slice::<u64>(&[0x1b, 0, 0, 0, 0, 0, 0, 0, 5], 16).is_err());
    }

    #[test]
    fn bytes_after_the_value_are_refused() {
        assert!(from_slice::<u64>(&[0x05, 0x00], 8).is_err());
    }

    #[test]
    fn deeply_nested_input_is_an_error() {
        assert!(from_slice::<ipld_core::ipld::Ipld>(&[0x81; 100_000], 200_000).is_err());
    }
}

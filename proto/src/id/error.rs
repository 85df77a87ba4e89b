/// Why bytes or a text are not the id that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The wrong number of bytes for an id of fixed size.
    #[error("{what} has {actual} bytes instead of {expected}")]
    Length {
        /// Which id.
        what: &'static str,
        /// Bytes that it has.
        expected: usize,
        /// Bytes that were given.
        actual: usize,
    },
    /// The text is not in the encoding that this id has.
    #[error("{what} is not {encoding} text; was it copied in full?")]
    Text {
        /// Which id.
        what: &'static str,
        /// The encoding that was expected.
        encoding: &'static str,
    },
    /// One of the two integers at the front of a thread id is cut off, too large, or not in its shortest form.
    #[error("thread id does not begin with two unsigned varints in their shortest form")]
    ThreadVarint,
    /// A thread id of a version that does not exist yet.
    #[error("thread id version {0} is not known (only 1)")]
    ThreadVersion(u64),
    /// A thread id of a variant that does not exist yet.
    #[error("thread id variant 0x{0:x} is not known (only 0x55, raw, and 0x70, access-controlled)")]
    ThreadVariant(u64),
    /// Too few or too many random bytes.
    #[error("thread id has {0} random bytes instead of 16 to 64")]
    ThreadRandom(usize),
    /// A peer id, but of another kind of key, or no peer id at all.
    #[error("{what} is not the peer id of an ed25519 key")]
    NotEd25519 {
        /// Which id.
        what: &'static str,
    },
    /// A key of another kind, or no key at all.
    #[error("{what} is not an ed25519 key")]
    NotEd25519Key {
        /// Which key.
        what: &'static str,
    },
    /// 32 bytes that are no canonical encoding of a point, or of a point of low order, under which anybody can sign.
    #[error("{what} is not a valid ed25519 public key")]
    PublicKey {
        /// Which key.
        what: &'static str,
    },
}

use crate::id::KeyId;

/// Why keys cannot be used or joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A Textile thread key has 32 bytes (service key) or 64 (service and read key).
    #[error("a thread key has 32 bytes (follow) or 64 (follow and read), not {0}")]
    TextileLength(usize),
    /// A set without any key.
    #[error("a set of keys has at least one key")]
    Empty,
    /// More keys than one set may carry.
    #[error("{actual} {what}, at most {limit} are permitted")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        actual: usize,
        /// How many may be.
        limit: usize,
    },
    /// One epoch, or one log in one epoch, is there twice.
    #[error("key {0} is there twice")]
    Duplicate(KeyId),
    /// Two different keys claim to be the same one: at least one of the sets is forged.
    #[error("two different keys both claim to be key {0}: one of them is not genuine")]
    Conflict(KeyId),
    /// The admission key is not the one that follows from the read key.
    #[error("the admission key of key {0} does not belong to its read key")]
    Admission(KeyId),
    /// Two sets have the same epochs in different order.
    #[error("the two sets of keys have their epochs in different order")]
    Order,
    /// Two sets have no epoch in common, so nothing says which one is newer.
    #[error("the two sets of keys have no epoch in common, so their order is not known")]
    Unrelated,
    /// Keys were asked for that this set does not have.
    #[error("these keys do not permit to read, so they cannot be handed over for reading")]
    CannotRead,
    /// A log was asked for of which this set has no keys.
    #[error("no keys of the log are known")]
    UnknownLog,
}

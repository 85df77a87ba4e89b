use super::limits::MAX_FRAME_BYTES;

/// Why bytes from another node are not a message. The sender is at fault, and wrong in a way that chance does not explain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More bytes than the message may have; nothing was decoded.
    #[error("message of {actual} bytes, at most {limit} are permitted")]
    TooLarge {
        /// Size that was seen, bytes.
        actual: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Not protobuf, or field types other than those of the proto file.
    #[error("not a protobuf message of this kind")]
    Protobuf(#[source] Option<prost::DecodeError>),
    /// A field that must be there is not.
    #[error("{field} is missing")]
    Missing {
        /// Name in the proto file.
        field: &'static str,
    },
    /// A field with too many bytes or too few.
    #[error("{field} has {actual} bytes, from {least} to {most} are permitted")]
    Length {
        /// Name in the proto file.
        field: &'static str,
        /// Length that was seen, bytes.
        actual: usize,
        /// The least length, bytes.
        least: usize,
        /// The greatest length, bytes.
        most: usize,
    },
    /// More items than a repeated field may have.
    #[error("{field} has more than {limit} items")]
    TooMany {
        /// Name in the proto file.
        field: &'static str,
        /// The limit, items.
        limit: usize,
    },
    /// A topic, log or key id that is none.
    #[error("{field} is not valid")]
    Id {
        /// Name in the proto file.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: crate::id::Error,
    },
    /// A CID that is none, or of another kind than blocks here have.
    #[error("{field} is not valid")]
    Cid {
        /// Name in the proto file.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: crate::block::Error,
    },
    /// A peer id that is none.
    #[error("{field} is not a peer id")]
    PeerId {
        /// Name in the proto file.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: libp2p_identity::ParseError,
    },
    /// An envelope of a version that this node does not know.
    #[error("envelope version {0}, only version {known} is known", known = super::VERSION)]
    Version(u32),
    /// A code that this version of the protocol does not know.
    #[error("{field} {value} is not known")]
    Unknown {
        /// Name in the proto file.
        field: &'static str,
        /// The code that was seen.
        value: i64,
    },
    /// A value that is well-formed and makes no sense.
    #[error("{field}: {reason}")]
    Invalid {
        /// Name in the proto file.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Refuses a request or response that is larger than a frame.
pub(super) fn check_frame(actual: usize) -> Result<(), Error> {
    check_size(actual, MAX_FRAME_BYTES)
}

pub(super) fn check_size(actual: usize, limit: usize) -> Result<(), Error> {
    if actual > limit {
        return Err(Error::TooLarge { actual, limit });
    }
    Ok(())
}

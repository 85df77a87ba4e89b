//! Bounds of the listener for operators.

use std::time::Duration;

/// Connections at once: a few monitors and a curious operator.
pub(super) const CONNECTIONS: usize = 32;
/// Bytes of a request's head: no client that is meant here sends more than a few hundred.
pub(super) const HEAD_BYTES: usize = 8 * 1024;
/// How long is waited for the head of a request; also between two on one connection, which monitors leave open from one look to the next.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long one connection lasts: whoever reads slowly does not hold it for good.
pub(super) const CONNECTION_LENGTH: Duration = Duration::from_secs(120);
/// How long an answer may take to be found.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long what runs may take to end once the node stops.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

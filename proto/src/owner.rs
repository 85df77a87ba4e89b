//! Who owns a log: the binding that its first record carries, and what can be concluded from it (`docs/protocol.md`, section 4).
//!
//! An owner who runs a node signs for the log itself. A client that only ever answers a login challenge cannot; it is given as
//! challenge the hash of a [`Statement`] that delegates to the node, and the node signs for the log. What follows then is
//! "X via node N", never X's own signature.

mod binding;
mod statement;

pub use binding::{Author, Error, Owner};
pub use statement::{Delegation, Statement};

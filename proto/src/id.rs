//! Ids: of threads, logs, keys, topics and devices (`docs/protocol.md`, section 2).
//!
//! Every id is a value that was checked once, where it entered. In CBOR they are byte strings, in text formats their text.

mod error;
mod fixed;
mod log;
mod public_key;
mod serde_form;
mod thread;

pub use error::Error;
pub use fixed::{DeviceId, KeyId, TopicId};
pub use log::LogId;
pub use public_key::peer_verifying_key;
pub use thread::{ThreadId, Variant};

pub(crate) use public_key::verifying_key;
pub(crate) use serde_form::serde_as_bytes;

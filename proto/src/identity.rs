//! Identities: who a person or an app is, across devices and threads.
//!
//! An identity is a seed of 32 bytes, written down as 24 words. Its ed25519 key owns logs; the keys of those logs are derived
//! from the seed as well, one for each thread and device, so that nothing but the words has to be kept safe.

mod own;
mod public;

pub use own::{Identity, PhraseError};
pub use public::IdentityKey;

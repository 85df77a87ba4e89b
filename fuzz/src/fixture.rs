//! One thread, one log and its keys, so that a target can put its input behind a seal that opens.

use std::sync::LazyLock;

use spool_proto::{
    LogId, ThreadId,
    id::Variant,
    keys::{Epoch, LogKeys},
};

/// Seed of the log's key pair.
pub const LOG_SEED: [u8; 32] = [7; 32];

/// A raw thread.
pub fn thread() -> ThreadId {
    ThreadId::new(Variant::Raw, [1; 32])
}

/// A log in it.
pub fn log() -> LogId {
    let key = ed25519_dalek::SigningKey::from_bytes(&LOG_SEED).verifying_key();
    LogId::from_public_key(&key.to_bytes()).expect("the public half of a key pair")
}

/// The thread's only epoch.
pub fn epoch() -> Epoch {
    Epoch::generate([9; 64])
}

/// The log's keys, for reading.
pub fn log_keys() -> &'static LogKeys {
    static KEYS: LazyLock<LogKeys> = LazyLock::new(|| LogKeys::derive(&epoch(), &log()));
    &KEYS
}

//! Documents as they were, and the ways back there.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
mod differences;
mod past;
mod restore;
mod undo;
mod undo_properties;

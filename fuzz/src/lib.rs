//! What the fuzz targets share: a measure of what a decoder allocates, fixed keys to seal with, and choices out of bytes.

mod allocation;
mod choices;
mod fixture;

pub use allocation::{Budget, LIST_BYTES};
pub use choices::Choices;
pub use fixture::{LOG_SEED, epoch, log, log_keys, thread};

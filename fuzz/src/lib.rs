//! What the fuzz targets share: a measure of what a decoder allocates, and fixed keys to seal with.

mod allocation;
mod fixture;

pub use allocation::{Budget, LIST_BYTES};
pub use fixture::{LOG_SEED, epoch, log, log_keys, thread};

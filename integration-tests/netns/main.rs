//! Nodes on hosts of their own: real daemons in network namespaces, joined by links that delay, lose, reorder and break.
//!
//! Each namespace has a TUN device whose other end a router in this process holds ([`router`]), so links need nothing of the kernel
//! beyond the device, and what happens on them comes from a seed. The scenarios need Linux, root and `ip`; elsewhere each says by name
//! that it is left out. Everything that a run makes goes with it, however it ends.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod host;
mod intruder;
mod link;
mod router;
mod scenarios;
mod world;

//! The simulator: many engines in one thread and in virtual time, with disks that lose what was not synced, links that delay, lose
//! and reorder, peers that crash, part and lie. Everything follows from one seed.
//!
//! Build a [`Simulation`], add nodes and threads, connect, append, and let time pass with [`Simulation::run_for`] or
//! [`Simulation::settle`]. What must hold at every step is asserted at every step (each request answered once, nothing told before
//! it is synced, effects within their bound); what must hold in the end is in [`Simulation::differences`] and [`Simulation::leaks`].

mod check;
mod disk;
mod effects;
mod image;
mod malice;
mod member;
mod mischief;
mod network;
mod node;
mod page;
mod simulation;
mod trace;

pub use disk::DiskSettings;
pub use image::{Image, LogImage, ThreadImage};
pub use malice::Malice;
pub use member::{Part, SharedThread};
pub use network::LinkSettings;
pub use node::NodeId;
pub use simulation::Simulation;
pub use trace::{Acknowledged, Published, Sent, Trace};

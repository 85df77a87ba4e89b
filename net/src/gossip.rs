//! One gossip topic for each thread: how gossipsub is set up, and messages that wait for a verdict.

mod inbox;
mod setup;

pub(crate) use inbox::Inbox;
pub(crate) use setup::behaviour;

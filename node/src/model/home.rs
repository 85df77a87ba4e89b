//! What an owner's devices keep for one that lost everything.

use std::time::{Duration, SystemTime};

use spool_proto::{Address, PeerId, ThreadId};

use super::SyncEvent;

/// The home thread as this device knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeInfo {
    /// Its id, which follows from the recovery phrase.
    pub thread: ThreadId,
    /// Devices of the owner, oldest first.
    pub devices: Vec<HomeDevice>,
    /// Threads that a device of the owner can read, by id.
    pub threads: Vec<HomeThread>,
}

/// An installation of the owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeDevice {
    /// Its device id as text.
    pub device: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// Its node.
    pub peer: Option<PeerId>,
    /// Since when it is known.
    pub since: Option<SystemTime>,
    /// It is this one.
    pub is_this: bool,
}

/// A thread that can be had back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeThread {
    /// The thread.
    pub thread: ThreadId,
    /// What it was called when it was first kept.
    pub name: Option<String>,
    /// How many devices keep it, as far as they have said.
    pub devices: usize,
    /// This one does.
    pub is_here: bool,
}

/// How to get everything back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverOptions {
    /// A peer that follows the home thread, where none is found otherwise.
    pub from: Option<Address>,
    /// How long to look for one; and then for how long nothing may happen.
    pub timeout: Duration,
}

/// One step of getting everything back. The stream ends after [`SyncEvent::Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoverEvent {
    /// The home thread is here.
    Home(HomeInfo),
    /// A thread that it names.
    Thread {
        /// Which.
        thread: ThreadId,
        /// What it was called.
        name: Option<String>,
        /// What was done about it.
        outcome: Recovered,
    },
    /// The threads are pulled.
    Sync(SyncEvent),
}

/// What was done about a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// It was joined.
    Joined,
    /// It was here.
    Here,
    /// No device keeps it any more, so it was left alone.
    Left,
    /// It could not be joined; the text is for the user.
    Failed(String),
}

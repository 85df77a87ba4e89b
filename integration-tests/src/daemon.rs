//! Real `spool` processes on loopback, and what users do with them: commands and calls of the API.
//!
//! A [`Repo`] is a repository in a directory of its own; [`Repo::start`] runs its daemon, [`Repo::run`] one command. [`Api`] is a client of a
//! daemon for tests that have to know exactly what was acknowledged. Everything here panics when it fails: it is for tests only.

mod client;
mod command;
pub mod documents;
pub mod http;
mod process;

pub use client::{Api, Appended, Verified};
pub use command::{Outcome, Repo, program};
pub use process::{Daemon, Launched};

use std::time::Duration;

/// How often it is looked whether a process has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

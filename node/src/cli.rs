//! The command line.
//!
//! `daemon`, `init`, `config`, `testnet` and `completions` work on this machine alone; all other commands ask a daemon over its gRPC interface. Results go to
//! standard output, everything else to standard error. With `--json` results are one JSON document, or one object a line where a command
//! goes through many.

mod append;
mod archive;
mod bench;
mod command;
mod config;
mod confirm;
mod context;
mod daemon;
mod db;
mod doctor;
mod exit;
mod follower;
mod format;
mod home;
mod id;
mod init;
mod input;
mod lines;
mod log;
mod man;
mod object;
mod output;
mod passphrase;
mod peers;
mod repo;
mod resolve;
mod settings;
mod signals;
mod stat;
mod status;
mod sync;
mod testnet;
mod thread;
mod verify;
mod view;

pub use command::main;
use exit::Failure;

/// Says early what the daemon or the configuration would refuse later.
fn checked_name(name: &str) -> Result<(), Failure> {
    let limit = crate::config::MAX_NAME_BYTES;
    if name.is_empty() || name.len() > limit || name.chars().any(char::is_control) {
        return Err(Failure::usage(format!("a name has 1 to {limit} bytes and no control characters")));
    }
    Ok(())
}

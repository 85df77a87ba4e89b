//! `spool testnet`: several nodes on this machine, with what they write and send in view.
//!
//! `up` keeps them as its children, each with a pipe for standard input: however `up` ends, the pipes do, and the nodes with them. Others
//! reach it through the directory of the testnet alone ([`place`]): a lock says that it runs, a file asks it to stop. No process is ever
//! signalled by its id, which may be another's by then.

mod look;
mod member;
mod others;
mod place;
mod show;
mod up;

use std::path::PathBuf;

use clap::Subcommand;

use super::context::Context;
use super::exit::Failure;
use place::Place;

/// Run a network of several nodes on this machine
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  spool testnet up -n 5 --followers 2
  spool testnet exec writer1 -- append testnet 'hello'     in another terminal")]
pub(super) enum Args {
    /// Start nodes, join them to one thread, and show how they do until Ctrl-C
    ///
    /// Each is a daemon of its own, with a repository of its own and free ports of the loopback interface. Writers have a ticket with which they
    /// read and write the thread `testnet`, followers one with which they replicate it. What was started before in the same directory is
    /// started again, with what it has.
    ///
    /// All of them end when this command does, also when it is killed.
    #[command(after_help = "\
Examples:
  spool testnet up -n 5 --followers 2
  spool testnet up -n 3 --dir /tmp/three --json -- --log debug")]
    Up(up::Args),
    /// Stop the nodes that `up` started
    #[command(after_help = "Examples:\n  spool testnet down\n  spool testnet down --rm")]
    Down(others::DownArgs),
    /// Show the nodes, their heads and traffic, once
    #[command(after_help = "Example:\n  spool testnet status --json | jq .equal")]
    Status(Directory),
    /// Print the log of a node
    #[command(after_help = "Example:\n  spool testnet logs follower1 -f")]
    Logs(others::LogsArgs),
    /// Run a command of `spool` on a node
    #[command(after_help = "\
Examples:
  spool testnet exec writer1 -- append testnet 'hello'
  spool testnet exec follower1 -- thread show testnet")]
    Exec(others::ExecArgs),
}

/// Where the testnet is.
#[derive(Debug, clap::Args)]
pub(super) struct Directory {
    /// Where the nodes' repositories and logs are [default: testnet in the repository]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Directory {
    fn place(&self, context: &Context) -> Result<Place, Failure> {
        match &self.dir {
            Some(dir) => Ok(Place::new(dir.clone())),
            None => Ok(Place::new(context.dir()?.join("testnet"))),
        }
    }
}

impl Args {
    /// Whether it ends cleanly on signals by itself.
    pub(super) fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// Whether it goes on until it is interrupted, which then is no failure.
    pub(super) fn follows(&self) -> bool {
        matches!(self, Self::Logs(args) if args.follows())
    }
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    match args {
        Args::Up(args) => up::run(context, args).await,
        Args::Down(args) => others::down(context, args).await,
        Args::Status(directory) => others::status(context, directory).await,
        Args::Logs(args) => others::logs(context, args).await,
        Args::Exec(args) => others::exec(context, args),
    }
}

//! `spool man`

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::command::Cli;
use super::context::Context;
use super::exit::Failure;

/// Write the manual pages
///
/// One page for each command: `spool.1`, `spool-thread-share.1`, ...
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool man /usr/local/share/man/man1")]
pub(super) struct Args {
    /// Where to; made if it is not there
    directory: PathBuf,
}

pub(super) fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args { directory } = args;
    let cannot = |error| anyhow::Error::new(error).context(format!("cannot write in {}", directory.display()));
    std::fs::create_dir_all(&directory).map_err(cannot)?;
    clap_mangen::generate_to(Cli::command(), &directory).map_err(cannot)?;
    let pages = std::fs::read_dir(&directory).map_err(cannot)?;
    let pages = pages.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "1")).count();
    if context.out.is_json() {
        return context.out.json(&serde_json::json!({ "directory": directory, "pages": pages }));
    }
    context.out.line(format!("{}: {}", directory.display(), super::format::plural(pages as u64, "page")))
}

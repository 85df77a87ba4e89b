//! `spool bench`

use std::path::PathBuf;

use super::context::Context;
use super::exit::Failure;
use crate::bench::{self, Measured};

/// Measure nodes on this machine
///
/// Makes repositories in a temporary directory, runs nodes on loopback in this and in other processes, and prints what they do in a second next to
/// what signatures, cipher, hash and database do alone in the same run. Takes about a quarter of an hour and 3 GB of disk; `--only` names single rows.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool bench
  spool bench --only append --divide 10
  spool bench --dir /mnt/disk --json")]
pub(super) struct Args {
    /// Where to make the repositories: on the disk in question [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Only rows whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Divide the number of events by this, for a quick look
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    divide: u64,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let directory = args.dir.unwrap_or_else(std::env::temp_dir);
    let options = bench::Options { directory, divide: args.divide, only: args.only };
    let mut failed = None;
    bench::run(&options, |measured| {
        let told = if context.out.is_json() { context.out.json(measured) } else { context.out.line(line(measured)) };
        if let Err(error) = told {
            failed.get_or_insert(error);
        }
    })
    .await?;
    failed.map_or(Ok(()), Err)
}

fn line(measured: &Measured) -> String {
    match measured {
        Measured::Part(part) => format!("{:<66}{:>12} {}", part.name, number(part.rate), part.unit),
        Measured::Row(row) => {
            let aim = if row.less_is_better { "at most" } else { "at least" };
            let mut text =
                format!("{:<66}{:>12} {} ({aim} {})", row.name, number(row.value), row.unit, number(row.aim));
            if let Some(megabytes) = row.megabytes {
                text += &format!(", {megabytes:.1} MB/s");
            }
            if let Some((part, ratio)) = row.bound {
                text += &format!(", {ratio:.2} of {part}");
            }
            for note in &row.notes {
                text += &format!("; {note}");
            }
            text
        }
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { super::format::number(value.round() as u64) } else { format!("{value:.2}") }
}

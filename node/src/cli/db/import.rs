//! `spool db import`

use std::path::{Path as FilePath, PathBuf};

use clap::ValueEnum;
use spool_db::Path;

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::input::{Input, STDIN};
use super::assign::field_path;
use super::batch::Mode;
use super::load::{Batching, Destination, load};
use super::source::{self, Source};

/// How documents are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line
    Ndjson,
    /// One row for each document, below a row that names the columns
    Csv,
}

impl Format {
    /// What the extension of a file says.
    pub(super) fn of(path: &FilePath) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Import documents from a file
///
/// Newline-delimited JSON, or CSV with a header row: it names paths, so `crew.director` goes into the map `crew`. A cell that is JSON is that value (a
/// number, true, false, null, an array, an object, a string in quotes), an empty one is nothing, any other is a string. The field or column `_id` is the
/// document's id; without one it gets a new one. `_mod` is left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db import notes films movies.ndjson
  spool db import notes people people.csv --text phone --text zip
  spool db export notes films --format csv | spool db import other films - --format csv --replace")]
pub(in super::super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The collection
    collection: String,
    /// The file, or `-` for standard input
    file: PathBuf,
    /// [default: what the file's name ends with; ndjson from standard input]
    #[arg(long)]
    format: Option<Format>,
    /// Documents take the place of those that exist with their ids, which are refused else
    #[arg(long)]
    replace: bool,
    /// Keep this column of CSV as text, whatever it looks like; can be repeated
    #[arg(long, value_name = "PATH", value_parser = field_path)]
    text: Vec<Path>,
    #[command(flatten)]
    batching: Batching,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let format = match args.format.or_else(|| Format::of(&args.file)) {
        Some(format) => format,
        None if args.file == FilePath::new(STDIN) => Format::Ndjson,
        None => {
            let message = format!("what is in {}? Say --format ndjson or --format csv", args.file.display());
            return Err(Failure::usage(message));
        }
    };
    if format == Format::Ndjson && !args.text.is_empty() {
        return Err(Failure::usage("--text is for CSV: JSON says itself what is text"));
    }
    let (database, thread) = context.database(&args.thread).await?;
    let source: Source = match format {
        Format::Ndjson => source::ndjson(Input::open(&args.file).await?),
        Format::Csv => source::csv(&args.file, args.text)?,
    };
    let mode = if args.replace { Mode::Save } else { Mode::Create };
    let destination = Destination { thread, collection: args.collection, mode, drops_modified: true };
    load(context, database, destination, source, &args.batching).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_its_format() {
        let of = |name: &str| Format::of(FilePath::new(name));
        assert_eq!([of("a.ndjson"), of("b/a.JSONL"), of("a.json")], [Some(Format::Ndjson); 3]);
        assert_eq!([of("a.csv"), of("a.b.CSV")], [Some(Format::Csv); 2]);
        assert_eq!([of("-"), of("csv"), of("a.txt"), of("a.")], [None; 4]);
    }
}

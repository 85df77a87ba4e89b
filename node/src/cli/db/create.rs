//! `spool db create`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ArgGroup;
use spool_db::limits::MAX_DOCUMENT_BYTES;

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::input::{self, Input};
use super::batch::{self, Mode};
use super::load::{Batching, Destination, load};
use super::source::{self, ndjson};
use super::update::send;
use crate::api::pb;

/// Create documents
///
/// One from the argument or from a file, or many as newline-delimited JSON from standard input: one document a line, in transactions of --batch documents, many in
/// flight. The field `_id` is the document's id; without one it gets a new one. What exists is refused with exit code 6.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  spool db create notes films '{\"_id\": \"brazil\", \"title\": \"Brazil\", \"year\": 1985}'
  spool db create notes films --file brazil.json
  spool db create notes films < movies.ndjson",
    group = ArgGroup::new("source").args(["document", "file", "stdin"])
)]
pub(in super::super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The collection
    collection: String,
    /// The document, a JSON object
    #[arg(value_name = "JSON")]
    document: Option<String>,
    /// Read one document from a file
    #[arg(long, short, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Read newline-delimited JSON from standard input; so it is anyway without JSON and --file, unless that is a terminal
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    batching: Batching,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let text = match (args.document, &args.file) {
        (Some(document), _) => Some(document),
        (None, Some(path)) => Some(input::read_text(path, MAX_DOCUMENT_BYTES)?),
        (None, None) if !args.stdin && std::io::stdin().is_terminal() => {
            return Err(Failure::usage(
                "there is nothing to create: give a document, --file, or lines on standard input",
            ));
        }
        (None, None) => None,
    };
    let write = text.map(|text| one(&args.collection, &text, args.file.as_deref())).transpose()?;
    let (database, thread) = context.database(&args.thread).await?;
    match write {
        Some(write) => send(context, database, thread, vec![write]).await,
        None => {
            let destination =
                Destination { thread, collection: args.collection, mode: Mode::Create, drops_modified: false };
            load(context, database, destination, ndjson(Input::stdin()), &args.batching).await
        }
    }
}

fn one(collection: &str, text: &str, file: Option<&Path>) -> Result<pb::Write, Failure> {
    let place = file.map_or_else(String::new, |path| format!("{}: ", path.display()));
    let fields = source::object(text.as_bytes());
    let write = fields.and_then(|fields| batch::write(collection, Mode::Create, fields));
    write.map(|(write, _)| write).map_err(|error| Failure::usage(format!("{place}{error}")))
}

//! `spool db export`

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path as FilePath, PathBuf};

use serde_json::{Map, Value};
use spool_db::Path;
use tonic::Streaming;

use super::super::context::Context;
use super::super::exit::{self, Failure};
use super::super::format;
use super::assign::field_path;
use super::import::Format;
use super::point::Point;
use super::query::{Asked, Query};
use super::{csv, find, view};
use crate::api::pb;
use crate::repo::Partial;

/// Export documents to a file
///
/// As newline-delimited JSON, or as CSV with a column for each path at which a document has a value; `spool db import` makes the same documents of either. All
/// come from one state. A file given with --output appears whole or not at all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db export notes films > films.ndjson
  spool db export notes films 'year = 1985' --output films.csv
  spool db export notes films --fields title,crew.director --format csv --at tag:premiere

--at takes a tag, a time or a date: see `spool db find --help`.")]
pub(in super::super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The collection
    collection: String,
    /// Which documents; docs/queries.md has the syntax [default: all]
    filter: Option<String>,
    /// [default: what the name of the output ends with, else ndjson]
    #[arg(long)]
    format: Option<Format>,
    /// Write to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep only these paths, and the id; in CSV they are the columns
    #[arg(long, value_name = "PATH,...", value_delimiter = ',', value_parser = field_path)]
    fields: Vec<Path>,
    /// As it was then: a tag or a time
    #[arg(long, value_name = "POINT")]
    at: Option<Point>,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args { thread, collection, filter, format, output, fields, at } = args;
    let format = format.or_else(|| Format::of(output.as_deref()?)).unwrap_or(Format::Ndjson);
    if context.out.is_json() && output.is_none() && format == Format::Csv {
        return Err(Failure::usage(
            "CSV on standard output is no JSON: leave out --json, or name a file with --output",
        ));
    }
    let asked = Query { filter, fields, ..Query::default() }.ask()?;
    let asked = if format == Format::Csv { asked.without_positions() } else { asked };
    let request = find::request(collection, &asked, at)?;
    let (mut database, thread) = context.database(&thread).await?;
    let pages = database.find(pb::FindRequest { thread, ..request }).await?.into_inner();
    let Some(path) = output else {
        let count = write(pages, format, &asked, context.out.writer(), &exit::output).await?;
        context.out.flush()?;
        context.out.hint(format::plural(count, "document"));
        return Ok(());
    };
    let cannot = |error: io::Error| cannot_write(&path, error);
    let mut file = BufWriter::new(Partial::create(&path, false).map_err(cannot)?);
    let count = write(pages, format, &asked, &mut file, &cannot).await?;
    file.into_inner().map_err(|error| cannot(error.into_error()))?.finish().map_err(cannot)?;
    if context.out.is_json() {
        return context.out.json(&serde_json::json!({ "file": path, "documents": count }));
    }
    context.out.hint(format!("{} in {}", format::plural(count, "document"), path.display()));
    Ok(())
}

fn cannot_write(path: &FilePath, error: io::Error) -> Failure {
    anyhow::Error::new(error).context(format!("cannot write {}", path.display())).into()
}

type Pages = Streaming<pb::FindResponse>;

/// Writes all documents; returns how many there were.
async fn write(
    mut pages: Pages,
    format: Format,
    asked: &Asked,
    writer: &mut impl Write,
    cannot: &impl Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    match (format, asked.fields.as_slice()) {
        (Format::Ndjson, _) => copy(&mut pages, |document| writeln!(writer, "{document}").map_err(cannot)).await,
        (Format::Csv, []) => {
            let (held, count) = hold(&mut pages).await?;
            held.write(writer, cannot)?;
            Ok(count)
        }
        (Format::Csv, paths) => {
            let columns = csv::with_id_first(paths.iter().cloned());
            let mut rows = Rows::new(writer, &columns, cannot)?;
            let count = copy(&mut pages, |text| {
                let document = view::document(text)?;
                rows.write(&csv::chosen_row(&document, &columns))
            });
            let count = count.await?;
            rows.finish()?;
            Ok(count)
        }
    }
}

async fn copy(pages: &mut Pages, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<u64, Failure> {
    let mut count = 0;
    while let Some(page) = pages.message().await? {
        page.documents.iter().try_for_each(|document| each(document))?;
        count += page.documents.len() as u64;
    }
    Ok(count)
}

/// Documents that wait on disk until all columns are known: a second query would find another state.
struct Held {
    file: BufWriter<File>,
    columns: csv::Columns,
}

fn cannot_hold(error: io::Error) -> Failure {
    anyhow::Error::new(error).context("cannot hold documents in a temporary file").into()
}

async fn hold(pages: &mut Pages) -> Result<(Held, u64), Failure> {
    let mut held = Held::new()?;
    let count = copy(pages, |document| held.push(document)).await?;
    Ok((held, count))
}

impl Held {
    fn new() -> Result<Self, Failure> {
        let file = tempfile::tempfile().map_err(cannot_hold)?;
        Ok(Self { file: BufWriter::new(file), columns: csv::Columns::default() })
    }

    fn push(&mut self, text: &str) -> Result<(), Failure> {
        let document = view::document(text)?;
        self.columns.see(&document).map_err(|error| of_document(&document, &error))?;
        writeln!(self.file, "{text}").map_err(cannot_hold)
    }

    /// Writes the documents as rows.
    fn write(self, writer: &mut impl Write, cannot: &impl Fn(io::Error) -> Failure) -> Result<(), Failure> {
        let mut file = self.file.into_inner().map_err(|error| cannot_hold(error.into_error()))?;
        file.rewind().map_err(cannot_hold)?;
        let columns = self.columns.into_paths();
        let mut rows = Rows::new(writer, &columns, cannot)?;
        for line in BufReader::new(file).lines() {
            let document = view::document(&line.map_err(cannot_hold)?)?;
            rows.write(&csv::row(&document, &columns).map_err(|error| of_document(&document, &error))?)?;
        }
        rows.finish()
    }
}

fn of_document(document: &Map<String, Value>, error: &csv::Error) -> Failure {
    let id = document.get(spool_db::query::ID).and_then(Value::as_str).unwrap_or_default();
    Failure::usage(format!("document {}: {error}", format::shown(id)))
}

/// Rows of CSV below their heading.
struct Rows<'a, W: Write, F> {
    writer: ::csv::Writer<W>,
    cannot: &'a F,
}

impl<'a, W: Write, F: Fn(io::Error) -> Failure> Rows<'a, W, F> {
    fn new(writer: W, columns: &[Path], cannot: &'a F) -> Result<Self, Failure> {
        let mut rows = Self { writer: ::csv::Writer::from_writer(writer), cannot };
        rows.write(&columns.iter().map(Path::to_string).collect::<Vec<_>>())?;
        Ok(rows)
    }

    fn write(&mut self, cells: &[String]) -> Result<(), Failure> {
        // Not as another kind of error around the one that says why: a closed pipe has to be told from a full disk.
        self.writer.write_record(cells).map_err(|error| match error.into_kind() {
            ::csv::ErrorKind::Io(error) => (self.cannot)(error),
            other => (self.cannot)(io::Error::other(format!("{other:?}"))),
        })
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(self.cannot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(documents: &[&str]) -> Result<String, Failure> {
        let mut held = Held::new()?;
        documents.iter().try_for_each(|document| held.push(document))?;
        let mut bytes = Vec::new();
        held.write(&mut bytes, &exit::output)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn columns_are_those_of_all_documents() {
        let rows = rows_of(&[
            r#"{"_id":"7","_mod":1,"title":"1941","crew":{"director":"Spielberg"}}"#,
            r#"{"_id":"b","_mod":2,"cast":["a","b"],"title":"x, \"y\"\nz"}"#,
        ]);
        let expected = "_id,_mod,cast,crew.director,title\n7,1,,Spielberg,\"\"\"1941\"\"\"\n\
                        b,2,\"[\"\"a\"\",\"\"b\"\"]\",,\"x, \"\"y\"\"\nz\"\n";
        assert_eq!(rows.unwrap(), expected);
        assert_eq!(rows_of(&[]).unwrap(), "_id\n");
    }

    #[test]
    fn a_document_that_has_no_row_is_named() {
        let failure = rows_of(&[r#"{"_id":"b","":1}"#]).unwrap_err();
        assert!(failure.error.to_string().starts_with("document b: the document has a field without a name"));
    }

    /// The error of a closed pipe keeps its kind on its way through the writer, so that `| head` ends quietly.
    #[test]
    fn a_closed_pipe_is_still_one_behind_the_writer() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let long = ["x".repeat(100_000)];
        let written = Rows::new(Closed, &[], &exit::output).and_then(|mut rows| rows.write(&long));
        assert!(written.unwrap_err().is_closed_pipe());
    }
}

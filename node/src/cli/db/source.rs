//! Where documents come from: newline-delimited JSON, or rows of CSV.

use std::io::{self, Read};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};
use spool_db::Path;
use tokio::sync::mpsc;

use super::super::exit::Failure;
use super::super::input::{self, Input};
use super::super::lines::Lines;
use super::csv::Header;

/// Bytes of a line or row. A document is smaller in a transaction, but escapes and spaces count here.
const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;
/// Documents that were read and wait: reading stops when what comes behind does not keep up.
const WAITING: usize = 256;

/// A document, and where it was.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) fields: Map<String, Value>,
    /// The line on which it begins, from 1, with empty lines that come before it.
    pub(super) line: u64,
    /// Bytes of the input read so far.
    pub(super) read: u64,
}

/// Documents one after another; a failure is the last thing that comes.
pub(super) struct Source {
    pub(super) documents: mpsc::Receiver<Result<Found, Failure>>,
    /// Bytes in all, where that is known.
    pub(super) size: Option<u64>,
}

/// One document on each line.
pub(super) fn ndjson(input: Input) -> Source {
    let (found, documents) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut lines = Lines::new(input.reader, MAX_LINE_BYTES);
        loop {
            let next = match lines.next().await {
                Ok(None) => return,
                Ok(Some(None)) => continue,
                Ok(Some(Some(line))) => match object(&line) {
                    Ok(fields) => Ok(Found { fields, line: lines.number(), read: lines.read() }),
                    Err(error) => Err(Failure::usage(format!("line {}: {error}", lines.number()))),
                },
                Err(error) => Err(Failure::usage(error)),
            };
            // Nobody waits for more than the first failure.
            if next.is_err() | found.send(next).await.is_err() {
                return;
            }
        }
    });
    Source { documents, size: input.size }
}

/// A JSON object.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("a document is a JSON object".into()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// One document in each row below the first, which names the columns.
pub(super) fn csv(path: &FilePath, text: Vec<Path>) -> Result<Source, Failure> {
    let (reader, size) = input::open_blocking(path)?;
    let (found, documents) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        if let Err(failure) = rows(reader, &text, |document| found.blocking_send(Ok(document)).is_ok()) {
            // If nobody waits any more, there is nobody to tell.
            let _ = found.blocking_send(Err(failure));
        }
    });
    Ok(Source { documents, size })
}

/// Reads rows until `visit` has enough.
fn rows(reader: impl Read, text: &[Path], mut visit: impl FnMut(Found) -> bool) -> Result<(), Failure> {
    let left = Arc::new(AtomicU64::new(0));
    let renew = || left.store(MAX_LINE_BYTES as u64, Ordering::Relaxed);
    renew();
    let mut reader = ::csv::Reader::from_reader(Bounded { reader, left: left.clone() });
    let unreadable = |error: ::csv::Error| Failure::usage(format!("cannot read the input: {error}"));
    let header = Header::new(reader.headers().map_err(unreadable)?.iter(), text);
    let header = header.map_err(|error| Failure::usage(format!("in the first row: {error}")))?;
    let mut record = ::csv::StringRecord::new();
    renew();
    while reader.read_record(&mut record).map_err(unreadable)? {
        let line = record.position().map_or(0, ::csv::Position::line);
        let fields = header.document(record.iter());
        let fields = fields.map_err(|error| Failure::usage(format!("line {line}: {error}")))?;
        if !visit(Found { fields, line, read: reader.position().byte() }) {
            return Ok(());
        }
        renew();
    }
    Ok(())
}

/// Ends with an error where one row goes on and on, as it does behind a quote that is never closed.
struct Bounded<R> {
    reader: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed).checked_sub(read as u64);
        let left = left.ok_or_else(|| {
            io::Error::other(format!(
                "a row has more than {MAX_LINE_BYTES} bytes; is there a quote that is not closed?"
            ))
        })?;
        self.left.store(left, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Vec<(u64, Value)>, Option<String>) {
        let mut found = Vec::new();
        let ended = rows(text.as_bytes(), &[], |Found { fields, line, .. }| {
            found.push((line, Value::Object(fields)));
            true
        });
        (found, ended.err().map(|failure| failure.error.to_string()))
    }

    #[test]
    fn rows_know_their_lines_and_a_mark_of_order_is_no_name() {
        let (found, error) = read("\u{feff}title,year\nBrazil,1985\n\"two\nlines\",1\n\nRan,1985\n");
        assert_eq!(error, None);
        let expected = [
            (2, json!({"title": "Brazil", "year": 1985})),
            (3, json!({"title": "two\nlines", "year": 1})),
            (5, json!({"title": "Ran", "year": 1985})),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_that_make_no_sense_are_named() {
        let (found, error) = read("title,year\nBrazil,1985\nRan\n");
        assert_eq!(found.len(), 1);
        assert!(error.unwrap().contains("line: 3"));
        assert!(read("a,a.b\n1,2\n").1.unwrap().starts_with("line 2: "));
        assert!(read("").1.is_none());
        assert!(read("a,,b\n").1.unwrap().starts_with("in the first row: column 2"));
        assert!(read("a\n\"\\u{ff}\n").1.is_none());
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_before_memory_does() {
        let rows = format!("a\n{}\"{}", "x\n".repeat(10_000), "y".repeat(2 * MAX_LINE_BYTES));
        let (found, error) = read(&rows);
        assert_eq!(found.len(), 10_000);
        assert!(error.unwrap().contains("a quote that is not closed"));
    }

    #[tokio::test]
    async fn lines_come_with_their_numbers_and_end_with_the_first_bad_one() {
        let input = Input { reader: Box::new(&b"{\"a\":1}\n\n{\"b\":2}\n[]\n{}"[..]), size: None };
        let mut source = ndjson(input);
        let mut lines = Vec::new();
        let error = loop {
            match source.documents.recv().await.unwrap() {
                Ok(found) => lines.push(found.line),
                Err(failure) => break failure.error.to_string(),
            }
        };
        assert_eq!((lines, error.as_str()), (vec![1, 3], "line 4: a document is a JSON object"));
        assert!(source.documents.recv().await.is_none());
    }
}

//! Results on standard output, everything else on standard error.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::exit::{self, Failure};

type Result<T> = std::result::Result<T, Failure>;

/// Where a command writes.
pub(super) struct Output {
    json: bool,
    results: BufWriter<Stdout>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, results: BufWriter::with_capacity(64 * 1024, io::stdout()) }
    }

    /// Whether results are for programs.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// One line of results.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.bytes(text.as_ref().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Results as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.results.write_all(bytes).map_err(exit::output)
    }

    /// Where results go, for those who write by themselves; what fails there is for [`exit::output`].
    pub(super) fn writer(&mut self) -> &mut impl Write {
        &mut self.results
    }

    /// One JSON value on a line of its own.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.results, value).map_err(|error| exit::output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Shows what was written so far.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.results.flush().map_err(exit::output)
    }

    /// Aligned columns under a heading; the last column is as wide as it wants.
    pub(super) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([heading[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heading.len()).map(width).collect();
        let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
        for row in [&heading].into_iter().chain(rows) {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            self.line(padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Names and values below each other.
    pub(super) fn fields(&mut self, fields: &[(&str, String)]) -> Result<()> {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in fields {
            self.line(format!("{name:width$}  {value}"))?;
        }
        Ok(())
    }

    /// What to do next, for people only.
    pub(super) fn hint(&self, text: impl AsRef<str>) {
        if !self.json {
            note(text.as_ref());
        }
    }

    /// What should not be missed, whoever reads the results.
    pub(super) fn warn(&self, text: impl AsRef<str>) {
        note(&format!("warning: {}", text.as_ref()));
    }

    /// The end of a failed command.
    pub(super) fn failure(&mut self, failure: &Failure) {
        // What was printed before it failed still stands.
        let _ = self.results.flush();
        let causes: Vec<String> = failure.error.chain().map(ToString::to_string).collect();
        let message = causes.join(": ");
        if self.json {
            let error = serde_json::json!({ "error": { "code": failure.exit as u8, "reason": failure.reason, "message": message } });
            note(&error.to_string());
        } else {
            note(&format!("error: {message}"));
        }
    }
}

/// A line on standard error. If nobody reads it, there is nobody to tell.
fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A bar over `total` bytes, or a spinner where the total is not known; only where standard error is a terminal.
pub(super) fn progress(total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, style) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes} {msg} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg} {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(style).expect("a literal template"))
}

/// A bar over `total` things.
pub(super) fn count(total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, style) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {human_pos}/{human_len} {msg} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} {msg} {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(style).expect("a literal template"))
}

//! Documents as a table: their most frequent fields, cut to a width.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use spool_db::Path;
use spool_db::query::{ID, MODIFIED};

use super::super::exit::Failure;
use super::super::format;
use super::super::output::Output;

/// Documents that are looked at before columns are chosen; what comes behind them is printed as it comes.
const SAMPLE_DOCUMENTS: usize = 200;
/// Characters of a cell.
const CELL: usize = 32;
/// Characters of a row, where the width of the terminal is not known.
const ROW: usize = 140;
/// Characters between two columns.
const GAP: usize = 2;

/// A table that grows.
pub(super) struct Table {
    /// Named by the user; empty to choose.
    paths: Vec<Path>,
    sample: Vec<Map<String, Value>>,
    layout: Option<Layout>,
    count: u64,
}

struct Layout {
    columns: Vec<(Path, usize)>,
    hidden: Vec<String>,
}

impl Table {
    pub(super) fn new(paths: Vec<Path>) -> Self {
        Self { paths, sample: Vec::new(), layout: None, count: 0 }
    }

    pub(super) fn push(&mut self, out: &mut Output, document: Map<String, Value>) -> Result<(), Failure> {
        self.count += 1;
        if let Some(layout) = &self.layout {
            return out.line(layout.row(&document));
        }
        self.sample.push(document);
        if self.sample.len() >= SAMPLE_DOCUMENTS { self.begin(out) } else { Ok(()) }
    }

    /// Prints what was held back until the columns were known.
    fn begin(&mut self, out: &mut Output) -> Result<(), Failure> {
        let sample = std::mem::take(&mut self.sample);
        if self.layout.is_some() || sample.is_empty() {
            return Ok(());
        }
        let layout = match self.paths.as_slice() {
            [] => Layout::choose(&sample),
            paths => Layout::of(paths, &sample),
        };
        out.line(layout.heading())?;
        sample.iter().try_for_each(|document| out.line(layout.row(document)))?;
        self.layout = Some(layout);
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Output) -> Result<(), Failure> {
        self.begin(out)?;
        out.flush()?;
        match self.layout {
            None => out.hint("no documents"),
            Some(Layout { hidden, .. }) if hidden.is_empty() => {
                out.hint(format::plural(self.count, "document"));
            }
            Some(Layout { hidden, .. }) => out.hint(format!(
                "{}; not shown: {} (`--fields` chooses, `--json` shows all)",
                format::plural(self.count, "document"),
                format::cut(&hidden.join(", "), ROW),
            )),
        }
        Ok(())
    }
}

impl Layout {
    /// The id, and of the top-level fields those that most documents have, as many as there is room for. Of fields that are equally frequent, single values come
    /// first: they read better than lists.
    fn choose(sample: &[Map<String, Value>]) -> Self {
        let mut fields: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (name, value) in sample.iter().flatten().filter(|(name, _)| *name != ID && *name != MODIFIED) {
            let (count, lists) = fields.entry(name).or_default();
            *count += 1;
            *lists += usize::from(value.is_array() || value.is_object());
        }
        let mut ranked: Vec<_> = fields.into_iter().collect();
        ranked.sort_by_key(|(name, (count, lists))| (std::cmp::Reverse(*count), *lists * 2 > *count, *name));
        let id = Path::new([ID]);
        let mut left = ROW.saturating_sub(width(&id, sample));
        let mut layout = Self { columns: vec![(id.clone(), width(&id, sample))], hidden: Vec::new() };
        for (name, _) in ranked {
            let path = Path::new([name]);
            let width = width(&path, sample);
            if width + GAP <= left {
                left -= width + GAP;
                layout.columns.push((path, width));
            } else {
                layout.hidden.push(format::shown(&path.to_string()));
            }
        }
        layout
    }

    /// The id, and the paths that were asked for, all of them.
    fn of(paths: &[Path], sample: &[Map<String, Value>]) -> Self {
        let id = Path::new([ID]);
        let others = paths.iter().filter(|path| **path != id);
        let columns = std::iter::once(&id).chain(others).map(|path| (path.clone(), width(path, sample)));
        Self { columns: columns.collect(), hidden: Vec::new() }
    }

    fn heading(&self) -> String {
        let names = self.columns.iter().map(|(path, _)| heading(path));
        self.line(names)
    }

    fn row(&self, document: &Map<String, Value>) -> String {
        self.line(self.columns.iter().map(|(path, _)| cell(path, document)))
    }

    fn line(&self, cells: impl Iterator<Item = String>) -> String {
        let padded = cells.zip(&self.columns).map(|(cell, (_, width))| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

fn heading(path: &Path) -> String {
    format::cut(&format::shown(&path.to_string()), CELL)
}

/// Characters of the widest cell in a column.
fn width(path: &Path, sample: &[Map<String, Value>]) -> usize {
    let cells = sample.iter().map(|document| cell(path, document).chars().count());
    cells.chain([heading(path).chars().count()]).max().unwrap_or(0)
}

/// What a document has at a path. An id is never cut: it is there to be copied.
fn cell(path: &Path, document: &Map<String, Value>) -> String {
    let text = match path.get(document) {
        None => return String::new(),
        Some(Value::String(text)) => format::shown(text),
        Some(value) => format::shown_json(&value.to_string()),
    };
    if path.names() == [ID] { text } else { format::cut(&text, CELL) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn documents(values: &[Value]) -> Vec<Map<String, Value>> {
        values.iter().map(|value| value.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn the_id_comes_first_then_what_most_documents_have() {
        let sample = documents(&[
            json!({"_id": "1", "_mod": 1, "cast": ["a"], "title": "Brazil", "year": 1985}),
            json!({"_id": "22", "_mod": 2, "cast": [], "title": "Ran", "year": 1985, "rare": true}),
        ]);
        let layout = Layout::choose(&sample);
        assert_eq!(layout.heading(), "_id  title   year  cast   rare");
        assert_eq!(layout.row(&sample[0]), "1    Brazil  1985  [\"a\"]");
        assert_eq!(layout.row(&sample[1]), "22   Ran     1985  []     true");
    }

    #[test]
    fn columns_that_have_no_room_are_named() {
        let long = "x".repeat(100);
        let sample = documents(&[json!({"_id": "1", "a": long, "b": long, "c": long, "d": "y", "e": long, "f": 1})]);
        let layout = Layout::choose(&sample);
        let row = layout.row(&sample[0]);
        assert!(row.chars().count() <= ROW, "{row}");
        assert!(row.ends_with("xxx…  y  1"), "{row}");
        assert_eq!(layout.hidden, ["e"]);
    }

    #[test]
    fn paths_that_are_named_come_in_their_order_whatever_their_width() {
        let sample =
            documents(&[json!({"_id": "1", "cast": ["Jonathan Pryce"], "crew": {"director": "Terry\u{1b}[2J"}})]);
        let paths = ["crew.director", "cast.0", "_id", "none"].map(|path| Path::parse(path).unwrap());
        let layout = Layout::of(&paths, &sample);
        assert_eq!(layout.heading(), "_id  crew.director   cast.0          none");
        assert_eq!(layout.row(&sample[0]), "1    Terry\\u{1b}[2J  Jonathan Pryce");
    }

    #[test]
    fn an_id_is_never_cut() {
        let id = "i".repeat(128);
        let sample = documents(&[json!({"_id": id, "a": 1})]);
        assert!(Layout::choose(&sample).row(&sample[0]).starts_with(&id));
    }
}

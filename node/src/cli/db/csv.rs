//! Documents as rows of CSV, and back.
//!
//! A column is a path. A cell is empty where a document has nothing there; it is JSON where that can be told from text, else text. So a text that would read as
//! something else, such as the title *1941*, is written as a JSON string with its quotes, and every document comes back as it was.

use serde_json::{Map, Value};
use spool_db::Path;
use spool_db::query::{ID, MODIFIED};

/// Why there is no row of a document, or no document of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the document has a field without a name, for which CSV has no column: export it as ndjson")]
    NoName,
    #[error("the document has a field {0}, which has come up since the columns were chosen")]
    NoColumn(String),
    #[error("column {0} has no name")]
    Unnamed(usize),
    #[error("the column {0:?} is there twice")]
    Twice(String),
    #[error("the column {0:?}: {1}")]
    Path(String, spool_db::path::Error),
    #[error("there is no column {0:?} to keep as text")]
    NoText(String),
    #[error("{0} and {1} both have a value, and one lies within the other")]
    Within(String, String),
}

/// The text of a value.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && value_of(text) == *value => text.clone(),
        other => other.to_string(),
    }
}

/// The value of a text that is not empty: JSON, else the text itself. Whole numbers of more than 64 bits stay text: they are rather long ids, and as numbers
/// they would lose digits.
pub(super) fn value_of(cell: &str) -> Value {
    match serde_json::from_str(cell) {
        Ok(Value::Number(number)) if number.is_f64() && !cell.contains(['.', 'e', 'E']) => Value::from(cell),
        Ok(value) => value,
        Err(_) => Value::from(cell),
    }
}

/// The paths at which a document has something that goes into a cell: single values, arrays, maps without fields.
pub(super) fn leaves(document: &Map<String, Value>) -> Result<Vec<(Path, &Value)>, Error> {
    let mut found = Vec::new();
    for (name, value) in document {
        if name.is_empty() {
            return Err(Error::NoName);
        }
        collect(Path::new([name]), value, &mut found);
    }
    Ok(found)
}

fn collect<'a>(path: Path, value: &'a Value, found: &mut Vec<(Path, &'a Value)>) {
    match value {
        // A path cannot name what has no name: it stays within the JSON of what is around it.
        Value::Object(fields) if !fields.is_empty() && !fields.contains_key("") => {
            fields.iter().for_each(|(name, value)| collect(path.child(name), value, found));
        }
        _ => found.push((path, value)),
    }
}

/// The cells of a document in these columns, each with the leaf that it has there.
pub(super) fn row(document: &Map<String, Value>, columns: &[Path]) -> Result<Vec<String>, Error> {
    let mut cells = vec![String::new(); columns.len()];
    for (path, value) in leaves(document)? {
        let column = columns.iter().position(|column| *column == path);
        let column = column.ok_or_else(|| Error::NoColumn(path.to_string()))?;
        cells[column] = if is_id(&path) { raw(value) } else { cell(value) };
    }
    Ok(cells)
}

/// The cells of a document in columns that somebody has named, whatever it has there.
pub(super) fn chosen_row(document: &Map<String, Value>, columns: &[Path]) -> Vec<String> {
    let cell = |path: &Path| match path.get(document) {
        None => String::new(),
        Some(value) if is_id(path) => raw(value),
        Some(value) => cell(value),
    };
    columns.iter().map(cell).collect()
}

fn is_id(path: &Path) -> bool {
    path.names() == [ID]
}

/// An id is always text: it needs no quotes, whatever it looks like.
fn raw(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// What the columns of a file mean.
#[derive(Debug)]
pub(super) struct Header(Vec<Column>);

#[derive(Debug)]
struct Column {
    path: Path,
    is_text: bool,
}

impl Header {
    /// From the cells of the first row; the columns `text` are kept as they are.
    pub(super) fn new<'a>(cells: impl Iterator<Item = &'a str>, text: &[Path]) -> Result<Self, Error> {
        let mut columns: Vec<Column> = Vec::new();
        for (position, cell) in cells.enumerate() {
            let path = Path::parse(cell).map_err(|error| Error::Path(cell.to_owned(), error))?;
            if path.is_root() {
                return Err(Error::Unnamed(position + 1));
            }
            if columns.iter().any(|column| column.path == path) {
                return Err(Error::Twice(cell.to_owned()));
            }
            let is_text = is_id(&path) || text.contains(&path);
            columns.push(Column { path, is_text });
        }
        if let Some(missing) = text.iter().find(|path| !columns.iter().any(|column| column.path == **path)) {
            return Err(Error::NoText(missing.to_string()));
        }
        Ok(Self(columns))
    }

    /// The document of a row.
    pub(super) fn document<'a>(&self, cells: impl Iterator<Item = &'a str>) -> Result<Map<String, Value>, Error> {
        let mut document = Map::new();
        for (column, cell) in self.0.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            let value = if column.is_text { Value::from(cell) } else { value_of(cell) };
            put(&mut document, &column.path, value)?;
        }
        Ok(document)
    }
}

/// Puts a value at a path where nothing is yet.
fn put(document: &mut Map<String, Value>, path: &Path, value: Value) -> Result<(), Error> {
    let (last, around) = path.names().split_last().ok_or(Error::NoName)?;
    let mut map = document;
    for (depth, name) in around.iter().enumerate() {
        let next = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
        let within = || Error::Within(Path::new(&path.names()[..=depth]).to_string(), path.to_string());
        map = next.as_object_mut().ok_or_else(within)?;
    }
    match map.insert(last.clone(), value) {
        None => Ok(()),
        Some(_) => Err(Error::Within(path.to_string(), "a path within it".into())),
    }
}

/// Columns of documents of which the leaves were seen: the id first, all else in the order of the paths.
#[derive(Debug, Default)]
pub(super) struct Columns(std::collections::BTreeSet<Path>);

impl Columns {
    pub(super) fn see(&mut self, document: &Map<String, Value>) -> Result<(), Error> {
        for (path, _) in leaves(document)? {
            if !self.0.contains(&path) {
                self.0.insert(path);
            }
        }
        Ok(())
    }

    pub(super) fn into_paths(self) -> Vec<Path> {
        with_id_first(self.0)
    }
}

/// The id, and the other paths behind it.
pub(super) fn with_id_first(paths: impl IntoIterator<Item = Path>) -> Vec<Path> {
    std::iter::once(Path::new([ID])).chain(paths.into_iter().filter(|path| !is_id(path))).collect()
}

/// Leaves out what is not for writing.
pub(super) fn without_modified(document: &mut Map<String, Value>) {
    document.remove(MODIFIED);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// Writes documents as a file and reads it again.
    fn round_trip(documents: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
        let mut columns = Columns::default();
        documents.iter().for_each(|document| columns.see(document).unwrap());
        let columns = columns.into_paths();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(columns.iter().map(Path::to_string)).unwrap();
        documents.iter().for_each(|document| writer.write_record(row(document, &columns).unwrap()).unwrap());
        let bytes = writer.into_inner().unwrap();
        let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
        let header = Header::new(reader.headers().unwrap().iter(), &[]).unwrap();
        reader.records().map(|record| header.document(record.unwrap().iter()).unwrap()).collect()
    }

    #[test]
    fn cells_are_json_where_that_can_be_told_from_text() {
        for (value, text) in [
            (json!("Brazil"), "Brazil"),
            (json!("1941"), "\"1941\""),
            (json!("true"), "\"true\""),
            (json!("null"), "\"null\""),
            (json!(" 7 "), "\" 7 \""),
            (json!(""), "\"\""),
            (json!("\"quoted\""), "\"\\\"quoted\\\"\""),
            (json!("\"open"), "\"open"),
            (json!("[a]"), "[a]"),
            (json!("[1]"), "\"[1]\""),
            (json!("1e999"), "1e999"),
            (json!("123456789012345678901234567890"), "123456789012345678901234567890"),
            (json!(1941), "1941"),
            (json!(1.0), "1.0"),
            (json!(0.1 + 0.2), "0.30000000000000004"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(1e300), "1e+300"),
            (json!(null), "null"),
            (json!(["a", 1]), "[\"a\",1]"),
            (json!({}), "{}"),
        ] {
            assert_eq!(cell(&value), text);
            assert_eq!(value_of(text), value, "{text}");
        }
    }

    #[test]
    fn dots_nest_and_ids_stay_text() {
        let header = Header::new(["_id", "title", "crew.director", "a\\.b", "zip"].into_iter(), &[Path::new(["zip"])]);
        let header = header.unwrap();
        let document = header.document(["007", "1941", "Spielberg", "", "01234"].into_iter()).unwrap();
        let expected = json!({"_id": "007", "title": 1941, "crew": {"director": "Spielberg"}, "zip": "01234"});
        assert_eq!(Value::Object(document), expected);
        assert_eq!(Value::Object(header.document(["", "", "", "", ""].into_iter()).unwrap()), json!({}));
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        let error = |cells: &[&str], text: &[Path]| Header::new(cells.iter().copied(), text).unwrap_err();
        assert_eq!(error(&["a", ""], &[]), Error::Unnamed(2));
        assert_eq!(error(&["a", "b", "a"], &[]), Error::Twice("a".into()));
        assert!(matches!(error(&["a..b"], &[]), Error::Path(..)));
        assert_eq!(error(&["a"], &[Path::new(["b"])]), Error::NoText("b".into()));
    }

    #[test]
    fn values_within_one_another_are_refused_in_either_order() {
        for columns in [["a", "a.b"], ["a.b", "a"]] {
            let header = Header::new(columns.into_iter(), &[]).unwrap();
            let error = header.document(["1", "2"].into_iter()).unwrap_err();
            assert!(matches!(error, Error::Within(..)), "{error}");
            assert!(header.document(["1", ""].into_iter()).is_ok());
            assert!(header.document(["", "2"].into_iter()).is_ok());
        }
    }

    #[test]
    fn what_has_no_name_stays_in_the_json_around_it() {
        let document = map(&json!({"_id": "x", "a": {"": 1, "b": 2}, "c": {"d": {"": 3}}}));
        assert_eq!(
            row(&document, &["_id", "a", "c.d"].map(|path| Path::parse(path).unwrap())).unwrap()[1],
            "{\"\":1,\"b\":2}"
        );
        assert_eq!(round_trip(std::slice::from_ref(&document)), [document]);
        assert_eq!(leaves(&map(&json!({"": 1}))), Err(Error::NoName));
    }

    #[test]
    fn columns_that_were_named_take_what_is_there() {
        let document = map(&json!({"_id": "7", "a": {"b": 1}, "c": ["x"]}));
        let columns = with_id_first(["a", "c.0", "_id", "none"].map(|path| Path::parse(path).unwrap()));
        assert_eq!(chosen_row(&document, &columns), ["7", "{\"b\":1}", "x", ""]);
        let late = map(&json!({"_id": "8", "d": 1}));
        assert_eq!(row(&late, &columns), Err(Error::NoColumn("d".into())));
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{0,4}",
            "[-0-9.eE+]{1,6}",
            r#"["\[\]{},:; \n\r\\a1]{0,6}"#,
            Just("true".to_owned()),
            Just("null".to_owned()),
            Just("\u{feff}ä\u{1b}".to_owned()),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let single = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has finite numbers", |number| number.is_finite()).prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        single.prop_recursive(4, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(name(), inner, 0..4)
                    .prop_map(|fields| fields.into_iter().collect::<Value>()),
            ]
        })
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[abc]", "[.\\\\a]{1,3}", Just(String::new()), Just("_id".to_owned()), Just("0".to_owned()), text()]
    }

    fn document() -> impl Strategy<Value = Map<String, Value>> {
        let field = name().prop_filter("no column for it", |name| !name.is_empty());
        let fields = prop::collection::btree_map(field, value(), 0..6);
        (text().prop_filter("ids have a length", |id| !id.is_empty()), fields)
            .prop_map(|(id, fields)| fields.into_iter().chain([(ID.to_owned(), Value::from(id))]).collect())
    }

    proptest! {
        #[test]
        fn every_document_comes_back_as_it_was(documents in prop::collection::vec(document(), 1..5)) {
            prop_assert_eq!(round_trip(&documents), documents);
        }
    }
}

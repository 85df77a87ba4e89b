//! What a collection's definition says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value, json};

use super::{
    builder,
    rule::{FILTER, Rule, VALIDATOR, rule},
    schema::{self, Schema, clip, short},
};
use crate::{
    Change, Path,
    judge::limits::SOURCE_BYTES,
    limits::{MAX_INDEX_DEPTH, MAX_INDEX_PATH_BYTES, MAX_INDEXES, MAX_KEEP_BOTH, MAX_PROBLEMS},
};

/// The collection of all definitions.
pub const COLLECTIONS: &str = "_collections";

const SCHEMA: &str = "schema";
const INDEXES: &str = "indexes";
const UNIQUE: &str = "unique";
const KEEP_BOTH: &str = "keep_both";

/// An order of a collection's documents that queries can use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index {
    /// The field that it sorts by.
    pub path: Path,
    /// Whether no two documents may have the same value there.
    pub unique: bool,
}

/// What is defined for a collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The JSON Schema of its documents: of the form and size of one, but perhaps not one that [`Schema::compile`] takes.
    pub schema: Option<Value>,
    /// Its indexes, sorted, each path once.
    pub indexes: Vec<Index>,
    /// The fields, sorted, whose concurrent values stay side by side; none lies within another.
    pub keep_both: Vec<Path>,
    /// Decides whether a write is accepted.
    pub validator: Option<Rule>,
    /// Decides what a reader sees.
    pub filter: Option<Rule>,
    /// Fields of the definition that this program does not know.
    pub other: Map<String, Value>,
    /// What was left out as it makes no sense, for people.
    pub problems: Vec<String>,
}

impl Definition {
    /// Reads a definition as merged from what all peers have written; some of them may be newer or mean harm. What makes no sense is left out
    /// and listed. The same fields give the same definition on every peer.
    pub fn from_fields(name: &str, fields: &Map<String, Value>) -> Self {
        let mut problems = Problems::default();
        if !builder::is_name(name) {
            problems.note(format_args!("{} is no name of a collection", short(name)));
        }
        let schema = fields.get(SCHEMA).filter(|schema| !schema.is_null()).filter(|schema| {
            let checked = schema::check(schema);
            checked.inspect_err(|error| problems.note(format_args!("schema: {error}"))).is_ok()
        });
        let rules = [VALIDATOR, FILTER].map(|name| rule(fields, name));
        for (name, _) in [VALIDATOR, FILTER].iter().zip(&rules).filter(|(_, rule)| **rule == Some(Rule::Unusable)) {
            problems
                .note(format_args!("{name}: not a text of at most {SOURCE_BYTES} bytes, so it lets nothing through"));
        }
        let [validator, filter] = rules;
        Self {
            name: name.to_owned(),
            validator,
            filter,
            schema: schema.cloned(),
            indexes: indexes(fields.get(INDEXES), &mut problems),
            keep_both: keep_both(fields.get(KEEP_BOTH), &mut problems),
            other: fields.iter().filter(|(name, _)| !is_known(name)).map(|(n, v)| (n.clone(), v.clone())).collect(),
            problems: problems.0,
        }
    }

    /// The fields of its document. What [`Self::from_fields`] reads from them is the same definition.
    pub fn to_fields(&self) -> Map<String, Value> {
        let mut fields = self.other.clone();
        fields.retain(|name, _| !is_known(name));
        if let Some(schema) = &self.schema {
            fields.insert(SCHEMA.to_owned(), schema.clone());
        }
        for (name, rule) in self.rules() {
            fields.extend(rule.map(|rule| (name.to_owned(), rule.to_value())));
        }
        let indexes = self.indexes.iter().map(|index| (index.path.to_string(), attributes(index)));
        fields.insert(INDEXES.to_owned(), Value::Object(indexes.collect()));
        let keep_both = self.keep_both.iter().map(|path| (path.to_string(), Value::Bool(true)));
        fields.insert(KEEP_BOTH.to_owned(), Value::Object(keep_both.collect()));
        fields
    }

    fn rules(&self) -> [(&'static str, Option<&Rule>); 2] {
        [(VALIDATOR, self.validator.as_ref()), (FILTER, self.filter.as_ref())]
    }

    /// Its schema, compiled; none if it has none.
    ///
    /// # Errors
    ///
    /// [`schema::Error`]: it has a schema that cannot be used. Its documents are not without a schema then.
    pub fn compile(&self) -> Result<Option<Schema>, schema::Error> {
        self.schema.as_ref().map(Schema::compile).transpose()
    }

    /// The index of a path.
    pub fn index(&self, path: &Path) -> Option<&Index> {
        self.indexes.iter().find(|index| index.path == *path)
    }
}

fn is_known(field: &str) -> bool {
    [SCHEMA, INDEXES, KEEP_BOTH, VALIDATOR, FILTER].contains(&field)
}

fn attributes(index: &Index) -> Value {
    json!({ UNIQUE: index.unique })
}

/// What changes of the document in [`COLLECTIONS`] turn one definition into another; without a first one they create it. Fields unknown to this program stay.
///
/// Made so that concurrent changes merge well: each index and each field that keeps both values is a field of its own, and a schema or a rule
/// takes the place of another as a whole.
pub fn changes(from: Option<&Definition>, to: &Definition) -> Vec<Change> {
    let mut changes = Vec::new();
    let none = Definition::default();
    if from.is_none() {
        // Without the schema: creating merges, and of two schemas that would make one that nobody has written.
        let mut fields = to.to_fields();
        fields.remove(SCHEMA);
        changes.push(Change::Create(fields));
    }
    let before = from.unwrap_or(&none);
    match &to.schema {
        schema if *schema == before.schema => {}
        Some(schema) => changes.push(Change::Replace(Path::new([SCHEMA]), schema.clone())),
        None => changes.push(Change::Unset(Path::new([SCHEMA]))),
    }
    if from.is_none() {
        return changes;
    }
    for ((name, before), (_, after)) in
        before.rules().into_iter().zip(to.rules()).filter(|(before, after)| before != after)
    {
        let _ = before;
        let at = Path::new([name]);
        changes
            .push(after.map_or_else(|| Change::Unset(at.clone()), |rule| Change::Replace(at.clone(), rule.to_value())));
    }
    let unique = |definition: &Definition| -> BTreeMap<Path, Value> {
        definition.indexes.iter().map(|index| (index.path.clone(), attributes(index))).collect()
    };
    let kept = |definition: &Definition| -> BTreeMap<Path, Value> {
        definition.keep_both.iter().map(|path| (path.clone(), Value::Bool(true))).collect()
    };
    for (field, before, after) in [(INDEXES, unique(before), unique(to)), (KEEP_BOTH, kept(before), kept(to))] {
        let at = |path: &Path| Path::new([field.to_owned(), path.to_string()]);
        let gone = before.keys().filter(|path| !after.contains_key(path));
        changes.extend(gone.map(|path| Change::Unset(at(path))));
        let new = after.iter().filter(|(path, value)| before.get(path) != Some(value));
        changes.extend(new.map(|(path, value)| Change::Set(at(path), value.clone())));
    }
    changes
}

/// What is wrong with a definition, as far as it is listed.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note(&mut self, problem: fmt::Arguments<'_>) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(clip(&problem.to_string()));
        }
    }
}

/// Why a text names no field for an index, or to keep both values of.
pub(super) fn check_path(text: &str) -> Result<Path, builder::Error> {
    let error = |reason: &str| builder::Error::Path { path: text.to_owned(), reason: reason.to_owned() };
    if text.len() > MAX_INDEX_PATH_BYTES {
        return Err(error(&format!("it has more than {MAX_INDEX_PATH_BYTES} bytes")));
    }
    let path = Path::parse(text).map_err(|reason| error(&clip(&reason.to_string())))?;
    if path.is_root() {
        return Err(error("it names the whole document: name a field"));
    }
    if path.names().len() > MAX_INDEX_DEPTH {
        return Err(error(&format!("it is more than {MAX_INDEX_DEPTH} names deep")));
    }
    Ok(path)
}

/// The fields of a map whose keys are paths, sorted by them.
fn by_path<'a>(
    field: &str,
    value: Option<&'a Value>,
    most: usize,
    problems: &mut Problems,
) -> impl Iterator<Item = (Path, &'a Value)> + use<'a> {
    let mut found = BTreeMap::new();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::Object(fields)) => {
            for (text, value) in fields {
                match check_path(text) {
                    Ok(path) => {
                        found.insert(path, value);
                    }
                    Err(error) => problems.note(format_args!("{field}: {error}")),
                }
            }
        }
        Some(_) => problems.note(format_args!("{field}: not a map")),
    }
    if found.len() > most {
        problems.note(format_args!("{field}: {} of them, of which only the first {most} count", found.len()));
    }
    found.into_iter().take(most)
}

fn indexes(value: Option<&Value>, problems: &mut Problems) -> Vec<Index> {
    let mut indexes = Vec::new();
    for (path, attributes) in by_path(INDEXES, value, MAX_INDEXES, problems) {
        let unique = attributes.as_object().map(|attributes| attributes.get(UNIQUE));
        match unique {
            Some(None) => indexes.push(Index { path, unique: false }),
            Some(Some(Value::Bool(unique))) => indexes.push(Index { path, unique: *unique }),
            Some(Some(_)) => problems.note(format_args!("{INDEXES}: {UNIQUE} of {path} is neither true nor false")),
            None => problems.note(format_args!("{INDEXES}: {path} is not a map")),
        }
    }
    indexes
}

fn keep_both(value: Option<&Value>, problems: &mut Problems) -> Vec<Path> {
    let mut kept = BTreeSet::new();
    for (path, value) in by_path(KEEP_BOTH, value, MAX_KEEP_BOTH, problems) {
        match value {
            Value::Bool(false) => {}
            Value::Bool(true) => match check_kept(&path, &kept) {
                Ok(()) => {
                    kept.insert(path);
                }
                Err(error) => problems.note(format_args!("{KEEP_BOTH}: {error}")),
            },
            _ => problems.note(format_args!("{KEEP_BOTH}: {path} is neither true nor false")),
        }
    }
    kept.into_iter().collect()
}

/// Whether the values of a field can be kept side by side, beside the others for which that holds.
pub(super) fn check_kept(path: &Path, others: &BTreeSet<Path>) -> Result<(), builder::Error> {
    let error = |reason: String| Err(builder::Error::Path { path: path.to_string(), reason });
    if path.names().first().is_some_and(|name| name == "_id" || name == "_mod") {
        return error("it is not written to".to_owned());
    }
    // A value that is written at the outer one takes the place of all within it.
    match others.iter().find(|other| other.contains(path) || path.contains(other)) {
        Some(other) => error(format!("one of it and {} lies within the other", short(&other.to_string()))),
        None => Ok(()),
    }
}

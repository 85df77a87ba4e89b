//! `spool db collections`, `define` and `index`

use std::path::PathBuf;

use clap::ValueEnum;
use spool_db::Path;
use spool_db::judge::limits::SOURCE_BYTES;
use spool_db::limits::MAX_SCHEMA_BYTES;

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::output::Output;
use super::super::{format, input};
use super::assign::field_path;
use super::view;
use crate::api::pb;
use crate::api::pb::define_collection_request::SchemaChange;

/// List the collections of a thread
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool db collections notes")]
pub(in super::super) struct ListArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
}

pub(super) async fn list(context: &mut Context, args: ListArgs) -> Result<(), Failure> {
    let (mut database, thread) = context.database(&args.thread).await?;
    let collections = database.list_collections(pb::ListCollectionsRequest { thread }).await?.into_inner().collections;
    let out = &mut context.out;
    if out.is_json() {
        let collections = collections.into_iter().map(view::Collection::try_from);
        return out.json(&collections.collect::<Result<Vec<_>, _>>()?);
    }
    if collections.is_empty() {
        out.hint(format!("no collections yet; `spool db define {} NAME` makes one", format::shown(&args.thread)));
        return Ok(());
    }
    let row = |collection: &pb::Collection| {
        vec![
            collection.name.clone(),
            format::number(collection.documents),
            listed(collection.indexes.iter().map(index_text)),
            listed(collection.keep_both.iter().map(|path| format::shown(path))),
            if collection.schema.is_some() { "yes" } else { "no" }.into(),
            listed(collection.problems.iter().map(|problem| format::shown(problem))),
        ]
    };
    let rows: Vec<_> = collections.iter().map(row).collect();
    out.table(&["NAME", "DOCUMENTS", "INDEXES", "KEEP BOTH", "SCHEMA", "PROBLEMS"], &rows)
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "-".into() } else { texts.join(", ") }
}

fn index_text(index: &pb::Index) -> String {
    let unique = if index.unique { " (unique)" } else { "" };
    let ready = if index.ready { "" } else { " (being built)" };
    format!("{}{unique}{ready}", format::shown(&index.path))
}

/// Define a collection, or change what is defined for it
///
/// What is not named stays as it is; without flags the collection is made if it is not there. The definition merges with what other peers define at
/// the same time. Schemas and unique values are checked where a document is written, on no other peer.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db define notes films --index year --unique title
  spool db define notes films --schema film.json --new
  spool db define notes films --validator only-owners.js
  spool db define notes films --drop-index year --no-schema")]
pub(in super::super) struct DefineArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The collection: letters, digits, single hyphens between them
    collection: String,
    /// A JSON Schema of draft 7 or 2020-12, from a file or, with `-`, standard input
    #[arg(long, value_name = "FILE", conflicts_with = "no_schema")]
    schema: Option<PathBuf>,
    /// No schema any more
    #[arg(long)]
    no_schema: bool,
    /// A rule that decides on writes, on every peer: the body of a JavaScript function of `writer`, `event` and `instance`, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "no_validator")]
    validator: Option<PathBuf>,
    /// No such rule any more
    #[arg(long)]
    no_validator: bool,
    /// A rule that decides what clients of Textile Threads see: the body of a JavaScript function of `reader` and `instance`, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "no_filter")]
    filter: Option<PathBuf>,
    /// No such rule any more
    #[arg(long)]
    no_filter: bool,
    /// An index on this path; can be repeated
    #[arg(long, value_name = "PATH", value_parser = field_path)]
    index: Vec<Path>,
    /// An index on this path, where no two documents may have the same value; can be repeated
    #[arg(long, value_name = "PATH", value_parser = field_path)]
    unique: Vec<Path>,
    /// No index on this path any more; can be repeated
    #[arg(long, value_name = "PATH", value_parser = field_path)]
    drop_index: Vec<Path>,
    /// Keep values that are set at the same time side by side at this path, for somebody to resolve; can be repeated
    #[arg(long, value_name = "PATH", value_parser = field_path)]
    keep_both: Vec<Path>,
    /// The last writer wins at this path again; can be repeated
    #[arg(long, value_name = "PATH", value_parser = field_path)]
    drop_keep_both: Vec<Path>,
    /// Refuse a collection that is defined already (exit code 6)
    #[arg(long)]
    new: bool,
}

pub(super) async fn define(context: &mut Context, args: DefineArgs) -> Result<(), Failure> {
    let schema = match (&args.schema, args.no_schema) {
        (Some(path), _) => {
            let text = input::read_text(path, MAX_SCHEMA_BYTES)?;
            serde_json::from_str::<serde_json::Value>(&text)
                .map_err(|error| Failure::usage(format!("the schema in {} is not JSON: {error}", path.display())))?;
            Some(SchemaChange::Schema(text))
        }
        (None, true) => Some(SchemaChange::NoSchema(true)),
        (None, false) => None,
    };
    let (mut database, thread) = context.database(&args.thread).await?;
    let plain = args.index.iter().map(|path| (path, false));
    let indexes = plain.chain(args.unique.iter().map(|path| (path, true)));
    let request = pb::DefineCollectionRequest {
        thread,
        collection: args.collection,
        schema_change: schema,
        add_indexes: indexes.map(|(path, unique)| new_index(path, unique)).collect(),
        remove_indexes: texts(&args.drop_index),
        add_keep_both: texts(&args.keep_both),
        remove_keep_both: texts(&args.drop_keep_both),
        must_be_new: args.new,
        validator: rule(args.validator.as_deref(), args.no_validator)?,
        filter: rule(args.filter.as_deref(), args.no_filter)?,
    };
    let collection = database.define_collection(request).await?.into_inner();
    show(&mut context.out, collection)
}

/// The text of a rule; empty for none any more.
fn rule(path: Option<&std::path::Path>, none: bool) -> Result<Option<String>, Failure> {
    match path {
        Some(path) => Ok(Some(input::read_text(path, SOURCE_BYTES)?)),
        None => Ok(none.then(String::new)),
    }
}

fn texts(paths: &[Path]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn new_index(path: &Path, unique: bool) -> pb::Index {
    pb::Index { path: path.to_string(), unique, ready: false }
}

fn show(out: &mut Output, collection: pb::Collection) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&view::Collection::try_from(collection)?);
    }
    let mut fields = vec![
        ("collection", collection.name.clone()),
        ("documents", format::number(collection.documents)),
        ("schema", collection.schema.as_deref().map_or_else(|| "none".into(), format::shown_json)),
    ];
    let shown = |rule: &String| format::shown(rule);
    fields.extend(collection.validator.as_ref().map(|rule| ("validator", shown(rule))));
    fields.extend(collection.filter.as_ref().map(|rule| ("filter", shown(rule))));
    fields.extend(collection.indexes.iter().map(|index| ("index", index_text(index))));
    fields.extend(collection.keep_both.iter().map(|path| ("keep both", format::shown(path))));
    fields.extend(collection.problems.iter().map(|problem| ("PROBLEM", format::shown(problem))));
    out.fields(&fields)
}

/// List, add or remove indexes of a collection
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db index notes films
  spool db index notes films add title --unique
  spool db index notes films rm title")]
pub(in super::super) struct IndexArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The collection
    collection: String,
    #[arg(default_value = "ls")]
    action: Action,
    /// The path of the index
    #[arg(required_if_eq_any([("action", "add"), ("action", "rm")]), value_parser = field_path)]
    path: Option<Path>,
    /// No two documents may have the same value there
    #[arg(long)]
    unique: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Show them
    Ls,
    /// Add one: it is built in the background, and used once it is ready
    Add,
    /// Remove one
    Rm,
}

pub(super) async fn index(context: &mut Context, args: IndexArgs) -> Result<(), Failure> {
    let change = change(args.action, args.path.as_ref(), args.unique)?;
    let (mut database, thread) = context.database(&args.thread).await?;
    // Also before a change: a slip in the name must not define another collection.
    let get = pb::GetCollectionRequest { thread: thread.clone(), collection: args.collection.clone() };
    let mut collection = database.get_collection(get).await?.into_inner();
    if let Some(change) = change {
        let request = pb::DefineCollectionRequest { thread, collection: args.collection, ..change };
        collection = database.define_collection(request).await?.into_inner();
    }
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&view::Collection::try_from(collection)?.indexes);
    }
    if collection.indexes.is_empty() {
        out.hint(format!("{} has no indexes", collection.name));
        return Ok(());
    }
    let row = |index: &pb::Index| {
        let unique = if index.unique { "unique" } else { "-" };
        vec![format::shown(&index.path), unique.into(), if index.ready { "ready" } else { "being built" }.into()]
    };
    let rows: Vec<_> = collection.indexes.iter().map(row).collect();
    out.table(&["PATH", "UNIQUE", "STATE"], &rows)
}

/// What is to change, without the names of thread and collection.
fn change(action: Action, path: Option<&Path>, unique: bool) -> Result<Option<pb::DefineCollectionRequest>, Failure> {
    let none = pb::DefineCollectionRequest::default();
    match (action, path, unique) {
        (Action::Ls, None, false) => Ok(None),
        (Action::Add, Some(path), _) => {
            Ok(Some(pb::DefineCollectionRequest { add_indexes: vec![new_index(path, unique)], ..none }))
        }
        (Action::Rm, Some(path), false) => {
            Ok(Some(pb::DefineCollectionRequest { remove_indexes: vec![path.to_string()], ..none }))
        }
        (Action::Ls | Action::Rm, _, true) => Err(Failure::usage("--unique is for `add`")),
        (Action::Ls, Some(_), false) => Err(Failure::usage("`ls` takes no path")),
        (Action::Add | Action::Rm, None, _) => Err(Failure::usage("`add` and `rm` take the path of the index")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::exit::Exit;
    use super::*;

    #[test]
    fn each_action_takes_what_it_needs_and_nothing_else() {
        let year = Path::new(["year"]);
        assert_eq!(change(Action::Ls, None, false).unwrap(), None);
        let added = change(Action::Add, Some(&year), true).unwrap().unwrap();
        assert_eq!((added.add_indexes[0].path.as_str(), added.add_indexes[0].unique), ("year", true));
        assert_eq!(change(Action::Rm, Some(&year), false).unwrap().unwrap().remove_indexes, ["year"]);
        for (action, path, unique) in [
            (Action::Ls, Some(&year), false),
            (Action::Ls, None, true),
            (Action::Rm, Some(&year), true),
            (Action::Rm, None, false),
            (Action::Add, None, false),
        ] {
            assert_eq!(change(action, path, unique).unwrap_err().exit, Exit::Usage, "{action:?} {path:?} {unique}");
        }
    }

    #[test]
    fn an_index_says_what_it_is() {
        let index = pb::Index { path: "year".into(), unique: true, ready: false };
        assert_eq!(index_text(&index), "year (unique) (being built)");
        assert_eq!(listed(std::iter::empty()), "-");
    }
}

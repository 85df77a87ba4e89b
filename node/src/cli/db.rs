//! `spool db`: the databases of threads, over the service `spool.v1.Database`.

mod assign;
mod batch;
mod collections;
mod conflicts;
mod create;
mod csv;
mod documents;
mod export;
mod find;
mod get;
mod history;
mod import;
mod load;
mod plan;
mod point;
mod query;
mod restore;
mod source;
mod target;
mod update;
mod view;
mod watch;
mod whole;

use clap::Subcommand;

use super::context::Context;
use super::exit::Failure;

/// Collections of JSON documents, folded from the events of all writers of a thread
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  spool db define notes films --index year
  spool db import notes films movies.ndjson
  spool db find notes films 'year >= 1985 and genres contains Drama' --sort title")]
pub(super) enum Args {
    Collections(collections::ListArgs),
    Define(collections::DefineArgs),
    Index(collections::IndexArgs),
    Create(create::Args),
    Get(get::Args),
    Find(Box<find::Args>),
    Explain(Box<find::ExplainArgs>),
    Update(Box<update::Args>),
    Delete(update::DeleteArgs),
    Undelete(update::UndeleteArgs),
    Watch(watch::Args),
    History(history::Args),
    Undo(history::UndoArgs),
    Redo(history::RedoArgs),
    Restore(restore::Args),
    Tag(restore::TagArgs),
    Conflicts(conflicts::Args),
    Resolve(conflicts::ResolveArgs),
    Hash(whole::HashArgs),
    Rebuild(whole::RebuildArgs),
    Import(import::Args),
    Export(export::Args),
}

impl Args {
    /// Whether Ctrl-C is how this is meant to end.
    pub(super) fn follows(&self) -> bool {
        matches!(self, Self::Watch(_))
    }
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    match args {
        Args::Collections(args) => collections::list(context, args).await,
        Args::Define(args) => collections::define(context, args).await,
        Args::Index(args) => collections::index(context, args).await,
        Args::Create(args) => create::run(context, args).await,
        Args::Get(args) => get::run(context, args).await,
        Args::Find(args) => find::run(context, *args).await,
        Args::Explain(args) => find::explain(context, *args).await,
        Args::Update(args) => update::run(context, *args).await,
        Args::Delete(args) => update::delete(context, args).await,
        Args::Undelete(args) => update::undelete(context, args).await,
        Args::Watch(args) => watch::run(context, args).await,
        Args::History(args) => history::run(context, args).await,
        Args::Undo(args) => history::undo(context, args).await,
        Args::Redo(args) => history::redo(context, args).await,
        Args::Restore(args) => restore::run(context, args).await,
        Args::Tag(args) => restore::tag(context, args).await,
        Args::Conflicts(args) => conflicts::run(context, args).await,
        Args::Resolve(args) => conflicts::resolve(context, args).await,
        Args::Hash(args) => whole::hash(context, args).await,
        Args::Rebuild(args) => whole::rebuild(context, args).await,
        Args::Import(args) => import::run(context, args).await,
        Args::Export(args) => export::run(context, args).await,
    }
}

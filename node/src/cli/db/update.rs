//! `spool db update`, `delete` and `undelete`: changes of one document in one transaction.

use clap::ArgGroup;
use spool_db::Path;

use super::super::context::{Context, Database};
use super::super::exit::Failure;
use super::super::format;
use super::assign::{self, Assign};
use super::target::{Condition, Target};
use super::view;
use crate::api::pb;
use crate::api::pb::write::{self, Change};

/// Change a document
///
/// All changes are one transaction, in the order of the flags below. A value is JSON; what is none is a string, so that `--set title=Brazil` needs no quotes within
/// quotes, and `--set year=1985` is a number. A path with an equals sign in it stands in double quotes: `--set '"a=b"=1'`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  spool db update notes films brazil --set title=Brazil --inc seen=1
  spool db update notes films brazil --add 'genres=\"Science Fiction\"' --remove genres=Drama
  spool db update notes films brazil --merge '{\"crew\": {\"director\": \"Terry Gilliam\"}}' --if-version 5f0c...",
    group = ArgGroup::new("change").required(true).multiple(true)
        .args(["replace", "merge", "set", "unset", "increment", "add", "remove"])
)]
pub(in super::super) struct Args {
    #[command(flatten)]
    target: Target,
    /// The document becomes this JSON object
    #[arg(long, value_name = "JSON", value_parser = assign::object, conflicts_with_all = ["merge", "set", "unset", "increment", "add", "remove"])]
    replace: Option<String>,
    /// Set the fields of this JSON object, all others stay
    #[arg(long, value_name = "JSON", value_parser = assign::object)]
    merge: Option<String>,
    /// Set what is at a path; maps are merged; a list is one value, set as a whole; can be repeated
    #[arg(long, value_name = "PATH=JSON")]
    set: Vec<Assign>,
    /// Remove what is at a path; can be repeated
    #[arg(long, value_name = "PATH", value_parser = assign::field_path)]
    unset: Vec<Path>,
    /// Add to a number, so that numbers added elsewhere at the same time count as well; can be repeated
    #[arg(long = "inc", value_name = "PATH=NUMBER", value_parser = assign::increment)]
    increment: Vec<Assign>,
    /// Add an element to a set; can be repeated
    #[arg(long, value_name = "PATH=JSON")]
    add: Vec<Assign>,
    /// Remove an element from a set; can be repeated
    #[arg(long, value_name = "PATH=JSON")]
    remove: Vec<Assign>,
    #[command(flatten)]
    condition: Condition,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args { target, replace, merge, set, unset, increment, add, remove, condition } = args;
    let mut changes = Vec::new();
    // A save alone would make a document that is not there; a merge of nothing is refused then, and else does nothing.
    changes.extend(replace.into_iter().flat_map(|fields| [Change::Merge("{}".into()), Change::Save(fields)]));
    changes.extend(merge.map(Change::Merge));
    changes.extend(set.into_iter().map(|assign| Change::Set(assign.into())));
    changes.extend(unset.iter().map(|path| Change::Unset(path.to_string())));
    changes.extend(increment.into_iter().map(|assign| Change::Increment(assign.into())));
    changes.extend(add.into_iter().map(|assign| Change::Add(assign.into())));
    changes.extend(remove.into_iter().map(|assign| Change::Remove(assign.into())));
    commit(context, target, condition.request(), changes).await
}

/// Delete a document
///
/// Its fields are kept: `spool db undelete` brings it back as it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool db delete notes films brazil")]
pub(in super::super) struct DeleteArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    condition: Condition,
}

pub(super) async fn delete(context: &mut Context, args: DeleteArgs) -> Result<(), Failure> {
    commit(context, args.target, args.condition.request(), vec![Change::Delete(write::Delete {})]).await
}

/// Bring a deleted document back
///
/// With all fields that it has by then: what others have written to it meanwhile is there, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool db undelete notes films brazil")]
pub(in super::super) struct UndeleteArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    condition: Condition,
}

pub(super) async fn undelete(context: &mut Context, args: UndeleteArgs) -> Result<(), Failure> {
    commit(context, args.target, args.condition.request(), vec![Change::Undelete(write::Undelete {})]).await
}

/// Changes one document in one transaction, and prints where its event is.
pub(super) async fn commit(
    context: &mut Context,
    target: Target,
    mut if_version: Option<String>,
    changes: Vec<Change>,
) -> Result<(), Failure> {
    let (database, thread) = context.database(&target.thread).await?;
    let write = |change| pb::Write {
        collection: target.collection.clone(),
        id: target.id.clone(),
        // Of the first one alone: behind it the document is in a version that nobody has seen.
        if_version: if_version.take(),
        change: Some(change),
    };
    let writes = changes.into_iter().map(write).collect();
    send(context, database, thread, writes).await
}

/// Sends writes to one document.
pub(super) async fn send(
    context: &mut Context,
    mut database: Database,
    thread: String,
    writes: Vec<pb::Write>,
) -> Result<(), Failure> {
    let collection = writes.first().map(|write| write.collection.clone()).unwrap_or_default();
    let request = pb::CommitRequest { thread: thread.clone(), writes };
    let answer = database.commit(request).await?.into_inner();
    let id = answer.ids.first().cloned().unwrap_or_default();
    let place = view::Place::from(answer.place);
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&view::Written { thread: &thread, collection: &collection, id: &id, place: &place });
    }
    out.fields(&[("document", format::shown(&id)), ("event", event(&place))])
}

/// Where an event is, for people.
pub(super) fn event(place: &view::Place) -> String {
    match (&place.log, place.counter) {
        (Some(log), Some(counter)) => format!("{log} #{counter}"),
        _ => "none: nothing has changed".into(),
    }
}

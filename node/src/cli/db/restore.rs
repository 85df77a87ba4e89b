//! `spool db restore` and `spool db tag`

use serde_json::json;

use super::super::context::Context;
use super::super::exit::{Exit, Failure};
use super::super::{confirm, format, output};
use super::point::{self, Point};
use super::target::Scope;
use crate::api::pb;

/// Bring a database, a collection or a document back to what it was
///
/// With new events, in as many transactions as it takes: what others write meanwhile stays, and so does the history. Asks unless --yes is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(in super::super) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Where to go back to
    #[arg(long, value_name = "POINT")]
    to: Point,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  spool db restore notes --to tag:premiere
  spool db restore notes films --to 2026-11-20T12:00:00Z --yes
  spool db restore notes films brazil --to version:5f0c...";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", point::HELP)
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args { scope, to, yes } = args;
    let to = if scope.is_document() { to } else { to.of_many()? };
    let (mut database, thread) = context.database(&scope.thread).await?;
    if !yes {
        let question = format!("change {} back to what it was then?", format::shown(&scope.describe()));
        confirm::ask(&question, "restore", "nothing was restored")?;
    }
    let request = pb::RestoreRequest { thread: thread.clone(), scope: Some(scope.part()), to: Some(to.into()) };
    let mut steps = database.restore(request).await?.into_inner();
    let bar = output::count(None);
    let mut done = None;
    while let Some(step) = steps.message().await? {
        bar.set_position(step.documents);
        bar.set_message("documents");
        if step.done {
            done = Some(step);
        }
    }
    bar.finish_and_clear();
    let done = done.ok_or_else(|| {
        Failure::new(Exit::Unavailable, "stopping", "the daemon ended before everything was restored; run it again")
    })?;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({ "thread": thread, "documents": done.documents, "transactions": done.transactions }));
    }
    if done.transactions == 0 {
        return out.line("nothing to change: it is as it was then");
    }
    let transactions = format::plural(done.transactions, "transaction");
    out.line(format!("changed {} in {transactions}", format::plural(done.documents, "document")))
}

/// Name a point in time, or list the names
///
/// Tags are the same on every peer. A tag of that name moves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db tag notes
  spool db tag notes premiere
  spool db tag notes premiere --at 2026-11-20T12:00:00Z
  spool db tag notes premiere --rm

--at takes a tag, a time or a date: see `spool db find --help`.")]
pub(in super::super) struct TagArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The name; without one all are listed
    name: Option<String>,
    /// The point that it names [default: now]
    #[arg(long, value_name = "POINT", requires = "name")]
    at: Option<Point>,
    /// Remove the tag
    #[arg(long, requires = "name", conflicts_with = "at")]
    rm: bool,
}

pub(super) async fn tag(context: &mut Context, args: TagArgs) -> Result<(), Failure> {
    let at = args.at.map(Point::of_many).transpose()?;
    let (mut database, thread) = context.database(&args.thread).await?;
    let out = &mut context.out;
    let Some(name) = args.name else {
        let tags = database.list_tags(pb::ListTagsRequest { thread }).await?.into_inner().tags;
        if out.is_json() {
            return out.json(&tags.iter().map(tag_json).collect::<Vec<_>>());
        }
        if tags.is_empty() {
            out.hint("no tags yet");
            return Ok(());
        }
        let row = |tag: &pb::Tag| vec![format::shown(&tag.name), format::time(tag.time >> 16), format::point(tag.time)];
        return out.table(&["NAME", "TIME", "POINT"], &tags.iter().map(row).collect::<Vec<_>>());
    };
    if args.rm {
        database.remove_tag(pb::RemoveTagRequest { thread, name: name.clone() }).await?;
        if out.is_json() {
            return out.json(&json!({ "removed": name }));
        }
        return out.line(format!("removed {}", format::shown(&name)));
    }
    let request = pb::SetTagRequest { thread, name, at: at.map(Into::into) };
    let tag = database.set_tag(request).await?.into_inner();
    if out.is_json() {
        return out.json(&tag_json(&tag));
    }
    let time = format!("{} ({})", format::time(tag.time >> 16), format::point(tag.time));
    out.fields(&[("tag", format::shown(&tag.name)), ("time", time)])
}

fn tag_json(tag: &pb::Tag) -> serde_json::Value {
    json!({ "name": tag.name, "time": format::rfc3339(tag.time >> 16), "point": format::point(tag.time) })
}

//! `spool db find` and `spool db explain`

use super::super::context::Context;
use super::super::exit::Failure;
use super::documents::Table;
use super::point::{self, Point};
use super::query::{Asked, Query};
use super::{plan, view};
use crate::api::pb;

/// Find documents
///
/// All documents come from one state. A table shows the most frequent fields; --json prints one document a line, whole.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = long_help())]
pub(in super::super) struct Args {
    #[command(flatten)]
    of: Of,
}

const EXAMPLES: &str = "\
Examples:
  spool db find notes films 'year >= 1985 and genres contains Drama' --sort year:desc --sort title
  spool db find notes films --fields title,cast.0 --limit 10
  spool db find notes films --query '{\"where\": {\"year\": {\">=\": 1985}}, \"limit\": 10}' --json | jq .title
  spool db find notes films --at 2026-11-20T12:00:00Z";

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", point::HELP)
}

#[derive(Debug, clap::Args)]
struct Of {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// The collection
    collection: String,
    #[command(flatten)]
    query: Query,
    /// As it was then: a tag or a time
    #[arg(long, value_name = "POINT")]
    at: Option<Point>,
}

/// Show how a query would be answered
///
/// Takes what `spool db find` takes: which index is used, how many of its entries are read, and whether documents are sorted in memory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db explain notes films 'year >= 1985' --sort title
  spool db explain notes films 'year >= 1985' --index title")]
pub(in super::super) struct ExplainArgs {
    #[command(flatten)]
    of: Of,
}

/// A request without its thread, so that what is wrong in it is said before the daemon is asked for anything.
pub(super) fn request(collection: String, asked: &Asked, at: Option<Point>) -> Result<pb::FindRequest, Failure> {
    let at = at.map(Point::of_many).transpose()?.map(Into::into);
    Ok(pb::FindRequest { thread: String::new(), collection, query: asked.text.clone(), at, memory: None })
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Of { thread, collection, query, at } = args.of;
    let mut asked = query.ask()?;
    if !context.out.is_json() {
        asked = asked.without_positions();
    }
    let request = request(collection, &asked, at)?;
    let (mut database, thread) = context.database(&thread).await?;
    let mut pages = database.find(pb::FindRequest { thread, ..request }).await?.into_inner();
    let out = &mut context.out;
    let mut table = Table::new(asked.fields);
    while let Some(page) = pages.message().await? {
        for document in page.documents {
            if out.is_json() {
                // As it came: it is one line of JSON, and stays the same to the last digit.
                out.line(document)?;
            } else {
                table.push(out, view::document(&document)?)?;
            }
        }
    }
    if out.is_json() { Ok(()) } else { table.finish(out) }
}

pub(super) async fn explain(context: &mut Context, args: ExplainArgs) -> Result<(), Failure> {
    let Of { thread, collection, query, at } = args.of;
    let request = request(collection, &query.ask()?, at)?;
    let (mut database, thread) = context.database(&thread).await?;
    let plan = database.explain(pb::FindRequest { thread, ..request }).await?.into_inner().plan;
    let plan = view::value(&plan)?;
    let out = &mut context.out;
    if out.is_json() { out.json(&plan) } else { out.fields(&plan::fields(&plan)) }
}

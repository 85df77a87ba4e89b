//! `spool db get`

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::format;
use super::conflicts;
use super::point::Point;
use super::target::Target;
use super::view;
use crate::api::pb;

/// Show one document, now or as it was
///
/// With its version, for `--if-version`, and with what merging has left to decide.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db get notes films brazil
  spool db get notes films brazil --at tag:premiere --json | jq .document.title

--at takes a tag, a time, a date, or a version of the document: see `spool db find --help`.")]
pub(in super::super) struct Args {
    #[command(flatten)]
    target: Target,
    /// As it was then
    #[arg(long, value_name = "POINT")]
    at: Option<Point>,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args { target, at } = args;
    let (mut database, thread) = context.database(&target.thread).await?;
    let request =
        pb::GetDocumentRequest { thread, collection: target.collection, id: target.id, at: at.map(Into::into) };
    let in_the_past = request.at.is_some();
    let answer = database.get_document(request).await.map_err(|status| match Failure::from(status) {
        failure if in_the_past && failure.reason == "document-not-found" => {
            failure.with_hint("it did not exist at that point; `spool db history` lists its versions")
        }
        failure => failure,
    })?;
    let document = view::Document::try_from(answer.into_inner())?;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&document);
    }
    out.line(format::shown_json(&format!("{:#}", document.document)))?;
    out.flush()?;
    out.hint(format!("version {}", document.version));
    for conflict in &document.conflicts {
        out.warn(conflicts::describe(conflict));
    }
    Ok(())
}

//! `spool db history`, `undo` and `redo`

use serde_json::{Value, json};

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::format;
use super::target::{Scope, Target};
use super::update::event;
use super::view;
use crate::api::pb;

/// Characters of the changes on a line, where the width of the terminal is not known.
const PREVIEW: usize = 100;
/// Documents that are named, where many were changed.
const NAMED: usize = 10;

/// Show the versions of a document
///
/// One for each event that has changed it, the newest first. A version is a point: `spool db get --at version:V` shows the document as it was then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db history notes films brazil
  spool db history notes films brazil --oldest-first --limit 5 --json")]
pub(in super::super) struct Args {
    #[command(flatten)]
    target: Target,
    /// The first version first
    #[arg(long)]
    oldest_first: bool,
    /// At most so many versions
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args { target, oldest_first, limit } = args;
    let (mut database, thread) = context.database(&target.thread).await?;
    let out = &mut context.out;
    let (mut left, mut after, mut any) = (limit.unwrap_or(u64::MAX), None, false);
    while left > 0 {
        let request = pb::ListVersionsRequest {
            thread: thread.clone(),
            collection: target.collection.clone(),
            id: target.id.clone(),
            oldest_first,
            after,
            // Zero is as many as a message has room for.
            limit: limit.map_or(0, |_| u32::try_from(left).unwrap_or(u32::MAX)),
        };
        let page = database.list_versions(request).await?.into_inner();
        if !any && !page.versions.is_empty() && !out.is_json() {
            out.line(heading())?;
        }
        for version in page.versions {
            any = true;
            left = left.saturating_sub(1);
            let version = view::Version::try_from(version)?;
            if out.is_json() { out.json(&version)? } else { out.line(line(&version))? }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    out.flush()?;
    if !any {
        out.hint("no versions");
    }
    Ok(())
}

fn heading() -> String {
    columns("TIME", "EVENT", "VERSION", "CHANGES")
}

fn columns(time: &str, event: &str, version: &str, changes: &str) -> String {
    format!("{time:23}  {event:15}  {version:32}  {changes}").trim_end().to_owned()
}

fn line(version: &view::Version) -> String {
    let time = version.time.replace('T', " ").trim_end_matches('Z').to_owned();
    let event = format!("{} #{}", format::short(&version.log), version.counter);
    let changes: Vec<String> = version.changes.iter().map(change).collect();
    columns(&time, &event, &version.version, &format::cut(&changes.join(", "), PREVIEW))
}

/// `{"set": "title", "value": "Brazil"}` as `set title "Brazil"`.
fn change(change: &Value) -> String {
    let Some(parts) = change.as_object() else { return format::shown_json(&change.to_string()) };
    let (values, kinds): (Vec<_>, Vec<_>) = parts.iter().partition(|(name, _)| name.as_str() == "value");
    let kind = |(name, part): (&String, &Value)| match part {
        // Without a path it is of the whole document.
        Value::String(path) if !path.is_empty() => format!("{} {}", format::shown(name), format::shown(path)),
        Value::String(_) | Value::Bool(_) | Value::Null => format::shown(name),
        part => format!("{} {}", format::shown(name), format::shown_json(&part.to_string())),
    };
    let value = |(_, value): (&String, &Value)| format::shown_json(&value.to_string());
    kinds.into_iter().map(kind).chain(values.into_iter().map(value)).collect::<Vec<_>>().join(" ")
}

/// Take back this node's last change
///
/// With a new event, as all changes: others keep what they have written meanwhile. Again, it takes back the change before that.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db undo notes
  spool db undo notes films brazil")]
pub(in super::super) struct UndoArgs {
    #[command(flatten)]
    scope: Scope,
}

/// Take back this node's last undo
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool db redo notes films brazil")]
pub(in super::super) struct RedoArgs {
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn undo(context: &mut Context, args: UndoArgs) -> Result<(), Failure> {
    let (mut database, thread) = context.database(&args.scope.thread).await?;
    let request = pb::RevertRequest { thread: thread.clone(), scope: Some(args.scope.part()) };
    let answer = database.undo(request).await?.into_inner();
    reverted(context, &thread, "undone", answer)
}

pub(super) async fn redo(context: &mut Context, args: RedoArgs) -> Result<(), Failure> {
    let (mut database, thread) = context.database(&args.scope.thread).await?;
    let request = pb::RevertRequest { thread: thread.clone(), scope: Some(args.scope.part()) };
    let answer = database.redo(request).await?.into_inner();
    reverted(context, &thread, "redone", answer)
}

fn reverted(context: &mut Context, thread: &str, done: &str, answer: pb::RevertResponse) -> Result<(), Failure> {
    let pb::RevertResponse { counter, documents, place } = answer;
    let place = view::Place::from(place);
    let out = &mut context.out;
    if out.is_json() {
        let documents: Vec<Value> =
            documents.iter().map(|changed| json!({ "collection": changed.collection, "id": changed.id })).collect();
        return out.json(&json!({
            "thread": thread, done: counter, "documents": documents, "log": place.log, "counter": place.counter,
            "time": place.time, "point": place.point,
        }));
    }
    let mut fields = vec![(done, format!("the change of #{counter}"))];
    let named = documents.iter().take(NAMED);
    let named = named.map(|changed| format!("{}/{}", format::shown(&changed.collection), format::shown(&changed.id)));
    fields.extend(named.map(|document| ("document", document)));
    if documents.len() > NAMED {
        fields.push(("", format!("and {} more", documents.len() - NAMED)));
    }
    fields.push(("event", event(&place)));
    out.fields(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_as_they_were_made() {
        for (given, text) in [
            (json!({"set": "title", "value": "Brazil"}), "set title \"Brazil\""),
            (json!({"increment": "seen", "value": 2}), "increment seen 2"),
            (json!({"set": "", "value": {"a": 1}}), "set {\"a\":1}"),
            (json!({"create": {"a": 1}}), "create {\"a\":1}"),
            (json!({"unset": "a\n"}), "unset a\\n"),
            (json!({"delete": true}), "delete"),
            (json!("new"), "\"new\""),
        ] {
            assert_eq!(change(&given), text);
        }
    }

    #[test]
    fn a_version_is_one_line() {
        let version = pb::Version {
            version: "0".repeat(32),
            time: 1_517_966_773_840 << 16,
            log: "12D3KooWabcdefgh".into(),
            counter: 17,
            changes: vec!["{\"set\":\"year\",\"value\":1985}".into(), "{\"unset\":\"cast\"}".into()],
            exists: true,
            ..pb::Version::default()
        };
        let line = line(&version.try_into().unwrap());
        let zeros = "0".repeat(32);
        assert_eq!(line, format!("2018-02-07 01:26:13.840  abcdefgh #17     {zeros}  set year 1985, unset cast"));
        assert_eq!(line.find(&zeros), heading().find("VERSION"));
    }
}

//! `spool db conflicts` and `spool db resolve`

use serde_json::Value;
use spool_db::Path;

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::format;
use super::assign;
use super::target::Target;
use super::update::commit;
use super::view;
use crate::api::pb;

/// Characters of what a conflict is about, in a list.
const DETAIL: usize = 100;

/// List what merging has left for people to decide
///
/// Values that were set at the same time and are kept side by side, documents that are not as the schema says, and documents with the same value at the
/// path of a unique index.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db conflicts notes
  spool db conflicts notes films --json | jq 'select(.kind == \"kept-both\")'")]
pub(in super::super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// Only in this collection
    collection: Option<String>,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let (mut database, thread) = context.database(&args.thread).await?;
    let request = pb::ListConflictsRequest { thread, collection: args.collection };
    let mut conflicts = database.list_conflicts(request).await?.into_inner();
    let out = &mut context.out;
    let mut any = false;
    while let Some(conflict) = conflicts.message().await? {
        let conflict = view::Conflict::try_from(conflict)?;
        any = true;
        if out.is_json() {
            out.json(&conflict)?;
        } else {
            out.line(describe(&conflict))?;
        }
    }
    out.flush()?;
    if !any {
        out.hint("nothing to decide");
    }
    Ok(())
}

/// A conflict on one line.
pub(super) fn describe(conflict: &view::Conflict) -> String {
    let place = format!("{}/{}", format::shown(&conflict.collection), format::shown(&conflict.id));
    let path = conflict.path.as_deref().map(format::shown).unwrap_or_default();
    let json = |value: &Value| format::shown_json(&value.to_string());
    let detail = match conflict.kind {
        "kept-both" => {
            let values: Vec<String> = conflict.values.iter().flatten().map(json).collect();
            format!("{path} is {}", values.join(" or "))
        }
        "schema" => {
            let message = conflict.message.as_deref().map(format::shown).unwrap_or_default();
            if path.is_empty() { message } else { format!("{path}: {message}") }
        }
        "duplicate" => {
            let value = conflict.value.as_ref().map(json).unwrap_or_default();
            let others: Vec<String> = conflict.others.iter().flatten().map(|id| format::shown(id)).collect();
            format!("{path} is {value}, as in {}", others.join(", "))
        }
        _ => "this version of spool does not know what it is".into(),
    };
    format!("{:9}  {place}  {}", conflict.kind, format::cut(&detail, DETAIL))
}

/// Decide between values that are kept side by side
///
/// The value takes the place of all that stand at the path. What is not JSON is a string.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool db resolve notes films brazil year 1985")]
pub(in super::super) struct ResolveArgs {
    #[command(flatten)]
    target: Target,
    /// The path
    #[arg(value_parser = assign::field_path)]
    path: Path,
    /// The value, JSON or a string
    #[arg(value_name = "JSON", value_parser = assign::value, allow_hyphen_values = true)]
    value: Value,
}

pub(super) async fn resolve(context: &mut Context, args: ResolveArgs) -> Result<(), Failure> {
    let value = pb::PathValue { path: args.path.to_string(), value: args.value.to_string() };
    commit(context, args.target, None, vec![pb::write::Change::Resolve(value)]).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conflict_is_one_line_whatever_is_in_it() {
        let conflict = view::Conflict {
            collection: "films".into(),
            id: "brazil".into(),
            kind: "kept-both",
            path: Some("title".into()),
            values: Some(vec![json!("Brazil\n\u{1b}[2J"), json!(1984.5)]),
            message: None,
            value: None,
            others: None,
        };
        assert_eq!(describe(&conflict), "kept-both  films/brazil  title is \"Brazil\\n\\u001b[2J\" or 1984.5");
        let conflict = view::Conflict {
            kind: "duplicate",
            value: Some(json!("Brazil")),
            others: Some(vec!["a".into(), "b".into()]),
            ..conflict
        };
        assert_eq!(describe(&conflict), "duplicate  films/brazil  title is \"Brazil\", as in a, b");
        let conflict = view::Conflict { kind: "schema", message: Some("not a number".into()), ..conflict };
        assert_eq!(describe(&conflict), "schema     films/brazil  title: not a number");
    }
}

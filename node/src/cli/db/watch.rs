//! `spool db watch`

use std::collections::HashMap;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::super::context::Context;
use super::super::exit::{Exit, Failure};
use super::super::{format, resolve};
use super::view;
use crate::api::pb;
use crate::api::pb::watch_response::{Change, Step};

/// Characters of a document on a line, where the width of the terminal is not known.
const PREVIEW: usize = 100;

/// Follow changes as they come
///
/// From now on, from a cursor on, or with --from-start all documents that exist first; until Ctrl-C, which ends it with exit code 0. With --json each
/// change is one object a line with its cursor: who goes on after the last cursor that it has misses nothing and gets nothing twice.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db watch notes films
  spool db watch --json
  spool db watch notes --kind create --kind delete --after bafk.../6jaS3nRc/17 --json")]
pub(in super::super) struct Args {
    /// Thread id, name, or the beginning of the id; all that this node reads if none is given
    thread: Option<String>,
    /// Only this collection
    collection: Option<String>,
    /// Only this document
    id: Option<String>,
    /// Only changes of this kind; can be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// Go on after this cursor, as --json has printed it; of several threads the last one of each
    #[arg(long, value_name = "CURSOR", conflicts_with = "from_start")]
    after: Vec<String>,
    /// All documents that exist first
    #[arg(long)]
    from_start: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A document exists that did not
    Create,
    /// A document has changed
    Save,
    /// A document does not exist any more
    Delete,
}

impl From<Kind> for pb::ChangeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Create => Self::Create,
            Kind::Save => Self::Save,
            Kind::Delete => Self::Delete,
        }
    }
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let (mut client, mut database) = context.clients().await?;
    let thread = match &args.thread {
        Some(thread) => Some(resolve::thread(&mut client, thread).await?),
        None => None,
    };
    let names = match &thread {
        Some(_) => None,
        None => Some(client.list_threads(pb::ListThreadsRequest {}).await?.into_inner().threads),
    };
    let request = pb::WatchRequest {
        thread,
        collection: args.collection,
        id: args.id,
        kinds: args.kind.into_iter().map(|kind| pb::ChangeKind::from(kind).into()).collect(),
        after: args.after,
        from_start: args.from_start,
    };
    let mut steps = database.watch(request).await?.into_inner();
    let lines = Lines { names: names.map(by_id) };
    let out = &mut context.out;
    if !out.is_json() {
        out.line(lines.heading())?;
    }
    // Whoever waits for the heading knows that nothing is missed from here on.
    out.flush()?;
    while let Some(message) = steps.message().await? {
        let Some(step) = message.step else { continue };
        if out.is_json() {
            out.json(&step_json(&message.cursor, &step)?)?;
        } else {
            match &step {
                Step::Change(change) => out.line(lines.line(change))?,
                Step::Lagged(_) => {
                    out.flush()?;
                    out.warn("this is behind: of several changes of one document only the last one comes");
                }
                Step::CaughtUp(_) => {}
            }
        }
        out.flush()?;
    }
    Err(Failure::new(Exit::Unavailable, "stopping", "the daemon ended the stream"))
}

fn by_id(threads: Vec<pb::Thread>) -> HashMap<String, String> {
    threads.into_iter().filter_map(|thread| Some((thread.id, thread.name?))).collect()
}

/// How changes are printed for people.
struct Lines {
    /// Names of threads, where changes of more than one may come.
    names: Option<HashMap<String, String>>,
}

impl Lines {
    fn heading(&self) -> String {
        self.join("TIME", "KIND", "THREAD", "COLLECTION", "ID", "DOCUMENT")
    }

    fn line(&self, change: &Change) -> String {
        let time = change.by.as_ref().map_or_else(|| "-".into(), |by| format::time(by.time >> 16));
        let thread = match self.names.as_ref().and_then(|names| names.get(&change.thread)) {
            Some(name) => format::shown(name),
            None => format::short(&change.thread),
        };
        let document = change.json.as_deref().map(|json| format::cut(&format::shown_json(json), PREVIEW));
        let (collection, id) = (format::shown(&change.collection), format::shown(&change.id));
        self.join(&time, kind(change.kind), &thread, &collection, &id, &document.unwrap_or_default())
    }

    /// Columns of fixed widths, since what comes later is not known.
    fn join(&self, time: &str, kind: &str, thread: &str, collection: &str, id: &str, document: &str) -> String {
        let thread = if self.names.is_some() { format!("{thread:12}  ") } else { String::new() };
        let line = format!("{time:23}  {kind:6}  {thread}{collection:12}  {id:26}  {document}");
        line.trim_end().to_owned()
    }
}

fn kind(kind: i32) -> &'static str {
    match pb::ChangeKind::try_from(kind) {
        Ok(pb::ChangeKind::Create) => "create",
        Ok(pb::ChangeKind::Save) => "save",
        Ok(pb::ChangeKind::Delete) => "delete",
        Ok(pb::ChangeKind::Unspecified) | Err(_) => "unknown",
    }
}

fn step_json(cursor: &str, step: &Step) -> Result<Value, Failure> {
    Ok(match step {
        Step::Change(change) => {
            let by = change.by.as_ref();
            json!({
                "cursor": cursor, "step": "change", "thread": change.thread, "kind": kind(change.kind),
                "collection": change.collection, "id": change.id,
                "document": change.json.as_deref().map(view::value).transpose()?,
                "log": by.map(|by| &by.log), "counter": by.map(|by| by.counter),
                "time": by.map(|by| format::rfc3339(by.time >> 16)), "point": by.map(|by| format::point(by.time)),
            })
        }
        Step::Lagged(_) => json!({ "cursor": cursor, "step": "lagged" }),
        Step::CaughtUp(_) => json!({ "cursor": cursor, "step": "caught-up" }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pb::watch_response::{CaughtUp, Event};

    fn change(json: Option<&str>) -> Change {
        let by = Event { log: "12D3".into(), counter: 7, time: 1_517_966_773_840 << 16 };
        Change {
            thread: "bafkabcdefgh".into(),
            kind: pb::ChangeKind::Save.into(),
            collection: "films".into(),
            id: "brazil".into(),
            json: json.map(Into::into),
            by: Some(by),
        }
    }

    #[test]
    fn a_change_is_one_line_whatever_is_in_it() {
        let lines = Lines { names: None };
        assert_eq!(
            lines.heading(),
            "TIME                     KIND    COLLECTION    ID                          DOCUMENT"
        );
        let line = lines.line(&change(Some("{\"title\":\"\u{9b}2J\"}")));
        assert_eq!(
            line,
            "2018-02-07 01:26:13.840  save    films         brazil                      {\"title\":\"\\u009b2J\"}"
        );
        let of_all = Lines { names: Some(HashMap::from([("bafkabcdefgh".into(), "notes".into())])) };
        assert!(of_all.line(&change(None)).ends_with("save    notes         films         brazil"));
        let nameless = Lines { names: Some(HashMap::new()) };
        assert!(nameless.line(&change(None)).contains("save    abcdefgh      films"));
    }

    #[test]
    fn every_step_has_its_cursor() {
        let shown = step_json("1f", &Step::Change(change(None))).unwrap();
        let expected = json!({
            "cursor": "1f", "step": "change", "thread": "bafkabcdefgh", "kind": "save", "collection": "films", "id": "brazil",
            "document": null, "log": "12D3", "counter": 7, "time": "2018-02-07T01:26:13.840Z",
            "point": format!("time:{}", 1_517_966_773_840_u64 << 16),
        });
        assert_eq!(shown, expected);
        let shown = step_json("20", &Step::CaughtUp(CaughtUp {})).unwrap();
        assert_eq!(shown, json!({ "cursor": "20", "step": "caught-up" }));
    }
}

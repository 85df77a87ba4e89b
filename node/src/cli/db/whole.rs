//! `spool db hash` and `spool db rebuild`

use std::time::Duration;

use serde_json::{Value, json};

use super::super::context::Context;
use super::super::exit::{Exit, Failure};
use super::super::{format, output};
use crate::api::pb;
use crate::api::pb::held::Why;

/// How often `--wait` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Show the hash over all documents of a thread, and what is held back
///
/// Two nodes with equal heads and nothing held back have the same hash.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool db hash notes
  spool db hash notes --wait --json | jq -r .hash")]
pub(in super::super) struct HashArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// Wait until everything that is here is folded, but for what is held back
    #[arg(long)]
    wait: bool,
}

pub(super) async fn hash(context: &mut Context, args: HashArgs) -> Result<(), Failure> {
    let (mut database, thread) = context.database(&args.thread).await?;
    let request = pb::GetHashRequest { thread: thread.clone() };
    let bar = output::count(None);
    let answer = loop {
        let answer = database.get_hash(request.clone()).await?.into_inner();
        if !args.wait || !answer.folding {
            break answer;
        }
        bar.set_position(answer.documents);
        bar.set_message("documents");
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    bar.finish_and_clear();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({
            "thread": thread, "hash": answer.hash, "documents": answer.documents, "folding": answer.folding,
            "held": answer.held.iter().map(held_json).collect::<Vec<_>>(),
        }));
    }
    let mut fields = vec![("hash", answer.hash), ("documents", format::number(answer.documents))];
    if answer.folding {
        fields.push(("folding", "yes: more events are here; --wait waits for them".into()));
    }
    fields.extend(answer.held.iter().map(|held| ("held back", held_text(held))));
    out.fields(&fields)
}

fn held_text(held: &pb::Held) -> String {
    let why = match &held.why {
        Some(Why::Ahead(time)) => format!("its time, {}, is too far ahead of the clock here", format::time(time >> 16)),
        Some(Why::NoKey(_)) => "there is no key for it here".into(),
        Some(Why::NoBody(_)) => "its body has not arrived".into(),
        Some(Why::Past(until)) => {
            format!(
                "what its writer had seen is not all here; from {} on it is judged without that",
                format::time(*until)
            )
        }
        Some(Why::NoJudge(_)) => "a rule is to judge it, and this node cannot run it".into(),
        None => "for a reason that this version of spool does not know".into(),
    };
    format!("{} from #{} on: {why}", held.log, held.counter)
}

fn held_json(held: &pb::Held) -> Value {
    let (why, time) = match &held.why {
        Some(Why::Ahead(time)) => ("ahead", Some(format::rfc3339(time >> 16))),
        Some(Why::NoKey(_)) => ("no-key", None),
        Some(Why::NoBody(_)) => ("no-body", None),
        Some(Why::Past(until)) => ("past", Some(format::rfc3339(*until))),
        Some(Why::NoJudge(_)) => ("no-judge", None),
        None => ("unknown", None),
    };
    json!({ "log": held.log, "counter": held.counter, "why": why, "time": time })
}

/// Fold all events of a thread anew
///
/// Nothing is lost by it: documents, indexes and histories come from the events. Whoever reads meanwhile sees the documents grow.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool db rebuild notes")]
pub(in super::super) struct RebuildArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
}

pub(super) async fn rebuild(context: &mut Context, args: RebuildArgs) -> Result<(), Failure> {
    let (mut database, thread) = context.database(&args.thread).await?;
    let mut steps = database.rebuild(pb::RebuildRequest { thread: thread.clone() }).await?.into_inner();
    let bar = output::count(Some(0));
    let mut done = None;
    while let Some(step) = steps.message().await? {
        bar.set_length(step.total);
        bar.set_position(step.events);
        bar.set_message("events");
        if step.done {
            done = Some(step);
        }
    }
    bar.finish_and_clear();
    let done = done.ok_or_else(|| {
        Failure::new(Exit::Unavailable, "stopping", "the daemon ended first; it goes on with it when it starts again")
    })?;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({ "thread": thread, "events": done.events, "total": done.total }));
    }
    out.line(format!("folded {}", format::plural(done.events, "event")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_says_why() {
        let held = pb::Held { log: "12D3".into(), counter: 7, why: Some(Why::Ahead(1_517_966_773_840 << 16)) };
        assert_eq!(
            held_text(&held),
            "12D3 from #7 on: its time, 2018-02-07 01:26:13.840, is too far ahead of the clock here"
        );
        let expected = json!({ "log": "12D3", "counter": 7, "why": "ahead", "time": "2018-02-07T01:26:13.840Z" });
        assert_eq!(held_json(&held), expected);
        let held = pb::Held { why: Some(Why::NoBody(pb::held::NoBody {})), ..held };
        assert!(held_text(&held).ends_with("its body has not arrived"));
        assert_eq!(held_json(&held)["time"], Value::Null);
    }
}

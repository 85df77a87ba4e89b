//! `spool sync`

use indicatif::ProgressBar;
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::{format, output, resolve};
use crate::api::pb;
use crate::api::pb::sync_response::{Done, Peer, Progress, Step, peer::Outcome};

/// Synchronise now, and wait until it is done
///
/// Threads synchronise by themselves; this asks all peers at once and tells how it goes. Ends when every reachable peer was asked and what it
/// had is here. Exit code 7 if no peer answered or something is still missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool sync notes
  spool sync --timeout 60 --json      all threads, one JSON object for each step")]
pub(super) struct Args {
    /// Thread id, name, or the beginning of the id; all threads if none is given
    thread: Option<String>,
    /// End when nothing happened for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let thread = match &args.thread {
        Some(thread) => Some(resolve::thread(&mut client, thread).await?),
        None => None,
    };
    let request = pb::SyncRequest { thread, timeout_ms: Some(args.timeout * 1000) };
    let mut steps = client.sync(request).await?.into_inner();
    let bar = output::count(None);
    let out = &mut context.out;
    let mut progress = Steps::default();
    while let Some(step) = steps.message().await? {
        if let (true, Some(step)) = (out.is_json(), &step.step) {
            out.json(&step_json(step))?;
            out.flush()?;
        }
        progress.take(step, &bar, out)?;
    }
    bar.finish_and_clear();
    progress.end(out)
}

/// Shows the steps of a sync as they come, except as JSON, and says at the end how it went.
#[derive(Default)]
pub(super) struct Steps {
    done: Option<Done>,
}

impl Steps {
    pub(super) fn take(&mut self, step: pb::SyncResponse, bar: &ProgressBar, out: &mut Output) -> Result<(), Failure> {
        match step.step {
            Some(Step::Peer(peer)) if !out.is_json() => {
                bar.suspend(|| out.line(peer_line(&peer)).and_then(|()| out.flush()))?;
            }
            Some(Step::Peer(_)) | None => {}
            Some(Step::Progress(progress)) => {
                bar.set_position(progress.records);
                bar.set_message(missing(&progress));
            }
            Some(Step::Done(end)) => self.done = Some(end),
        }
        Ok(())
    }

    pub(super) fn end(self, out: &mut Output) -> Result<(), Failure> {
        let stopping = || Failure::new(Exit::Unavailable, "stopping", "the daemon ended the sync before it was done");
        let done = self.done.ok_or_else(stopping)?;
        let progress = done.progress.unwrap_or_default();
        if !out.is_json() {
            out.line(format!(
                "{} and {} from {}, {}",
                format::plural(progress.records, "record"),
                format::plural(progress.blocks, "block"),
                format::plural(done.peers.into(), "peer"),
                format::bytes(progress.bytes),
            ))?;
        }
        if done.complete && done.peers > 0 {
            return Ok(());
        }
        let why = match done.peers {
            0 => "no peer answered; `spool peers` shows which are known".into(),
            _ => format!("not everything is here: {}", missing(&progress)),
        };
        Err(Failure::new(Exit::Unavailable, "incomplete", why))
    }
}

fn missing(progress: &Progress) -> String {
    let records = format::plural(progress.records_missing, "record");
    format!("{records} and {} missing", format::plural(progress.blocks_missing, "block"))
}

fn peer_line(peer: &Peer) -> String {
    let what = match &peer.outcome {
        Some(Outcome::Shares(threads)) => format!("shares {}", format::plural((*threads).into(), "thread")),
        Some(Outcome::Equal(_)) => "equal".into(),
        Some(Outcome::Failed(why)) => format!("failed: {}", format::shown(why)),
        None => "asked".into(),
    };
    format!("{}  {what}", peer.peer_id)
}

pub(super) fn step_json(step: &Step) -> serde_json::Value {
    match step {
        Step::Peer(peer) => {
            let (outcome, threads, why) = match &peer.outcome {
                Some(Outcome::Shares(threads)) => ("shares", Some(*threads), None),
                Some(Outcome::Equal(_)) => ("equal", None, None),
                Some(Outcome::Failed(why)) => ("failed", None, Some(why)),
                None => ("unknown", None, None),
            };
            json!({ "step": "peer", "peer_id": peer.peer_id, "outcome": outcome, "threads": threads, "why": why })
        }
        Step::Progress(progress) => progress_json("progress", progress),
        Step::Done(Done { progress, peers, failed, complete }) => {
            let mut value = progress_json("done", &progress.unwrap_or_default());
            value["peers"] = (*peers).into();
            value["failed"] = (*failed).into();
            value["complete"] = (*complete).into();
            value
        }
    }
}

fn progress_json(step: &str, progress: &Progress) -> serde_json::Value {
    json!({
        "step": step, "records": progress.records, "records_missing": progress.records_missing,
        "blocks": progress.blocks, "blocks_missing": progress.blocks_missing, "bytes": progress.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_one_shape_each() {
        let peer = Peer { peer_id: "12D3".into(), outcome: Some(Outcome::Failed("timed out".into())) };
        let expected =
            json!({ "step": "peer", "peer_id": "12D3", "outcome": "failed", "threads": null, "why": "timed out" });
        assert_eq!(step_json(&Step::Peer(peer)), expected);
        let done = step_json(&Step::Done(Done { peers: 2, complete: true, ..Done::default() }));
        assert_eq!(
            (&done["step"], &done["peers"], &done["complete"], &done["records"]),
            (&json!("done"), &json!(2), &json!(true), &json!(0))
        );
    }

    #[test]
    fn what_a_peer_says_cannot_drive_the_terminal() {
        let peer = Peer { peer_id: "12D3".into(), outcome: Some(Outcome::Failed("\u{1b}[2J".into())) };
        assert_eq!(peer_line(&peer), "12D3  failed: \\u{1b}[2J");
    }
}

//! `spool home` and `spool recover`

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::{format, output, sync};
use crate::api::pb;
use crate::api::pb::recover_response::{Outcome, Step, Thread};

/// Show what your devices keep for one that lost everything
///
/// Your home thread has the keys of all threads that a device of yours can read, and names your devices. Its id and key follow from your recovery phrase, so that the phrase and one peer that
/// follows it bring everything back: `spool recover`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool home
  spool home share > ticket && scp ticket server:")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Home>,
}

#[derive(Debug, Subcommand)]
enum Home {
    /// Print a ticket with which a node of your choice follows your home thread, without being able to read it
    #[command(after_help = "Example:\n  spool home share")]
    Share,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let home = client.get_home(pb::GetHomeRequest {}).await?.into_inner();
    let out = &mut context.out;
    if let Some(Home::Share) = args.command {
        let request = pb::ShareThreadRequest { thread: home.thread, scope: pb::Scope::Follow.into(), to: None };
        let ticket = client.share_thread(request).await?.into_inner().ticket;
        return if out.is_json() { out.json(&json!({ "ticket": ticket })) } else { out.line(ticket) };
    }
    if out.is_json() {
        return out.json(&json_of(&home));
    }
    out.fields(&[("home thread", home.thread.clone())])?;
    if home.devices.is_empty() {
        out.flush()?;
        out.hint("nothing is kept yet: it begins with the first thread that this device can read");
        return Ok(());
    }
    out.line("")?;
    let devices: Vec<_> = home.devices.iter().map(device_row).collect();
    out.table(&["DEVICE", "NAME", "SINCE", "PEER"], &devices)?;
    out.line("")?;
    let threads: Vec<_> = home.threads.iter().map(thread_row).collect();
    out.table(&["THREAD", "NAME", "DEVICES", "HERE"], &threads)
}

fn device_row(device: &pb::home::Device) -> Vec<String> {
    let name = device.name.as_deref().map_or_else(|| "-".into(), format::shown);
    vec![
        device.device.clone(),
        if device.this { format!("{name} (this one)") } else { name },
        device.since_ms.map_or_else(|| "-".into(), format::time),
        device.peer_id.clone().unwrap_or_else(|| "-".into()),
    ]
}

fn thread_row(thread: &pb::home::Thread) -> Vec<String> {
    vec![
        thread.thread.clone(),
        thread.name.as_deref().map_or_else(|| "-".into(), format::shown),
        thread.devices.to_string(),
        if thread.here { "yes" } else { "no" }.into(),
    ]
}

fn json_of(home: &pb::Home) -> serde_json::Value {
    let device = |device: &pb::home::Device| {
        json!({
            "device": device.device, "name": device.name, "peer_id": device.peer_id, "since_ms": device.since_ms,
            "this": device.this,
        })
    };
    let thread = |thread: &pb::home::Thread| json!({ "thread": thread.thread, "name": thread.name, "devices": thread.devices, "here": thread.here });
    json!({
        "thread": home.thread,
        "devices": home.devices.iter().map(device).collect::<Vec<_>>(),
        "threads": home.threads.iter().map(thread).collect::<Vec<_>>(),
    })
}

/// Get everything back on a new device
///
/// Finds your home thread, joins all threads that your devices keep, and pulls them. For a repository that was made with `spool init --recover`, on a device that lost everything or on one
/// more device. What this device writes goes to logs of its own; the old ones stay as they are. Exit code 7 if nothing was found, or something is still missing: run it again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool init --recover < phrase.txt && spool daemon &
  spool recover --from /ip4/192.0.2.7/tcp/4006/p2p/12D3KooW...")]
pub(super) struct RecoverArgs {
    /// A peer that follows your home thread; needed where neither the local network nor the hash table leads to one
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// How many seconds to look for your home thread; then end when nothing happened for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

pub(super) async fn recover(context: &mut Context, args: RecoverArgs) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let request = pb::RecoverRequest { from: args.from, timeout_ms: Some(args.timeout * 1000) };
    let mut steps = client.recover(request).await?.into_inner();
    let bar = output::count(None);
    let out = &mut context.out;
    let mut failed = 0;
    let mut progress = sync::Steps::default();
    while let Some(step) = steps.message().await? {
        let Some(step) = step.step else { continue };
        if let (true, Some(line)) = (out.is_json(), step_json(&step)) {
            out.json(&line)?;
            out.flush()?;
        }
        match step {
            Step::Home(home) if !out.is_json() => {
                let devices = format::plural(home.devices.len() as u64, "device");
                let threads = format::plural(home.threads.len() as u64, "thread");
                bar.suspend(|| {
                    out.line(format!("your home thread is here: {devices}, {threads}")).and_then(|()| out.flush())
                })?;
            }
            Step::Home(_) => {}
            Step::Thread(thread) => {
                failed += u64::from(thread.outcome() == Outcome::Failed);
                if !out.is_json() {
                    bar.suspend(|| out.line(thread_line(&thread)).and_then(|()| out.flush()))?;
                }
            }
            Step::Sync(step) => progress.take(step, &bar, out)?,
        }
    }
    bar.finish_and_clear();
    progress.end(out)?;
    match failed {
        0 => Ok(()),
        failed => {
            let what = format!("{} could not be joined, see above", format::plural(failed, "thread"));
            Err(Failure::new(Exit::Failed, "not-joined", what))
        }
    }
}

fn thread_line(thread: &Thread) -> String {
    let what = match thread.outcome() {
        Outcome::Joined => "joined".into(),
        Outcome::Here => "here already".into(),
        Outcome::Left => "left: no device keeps it".into(),
        Outcome::Failed => format!("failed: {}", format::shown(thread.why())),
        Outcome::Unspecified => "unknown".into(),
    };
    format!("{}  {}  {what}", thread.thread, thread.name.as_deref().map_or_else(|| "-".into(), format::shown))
}

fn step_json(step: &Step) -> Option<serde_json::Value> {
    match step {
        Step::Home(home) => {
            let mut value = json_of(home);
            value["step"] = "home".into();
            Some(value)
        }
        Step::Thread(thread) => {
            let outcome = match thread.outcome() {
                Outcome::Joined => "joined",
                Outcome::Here => "here",
                Outcome::Left => "left",
                Outcome::Failed => "failed",
                Outcome::Unspecified => "unknown",
            };
            Some(json!({
                "step": "thread", "thread": thread.thread, "name": thread.name, "outcome": outcome, "why": thread.why,
            }))
        }
        Step::Sync(sync) => sync.step.as_ref().map(sync::step_json),
    }
}

//! `spool verify`

use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::{format, output, resolve};
use crate::api::pb;
use crate::api::pb::verify_response::{Fault, Kind, Report, Step};

/// Check a whole thread as it is on disk
///
/// Every record: its hash, seal, encoding, signature, links and counter; every body: its blocks' hashes, and what opens is opened. Prints what
/// was checked and each fault with its place. Exit code 5 if there is one. Blocks that have not arrived are counted and are no fault.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool verify notes
  spool verify notes --skip-bodies --json")]
pub(super) struct Args {
    /// Thread id, name, or the beginning of the id
    thread: String,
    /// Check records only
    #[arg(long)]
    skip_bodies: bool,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let thread = resolve::thread(&mut client, &args.thread).await?;
    let request = pb::VerifyRequest { thread: thread.clone(), skip_bodies: args.skip_bodies };
    let mut steps = client.verify(request).await?.into_inner();
    let bar = output::count(Some(0));
    let out = &mut context.out;
    let mut done = None;
    while let Some(step) = steps.message().await? {
        match step.step {
            Some(Step::Progress(progress)) => {
                bar.set_length(progress.total_records);
                bar.set_position(progress.records);
                bar.set_message(format!(
                    "{}, {}",
                    format::plural(progress.blocks, "block"),
                    format::bytes(progress.bytes)
                ));
            }
            Some(Step::Fault(fault)) if out.is_json() => out.json(&fault_json(&fault))?,
            Some(Step::Fault(fault)) => bar.suspend(|| out.line(fault_line(&fault)).and_then(|()| out.flush()))?,
            Some(Step::Done(report)) => done = Some(report),
            None => {}
        }
    }
    bar.finish_and_clear();
    let report = done.ok_or_else(|| {
        Failure::new(Exit::Unavailable, "stopping", "the daemon ended the verification before it was done")
    })?;
    if out.is_json() {
        out.json(&report_json(&thread, &report))?;
    } else {
        out.fields(&report_fields(&thread, &report, args.skip_bodies))?;
    }
    out.flush()?;
    if report.faults > 0 {
        let message = format!(
            "{} in {thread}; what is damaged here can be fetched again after `spool thread rm` and `join`",
            format::plural(report.faults, "fault")
        );
        return Err(Failure::new(Exit::Damaged, "verification-failed", message));
    }
    Ok(())
}

fn report_fields(thread: &str, report: &Report, skip_bodies: bool) -> Vec<(&'static str, String)> {
    let inert = if report.inert > 0 { format!(", {} inert", format::number(report.inert)) } else { String::new() };
    let events = match report.events {
        0 if report.records > 0 => "sealed: this node cannot read them".into(),
        events => format!("{} opened", format::number(events)),
    };
    let bodies = match (skip_bodies, report.missing_blocks) {
        (true, _) => "skipped".into(),
        (false, 0) => {
            format!("{} opened, {} hashed", format::number(report.bodies), format::plural(report.blocks, "block"))
        }
        (false, missing) => format!(
            "{} opened, {} hashed, {} not here yet",
            format::number(report.bodies),
            format::plural(report.blocks, "block"),
            format::number(missing)
        ),
    };
    let records = format!("{} in {}{inert}", format::number(report.records), format::plural(report.logs, "log"));
    let database = match report.documents {
        0 => "nothing folded".into(),
        documents => format!("{} compared with their events", format::plural(documents, "document")),
    };
    let faults = if report.faults == 0 { "none".into() } else { format::number(report.faults) };
    vec![
        ("thread", thread.to_owned()),
        ("records", format!("{records}: hash, seal, encoding, signature, links, counter")),
        ("events", events),
        ("bodies", bodies),
        ("database", database),
        ("read", format!("{} in {}", format::bytes(report.bytes), format::duration(report.elapsed_ms))),
        ("faults", faults),
    ]
}

fn kind(kind: i32) -> &'static str {
    match Kind::try_from(kind) {
        Ok(Kind::Hash) => "hash",
        Ok(Kind::RecordMissing) => "record-missing",
        Ok(Kind::Seal) => "seal",
        Ok(Kind::Encoding) => "encoding",
        Ok(Kind::Signature) => "signature",
        Ok(Kind::Link) => "link",
        Ok(Kind::Counter) => "counter",
        Ok(Kind::Admission) => "admission",
        Ok(Kind::Index) => "index",
        Ok(Kind::Body) => "body",
        Ok(Kind::View) => "view",
        Ok(Kind::Unspecified) | Err(_) => "unknown",
    }
}

fn fault_line(fault: &Fault) -> String {
    let log = fault.log.as_deref().unwrap_or("-");
    let counter = fault.counter.map_or_else(String::new, |counter| format!(" #{counter}"));
    let cid = fault.cid.as_deref().map_or_else(String::new, |cid| format!(" {cid}"));
    format!("FAULT {}: {log}{counter}{cid}: {}", kind(fault.kind), format::shown(&fault.detail))
}

fn fault_json(fault: &Fault) -> serde_json::Value {
    json!({
        "step": "fault", "kind": kind(fault.kind), "log": fault.log, "counter": fault.counter, "cid": fault.cid, "detail": fault.detail,
    })
}

fn report_json(thread: &str, report: &Report) -> serde_json::Value {
    json!({
        "step": "done", "thread": thread, "logs": report.logs, "records": report.records, "inert": report.inert,
        "events": report.events, "bodies": report.bodies, "blocks": report.blocks, "missing_blocks": report.missing_blocks, "documents": report.documents,
        "bytes": report.bytes, "faults": report.faults, "elapsed_ms": report.elapsed_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_place() {
        let fault = Fault {
            kind: Kind::Signature.into(),
            log: Some("12D3".into()),
            counter: Some(7),
            cid: Some("bafk".into()),
            detail: "does not verify".into(),
        };
        assert_eq!(fault_line(&fault), "FAULT signature: 12D3 #7 bafk: does not verify");
        assert_eq!(fault_json(&fault)["kind"], json!("signature"));
    }

    #[test]
    fn a_follower_is_told_that_it_checked_without_reading() {
        let fields =
            report_fields("bafk", &Report { records: 5, logs: 1, missing_blocks: 2, ..Report::default() }, false);
        assert!(fields.contains(&("events", "sealed: this node cannot read them".into())));
        assert!(fields.contains(&("bodies", "0 opened, 0 blocks hashed, 2 not here yet".into())));
        assert!(fields.contains(&("faults", "none".into())));
    }
}

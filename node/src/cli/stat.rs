//! `spool stat` and `spool keys`

use serde_json::json;

use super::context::Context;
use super::exit::Failure;
use super::{format, resolve};
use crate::api::pb;

/// Show counts and sizes of this node
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool stat --json | jq .records")]
pub(super) struct Args {}

pub(super) async fn run(context: &mut Context, _: Args) -> Result<(), Failure> {
    let stat = context.client().await?.get_stat(pb::GetStatRequest {}).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({
            "threads": stat.threads, "logs": stat.logs, "records": stat.records, "inert": stat.inert, "blocks": stat.blocks,
            "block_bytes": stat.block_bytes, "missing_blocks": stat.missing_blocks, "disk_bytes": stat.disk_bytes, "peers": stat.peers,
            "bytes_in": stat.bytes_in, "bytes_out": stat.bytes_out, "accepted": stat.accepted, "rejected": stat.rejected,
            "appended": stat.appended, "read_only": stat.read_only, "uptime_ms": stat.uptime_ms,
        }));
    }
    let inert = if stat.inert > 0 { format!(", {} inert", format::number(stat.inert)) } else { String::new() };
    let missing = if stat.missing_blocks > 0 {
        format!(", {} missing", format::number(stat.missing_blocks))
    } else {
        String::new()
    };
    out.fields(&[
        ("threads", format::number(stat.threads)),
        ("logs", format::number(stat.logs)),
        ("records", format!("{}{inert}", format::number(stat.records))),
        ("blocks", format!("{}, {}{missing}", format::number(stat.blocks), format::bytes(stat.block_bytes))),
        ("on disk", format::bytes(stat.disk_bytes)),
        ("peers", format::number(stat.peers)),
        ("running", format::duration(stat.uptime_ms)),
        ("appended", format::number(stat.appended)),
        ("accepted", format::number(stat.accepted)),
        ("rejected", format::number(stat.rejected)),
        ("traffic", format!("{} in, {} out", format::bytes(stat.bytes_in), format::bytes(stat.bytes_out))),
    ])?;
    out.flush()?;
    if stat.read_only {
        out.warn("the disk refused a write: this node only reads until it works again");
    }
    Ok(())
}

/// Show which keys of a thread this node holds
///
/// Key ids and what they allow, never the keys: those leave the node in tickets only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spool keys notes")]
pub(super) struct KeysArgs {
    /// Thread id, name, or the beginning of the id
    thread: String,
}

pub(super) async fn keys(context: &mut Context, args: KeysArgs) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let thread = resolve::thread(&mut client, &args.thread).await?;
    let epochs = client.list_keys(pb::ListKeysRequest { thread }).await?.into_inner().epochs;
    let out = &mut context.out;
    if out.is_json() {
        let epoch = |epoch: &pb::Epoch| {
            let pb::Epoch { index, key_id, read, admission, current } = epoch;
            json!({ "epoch": index, "key_id": key_id, "follow": true, "read": read, "admission": admission, "current": current })
        };
        return out.json(&epochs.iter().map(epoch).collect::<Vec<_>>());
    }
    let row = |epoch: &pb::Epoch| {
        let holds = if epoch.read { "follow, read" } else { "follow" };
        let current = if epoch.current { "current" } else { "" };
        vec![epoch.index.to_string(), epoch.key_id.clone(), holds.into(), current.into()]
    };
    let rows: Vec<_> = epochs.iter().map(row).collect();
    out.table(&["EPOCH", "KEY ID", "HOLDS", ""], &rows)
}

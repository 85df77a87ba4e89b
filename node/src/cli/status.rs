//! `spool thread status`: is it synced, and how many followers have it?

use serde_json::{Value, json};

use super::context::{Client, Context};
use super::exit::Failure;
use super::follower::{days_json, kept};
use super::format;
use crate::api::pb;

pub(super) async fn run(context: &mut Context, mut client: Client, thread: String) -> Result<(), Failure> {
    let status = client.get_thread_status(pb::GetThreadStatusRequest { thread }).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&status_json(&status));
    }
    let mut fields = vec![("thread", status.thread.clone()), ("durable", durable(status.durable, status.followers))];
    if status.missing_blocks > 0 {
        fields.push(("missing", format!("{} of bodies", format::plural(status.missing_blocks, "block"))));
    }
    if let Some(followed) = &status.followed {
        let full = if followed.full { "; FULL: nothing more is taken" } else { "" };
        fields.push(("followed", format!("for others, bodies {}{full}", kept(followed.bodies_days))));
    }
    out.fields(&fields)?;
    if !status.logs.is_empty() {
        out.line("")?;
        let rows: Vec<_> = status.logs.iter().map(|log| log_row(log, status.followers)).collect();
        out.table(&["LOG", "HERE", "NEWEST", "DURABLE ON", "STATE"], &rows)?;
    }
    if status.peers.is_empty() {
        out.hint("no peer is known; `spool follower add PEER THREAD` asks a node to follow");
        return Ok(());
    }
    out.line("")?;
    let rows: Vec<_> = status.peers.iter().map(|peer| peer_row(peer, &status.logs)).collect();
    out.table(&["PEER", "ROLE", "HAS", "LAST CONTACT", "REMARKS"], &rows)
}

fn durable(durable: u32, followers: u32) -> String {
    match followers {
        0 => "on no follower: there is none".into(),
        followers => format!("on {durable} of {}", format::plural(u64::from(followers), "follower")),
    }
}

fn log_row(log: &pb::LogStatus, followers: u32) -> Vec<String> {
    let state = if log.forked {
        "forked".into()
    } else if log.newest > log.head {
        match log.pulled_from.first() {
            Some(peer) => {
                format!("pulling {} from {}", format::plural(log.newest - log.head, "record"), format::short(peer))
            }
            None => format!("{} behind", format::plural(log.newest - log.head, "record")),
        }
    } else if log.retired {
        "ended".into()
    } else {
        "synced".into()
    };
    let own = if log.own { " (own)" } else { "" };
    vec![
        format!("{}{own}", log.log),
        format::number(log.head),
        format::number(log.newest),
        format!("{} of {followers}", log.durable),
        state,
    ]
}

fn peer_row(peer: &pb::PeerStatus, logs: &[pb::LogStatus]) -> Vec<String> {
    let behind: u64 =
        logs.iter().map(|log| log.head.saturating_sub(peer.heads.get(&log.log).copied().unwrap_or(0))).sum();
    let has = match behind {
        0 => "everything".into(),
        behind => format!("{} less", format::plural(behind, "record")),
    };
    let mut remarks = Vec::new();
    remarks.extend(peer.gone_ms.map(|gone| format!("left {}", format::time(gone))));
    if !peer.connected && peer.gone_ms.is_none() {
        remarks.push("not connected".into());
    }
    if peer.bodies_days > 0 {
        remarks.push(format!("bodies {}", kept(peer.bodies_days)));
    }
    if peer.full {
        remarks.push("FULL: it takes nothing more, what the thread may use there is used up".into());
    }
    remarks.extend(peer.trouble.as_ref().map(|trouble| trouble.message.clone()));
    let last = peer.last_contact_ms.map_or_else(|| "-".into(), format::time);
    let remarks = if remarks.is_empty() { "-".into() } else { remarks.join("; ") };
    vec![peer.peer_id.clone(), role(peer).into(), has, last, remarks]
}

fn role(peer: &pb::PeerStatus) -> &'static str {
    match pb::peer_status::Role::try_from(peer.role) {
        Ok(pb::peer_status::Role::Follower) => "follower",
        Ok(pb::peer_status::Role::Reader) => "reader",
        Ok(pb::peer_status::Role::Writer) => "writer",
        Ok(pb::peer_status::Role::Unspecified) | Err(_) => "unknown",
    }
}

fn status_json(status: &pb::ThreadStatus) -> Value {
    let log = |log: &pb::LogStatus| {
        json!({
            "log": log.log, "own": log.own, "head": log.head, "newest": log.newest, "durable": log.durable,
            "pulled_from": log.pulled_from, "forked": log.forked, "retired": log.retired,
        })
    };
    let peer = |peer: &pb::PeerStatus| {
        let trouble = peer.trouble.as_ref();
        let trouble = trouble.map(|trouble| json!({ "reason": trouble.reason, "message": trouble.message }));
        let heads: std::collections::BTreeMap<_, _> = peer.heads.iter().collect();
        json!({
            "peer_id": peer.peer_id, "role": role(peer), "asked": peer.asked, "gone": peer.gone_ms.map(format::rfc3339),
            "connected": peer.connected, "last_contact": peer.last_contact_ms.map(format::rfc3339), "heads": heads,
            "bodies_days": days_json(peer.bodies_days), "full": peer.full, "trouble": trouble,
        })
    };
    json!({
        "thread": status.thread, "followers": status.followers, "durable": status.durable,
        "logs": status.logs.iter().map(log).collect::<Vec<_>>(), "peers": status.peers.iter().map(peer).collect::<Vec<_>>(),
        "missing_blocks": status.missing_blocks, "followed": status.followed.as_ref().map(super::follower::followed_json),
    })
}

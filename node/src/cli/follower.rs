//! `spool follower`: ask nodes to follow threads, and end that, on either side.

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::{Client, Context};
use super::exit::Failure;
use super::{format, resolve};
use crate::api::pb;

/// Ask nodes to follow threads, list followers, and end following
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Example:
  spool follower add /dns4/follower.example.org/tcp/4006/p2p/12D3KooW... notes")]
pub(super) enum Args {
    /// Ask a node to follow a thread: it replicates and serves it, and cannot read it
    ///
    /// It is given the follow keys and nothing that reads. Whether it takes them is up to its setting `follow`. Readers learn from this node's log where
    /// it is.
    #[command(after_help = "\
Examples:
  spool follower add 12D3KooW... notes
  spool follower add /ip4/192.0.2.7/tcp/4006/p2p/12D3KooW... notes --code 'correct horse'")]
    Add {
        /// The node: its peer id, or an address that ends in it
        peer: String,
        /// Thread id, name, or the beginning of the id
        thread: String,
        /// What that node wants to hear; its operator tells it
        #[arg(long)]
        code: Option<String>,
    },
    /// List the followers of a thread, or all, and the threads that this node follows for others
    #[command(after_help = "Examples:\n  spool follower ls\n  spool follower ls notes", visible_alias = "list")]
    Ls {
        /// Thread id, name, or the beginning of the id
        thread: Option<String>,
    },
    /// Withdraw the invitation of a follower: it drops the thread
    ///
    /// What it has been given it may have kept; new keys are what keeps it out.
    #[command(after_help = "Example:\n  spool follower rm 12D3KooW... notes")]
    Rm {
        /// The node: its peer id, or an address that ends in it
        peer: String,
        /// Thread id, name, or the beginning of the id
        thread: String,
    },
    /// Say for how long this node keeps bodies of a thread that it follows
    ///
    /// Records stay, with their links and signatures, so that chains still verify. Age counts from arrival, or from now for what is here already.
    #[command(
        after_help = "\
Examples:
  spool follower retention bafkua... --bodies-days 90
  spool follower retention bafkua... --everything",
        group = clap::ArgGroup::new("policy").required(true).args(["bodies_days", "everything"])
    )]
    Retention {
        /// Thread id, name, or the beginning of the id
        thread: String,
        /// Drop bodies that came longer ago than so many days
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=36_525))]
        bodies_days: Option<u32>,
        /// Keep everything
        #[arg(long)]
        everything: bool,
    },
    /// Stop following a thread for others: remove it from this node, and tell them
    #[command(after_help = "Example:\n  spool follower drop bafkua...")]
    Drop {
        /// Thread id, name, or the beginning of the id
        thread: String,
    },
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    match args {
        Args::Add { peer, thread, code } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            add(context, client, pb::AddFollowerRequest { thread, peer, code }).await
        }
        Args::Ls { thread } => {
            let thread = match thread {
                Some(thread) => Some(resolve::thread(&mut client, &thread).await?),
                None => None,
            };
            list(context, client, thread).await
        }
        Args::Rm { peer, thread } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            remove(context, client, thread, peer).await
        }
        Args::Retention { thread, bodies_days, everything: _ } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            retain(context, client, thread, bodies_days.unwrap_or(0)).await
        }
        Args::Drop { thread } => {
            let thread = resolve::thread(&mut client, &thread).await?;
            leave(context, client, thread).await
        }
    }
}

async fn add(context: &mut Context, mut client: Client, request: pb::AddFollowerRequest) -> Result<(), Failure> {
    let follower = client.add_follower(request).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&follower_json(&follower));
    }
    let mut fields = vec![("follower", follower.peer_id.clone()), ("thread", follower.thread.clone())];
    fields.push(("bodies", kept(follower.bodies_days)));
    fields.extend(follower.addresses.iter().map(|address| ("address", format::shown(address))));
    out.fields(&fields)
}

async fn list(context: &mut Context, mut client: Client, thread: Option<String>) -> Result<(), Failure> {
    let lists = client.list_followers(pb::ListFollowersRequest { thread }).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        let followers: Vec<_> = lists.followers.iter().map(follower_json).collect();
        let followed: Vec<_> = lists.followed.iter().map(followed_json).collect();
        return out.json(&json!({ "followers": followers, "followed": followed }));
    }
    if lists.followers.is_empty() && lists.followed.is_empty() {
        out.hint("no followers; `spool follower add PEER THREAD` asks a node to follow");
        return Ok(());
    }
    if !lists.followers.is_empty() {
        let rows: Vec<_> = lists.followers.iter().map(follower_row).collect();
        out.table(&["FOLLOWER", "STATE", "BODIES", "THREAD"], &rows)?;
    }
    if !lists.followed.is_empty() {
        if !lists.followers.is_empty() {
            out.line("")?;
        }
        let rows: Vec<_> = lists.followed.iter().map(followed_row).collect();
        out.table(&["FOLLOWED FOR", "SINCE", "BODIES", "USES", "OF THEIR QUOTA", "THREAD"], &rows)?;
    }
    Ok(())
}

async fn remove(context: &mut Context, mut client: Client, thread: String, peer: String) -> Result<(), Failure> {
    let request = pb::RemoveFollowerRequest { thread: thread.clone(), peer: peer.clone() };
    let told = client.remove_follower(request).await?.into_inner().told;
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({ "removed": peer, "thread": thread, "told": told }));
    }
    out.line(format!("removed {peer}"))?;
    if !told {
        out.hint("it cannot be reached now and is told later, while this node runs");
    }
    Ok(())
}

async fn retain(context: &mut Context, mut client: Client, thread: String, bodies_days: u32) -> Result<(), Failure> {
    let followed = client.set_retention(pb::SetRetentionRequest { thread, bodies_days }).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&followed_json(&followed));
    }
    out.fields(&[("thread", followed.thread.clone()), ("bodies", kept(followed.bodies_days))])
}

async fn leave(context: &mut Context, mut client: Client, thread: String) -> Result<(), Failure> {
    let request = pb::DropFollowedRequest { thread: thread.clone() };
    let pb::DropFollowedResponse { nodes, told } = client.drop_followed(request).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&json!({ "dropped": thread, "nodes": nodes, "told": told }));
    }
    out.line(format!("dropped {thread}"))?;
    if told < nodes {
        let (nodes, told) = (format::plural(u64::from(nodes), "node"), format::number(u64::from(told)));
        out.hint(format!("{told} of {nodes} know already; the others are told later, while this node runs"));
    }
    Ok(())
}

/// What becomes of bodies, in words.
pub(super) fn kept(bodies_days: u32) -> String {
    match bodies_days {
        0 => "kept".into(),
        days => format!("dropped after {}", format::plural(u64::from(days), "day")),
    }
}

fn follower_row(follower: &pb::Follower) -> Vec<String> {
    let state = match follower.gone_ms {
        Some(gone) => format!("left {}", format::time(gone)),
        None => format!("since {}", format::time(follower.since_ms)),
    };
    vec![follower.peer_id.clone(), state, kept(follower.bodies_days), follower.thread.clone()]
}

fn followed_row(followed: &pb::Followed) -> Vec<String> {
    let inviter = followed.inviters.first().map_or_else(|| "-".into(), |inviter| inviter.identity.clone());
    let quota = match followed.quota {
        0 => "-".into(),
        quota => {
            let full = if followed.full { ", FULL" } else { "" };
            format!("{} of {}{full}", format::bytes(followed.quota_used), format::bytes(quota))
        }
    };
    let days = kept(followed.bodies_days);
    vec![
        inviter,
        format::time(followed.since_ms),
        days,
        format::bytes(followed.used_bytes),
        quota,
        followed.thread.clone(),
    ]
}

fn follower_json(follower: &pb::Follower) -> Value {
    json!({
        "thread": follower.thread, "peer_id": follower.peer_id, "addresses": follower.addresses,
        "bodies_days": days_json(follower.bodies_days), "since": format::rfc3339(follower.since_ms),
        "gone": follower.gone_ms.map(format::rfc3339),
    })
}

pub(super) fn followed_json(followed: &pb::Followed) -> Value {
    let inviter = |inviter: &pb::followed::Inviter| json!({ "identity": inviter.identity, "peer_id": inviter.peer_id });
    json!({
        "thread": followed.thread, "inviters": followed.inviters.iter().map(inviter).collect::<Vec<_>>(),
        "since": format::rfc3339(followed.since_ms), "bodies_days": days_json(followed.bodies_days),
        "used_bytes": followed.used_bytes, "quota_used": followed.quota_used, "quota": followed.quota, "full": followed.full,
    })
}

/// `null` where bodies are kept for good.
pub(super) fn days_json(days: u32) -> Option<u32> {
    (days > 0).then_some(days)
}

//! `spool peers` and `spool addr`

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::Failure;
use super::format;
use crate::api::pb;

/// List peers, or connect to one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool peers
  spool peers connect /ip4/192.0.2.7/tcp/4006/p2p/12D3KooW...")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Peers>,
    /// Also those that are known and not connected
    #[arg(long, short)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum Peers {
    /// Dial an address and remember it
    #[command(after_help = "Example:\n  spool peers connect /ip4/192.0.2.7/tcp/4006/p2p/12D3KooW...")]
    Connect {
        /// The address, as `spool addr` prints it on the other node
        address: String,
    },
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut client = context.client().await?;
    if let Some(Peers::Connect { address }) = args.command {
        let peer = client.connect_peer(pb::ConnectPeerRequest { address }).await?.into_inner().peer_id;
        if context.out.is_json() {
            return context.out.json(&json!({ "peer_id": peer }));
        }
        return context.out.line(format!("connected to {peer}"));
    }
    let mut peers = client.list_peers(pb::ListPeersRequest {}).await?.into_inner().peers;
    let known = peers.len();
    if !args.all {
        peers.retain(|peer| !peer.connections.is_empty() || peer.blocked_ms.is_some());
    }
    let out = &mut context.out;
    if out.is_json() {
        return out.json(&peers.iter().map(json_of).collect::<Vec<_>>());
    }
    if peers.is_empty() {
        out.hint(match known {
            0 => "no peers yet; a ticket brings addresses, `spool peers connect ADDRESS` dials one".into(),
            known => format!("not connected; {} known: `spool peers --all`", format::plural(known as u64, "peer")),
        });
        return Ok(());
    }
    let rows: Vec<_> = peers.iter().map(row).collect();
    out.table(&["PEER", "RTT", "THREADS", "SCORE", "AGENT", "ADDRESS"], &rows)
}

fn row(peer: &pb::Peer) -> Vec<String> {
    let rtt = peer.rtt_us.map_or_else(|| "-".into(), |micros| format!("{:.1} ms", micros as f64 / 1000.0));
    let connected = peer.connections.first().map(|connection| {
        let arrow = if connection.inbound { "from " } else { "" };
        format!("{arrow}{}", format::shown(&connection.address))
    });
    let blocked = peer.blocked_ms.map(|millis| format!("blocked for {} min", millis.div_ceil(60_000)));
    let known = || peer.addresses.first().map(|address| format!("({})", format::shown(address)));
    vec![
        peer.peer_id.clone(),
        rtt,
        peer.threads.to_string(),
        format!("{:.0}", peer.score),
        peer.agent.as_deref().map_or_else(|| "-".into(), |agent| format::cut(&format::shown(agent), 32)),
        blocked.or(connected).or_else(known).unwrap_or_else(|| "-".into()),
    ]
}

fn json_of(peer: &pb::Peer) -> serde_json::Value {
    let connections: Vec<_> = peer
        .connections
        .iter()
        .map(|connection| json!({ "address": connection.address, "inbound": connection.inbound }))
        .collect();
    json!({
        "peer_id": peer.peer_id, "connections": connections, "addresses": peer.addresses, "agent": peer.agent, "rtt_us": peer.rtt_us,
        "threads": peer.threads, "score": peer.score, "last_seen": peer.last_seen_ms.map(format::rfc3339), "blocked_ms": peer.blocked_ms,
    })
}

/// Show where this node can be reached
///
/// Without --all: what goes into tickets and announcements, each address with the peer id.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  spool addr\n  spool addr --all")]
pub(super) struct AddrArgs {
    /// Also what is listened on, and what others see from outside
    #[arg(long, short)]
    all: bool,
}

pub(super) async fn addr(context: &mut Context, args: AddrArgs) -> Result<(), Failure> {
    let mut client = context.client().await?;
    let addresses = client.list_addresses(pb::ListAddressesRequest {}).await?.into_inner();
    let out = &mut context.out;
    if out.is_json() {
        let pb::ListAddressesResponse { listen, external, announced } = addresses;
        return out.json(&json!({ "announced": announced, "listen": listen, "external": external }));
    }
    if !args.all {
        return addresses.announced.iter().try_for_each(|address| out.line(address));
    }
    let kinds = [("announced", addresses.announced), ("listen", addresses.listen), ("external", addresses.external)];
    let fields =
        kinds.into_iter().flat_map(|(kind, addresses)| addresses.into_iter().map(move |address| (kind, address)));
    out.fields(&fields.collect::<Vec<_>>())
}

//! What the daemon says of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use spool_proto::limits::MAX_CLOCK_AHEAD_MILLIS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Check;
use crate::api::pb;
use crate::cli::context::Client;
use crate::repo::Repo;

/// Threads whose newest events are held against the clock; enough to notice one that is wrong.
const THREADS: usize = 64;
/// Bytes of an answer from `/ready`.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn checks(mut client: Client, repo: Option<&Repo>) -> Vec<Check> {
    let mut checks = Vec::new();
    match client.get_node(pb::GetNodeRequest {}).await {
        Ok(node) => {
            let node = node.into_inner();
            let own = env!("CARGO_PKG_VERSION");
            checks.push(match node.version == own {
                true => Check::good("daemon", format!("answers, version {own}")),
                false => {
                    let found = format!("it has version {}, this command {own}", node.version);
                    Check::doubtful("daemon", found, "restart it with the installed program")
                }
            });
        }
        Err(status) => {
            let advice = "if it names the token, use the repository of that daemon (--repo) or --api-token";
            checks.push(Check::broken("daemon", status.message(), advice));
            return checks;
        }
    }
    checks.extend(readiness(repo).await);
    checks.extend(reachability(&mut client).await);
    checks.extend(ahead(&mut client).await);
    checks
}

/// What `/ready` says, if it is served.
async fn readiness(repo: Option<&Repo>) -> Vec<Check> {
    let Some(address) = repo.and_then(Repo::http) else { return Vec::new() };
    let answer = tokio::time::timeout(PATIENCE, ask(&address)).await;
    let Ok(Ok(answer)) = answer else {
        let found = format!("nothing answers at {address}");
        return vec![Check::broken("readiness", found, "look at the log of the daemon, and restart it")];
    };
    let Some(found) = answer.get("checks").and_then(Value::as_object) else {
        return vec![Check::doubtful("readiness", "the daemon is starting", "wait, and ask again")];
    };
    let wrong: Vec<_> = found
        .iter()
        .filter_map(|(name, found)| Some((name, found.as_str().filter(|found| *found != "ok")?)))
        .map(|(name, found)| Check::broken("readiness", format!("{name}: {found}"), "look at the log of the daemon"))
        .collect();
    if wrong.is_empty() { vec![Check::good("readiness", "ready")] } else { wrong }
}

async fn ask(address: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect(super::super::context::reachable(address)).await?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut text).await?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(serde_json::from_str(body)?)
}

/// Whether anybody can reach this node, and anybody has.
async fn reachability(client: &mut Client) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Ok(addresses) = client.list_addresses(pb::ListAddressesRequest {}).await {
        let addresses = addresses.into_inner();
        let is_loopback = |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
        checks.push(if addresses.listen.is_empty() {
            Check::broken("reachability", "it listens on no address", "is there a network? See the setting `listen`")
        } else if !addresses.external.is_empty() {
            Check::good("reachability", format!("from outside at {}", addresses.external.join(", ")))
        } else if addresses.listen.iter().all(is_loopback) {
            Check::doubtful("reachability", "it listens on this machine alone", "see the setting `listen`")
        } else {
            let advice = "others reach it through relays and from its own network; forward its port, or set `announce`, to do better";
            Check::doubtful("reachability", "nobody has confirmed an address from outside", advice)
        });
    }
    if let Ok(stat) = client.get_stat(pb::GetStatRequest {}).await {
        let peers = stat.into_inner().peers;
        checks.push(match peers {
            0 => Check::doubtful(
                "peers",
                "none is connected",
                "`spool peers connect ADDRESS` dials one; tickets and `bootstrap` bring addresses",
            ),
            peers => Check::good("peers", crate::cli::format::plural(peers, "connected peer")),
        });
    }
    checks
}

/// Events of others that are further ahead than any node takes: their clock is wrong, or this one.
async fn ahead(client: &mut Client) -> Option<Check> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis() as u64;
    let threads = client.list_threads(pb::ListThreadsRequest {}).await.ok()?.into_inner().threads;
    let mut furthest = 0;
    for thread in threads.into_iter().take(THREADS) {
        let detail = client.get_thread(pb::GetThreadRequest { thread: thread.id }).await.ok()?.into_inner();
        let times = detail.logs.into_iter().filter(|log| !log.own).filter_map(|log| log.time);
        furthest = times.map(|time| (time >> 16).saturating_sub(now)).fold(furthest, u64::max);
    }
    if furthest <= MAX_CLOCK_AHEAD_MILLIS {
        return None;
    }
    let found = format!("an event of somebody else is {} ahead of this clock", crate::cli::format::duration(furthest));
    Some(Check::doubtful("other clocks", found, "one of the two is wrong: compare this one with NTP"))
}

//! A testnet for people: a table that is drawn again and again on a terminal, lines of what has changed elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::look::{Seen, Snapshot};
use super::place::State;
use crate::cli::exit::Failure;
use crate::cli::format;
use crate::cli::output::Output;

type Result<T> = std::result::Result<T, Failure>;

/// The nodes as they were started.
pub(super) fn nodes(out: &mut Output, state: &State) -> Result<()> {
    if out.is_json() {
        return out.json(&serde_json::json!({ "step": "up", "thread": state.thread, "nodes": state.nodes }));
    }
    let row = |node: &super::member::Member| {
        vec![
            node.name.clone(),
            node.role.name().into(),
            node.pid.map_or_else(String::new, |pid| pid.to_string()),
            node.peer_id.clone(),
            node.api.clone(),
            // The peer id stands in a column of its own.
            node.addresses.iter().map(|address| bare(address)).collect::<Vec<_>>().join(" "),
        ]
    };
    let rows: Vec<_> = state.nodes.iter().map(row).collect();
    out.table(&["NAME", "ROLE", "PROCESS", "PEER ID", "API", "ADDRESSES"], &rows)?;
    out.line(format!("\nthread  testnet  {}\n", state.thread))
}

fn bare(address: &str) -> String {
    address.split("/p2p/").next().unwrap_or_default().to_owned()
}

/// How the nodes do, once.
pub(super) fn table(out: &mut Output, now: &Snapshot, before: Option<(&Snapshot, Duration)>) -> Result<()> {
    let rate = |seen: &Seen, count: fn(&Seen) -> u64| {
        let (before, elapsed) = before?;
        let earlier = before.nodes.iter().find(|node| node.name == seen.name && node.error.is_none())?;
        // A node that started again counts from zero.
        let more = count(seen).saturating_sub(count(earlier));
        Some(format!("{}/s", format::bytes((more as f64 / elapsed.as_secs_f64()) as u64)))
    };
    let row = |seen: &Seen| {
        let mut row = vec![seen.name.clone(), seen.role.name().into()];
        match &seen.error {
            Some(error) => {
                row.extend(std::iter::repeat_n(String::from("-"), 7));
                row.push(format::cut(&format::shown(error), 60));
            }
            None => {
                let rate = |count| rate(seen, count).unwrap_or_else(|| "-".into());
                row.extend([
                    heads(seen),
                    format::number(seen.lag),
                    seen.peers.to_string(),
                    format::bytes(seen.bytes_in),
                    rate(|seen| seen.bytes_in),
                    format::bytes(seen.bytes_out),
                    rate(|seen| seen.bytes_out),
                    "running".into(),
                ]);
            }
        }
        row
    };
    let rows: Vec<_> = now.nodes.iter().map(row).collect();
    let heading = ["NAME", "ROLE", "HEADS", "LAG", "PEERS", "IN", "IN/s", "OUT", "OUT/s", "STATE"];
    out.table(&heading, &rows)?;
    out.line(if now.equal { "all heads are equal" } else { "heads differ" })
}

fn heads(seen: &Seen) -> String {
    let counters: Vec<String> = seen.heads.values().map(|head| head.counter.to_string()).collect();
    if counters.is_empty() { "none".into() } else { format::cut(&counters.join(" "), 40) }
}

/// Shows snapshot after snapshot.
pub(super) struct View {
    is_terminal: bool,
    before: Option<(Snapshot, Duration)>,
}

impl View {
    pub(super) fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal(), before: None }
    }

    /// Shows the next one; `elapsed` is since the testnet was up.
    pub(super) fn show(&mut self, out: &mut Output, now: Snapshot, elapsed: Duration) -> Result<()> {
        let before = self.before.as_ref().map(|(before, at)| (before, elapsed.saturating_sub(*at)));
        if out.is_json() {
            out.json(&serde_json::json!({
                "step": "status", "elapsed_ms": elapsed.as_millis() as u64, "equal": now.equal, "nodes": now.nodes,
            }))?;
        } else if self.is_terminal {
            if before.is_some() {
                // Up to where the table began, and away with all below.
                out.bytes(format!("\u{1b}[{}A\u{1b}[J", now.nodes.len() + 2).as_bytes())?;
            }
            table(out, &now, before)?;
        } else {
            lines(out, &now, before.map(|(before, _)| before), elapsed)?;
        }
        self.before = Some((now, elapsed));
        out.flush()
    }
}

/// A line for each node that is not as it was, except that it sent or received something.
fn lines(out: &mut Output, now: &Snapshot, before: Option<&Snapshot>, elapsed: Duration) -> Result<()> {
    let same = |a: &Seen, b: &Seen| a.heads == b.heads && a.lag == b.lag && a.peers == b.peers && a.error == b.error;
    for seen in &now.nodes {
        let earlier = before.and_then(|before| before.nodes.iter().find(|node| node.name == seen.name));
        if earlier.is_some_and(|earlier| same(earlier, seen)) {
            continue;
        }
        let time = format!("{:.1} s", elapsed.as_secs_f64());
        out.line(match &seen.error {
            Some(error) => format!("{time}  {}  {}", seen.name, format::shown(error)),
            None => format!(
                "{time}  {}  heads {}, lag {}, {}, {} in, {} out",
                seen.name,
                heads(seen),
                seen.lag,
                format::plural(seen.peers, "peer"),
                format::bytes(seen.bytes_in),
                format::bytes(seen.bytes_out),
            ),
        })?;
    }
    if now.equal && before.is_some_and(|before| !before.equal) {
        out.line(format!("{:.1} s  all heads are equal", elapsed.as_secs_f64()))?;
    }
    Ok(())
}

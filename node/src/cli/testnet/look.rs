//! What all nodes have at one moment, and what each of them lacks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::member::{Member, Role};
use super::place::{Place, State};
use crate::api::pb;
use crate::cli::exit::Failure;

/// All nodes at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    /// Whether all nodes answer and have the same heads.
    pub(super) equal: bool,
    pub(super) nodes: Vec<Seen>,
}

/// One of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) peer_id: String,
    pub(super) api: String,
    pub(super) addresses: Vec<String>,
    pub(super) pid: Option<u32>,
    /// Why there is nothing else; absent: it answered.
    pub(super) error: Option<String>,
    /// Records of the thread.
    pub(super) records: u64,
    /// Records that some other node has and this one lacks.
    pub(super) lag: u64,
    /// Connected peers.
    pub(super) peers: u64,
    /// Bytes since the node started.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// By log.
    pub(super) heads: BTreeMap<String, Head>,
}

/// The newest record of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Head {
    pub(super) counter: u64,
    pub(super) cid: String,
}

impl Snapshot {
    /// Asks all nodes at once.
    pub(super) async fn take(place: &Place, state: &State) -> Self {
        let seen = futures::future::join_all(state.nodes.iter().map(|node| ask(place, node, &state.thread))).await;
        Self::of(seen)
    }

    /// Compares what nodes have.
    fn of(mut nodes: Vec<Seen>) -> Self {
        let mut newest = BTreeMap::<String, u64>::new();
        for (log, head) in nodes.iter().flat_map(|node| &node.heads) {
            let counter = newest.entry(log.clone()).or_default();
            *counter = head.counter.max(*counter);
        }
        for node in nodes.iter_mut().filter(|node| node.error.is_none()) {
            let has = |log| node.heads.get(log).map_or(0, |head| head.counter);
            node.lag = newest.iter().map(|(log, counter)| counter - has(log)).sum();
        }
        let first = nodes.first().map(|node| node.heads.clone()).unwrap_or_default();
        let equal = nodes.iter().all(|node| node.error.is_none() && node.heads == first);
        Self { equal, nodes }
    }
}

async fn ask(place: &Place, node: &Member, thread: &str) -> Seen {
    let mut seen = Seen {
        name: node.name.clone(),
        role: node.role,
        peer_id: node.peer_id.clone(),
        api: node.api.clone(),
        addresses: node.addresses.clone(),
        pid: node.pid,
        ..Seen::default()
    };
    if let Err(failure) = fill(&mut seen, place, node, thread).await {
        seen.error = Some(format!("{:#}", failure.error));
    }
    seen
}

async fn fill(seen: &mut Seen, place: &Place, node: &Member, thread: &str) -> Result<(), Failure> {
    let mut client = node.client(place).await?;
    let stat = client.get_stat(pb::GetStatRequest {}).await?.into_inner();
    let detail = client.get_thread(pb::GetThreadRequest { thread: thread.into() }).await?.into_inner();
    seen.records = detail.thread.map_or(0, |thread| thread.records);
    (seen.peers, seen.bytes_in, seen.bytes_out) = (stat.peers, stat.bytes_in, stat.bytes_out);
    let head = |log: pb::Log| log.head.map(|head| (log.id, Head { counter: head.counter, cid: head.cid }));
    seen.heads = detail.logs.into_iter().filter_map(head).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(heads: &[(&str, u64)]) -> Seen {
        let head = |(log, counter): &(&str, u64)| {
            (String::from(*log), Head { counter: *counter, cid: format!("{log}{counter}") })
        };
        Seen { heads: heads.iter().map(head).collect(), ..Seen::default() }
    }

    fn lags(nodes: Vec<Seen>) -> (Vec<u64>, bool) {
        let snapshot = Snapshot::of(nodes);
        (snapshot.nodes.iter().map(|node| node.lag).collect(), snapshot.equal)
    }

    #[test]
    fn the_lag_of_a_node_is_what_all_the_others_together_have_more() {
        let nodes = vec![node(&[("a", 5), ("b", 2)]), node(&[("a", 3), ("b", 4)]), node(&[])];
        assert_eq!(lags(nodes), (vec![2, 2, 9], false));
        assert_eq!(lags(vec![node(&[("a", 5)]), node(&[("a", 5)])]), (vec![0, 0], true));
        assert_eq!(lags(vec![node(&[]), node(&[])]), (vec![0, 0], true));
    }

    #[test]
    fn equal_numbers_of_different_records_are_not_equal_heads() {
        let mut other = node(&[("a", 5)]);
        other.heads.get_mut("a").unwrap().cid = "forked".into();
        assert_eq!(lags(vec![node(&[("a", 5)]), other]), (vec![0, 0], false));
    }

    #[test]
    fn a_node_that_does_not_answer_has_no_lag_and_nothing_is_equal() {
        let gone = Seen { error: Some("gone".into()), ..Seen::default() };
        assert_eq!(lags(vec![node(&[("a", 5)]), gone]), (vec![0, 0], false));
    }
}

//! What the node counts of itself, for operators. One more figure is one more line in [`Node::metrics`].
//!
//! Nothing here names a thread, a peer, a key or a content: whoever reads the metrics learns how much there is, and of what kind.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use spool_proto::sync::{Misbehaviour, Missing};
use spool_store::{kv, store::Totals};
use tonic::Code;

use super::{
    Node,
    limits::{BODY_BYTES, LOOP_PATIENCE, TOTALS_AGE},
    threads::storage,
};
use crate::{
    metrics::{Family, Kind},
    model::Error,
    process,
};

/// Outcomes of calls: a gRPC code each, and those whose end nobody saw.
const OUTCOMES: usize = 18;

/// Calls of the interfaces since the start, by outcome.
#[derive(Default)]
pub(super) struct Calls([AtomicU64; OUTCOMES]);

/// What the store came to when it was last counted.
#[derive(Default)]
pub(super) struct Counted(Mutex<Option<(Instant, Totals)>>);

/// Misbehaviour of peers since the start, by kind.
#[derive(Default)]
pub(super) struct Misdeeds([AtomicU64; MISBEHAVIOUR.len()]);

const MISBEHAVIOUR: [(Misbehaviour, &str); 9] = [
    (Misbehaviour::InvalidRecord, "invalid-record"),
    (Misbehaviour::BrokenChain, "broken-chain"),
    (Misbehaviour::UnadmittedLog, "unadmitted-log"),
    (Misbehaviour::InvalidData, "invalid-data"),
    (Misbehaviour::InvalidEnvelope, "invalid-envelope"),
    (Misbehaviour::FalseHeads, "false-heads"),
    (Misbehaviour::NoProof, "no-proof"),
    (Misbehaviour::WrongProof, "wrong-proof"),
    (Misbehaviour::WrongAnswer, "wrong-answer"),
];

impl Misdeeds {
    pub(super) fn count(&self, what: Misbehaviour) {
        if let Some(index) = MISBEHAVIOUR.iter().position(|(kind, _)| *kind == what) {
            self.0[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn samples(&self) -> impl Iterator<Item = (&'static str, f64)> {
        MISBEHAVIOUR.iter().zip(&self.0).map(|((_, name), count)| (*name, load(count)))
    }
}

impl Calls {
    fn samples(&self) -> impl Iterator<Item = (String, f64)> {
        self.0.iter().enumerate().map(|(index, count)| (outcome(index), load(count)))
    }
}

/// `ok`, `not-found`, ... as in gRPC.
fn outcome(index: usize) -> String {
    if index == OUTCOMES - 1 {
        return "broken-off".into();
    }
    let name = format!("{:?}", Code::from_i32(index as i32));
    let dashed = name.chars().enumerate().map(|(at, letter)| match letter {
        'A'..='Z' if at > 0 => format!("-{}", letter.to_ascii_lowercase()),
        letter => letter.to_ascii_lowercase().to_string(),
    });
    dashed.collect()
}

fn load(count: &AtomicU64) -> f64 {
    count.load(Ordering::Relaxed) as f64
}

impl Node {
    /// Notes how a call of an interface ended; `None` where it broke off before.
    pub(crate) fn count_call(&self, code: Option<Code>) {
        let index = code.map_or(OUTCOMES - 1, |code| code as usize);
        if let Some(count) = self.counters().calls.0.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All figures.
    ///
    /// # Errors
    ///
    /// [`Error::Stopping`]; [`Error::Storage`] if the store cannot be read.
    pub(crate) async fn metrics(&self) -> Result<Vec<Family>, Error> {
        let network = self.network().status().await.map_err(|_| Error::Stopping)?;
        let (totals, sizes, following) = {
            let node = self.clone();
            let read = move || {
                let sizes = node.store().statistics().map_err(storage)?.kv;
                Ok((node.totals()?, sizes, node.following_figures()?))
            };
            self.blocking(read).await?
        };
        let mut families = self.of_program();
        families.extend(self.of_threads(&totals));
        // A loop that does not answer has not read its queue for seconds: the other figures say more of that than none at all.
        if let Ok(missing) = tokio::time::timeout(LOOP_PATIENCE, self.inspect(|engine| engine.missing())).await {
            families.extend(of_missing(missing?));
        }
        families.extend(following);
        families.extend(self.of_queues(&network));
        families.extend(self.of_network(&network));
        families.extend(of_store(&sizes));
        families.extend(process::families());
        Ok(families)
    }

    /// Counted again only after a while: it reads the state of every log.
    fn totals(&self) -> Result<Totals, Error> {
        let mut counted = self.counters().counted.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, totals)) = *counted
            && at.elapsed() < TOTALS_AGE
        {
            return Ok(totals);
        }
        let totals = self.store().totals().map_err(storage)?;
        *counted = Some((Instant::now(), totals));
        Ok(totals)
    }

    fn of_program(&self) -> Vec<Family> {
        let labels = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("system", std::env::consts::OS.to_owned()),
            ("machine", std::env::consts::ARCH.to_owned()),
        ];
        let uptime: Duration = self.started().elapsed();
        vec![
            Family::info("spool_build_info", "The program.", labels),
            Family::gauge("spool_uptime_seconds", "Time since the node started.", uptime.as_secs_f64()),
            Family::by(
                Kind::Counter,
                ("spool_api_calls_total", "Calls of the gRPC interfaces that have ended, by outcome."),
                "outcome",
                self.counters().calls.samples(),
            ),
        ]
    }

    fn of_threads(&self, totals: &Totals) -> Vec<Family> {
        let counters = self.counters();
        let (appended, persisted) = (load(&counters.appended) as u64, counters.accepted());
        let accepted = persisted.saturating_sub(appended);
        vec![
            Family::gauge("spool_threads", "Threads here, the home thread among them.", self.keyring().len() as f64),
            Family::gauge("spool_logs", "Logs of all threads.", totals.logs as f64),
            Family::gauge("spool_records", "Records of all logs that are in their place.", totals.records as f64),
            Family::gauge("spool_forked_logs", "Logs with proof of a fork.", totals.forked as f64),
            Family::gauge("spool_wanted_blocks", "Blocks of bodies that are not here yet.", totals.wanted as f64),
            Family::gauge("spool_open_databases", "Databases that are folded.", self.databases().len() as f64),
            Family::counter("spool_records_appended_total", "Records that this node wrote.", appended),
            Family::counter("spool_records_accepted_total", "Records taken from others.", accepted),
            Family::counter(
                "spool_records_rejected_total",
                "Records of others that were not valid.",
                counters.rejected(),
            ),
        ]
    }

    fn of_queues(&self, network: &spool_net::Status) -> Vec<Family> {
        let (commits, commit_bytes) = self.committer().waiting();
        let calls = self.calls();
        let queues = [
            ("calls", calls.max_capacity() - calls.capacity()),
            ("commits", commits),
            ("network-commands", self.network().waiting()),
            ("network-announcements", network.announcements_waiting),
            ("gossip-verdicts", network.gossip.waiting as usize),
        ];
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let body_bytes = BODY_BYTES.saturating_sub(self.body_room().available_permits());
        vec![
            Family::by(
                Kind::Gauge,
                ("spool_queue_length", "What waits, by queue."),
                "queue",
                queues.map(|(name, length)| (name, length as f64)),
            ),
            Family::by(
                Kind::Gauge,
                ("spool_queue_bytes", "Bytes that wait, by queue."),
                "queue",
                [("bodies", body_bytes as f64), ("commits", commit_bytes as f64)],
            ),
            Family::gauge("spool_tasks", "Tasks under way in the node: connections, calls, its own.", tasks as f64),
            Family::gauge(
                "spool_read_only",
                "1 after the disk did not confirm a sync: the node only reads until it is restarted.",
                f64::from(u8::from(self.store().is_poisoned())),
            ),
        ]
    }

    fn of_network(&self, network: &spool_net::Status) -> Vec<Family> {
        let gossip = &network.gossip;
        let verdicts = [
            ("accepted", gossip.accepted),
            ("rejected", gossip.rejected),
            ("ignored", gossip.ignored),
            ("dropped", gossip.dropped),
        ];
        let offences = network.offences.iter().map(|(name, count)| (*name, *count as f64));
        let connections: usize = network.peers.iter().map(|peer| peer.addresses.len()).sum();
        vec![
            Family::gauge("spool_peers", "Connected peers.", network.peers.len() as f64),
            Family::gauge("spool_connections", "Connections with them.", connections as f64),
            Family::gauge("spool_blocked_peers", "Peers that are blocked now.", network.blocked.len() as f64),
            Family::counter("spool_disconnects_for_score_total", "Peers blocked for what they did.", network.bans),
            Family::by(
                Kind::Counter,
                ("spool_misbehaviour_total", "What peers did wrong, by kind."),
                "kind",
                self.counters().misdeeds.samples().chain(offences),
            ),
            Family::counter("spool_received_bytes_total", "Bytes received on all connections.", network.bytes_received),
            Family::counter("spool_sent_bytes_total", "Bytes sent on all connections.", network.bytes_sent),
            Family::counter(
                "spool_gossip_received_bytes_total",
                "Bytes of the gossip messages among them.",
                gossip.bytes_received,
            ),
            Family::by(
                Kind::Counter,
                ("spool_gossip_messages_total", "Gossip messages that arrived, by verdict."),
                "verdict",
                verdicts.map(|(name, count)| (name, count as f64)),
            ),
            Family::counter("spool_gossip_published_total", "Gossip messages of this node.", gossip.published),
            Family::gauge("spool_gossip_topics", "Gossip topics joined.", network.topics as f64),
            Family::gauge("spool_announced_keys", "Keys announced in the hash table.", network.provided as f64),
        ]
    }
}

fn of_missing(missing: Missing) -> [Family; 2] {
    let (threads, records) = (missing.threads as f64, missing.records as f64);
    [
        Family::gauge("spool_threads_behind", "Threads of which peers are known to have more than is here.", threads),
        Family::gauge("spool_missing_records", "Records that they are known to have and that are not here.", records),
    ]
}

fn of_store(sizes: &kv::Statistics) -> [Family; 3] {
    let bytes = sizes.spaces.iter().map(|space| (space.space.name(), space.disk_bytes as f64));
    let keys = sizes.spaces.iter().map(|space| (space.space.name(), space.keys as f64));
    [
        Family::by(Kind::Gauge, ("spool_store_bytes", "Bytes on disk, by space."), "space", bytes),
        Family::by(Kind::Gauge, ("spool_store_keys", "Keys, by space; an estimate."), "space", keys),
        Family::gauge("spool_store_memory_bytes", "Cache of the store.", sizes.memory_bytes as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_named_as_in_grpc() {
        assert_eq!([outcome(0), outcome(3), outcome(16)], ["ok", "invalid-argument", "unauthenticated"]);
        assert_eq!(outcome(OUTCOMES - 1), "broken-off");
    }

    #[test]
    fn every_misbehaviour_is_counted_under_its_name() {
        let misdeeds = Misdeeds::default();
        for (kind, _) in MISBEHAVIOUR {
            misdeeds.count(kind);
        }
        misdeeds.count(Misbehaviour::NoProof);
        let counts: Vec<_> = misdeeds.samples().collect();
        assert!(counts.iter().all(|(name, count)| *count == if *name == "no-proof" { 2.0 } else { 1.0 }), "{counts:?}");
    }
}

//! What was observed, for tests to look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    super::effect::{AppendError, Durability, Misbehaviour, Outcome, Receipt, RequestId},
    node::NodeId,
};
use crate::{
    Cid,
    id::{LogId, ThreadId, TopicId},
    wire::Response,
};

/// A message from one node to another, or its response.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it was sent.
    pub at: Duration,
    /// By whom.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The kind of request, or of response.
    pub kind: &'static str,
    /// Whether it is a response.
    pub response: bool,
    /// Its size in bytes.
    pub bytes: usize,
}

/// A message published by a node of its own.
#[derive(Debug, Clone)]
pub struct Published {
    /// When.
    pub at: Duration,
    /// By whom.
    pub by: NodeId,
    /// Where.
    pub topic: TopicId,
    /// Logs and counters of which it tells: records up to there, or the head.
    pub tells: Vec<(LogId, u64)>,
    /// Whether it carries records.
    pub records: bool,
}

/// An append that was acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// By whom.
    pub by: NodeId,
    /// In which thread.
    pub thread: ThreadId,
    /// What was promised.
    pub receipt: Receipt,
    /// How firmly.
    pub durability: Durability,
    /// A relaxed one that a power cut took.
    pub lost: bool,
}

/// Everything observed so far.
#[derive(Debug, Default)]
pub struct Trace {
    /// Messages, if they are recorded; see [`Simulation::record_messages`](super::Simulation::record_messages).
    pub sent: Vec<Sent>,
    /// Messages to topics, if messages are recorded.
    pub published: Vec<Published>,
    /// Answers to requests of the API.
    pub replies: BTreeMap<(NodeId, RequestId), Result<Outcome, AppendError>>,
    /// Appends that were acknowledged.
    pub acknowledged: Vec<Acknowledged>,
    /// How far a node knows another one to have a log on disk.
    pub acknowledged_heads: BTreeMap<(NodeId, NodeId, ThreadId, LogId), u64>,
    /// Nodes whose disk went back in time.
    pub restored: BTreeSet<NodeId>,
    /// Who scored whom for what, how often.
    pub penalties: BTreeMap<(NodeId, NodeId, &'static str), usize>,
    /// Newest wake-up of each log at each node.
    pub wakes: BTreeMap<(NodeId, ThreadId, LogId), u64>,
    /// Where blocks that were wanted have arrived. For a test to take, like the wake-ups.
    pub blocks_arrived: BTreeSet<(NodeId, ThreadId)>,
    /// Forks that nodes reported, with the lowest counter.
    pub forks: BTreeMap<(NodeId, LogId), u64>,
    /// How often peers were looked for.
    pub searches: BTreeMap<(NodeId, ThreadId), usize>,
    /// How often threads were read from disk.
    pub loads: BTreeMap<(NodeId, ThreadId), usize>,
    /// Records that left a node, with their node: checked against its synced disk as they leave.
    pub told: BTreeMap<(NodeId, Cid), Duration>,
    /// The most effects that one input caused beyond its items, and what that input was.
    pub most_effects: (usize, String),
    /// Answers to requests that no engine sent.
    pub answers: Vec<(NodeId, Response)>,
    /// Inputs handled.
    pub inputs: u64,
}

/// The name of a misbehaviour.
pub(super) fn name(what: Misbehaviour) -> &'static str {
    match what {
        Misbehaviour::InvalidRecord => "invalid record",
        Misbehaviour::BrokenChain => "broken chain",
        Misbehaviour::UnadmittedLog => "unadmitted log",
        Misbehaviour::InvalidData => "invalid data",
        Misbehaviour::InvalidEnvelope => "invalid envelope",
        Misbehaviour::FalseHeads => "false heads",
        Misbehaviour::NoProof => "no proof",
        Misbehaviour::WrongProof => "wrong proof",
        Misbehaviour::WrongAnswer => "wrong answer",
    }
}

impl Trace {
    /// How often `node` was scored for `what`, by anybody.
    pub fn scored(&self, node: NodeId, what: Misbehaviour) -> usize {
        let matching = self.penalties.iter().filter(|((_, peer, kind), _)| *peer == node && *kind == name(what));
        matching.map(|(_, count)| count).sum()
    }

    /// Messages of one kind from one node to another since `since`.
    pub fn count(&self, from: NodeId, to: NodeId, kind: &str, since: Duration) -> usize {
        let fits = |sent: &&Sent| {
            sent.from == from && sent.to == to && sent.kind == kind && !sent.response && sent.at >= since
        };
        self.sent.iter().filter(fits).count()
    }
}

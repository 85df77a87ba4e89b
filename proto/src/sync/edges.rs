//! Which of the threads that two peers share differ: one digest over all, opened 16-ary only where it differs.

use sha2::{Digest as _, Sha256};

use super::{
    effect::{Effect, InboundId, Misbehaviour},
    engine::{Context, World},
    input::Failure,
    limits::MAX_LISTED_EDGES,
    serve::Asked,
};
use crate::{
    PeerId,
    id::TopicId,
    wire::{
        Contents, Digest, Edge, Node, Opened, Prefix, Request, Response,
        limits::{EDGE_CHILDREN, MAX_EDGE_NODES},
    },
};

impl World {
    /// The digest over the threads proven with `peer` whose topic begins with `prefix`.
    pub(super) fn digest(&mut self, peer: &PeerId, prefix: &Prefix) -> Digest {
        let edges = self.edges_below(peer, prefix);
        digest_of(&edges)
    }

    fn edges_below(&mut self, peer: &PeerId, prefix: &Prefix) -> Vec<Edge> {
        let Some(session) = self.sessions.get(peer) else { return Vec::new() };
        let topics: Vec<TopicId> = session.proven.keys().filter(|topic| prefix.contains(topic)).copied().collect();
        let mut edges = Vec::with_capacity(topics.len());
        for topic in topics {
            let Some(thread) = self.topics.get(&topic).and_then(|id| self.threads.get_mut(id)) else { continue };
            edges.push(Edge { topic, edge: thread.edge() });
        }
        edges
    }

    /// Opens those of the requester's nodes that differ.
    pub(super) fn on_edges(&mut self, peer: PeerId, inbound: InboundId, nodes: Vec<Node>, context: &mut Context<'_>) {
        let mut opened = Vec::new();
        let mut listed = 0;
        for node in nodes {
            // All that two peers at rest ask each other.
            if node.prefix == Prefix::root() && node.digest == self.root_digest(&peer, context) {
                continue;
            }
            let edges = self.edges_below(&peer, &node.prefix);
            if digest_of(&edges) == node.digest || listed + edges.len() > crate::wire::limits::MAX_EDGES {
                continue;
            }
            listed += edges.len().min(MAX_LISTED_EDGES);
            opened.push(Opened { contents: open(&node.prefix, edges), prefix: node.prefix });
        }
        context.push(Effect::Respond { inbound, response: Response::Edges(opened) });
    }

    /// Compares what the peer opened with what is here, and goes on where it differs.
    pub(super) fn on_edges_answer(
        &mut self,
        peer: PeerId,
        answer: Result<Vec<Opened>, Failure>,
        context: &mut Context<'_>,
    ) {
        let failed = answer.is_err();
        let mut deeper = Vec::new();
        for opened in answer.unwrap_or_default() {
            match opened.contents {
                Contents::Edges(edges) => edges.iter().for_each(|edge| self.check_edge(&peer, edge, context)),
                Contents::Children(children) => {
                    for (digit, theirs) in children.iter().enumerate() {
                        let Some(prefix) = opened.prefix.child(digit as u8) else {
                            context.penalize(peer, Misbehaviour::WrongAnswer);
                            break;
                        };
                        let digest = self.digest(&peer, &prefix);
                        // A child that is empty on either side holds nothing that both have proven.
                        if digest != *theirs && digest != Digest::default() && *theirs != Digest::default() {
                            deeper.push(Node { prefix, digest });
                        }
                    }
                }
            }
        }
        for nodes in deeper.chunks(MAX_EDGE_NODES) {
            if let Some(session) = self.sessions.get_mut(&peer) {
                session.comparing += 1;
                context.ask(peer, Request::Edges(nodes.to_vec()), Asked::Edges { peer });
            }
        }
        self.compared(&peer, failed, context);
    }

    fn check_edge(&mut self, peer: &PeerId, edge: &Edge, context: &mut Context<'_>) {
        let Some(id) = self.topics.get(&edge.topic).cloned() else { return };
        let Some(thread) = self.threads.get_mut(&id) else { return };
        if thread.peers.contains(peer) && thread.edge() != edge.edge {
            if let Some(session) = self.sessions.get_mut(peer) {
                session.comparison.1.insert(id.clone());
            }
            self.check_heads(peer, &id, context);
        }
    }
}

/// Few threads are listed; more are summed up by child.
fn open(prefix: &Prefix, edges: Vec<Edge>) -> Contents {
    if edges.len() <= MAX_LISTED_EDGES {
        return Contents::Edges(edges);
    }
    let mut children = Box::new([Digest::default(); EDGE_CHILDREN]);
    for (digit, digest) in children.iter_mut().enumerate() {
        let Some(child) = prefix.child(digit as u8) else { continue };
        let below: Vec<Edge> = edges.iter().filter(|edge| child.contains(&edge.topic)).copied().collect();
        *digest = digest_of(&below);
    }
    Contents::Children(children)
}

/// First 16 bytes of a hash over topics and edges, sorted by topic; zeros for none.
fn digest_of(edges: &[Edge]) -> Digest {
    if edges.is_empty() {
        return Digest::default();
    }
    let mut hash = Sha256::new_with_prefix(b"spool/1 edges");
    for edge in edges {
        hash.update(edge.topic.as_bytes());
        hash.update(edge.edge);
    }
    let hash: [u8; 32] = hash.finalize().into();
    *hash.first_chunk().expect("32 bytes begin with 16")
}

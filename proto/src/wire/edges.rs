//! The edge tree on the wire: which threads of two peers differ, found by descending 16-ary over topic ids.

use bytes::Bytes;

use super::{
    Error, field,
    limits::{EDGE_CHILDREN, MAX_EDGES, MAX_PREFIX_DIGITS},
    pb,
};
use crate::TopicId;

/// An edge of a thread, or the digest over many: 16 bytes.
pub type Digest = [u8; 16];

/// The first hexadecimal digits of topic ids: the place of a node in the edge tree. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Prefix(Bytes);

impl Prefix {
    /// The root, which every topic id begins with.
    pub fn root() -> Self {
        Self::default()
    }

    /// The digits, each 0 to 15.
    pub fn digits(&self) -> &[u8] {
        &self.0
    }

    /// The node below this one at `digit`; `None` if `digit` is no hexadecimal digit, or at the end of topic ids.
    pub fn child(&self, digit: u8) -> Option<Self> {
        if digit > 15 || self.0.len() >= MAX_PREFIX_DIGITS {
            return None;
        }
        Some(Self([&self.0, [digit].as_slice()].concat().into()))
    }

    /// Whether `topic` begins with these digits.
    pub fn contains(&self, topic: &TopicId) -> bool {
        let topic: &[u8] = topic.as_bytes().as_ref();
        let digits = topic.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        self.0.iter().copied().zip(digits).all(|(own, other)| own == other)
    }

    fn read(field: &'static str, bytes: Bytes) -> Result<Self, Error> {
        field::length(field, &bytes, 0, MAX_PREFIX_DIGITS)?;
        if bytes.iter().any(|digit| *digit > 15) {
            return Err(Error::Invalid { field, reason: "a hexadecimal digit a byte, so 0 to 15" });
        }
        Ok(Self(bytes))
    }
}

/// A node of the edge tree as the requester has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub prefix: Prefix,
    /// The requester's digest there.
    pub digest: Digest,
}

/// A node whose digest differs, opened one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Where it is.
    pub prefix: Prefix,
    /// What the responder has below it.
    pub contents: Contents,
}

/// What is below a node of the edge tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// The digests of all children, in the order of their digits.
    Children(Box<[Digest; EDGE_CHILDREN]>),
    /// The threads themselves, where they are few.
    Edges(Vec<Edge>),
}

/// The edge of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The thread's topic.
    pub topic: TopicId,
    /// Its edge.
    pub edge: Digest,
}

impl TryFrom<pb::edges_request::Node> for Node {
    type Error = Error;

    fn try_from(node: pb::edges_request::Node) -> Result<Self, Error> {
        Ok(Self {
            prefix: Prefix::read("Node.prefix", node.prefix)?,
            digest: field::array("Node.digest", &node.digest)?,
        })
    }
}

impl From<Node> for pb::edges_request::Node {
    fn from(node: Node) -> Self {
        Self { prefix: node.prefix.0, digest: field::bytes(node.digest) }
    }
}

impl TryFrom<pb::edges_response::Opened> for Opened {
    type Error = Error;

    fn try_from(opened: pb::edges_response::Opened) -> Result<Self, Error> {
        let prefix = Prefix::read("Opened.prefix", opened.prefix)?;
        if opened.children.is_empty() {
            let edges = field::items("Opened.edges", opened.edges, MAX_EDGES)?;
            return Ok(Self { prefix, contents: Contents::Edges(edges) });
        }
        if opened.children.len() != EDGE_CHILDREN || !opened.edges.is_empty() {
            return Err(Error::Invalid { field: "Opened.children", reason: "either 16 children, or edges" });
        }
        let mut children = Box::new([Digest::default(); EDGE_CHILDREN]);
        for (slot, child) in children.iter_mut().zip(&opened.children) {
            *slot = field::array("Opened.children", child)?;
        }
        Ok(Self { prefix, contents: Contents::Children(children) })
    }
}

impl From<Opened> for pb::edges_response::Opened {
    fn from(opened: Opened) -> Self {
        let (children, edges) = match opened.contents {
            Contents::Children(children) => (children.iter().map(field::bytes).collect(), Vec::new()),
            Contents::Edges(edges) => (Vec::new(), edges.into_iter().map(Into::into).collect()),
        };
        Self { prefix: opened.prefix.0, children, edges }
    }
}

impl TryFrom<pb::edges_response::Edge> for Edge {
    type Error = Error;

    fn try_from(edge: pb::edges_response::Edge) -> Result<Self, Error> {
        Ok(Self { topic: field::topic("Edge.topic", &edge.topic)?, edge: field::array("Edge.edge", &edge.edge)? })
    }
}

impl From<Edge> for pb::edges_response::Edge {
    fn from(edge: Edge) -> Self {
        Self { topic: field::bytes(edge.topic.as_bytes()), edge: field::bytes(edge.edge) }
    }
}

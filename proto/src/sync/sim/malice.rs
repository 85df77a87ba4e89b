//! Nodes that do not keep to the protocol.

use bytes::Bytes;

use super::{node::NodeId, simulation::Simulation};
use crate::wire::{Request, Response};

/// How a node misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malice {
    /// Never answers.
    Silent,
}

impl Simulation {
    /// What a malicious node makes of its engine's request; none if it sends nothing.
    pub(super) fn twist_request(&mut self, by: NodeId, request: Request) -> Option<Request> {
        let _ = by;
        Some(request)
    }

    /// What it makes of a response.
    pub(super) fn twist_response(&mut self, by: NodeId, response: Response) -> Option<Response> {
        match self.node(by).malice {
            None => Some(response),
            Some(Malice::Silent) => None,
        }
    }

    /// What it makes of a message to a topic.
    pub(super) fn twist_gossip(&mut self, by: NodeId, data: Bytes) -> Option<Bytes> {
        let _ = by;
        Some(data)
    }
}

//! Whom a made-up peer talks to: a node in this process, or any other by id and address.

use spool_proto::{Multiaddr, PeerId};

use crate::TestNode;

/// Somebody who can be dialled.
pub trait Remote {
    /// Who.
    fn id(&self) -> PeerId;
    /// Where.
    fn place(&self) -> Multiaddr;
}

impl Remote for TestNode {
    fn id(&self) -> PeerId {
        self.peer()
    }

    fn place(&self) -> Multiaddr {
        self.address.clone()
    }
}

/// A node elsewhere.
impl Remote for (PeerId, Multiaddr) {
    fn id(&self) -> PeerId {
        self.0
    }

    fn place(&self) -> Multiaddr {
        self.1.clone()
    }
}

use std::collections::{HashMap, VecDeque};

use libp2p::{
    PeerId,
    request_response::{self, OutboundRequestId},
};
use spool_proto::wire::Request;

use super::codec::Codec;
use crate::{Event, Failure, RequestId, limits, out::Out};

type Behaviour = request_response::Behaviour<Codec>;

/// Requests of this node: those under way, and those that wait until others have been answered.
#[derive(Default)]
pub(super) struct Outbound {
    sent: HashMap<OutboundRequestId, Sent>,
    peers: HashMap<PeerId, OfPeer>,
    waiting: usize,
}

/// A request under way.
pub(super) struct Sent {
    pub(super) id: RequestId,
    pub(super) kind: &'static str,
}

#[derive(Default)]
struct OfPeer {
    under_way: usize,
    waiting: VecDeque<(RequestId, Request)>,
}

impl Outbound {
    pub(super) fn send(
        &mut self,
        behaviour: &mut Behaviour,
        peer: PeerId,
        id: RequestId,
        request: Request,
        out: &mut Out,
    ) {
        if self.has_room(&peer) {
            self.start(behaviour, peer, id, request);
        } else if self.waiting < limits::MAX_WAITING_REQUESTS {
            self.peers.entry(peer).or_default().waiting.push_back((id, request));
            self.waiting += 1;
        } else {
            out.event(Event::Response { peer, id, result: Err(Failure::Busy) });
        }
    }

    /// A request has been answered, or never will be. Others take its place.
    pub(super) fn ended(
        &mut self,
        behaviour: &mut Behaviour,
        peer: PeerId,
        request: OutboundRequestId,
    ) -> Option<Sent> {
        let sent = self.sent.remove(&request)?;
        if let Some(of_peer) = self.peers.get_mut(&peer) {
            of_peer.under_way -= 1;
        }
        self.start_waiting(behaviour, peer);
        self.forget_idle(&peer);
        Some(sent)
    }

    /// The peer's own go before those of other peers, which wait only while all together are too many.
    fn start_waiting(&mut self, behaviour: &mut Behaviour, peer: PeerId) {
        while self.waiting > 0 {
            let may_start = |peer: &&PeerId| {
                self.has_room(peer) && self.peers.get(*peer).is_some_and(|of_peer| !of_peer.waiting.is_empty())
            };
            let Some(next) = [&peer].into_iter().chain(self.peers.keys()).find(may_start).copied() else { return };
            let Some((id, request)) = self.peers.get_mut(&next).and_then(|of_peer| of_peer.waiting.pop_front()) else {
                return;
            };
            self.waiting -= 1;
            self.start(behaviour, next, id, request);
        }
    }

    /// The peer is not connected any more: what it was to be asked is answered by nobody.
    pub(super) fn gone(&mut self, peer: PeerId, out: &mut Out) {
        let Some(of_peer) = self.peers.get_mut(&peer) else { return };
        for (id, _) in std::mem::take(&mut of_peer.waiting) {
            self.waiting -= 1;
            out.event(Event::Response { peer, id, result: Err(Failure::Closed) });
        }
        self.forget_idle(&peer);
    }

    fn has_room(&self, peer: &PeerId) -> bool {
        let under_way = self.peers.get(peer).map_or(0, |of_peer| of_peer.under_way);
        under_way < limits::MAX_OUTBOUND_PER_PEER && self.sent.len() < limits::MAX_OUTBOUND
    }

    fn start(&mut self, behaviour: &mut Behaviour, peer: PeerId, id: RequestId, request: Request) {
        let kind = request.kind();
        let sent = behaviour.send_request(&peer, request.into());
        self.sent.insert(sent, Sent { id, kind });
        self.peers.entry(peer).or_default().under_way += 1;
    }

    fn forget_idle(&mut self, peer: &PeerId) {
        if self.peers.get(peer).is_some_and(|of_peer| of_peer.under_way == 0 && of_peer.waiting.is_empty()) {
            self.peers.remove(peer);
        }
    }
}

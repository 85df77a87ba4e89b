use std::{collections::HashMap, io};

use libp2p::{
    PeerId,
    request_response::{self, InboundFailure, InboundRequestId, Message, OutboundFailure, ResponseChannel},
};
use spool_proto::wire;

use super::{
    codec::{Carried, Codec, Fault, Silent, Stalled},
    outbound::{Outbound, Sent},
};
use crate::{Event, Failure, InboundId, RequestId, limits, out::Out, score::Offence};

type Behaviour = request_response::Behaviour<Codec>;
type Incoming = request_response::Event<Carried<Result<wire::Request, Fault>>, Carried<wire::Response>>;

/// Requests under way, of this node and of its peers.
#[derive(Default)]
pub(crate) struct Pending {
    outbound: Outbound,
    inbound: HashMap<InboundId, Asked>,
    inbound_ids: HashMap<InboundRequestId, InboundId>,
    inbound_of: HashMap<PeerId, usize>,
    next_inbound: u64,
}

/// A peer's request. It stays until the answer has left, because until then the answer is in memory.
struct Asked {
    /// `None` once it is answered.
    waiting: Option<(ResponseChannel<Carried<wire::Response>>, Carried<()>)>,
}

impl Pending {
    pub(crate) fn send(
        &mut self,
        behaviour: &mut Behaviour,
        peer: PeerId,
        id: RequestId,
        request: wire::Request,
        out: &mut Out,
    ) {
        self.outbound.send(behaviour, peer, id, request, out);
    }

    /// The last connection with a peer has closed.
    pub(crate) fn on_gone(&mut self, peer: PeerId, out: &mut Out) {
        self.outbound.gone(peer, out);
    }

    pub(crate) fn respond(&mut self, behaviour: &mut Behaviour, inbound: InboundId, response: wire::Response) {
        let waiting = self.inbound.get_mut(&inbound).and_then(|asked| asked.waiting.take());
        let Some((channel, _request)) = waiting else {
            tracing::trace!(inbound = inbound.0, kind = response.kind(), "answered too late, or twice");
            return;
        };
        if behaviour.send_response(channel, response.into()).is_err() {
            tracing::trace!(inbound = inbound.0, "answered too late");
        }
    }

    pub(crate) fn on_event(&mut self, behaviour: &mut Behaviour, event: Incoming, out: &mut Out) {
        match event {
            Incoming::Message { peer, message: Message::Request { request_id, request, channel }, .. } => {
                self.on_request(behaviour, peer, request_id, request, channel, out);
            }
            Incoming::Message { peer, message: Message::Response { request_id, response }, .. } => {
                if let Some(sent) = self.outbound.ended(behaviour, peer, request_id) {
                    on_response(peer, &sent, response, out);
                }
            }
            Incoming::OutboundFailure { peer, request_id, error, .. } => {
                if let Some(sent) = self.outbound.ended(behaviour, peer, request_id) {
                    on_failure(peer, sent.id, error, out);
                }
            }
            Incoming::InboundFailure { peer, request_id, error, .. } => {
                match error {
                    InboundFailure::Timeout => tracing::debug!(%peer, "request was not answered in time"),
                    InboundFailure::ConnectionClosed
                    | InboundFailure::UnsupportedProtocols
                    | InboundFailure::ResponseOmission
                    | InboundFailure::Io(_) => tracing::trace!(%peer, %error, "request was not answered"),
                }
                self.forget_inbound(peer, request_id);
            }
            Incoming::ResponseSent { peer, request_id, .. } => self.forget_inbound(peer, request_id),
        }
    }

    fn on_request(
        &mut self,
        behaviour: &mut Behaviour,
        peer: PeerId,
        request_id: InboundRequestId,
        request: Carried<Result<wire::Request, Fault>>,
        channel: ResponseChannel<Carried<wire::Response>>,
        out: &mut Out,
    ) {
        let (request, memory) = request.split();
        let of_peer = self.inbound_of.get(&peer).copied().unwrap_or_default();
        let full = of_peer >= limits::MAX_INBOUND_PER_PEER || self.inbound.len() >= limits::MAX_INBOUND;
        let refusal = match request {
            Ok(request) if !full => {
                let inbound = InboundId(self.next_inbound);
                self.next_inbound += 1;
                self.inbound.insert(inbound, Asked { waiting: Some((channel, memory)) });
                self.inbound_ids.insert(request_id, inbound);
                *self.inbound_of.entry(peer).or_default() += 1;
                out.event(Event::Request { peer, inbound, request });
                return;
            }
            Ok(_) | Err(Fault::Busy) => wire::Refusal::Busy,
            Err(Fault::TooLarge) => {
                out.offence(peer, Offence::OversizeRequest);
                wire::Refusal::Malformed
            }
            Err(Fault::Malformed(error)) => {
                tracing::debug!(%peer, %error, "malformed request");
                out.offence(peer, Offence::MalformedRequest);
                wire::Refusal::Malformed
            }
        };
        // The peer may be gone already; then nobody misses the answer.
        let _ = behaviour.send_response(channel, wire::Response::Refusal(refusal).into());
    }

    fn forget_inbound(&mut self, peer: PeerId, request_id: InboundRequestId) {
        let Some(inbound) = self.inbound_ids.remove(&request_id) else { return };
        self.inbound.remove(&inbound);
        decrease(&mut self.inbound_of, peer);
    }
}

fn on_response(peer: PeerId, sent: &Sent, response: Carried<wire::Response>, out: &mut Out) {
    let (response, _memory) = response.split();
    let answered = response.kind();
    let result = match response {
        response @ wire::Response::Refusal(_) => Ok(response),
        response if answered == sent.kind => Ok(response),
        _ => {
            out.offence(peer, Offence::MismatchedResponse);
            Err(Failure::Mismatch { asked: sent.kind, answered })
        }
    };
    out.event(Event::Response { peer, id: sent.id, result });
}

fn on_failure(peer: PeerId, id: RequestId, error: OutboundFailure, out: &mut Out) {
    let failure = match error {
        OutboundFailure::DialFailure => Failure::Unreachable,
        OutboundFailure::Timeout => Failure::Timeout,
        OutboundFailure::ConnectionClosed => Failure::Closed,
        OutboundFailure::UnsupportedProtocols => Failure::Unsupported,
        OutboundFailure::Io(error) => io_failure(error),
    };
    match failure {
        Failure::Malformed(_) => out.offence(peer, Offence::MalformedResponse),
        Failure::Stalled => out.offence(peer, Offence::StalledResponse),
        _ => {}
    }
    out.event(Event::Response { peer, id, result: Err(failure) });
}

/// What the codec meant by an error of the stream.
fn io_failure(error: io::Error) -> Failure {
    let kind = error.kind();
    if kind == io::ErrorKind::OutOfMemory {
        return Failure::Busy;
    }
    if error.get_ref().is_some_and(|source| source.is::<Stalled>()) {
        return Failure::Stalled;
    }
    if error.get_ref().is_some_and(|source| source.is::<Silent>()) {
        return Failure::Timeout;
    }
    match error.downcast::<wire::Error>() {
        Ok(error) if kind == io::ErrorKind::InvalidInput => Failure::Unsendable(error),
        Ok(error) => Failure::Malformed(error),
        Err(error) => Failure::Io(error),
    }
}

fn decrease(counts: &mut HashMap<PeerId, usize>, peer: PeerId) {
    if let Some(count) = counts.get_mut(&peer) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&peer);
        }
    }
}

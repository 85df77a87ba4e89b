//! Peers that are not on the network: what the engine sends to one goes to whoever speaks for it in this process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use spool_proto::{
    PeerId,
    sync::{InboundId, Misbehaviour, RequestId},
    wire::{Request, Response},
};
use tokio::sync::{mpsc, oneshot};

/// The network counts requests up from 0 and never comes here.
const FIRST_REQUEST: u64 = 1 << 63;

/// What the engine wants of a guest.
pub(super) enum Asked {
    /// An answer.
    Request { request: RequestId, body: Request },
    /// Nothing: it holds something against it.
    Penalized(Misbehaviour),
}

/// The guests of a node.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Inner>);

#[derive(Default)]
struct Inner {
    here: Mutex<HashMap<PeerId, mpsc::Sender<Asked>>>,
    /// Who waits for the answer to which request of a guest.
    waiting: Mutex<HashMap<InboundId, oneshot::Sender<Response>>>,
    requests: AtomicU64,
}

/// A guest that is here; dropped, it has gone.
pub(super) struct Here {
    pub(super) peer: PeerId,
    guests: Guests,
}

/// A request of a guest that waits for its answer; dropped, it waits no more.
pub(super) struct Question {
    pub(super) inbound: InboundId,
    pub(super) answer: oneshot::Receiver<Response>,
    guests: Guests,
}

impl Guests {
    fn here(&self) -> MutexGuard<'_, HashMap<PeerId, mpsc::Sender<Asked>>> {
        self.0.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<InboundId, oneshot::Sender<Response>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn welcome(&self, peer: PeerId, questions: mpsc::Sender<Asked>) -> Here {
        self.here().insert(peer, questions);
        Here { peer, guests: self.clone() }
    }

    /// Where questions to a peer go, if it is a guest.
    pub(super) fn find(&self, peer: &PeerId) -> Option<mpsc::Sender<Asked>> {
        let here = self.here();
        // Nearly always there are none.
        if here.is_empty() { None } else { here.get(peer).cloned() }
    }

    /// A name for a request that a guest makes.
    pub(super) fn question(&self) -> Question {
        let inbound = InboundId(FIRST_REQUEST + self.0.requests.fetch_add(1, Ordering::Relaxed));
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(inbound, sender);
        Question { inbound, answer, guests: self.clone() }
    }

    /// Gives an answer to the guest that has asked; one that is for the network is given back.
    pub(super) fn answer(&self, inbound: InboundId, response: Response) -> Option<Response> {
        if inbound.0 < FIRST_REQUEST {
            return Some(response);
        }
        if let Some(waiting) = self.waiting().remove(&inbound) {
            // Whoever asked may have gone.
            let _ = waiting.send(response);
        }
        None
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.guests.here().remove(&self.peer);
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.guests.waiting().remove(&self.inbound);
    }
}

use std::collections::VecDeque;

use libp2p::PeerId;

use crate::{Event, score::Offence};

/// What handling something led to, in order: events for the consumer, and misbehaviour to be scored.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) events: VecDeque<Event>,
    pub(crate) offences: Vec<(PeerId, Offence)>,
}

impl Out {
    pub(crate) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(crate) fn offence(&mut self, peer: PeerId, offence: Offence) {
        self.offences.push((peer, offence));
    }
}

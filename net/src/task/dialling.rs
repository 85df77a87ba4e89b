//! Dials to known peers that are under way, so that the same is not begun twice: with many threads of one absent peer every one of them asks for it.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::limits::MAX_OWN_DIALS;

/// Addresses that are being dialled, by dial; at most [`MAX_OWN_DIALS`].
#[derive(Default)]
pub(super) struct Dialling(HashMap<ConnectionId, (PeerId, Vec<Multiaddr>)>);

impl Dialling {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MAX_OWN_DIALS
    }

    /// Those addresses of a peer that no dial under way tries.
    pub(super) fn new_of(&self, peer: &PeerId, mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let tried = self.0.values().filter(|(dialled, _)| dialled == peer).flat_map(|(_, tried)| tried);
        tried.for_each(|tried| addresses.retain(|address| address != tried));
        addresses
    }

    pub(super) fn begun(&mut self, dial: ConnectionId, peer: PeerId, addresses: Vec<Multiaddr>) {
        self.0.insert(dial, (peer, addresses));
    }

    /// A dial has led to a connection, or has failed.
    pub(super) fn ended(&mut self, dial: &ConnectionId) {
        self.0.remove(dial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Multiaddr {
        format!("/ip4/192.0.2.{number}/tcp/4006").parse().unwrap()
    }

    #[test]
    fn there_is_room_for_so_many_dials() {
        let mut dialling = Dialling::default();
        for number in 0..MAX_OWN_DIALS {
            assert!(dialling.has_room());
            dialling.begun(ConnectionId::new_unchecked(number), PeerId::random(), vec![address(1)]);
        }
        assert!(!dialling.has_room());
        dialling.ended(&ConnectionId::new_unchecked(0));
        assert!(dialling.has_room());
    }

    #[test]
    fn an_address_is_dialled_once_at_a_time_and_others_meanwhile() {
        let (one, other) = (PeerId::random(), PeerId::random());
        let mut dialling = Dialling::default();
        let dial = ConnectionId::new_unchecked(1);
        dialling.begun(dial, one, vec![address(1), address(2)]);
        assert_eq!(dialling.new_of(&one, vec![address(2), address(3)]), [address(3)]);
        assert_eq!(dialling.new_of(&one, vec![address(1)]), []);
        assert_eq!(dialling.new_of(&other, vec![address(1)]), [address(1)], "somebody else may be there");
        dialling.ended(&dial);
        assert_eq!(dialling.new_of(&one, vec![address(1)]), [address(1)], "it may be there by now");
    }
}

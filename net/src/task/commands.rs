use std::time::Instant;

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        self,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::sync::oneshot;

use super::Task;
use crate::{
    Command, DialError, Status,
    discovery::{Dht, peer_of},
    handle::Message,
    limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_WAITING_DIALS},
    score::Offence,
};

impl Task {
    pub(super) fn on_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Command(command) => self.on_command(command),
            Message::Dial { address, reply } => self.dial_for(address, reply),
            // Who asked may have gone.
            Message::Status(reply) => drop(reply.send(self.status(now))),
        }
        self.settle(now);
    }

    fn on_command(&mut self, command: Command) {
        tracing::trace!(?command);
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Send { peer, id, request } => {
                self.exchange.send(&mut behaviour.exchange, peer, id, request, &mut self.out);
            }
            Command::Respond { inbound, response } => {
                self.exchange.respond(&mut behaviour.exchange, inbound, response);
            }
            Command::Publish { topic, data } => self.gossip.publish(&mut behaviour.gossip, topic, data),
            Command::Subscribe(topic) => self.gossip.subscribe(&mut behaviour.gossip, topic),
            Command::Unsubscribe(topic) => self.gossip.unsubscribe(&mut behaviour.gossip, topic),
            Command::Judge { gossip, verdict } => {
                self.gossip.judge(&mut behaviour.gossip, gossip, verdict, &mut self.out);
            }
            Command::Penalize { peer, points, reason } => {
                self.out.offence(peer, Offence::Reported { points, reason });
            }
            Command::Dial { peer: Some(peer), addresses } => self.dial_peer(peer, addresses),
            Command::Dial { peer: None, addresses } => addresses.into_iter().for_each(|address| self.dial_any(address)),
            Command::Disconnect(peer) => drop(self.swarm.disconnect_peer_id(peer)),
            Command::AddAddress { peer, address } => {
                if address.len() <= MAX_ADDRESS_BYTES {
                    self.swarm.add_peer_address(peer, address.clone());
                    Dht::add_address(&mut self.swarm, peer, address);
                }
            }
            Command::Provide { key } => self.dht.provide(&mut self.swarm, key),
            Command::StopProviding { key } => self.dht.stop_providing(&mut self.swarm, &key),
            Command::FindProviders { key } => self.dht.find(&mut self.swarm, key, &mut self.out),
        }
    }

    pub(super) fn dial_peer(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        // A dial under way may be stuck at dead addresses: new ones get a dial of their own.
        let condition =
            if addresses.is_empty() { PeerCondition::DisconnectedAndNotDialing } else { PeerCondition::Disconnected };
        let is_known = !addresses.is_empty();
        let mut addresses = self.dialling.new_of(&peer, addresses);
        if (is_known && addresses.is_empty()) || !self.dialling.has_room() {
            return;
        }
        addresses.truncate(MAX_ADDRESSES);
        let dial = DialOpts::peer_id(peer)
            .addresses(addresses.clone())
            .condition(condition)
            .extend_addresses_through_behaviour()
            .build();
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => self.dialling.begun(connection, peer, addresses),
            Err(swarm::DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => tracing::debug!(%peer, %error, "not dialled"),
        }
    }

    fn dial_any(&mut self, address: Multiaddr) {
        match peer_of(&address) {
            Some(peer) => self.dial_peer(peer, vec![address]),
            None => {
                if let Err(error) = self.swarm.dial(address.clone()) {
                    tracing::debug!(%address, %error, "not dialled");
                }
            }
        }
    }

    fn dial_for(&mut self, address: Multiaddr, reply: oneshot::Sender<Result<PeerId, DialError>>) {
        let peer = peer_of(&address);
        let answer = match peer {
            Some(peer) if self.swarm.is_connected(&peer) => Some(Ok(peer)),
            Some(peer) if peer == *self.swarm.local_peer_id() => Some(Err(DialError::Itself(peer))),
            _ if self.dials.len() >= MAX_WAITING_DIALS => Some(Err(DialError::Busy)),
            _ => None,
        };
        if let Some(answer) = answer {
            // Who asked may have gone.
            let _ = reply.send(answer);
            return;
        }
        let dial = match peer {
            Some(peer) => {
                DialOpts::peer_id(peer).addresses(vec![address.clone()]).condition(PeerCondition::Disconnected).build()
            }
            None => DialOpts::unknown_peer_id().address(address.clone()).build(),
        };
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => drop(self.dials.insert(connection, reply)),
            Err(source) => {
                let _ = reply.send(Err(DialError::Failed { address: Some(address), source: Box::new(source) }));
            }
        }
    }

    fn status(&self, now: Instant) -> Status {
        let (provided, announcements_waiting) = self.dht.provided();
        let (bytes_received, bytes_sent) = self.traffic.totals();
        Status {
            listening: self.swarm.listeners().cloned().collect(),
            external: self.swarm.external_addresses().cloned().collect(),
            peers: self.peers.list(|peer| self.scores.points(peer, now)),
            topics: self.gossip.topics(),
            provided,
            announcements_waiting,
            blocked: self.scores.blocked(now).collect(),
            bans: self.bans,
            offences: self.offences.clone(),
            gossip: self.gossip.counts(),
            bytes_received,
            bytes_sent,
        }
    }
}

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES};

/// The peer that an address leads to; not the relay on the way.
pub(crate) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Those addresses of `peer` that are worth remembering, without its id at their end. Loopback addresses are, if the peer
/// was seen at one.
pub(crate) fn usable(peer: PeerId, seen_at: Option<&Multiaddr>, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let near = seen_at.is_some_and(is_loopback);
    addresses
        .into_iter()
        .filter(|address| address.len() <= MAX_ADDRESS_BYTES && !address.is_empty())
        .filter(|address| !is_unspecified(address) && (near || !is_loopback(address)))
        .filter_map(|address| without_peer(peer, address))
        .take(MAX_ADDRESSES)
        .collect()
}

/// The address without the id of `peer` at its end; none if it leads to another one.
fn without_peer(peer: PeerId, mut address: Multiaddr) -> Option<Multiaddr> {
    match peer_of(&address) {
        None => Some(address),
        Some(named) if named == peer => {
            address.pop();
            Some(address)
        }
        Some(_) => None,
    }
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        _ => None,
    }
}

fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

fn is_unspecified(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_peer_is_the_last_of_a_relayed_address() {
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let relayed = address(&format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit/p2p/{peer}"));
        assert_eq!(peer_of(&relayed), Some(peer));
        assert_eq!(peer_of(&address(&format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit"))), None);
        assert_eq!(peer_of(&address("/ip4/192.0.2.1/tcp/1")), None);
    }

    #[test]
    fn useless_addresses_are_left_out() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let all = || {
            vec![
                address("/ip4/0.0.0.0/tcp/1"),
                address("/ip4/127.0.0.1/tcp/2"),
                address(&format!("/ip4/192.0.2.1/tcp/3/p2p/{peer}")),
                address(&format!("/ip4/192.0.2.1/tcp/4/p2p/{other}")),
                address("/dns4/example.org/tcp/5"),
            ]
        };
        let far = [address("/ip4/192.0.2.1/tcp/3"), address("/dns4/example.org/tcp/5")];
        assert_eq!(usable(peer, Some(&address("/ip4/192.0.2.1/tcp/9")), all()), far);
        assert_eq!(usable(peer, Some(&address("/ip4/127.0.0.1/tcp/9")), all()).len(), 3);
        let many = (1..100).map(|port| address(&format!("/ip4/192.0.2.1/tcp/{port}"))).collect();
        assert_eq!(usable(peer, None, many).len(), MAX_ADDRESSES);
    }
}

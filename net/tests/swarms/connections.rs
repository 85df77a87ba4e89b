use std::{
    io::ErrorKind,
    net::TcpListener,
    time::{Duration, Instant},
};

use libp2p::multiaddr::Protocol;
use spool_net::{
    Command, Config, ConnectionLimits, DialError, Error, Event, KadMode, Multiaddr, Network, PeerId, Via, limits,
};

use tokio::net::TcpStream;

use super::support::{Node, PATIENCE, connect, quiet};

#[tokio::test]
async fn peers_learn_each_others_addresses_and_software() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    let pick = |event| match event {
        Event::Discovered { peer, addresses, via: Via::Identify } => Some((peer, addresses)),
        _ => None,
    };
    assert_eq!(b.wait("identified", pick).await, (a.peer, vec![a.address.clone()]));
    let peers = b.handle.peers().await.unwrap();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].agent, concat!("spool/", env!("CARGO_PKG_VERSION")));
    a.command(Command::Disconnect(b.peer));
    b.wait_gone(a.peer).await;
    assert!(b.handle.peers().await.unwrap().is_empty());
}

#[tokio::test]
async fn dead_addresses_do_not_delay_a_live_one() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    // They take connections into their backlog, and never say a word: only a timeout ends such a dial.
    let dead: Vec<_> = (1..limits::MAX_ADDRESSES).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let mut addresses: Vec<Multiaddr> = dead
        .iter()
        .map(|listener| format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()).parse().unwrap())
        .collect();
    let started = Instant::now();
    a.command(Command::Dial { peer: Some(b.peer), addresses: addresses.clone() });
    // While that dial hangs, another address of the same peer becomes known.
    addresses.truncate(3);
    addresses.push(b.address.clone());
    a.command(Command::Dial { peer: Some(b.peer), addresses });
    a.wait_connected(b.peer).await;
    b.wait_connected(a.peer).await;
    assert!(started.elapsed() < limits::DIAL_TIMEOUT / 2, "took {:?}", started.elapsed());
}

/// A ticket from another machine says 127.0.0.1 too, where this node listens itself.
#[tokio::test]
async fn an_address_that_is_ones_own_does_not_hide_where_the_peer_is() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    let own = [a.address.clone(), a.address.clone().with(Protocol::P2p(b.peer))];
    let addresses = own.into_iter().chain([b.full_address()]).collect();
    a.command(Command::Dial { peer: Some(b.peer), addresses });
    a.wait_connected(b.peer).await;
    b.wait_connected(a.peer).await;
}

/// Dials to peers that do not answer, whoever wants them, leave room for others.
#[tokio::test]
async fn dials_that_hang_are_limited_and_who_asks_for_one_more_is_told() {
    const SURPLUS: usize = 5;
    let (mut a, b) = (Node::quiet().await, Node::quiet().await);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    for _ in 0..2 * limits::MAX_PENDING_OUTGOING {
        a.command(Command::Dial { peer: Some(PeerId::random()), addresses: vec![address.clone()] });
    }
    assert_eq!(a.handle.dial(b.full_address()).await.unwrap(), b.peer, "there is room for who asks");
    a.wait_connected(b.peer).await;
    let dials = (0..limits::MAX_WAITING_DIALS + SURPLUS).map(|_| {
        let (handle, address) = (a.handle.clone(), address.clone().with(Protocol::P2p(PeerId::random())));
        tokio::spawn(async move { handle.dial(address).await.unwrap_err() })
    });
    let mut refused = 0;
    for dial in dials.collect::<Vec<_>>() {
        match dial.await.unwrap() {
            DialError::Busy => refused += 1,
            DialError::Failed { .. } => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(refused, SURPLUS);
    let outcome = a.handle.dial(address.with(Protocol::P2p(PeerId::random()))).await;
    assert!(matches!(outcome, Err(DialError::Failed { .. })), "there is room again: {outcome:?}");
}

/// Half-open connections: whoever says nothing is sent away where there are too many, and nobody who is connected suffers.
#[tokio::test]
async fn half_open_connections_are_limited_and_a_peer_gets_in_when_they_have_ended() {
    const SURPLUS: usize = 20;
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    let Some(Protocol::Tcp(port)) = a.address.iter().nth(1) else { panic!("{} is of TCP", a.address) };
    let mut half_open = Vec::new();
    for _ in 0..limits::MAX_PENDING_INCOMING as usize + SURPLUS {
        half_open.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    // What is refused is closed at once, before anybody was waited for.
    let is_closed = |stream: &TcpStream| match stream.try_read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    let closed = async {
        loop {
            half_open.retain(|stream| !is_closed(stream));
            if half_open.len() <= limits::MAX_PENDING_INCOMING as usize {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limits::DIAL_TIMEOUT / 2, closed).await.expect("those beyond are closed");
    assert!(!half_open.is_empty(), "the others are waited for");
    assert!(a.handle.peers().await.unwrap().iter().any(|peer| peer.peer == b.peer));
    // Another peer gets in when they have timed out, at the latest.
    let mut c = Node::quiet().await;
    let in_the_end = async {
        while c.handle.dial(a.full_address()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, in_the_end).await.expect("room again");
    a.wait_connected(c.peer).await;
    c.wait_connected(a.peer).await;
}

#[tokio::test]
async fn a_dial_tells_why_it_failed() {
    let a = Node::quiet().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{closed}").parse().unwrap();
    assert!(matches!(a.handle.dial(address).await, Err(DialError::Failed { .. })));
    assert!(matches!(a.handle.dial(a.full_address()).await, Err(DialError::Itself(peer)) if peer == a.peer));
    let b = Node::quiet().await;
    let other = b.address.clone().with(Protocol::P2p(spool_net::PeerId::random()));
    assert!(matches!(a.handle.dial(other).await, Err(DialError::Failed { .. })), "another peer lives there");
    assert_eq!(a.handle.dial(b.address.clone()).await.unwrap(), b.peer, "and without a name it is found out");
}

#[tokio::test]
async fn no_more_connections_than_permitted() {
    let connections = ConnectionLimits { incoming: 2, ..ConnectionLimits::default() };
    let mut host = Node::start(Config { connections, ..quiet() }).await;
    // Whoever has the table dials on its own.
    let node = || Node::start(Config { kad: KadMode::Off, ..quiet() });
    let (mut first, mut second, mut third) = (node().await, node().await, node().await);
    connect(&mut first, &mut host).await;
    connect(&mut second, &mut host).await;
    // The limit is known only after the handshake, so the dialler may be connected for a moment.
    if third.handle.dial(host.full_address()).await.is_ok() {
        third.wait_gone(host.peer).await;
    }
    let mut peers: Vec<_> = host.handle.peers().await.unwrap().into_iter().map(|info| info.peer).collect();
    peers.sort();
    let mut expected = [first.peer, second.peer];
    expected.sort();
    assert_eq!(peers, expected);
    first.command(Command::Disconnect(host.peer));
    host.wait_gone(first.peer).await;
    connect(&mut third, &mut host).await;
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_named() {
    let a = Node::quiet().await;
    let error = Network::spawn(Config { listen: vec![a.address.clone()], ..quiet() }).unwrap_err();
    assert!(matches!(&error, Error::Listen { address, .. } if *address == a.address), "{error}");
    let elsewhere: Multiaddr = "/ip4/192.0.2.1/tcp/4006".parse().unwrap();
    let error = Network::spawn(Config { listen: vec![elsewhere.clone()], ..quiet() }).unwrap_err();
    assert!(matches!(&error, Error::Listen { address, .. } if *address == elsewhere), "{error}");
}

#[tokio::test]
async fn a_node_behind_a_relay_is_reached_through_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    let listen = vec![address.clone()];
    let relay = Node::start(Config { external: listen.clone(), listen, relay_server: true, ..quiet() }).await;
    reached_through(&relay, Config { listen: Vec::new(), relays: vec![relay.full_address()], ..quiet() }).await;
    // It need not be told which of those it knows relay.
    let bootstrap = vec![relay.full_address()];
    reached_through(&relay, Config { listen: Vec::new(), bootstrap, reserve: true, ..quiet() }).await;
}

async fn reached_through(relay: &Node, hidden: Config) {
    // Its only listening address is the reservation.
    let mut hidden = Node::start(hidden).await;
    assert!(hidden.address.iter().any(|part| part == Protocol::P2pCircuit), "{}", hidden.address);
    let mut other = Node::quiet().await;
    let address = relay.full_address().with(Protocol::P2pCircuit).with(Protocol::P2p(hidden.peer));
    assert_eq!(other.handle.dial(address).await.unwrap(), hidden.peer);
    hidden.wait_connected(other.peer).await;
    other.wait_connected(hidden.peer).await;
}

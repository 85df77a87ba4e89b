use spool_net::{Command, Config, Event, KadMode, PeerId};

use super::support::{Node, connect, quiet};

const KEY: [u8; 32] = [9; 32];

/// Looks until the lookup has ended; all providers found.
async fn providers(node: &mut Node) -> Vec<PeerId> {
    node.command(Command::FindProviders { key: KEY });
    let mut found = Vec::new();
    let pick = |event| {
        let Event::Providers { key, peers, done } = event else { return None };
        assert_eq!(key, KEY);
        found.extend(peers);
        done.then_some(())
    };
    node.wait("the end of the lookup", pick).await;
    found
}

/// Looks until `wanted` is among the providers: an announcement takes its time.
async fn found(node: &mut Node, wanted: PeerId) {
    let search = async { while !providers(node).await.contains(&wanted) {} };
    tokio::time::timeout(super::support::PATIENCE, search).await.expect("the provider is found");
}

#[tokio::test]
async fn a_provider_is_found_and_dialled_through_a_third_node() {
    let (mut a, mut b, mut c) = (Node::quiet().await, Node::quiet().await, Node::quiet().await);
    // Announced before anybody is there to hear it.
    a.command(Command::Provide { key: KEY });
    connect(&mut a, &mut b).await;
    connect(&mut c, &mut b).await;
    let status = a.handle.status().await.unwrap();
    assert_eq!(status.provided, 1);
    let search = async {
        loop {
            c.command(Command::FindProviders { key: KEY });
            let event = c.events.recv().await.expect("the network runs");
            if matches!(event, Event::PeerConnected { peer, .. } if peer == a.peer) {
                return;
            }
        }
    };
    tokio::time::timeout(super::support::PATIENCE, search).await.expect("the provider is dialled");
    found(&mut c, a.peer).await;
}

#[tokio::test]
async fn two_nodes_suffice_and_a_withdrawn_key_is_not_found_at_its_provider() {
    let (mut a, mut b) = (Node::quiet().await, Node::quiet().await);
    connect(&mut a, &mut b).await;
    assert_eq!(providers(&mut a).await, []);
    b.command(Command::Provide { key: KEY });
    found(&mut a, b.peer).await;
    assert_eq!(providers(&mut b).await, [], "a node does not find itself");
    b.command(Command::StopProviding { key: KEY });
    assert_eq!(b.handle.status().await.unwrap().provided, 0);
}

#[tokio::test]
async fn without_a_table_a_lookup_ends_at_once() {
    let mut a = Node::start(Config { kad: KadMode::Off, ..quiet() }).await;
    a.command(Command::Provide { key: KEY });
    assert_eq!(providers(&mut a).await, []);
}

#[tokio::test]
async fn bootstrap_peers_are_dialled_with_and_without_their_names() {
    let (mut b, mut c) = (Node::quiet().await, Node::quiet().await);
    let mut a = Node::start(Config { bootstrap: vec![b.full_address(), c.address.clone()], ..quiet() }).await;
    b.wait_connected(a.peer).await;
    c.wait_connected(a.peer).await;
    let mut missing = vec![b.peer, c.peer];
    while !missing.is_empty() {
        let pick = |event| match event {
            Event::PeerConnected { peer, .. } => Some(peer),
            _ => None,
        };
        let peer = a.wait("connected", pick).await;
        missing.retain(|other| *other != peer);
    }
}

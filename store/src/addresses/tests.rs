use std::sync::Arc;

use super::*;
use crate::kv::{Faulty, Kv, Memory};

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn peer(n: u32) -> PeerId {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    spool_proto::LogId::from(&key).into()
}

fn address(n: u32) -> Multiaddr {
    format!("/ip4/10.0.0.1/tcp/{n}").parse().unwrap()
}

fn book() -> (Store, AddressBook) {
    let store = Store::with_kv(Arc::new(Memory::new())).unwrap();
    let book = AddressBook::load(&store, start()).unwrap();
    (store, book)
}

#[test]
fn an_address_expires_when_its_source_says_and_is_then_really_gone() {
    let (store, mut book) = book();
    for source in Source::ALL {
        let peer = peer(source as u32);
        assert!(book.add(peer, address(1), source, start()));
        let end = start() + source.time_to_live();
        assert_eq!(book.addresses(&peer, end - Duration::from_secs(1)).len(), 1);
        assert!(book.addresses(&peer, end).is_empty());
    }
    book.flush().unwrap();
    let later = start() + Source::Dht.time_to_live();
    assert_eq!(book.peers(later).count(), 3);
    assert_eq!(book.purge(later), 2);
    book.flush().unwrap();
    let mut stored = 0;
    store
        .kv()
        .scan(Space::Addresses, &[], &[], &mut |_, _| {
            stored += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(stored, 3);
}

#[test]
fn confirming_an_address_prolongs_its_life_and_a_weaker_source_does_not_shorten_it() {
    let (_, mut book) = book();
    let (day, peer) = (Duration::from_secs(24 * 60 * 60), peer(1));
    book.add(peer, address(1), Source::Identify, start());
    book.add(peer, address(1), Source::Mdns, start());
    let [entry] = book.addresses(&peer, start()).try_into().unwrap();
    assert_eq!((entry.source, entry.expires), (Source::Identify, start() + 7 * day));
    book.add(peer, address(1), Source::Identify, start() + day);
    assert_eq!(book.addresses(&peer, start())[0].expires, start() + 8 * day);
}

#[test]
fn the_book_survives_a_restart_without_what_has_expired() {
    let (store, mut book) = book();
    book.add(peer(1), address(1), Source::Ticket, start());
    book.add(peer(1), address(2), Source::Mdns, start());
    book.add(peer(2), address(3), Source::Mdns, start());
    book.flush().unwrap();
    let later = start() + Source::Mdns.time_to_live();
    let book = AddressBook::load(&store, later).unwrap();
    let expires = start() + Source::Ticket.time_to_live();
    assert_eq!(book.addresses(&peer(1), later), [Entry { address: address(1), source: Source::Ticket, expires }]);
    assert_eq!(book.peers(later).count(), 1);
}

#[test]
fn a_peer_keeps_the_addresses_that_live_longest() {
    let (_, mut book) = book();
    let bound = ADDRESSES_PER_PEER as u32;
    for n in 0..bound {
        assert!(book.add(peer(1), address(n), Source::Identify, start() + Duration::from_secs(u64::from(n))));
    }
    assert!(!book.add(peer(1), address(100), Source::Mdns, start()), "would be the first to expire");
    assert!(book.add(peer(1), address(101), Source::Ticket, start()));
    let kept: Vec<Multiaddr> = book.addresses(&peer(1), start()).into_iter().map(|entry| entry.address).collect();
    assert_eq!(kept.len(), ADDRESSES_PER_PEER);
    assert!(kept[0] == address(101) && !kept.contains(&address(0)));
}

#[test]
fn a_flood_of_peers_does_not_displace_who_lives_longer() {
    let (_, mut book) = book();
    assert!(book.add(peer(0), address(1), Source::Ticket, start()));
    for n in 1..=ADDRESS_BOOK_PEERS as u32 + 10 {
        assert!(book.add(peer(n), address(1), Source::Dht, start() + Duration::from_secs(u64::from(n))));
    }
    assert_eq!(book.peers(start()).count(), ADDRESS_BOOK_PEERS);
    assert_eq!(book.addresses(&peer(0), start()).len(), 1);
    assert!(book.addresses(&peer(1), start()).is_empty());
    assert!(!book.add(peer(9_999), address(1), Source::Mdns, start()));
}

#[test]
fn an_overlong_address_is_not_kept_and_a_removed_one_is_gone() {
    let (_, mut book) = book();
    let long = format!("/dns4/{}/tcp/1", "a".repeat(ADDRESS_BYTES)).parse().unwrap();
    assert!(!book.add(peer(1), long, Source::Ticket, start()));
    book.add(peer(1), address(1), Source::Ticket, start());
    book.remove(&peer(1), &address(1));
    assert_eq!(book.peers(start()).count(), 0);
}

#[test]
fn a_flush_that_fails_is_made_up_for_by_the_next() {
    let kv = Arc::new(Faulty::new());
    let store = Store::with_kv(kv.clone() as Arc<dyn Kv>).unwrap();
    let mut book = AddressBook::load(&store, start()).unwrap();
    book.add(peer(1), address(1), Source::Ticket, start());
    kv.set_full(true);
    book.flush().unwrap_err();
    kv.set_full(false);
    book.flush().unwrap();
    assert_eq!(AddressBook::load(&store, start()).unwrap().peers(start()).count(), 1);
}

#[test]
fn damaged_entries_are_dropped_and_do_not_hinder_a_start() {
    let (store, mut book) = book();
    book.add(peer(1), address(1), Source::Ticket, start());
    book.flush().unwrap();
    let mut batch = Batch::default();
    batch.put(Space::Addresses, peer(2).to_bytes(), vec![0xff; 10]);
    store.shared().write(&batch, true).unwrap();
    let mut book = AddressBook::load(&store, start()).unwrap();
    assert_eq!(book.peers(start()).count(), 1);
    book.flush().unwrap();
    assert!(!store.kv().contains(Space::Addresses, &peer(2).to_bytes()).unwrap());
}

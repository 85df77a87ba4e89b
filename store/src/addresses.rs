//! The address book: where peers were last seen, until that is too old to be worth a dial.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    time::{Duration, SystemTime},
};

use serde_bytes::ByteBuf;
use spool_proto::{Multiaddr, PeerId, cbor};

use crate::{
    kv::{Batch, Space},
    limits::{ADDRESS_BOOK_PEERS, ADDRESS_BYTES, ADDRESSES_PER_PEER},
    store::{Error, Store},
};

/// How an address was learnt, which decides for how long it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Written in a ticket by somebody who wants to be reached.
    Ticket,
    /// Announced by a log's writer in the log.
    Announced,
    /// Told by the peer itself while connected.
    Identify,
    /// Seen in the local network.
    Mdns,
    /// Found in the DHT.
    Dht,
}

impl Source {
    const ALL: [Source; 5] = [Source::Ticket, Source::Announced, Source::Identify, Source::Mdns, Source::Dht];

    /// How long an address from there is believed without being confirmed.
    pub const fn time_to_live(self) -> Duration {
        const HOUR: u64 = 60 * 60;
        match self {
            Source::Ticket => Duration::from_secs(30 * 24 * HOUR),
            Source::Announced => Duration::from_secs(14 * 24 * HOUR),
            Source::Identify => Duration::from_secs(7 * 24 * HOUR),
            Source::Mdns => Duration::from_secs(HOUR / 6),
            Source::Dht => Duration::from_secs(24 * HOUR),
        }
    }
}

/// One address of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub address: Multiaddr,
    /// How it was learnt.
    pub source: Source,
    /// When it is forgotten.
    pub expires: SystemTime,
}

/// Addresses by peer, in memory, with a copy in the store.
///
/// Time is an argument: what has expired is never returned, and [`AddressBook::purge`] deletes it. Changes reach the store with
/// [`AddressBook::flush`]; a crash before it costs a few addresses, which are learnt again.
pub struct AddressBook {
    store: Store,
    peers: HashMap<PeerId, Vec<Entry>>,
    changed: HashSet<PeerId>,
}

impl AddressBook {
    /// Reads the book from the store, without what has expired.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn load(store: &Store, now: SystemTime) -> Result<Self, Error> {
        let mut book = Self { store: store.clone(), peers: HashMap::new(), changed: HashSet::new() };
        store.kv().scan(Space::Addresses, &[], &[], &mut |key, value| {
            // What does not decode is dropped at the next flush: an address book is no reason to refuse a start.
            if let Ok(peer) = PeerId::from_bytes(key) {
                book.peers.insert(peer, decode(value).unwrap_or_default());
            }
            ControlFlow::Continue(())
        })?;
        book.purge(now);
        Ok(book)
    }

    /// Notes an address, or that it was confirmed; it then lives as long as its source allows, never shorter than before. Returns whether it is in
    /// the book afterwards: not if it is too long, or if the book is full of what lives longer.
    pub fn add(&mut self, peer: PeerId, address: Multiaddr, source: Source, now: SystemTime) -> bool {
        if address.len() > ADDRESS_BYTES {
            return false;
        }
        let new = Entry { address, source, expires: now + source.time_to_live() };
        if !self.peers.contains_key(&peer) && !self.make_room(new.expires) {
            return false;
        }
        let entries = self.peers.entry(peer).or_default();
        if let Some(known) = entries.iter_mut().find(|known| known.address == new.address) {
            if known.expires < new.expires {
                *known = new;
                self.changed.insert(peer);
            }
            return true;
        }
        if entries.len() >= ADDRESSES_PER_PEER {
            let Some((index, first)) = entries.iter().enumerate().min_by_key(|(_, known)| known.expires) else {
                return false;
            };
            if first.expires >= new.expires {
                return false;
            }
            entries.swap_remove(index);
        }
        entries.push(new);
        self.changed.insert(peer);
        true
    }

    /// Makes room for one peer more, unless all others live longer.
    fn make_room(&mut self, expires: SystemTime) -> bool {
        if self.peers.len() < ADDRESS_BOOK_PEERS {
            return true;
        }
        let last = |entries: &[Entry]| entries.iter().map(|entry| entry.expires).max();
        let first = self.peers.iter().map(|(peer, entries)| (last(entries), *peer)).min();
        let Some((_, peer)) = first.filter(|(first, _)| *first < Some(expires)) else { return false };
        self.peers.remove(&peer);
        self.changed.insert(peer);
        true
    }

    /// A peer's addresses that have not expired, the longest-lived first.
    pub fn addresses(&self, peer: &PeerId, now: SystemTime) -> Vec<Entry> {
        let mut entries = self.peers.get(peer).cloned().unwrap_or_default();
        entries.retain(|entry| entry.expires > now);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.expires));
        entries
    }

    /// The peers with an address that has not expired, in no particular order.
    pub fn peers(&self, now: SystemTime) -> impl Iterator<Item = &PeerId> {
        self.peers
            .iter()
            .filter(move |(_, entries)| entries.iter().any(|entry| entry.expires > now))
            .map(|(peer, _)| peer)
    }

    /// Forgets one address, for instance because somebody else answered there.
    pub fn remove(&mut self, peer: &PeerId, address: &Multiaddr) {
        let Some(entries) = self.peers.get_mut(peer) else { return };
        entries.retain(|entry| entry.address != *address);
        if entries.is_empty() {
            self.peers.remove(peer);
        }
        self.changed.insert(*peer);
    }

    /// Forgets what has expired; returns how many addresses that were.
    pub fn purge(&mut self, now: SystemTime) -> usize {
        let mut purged = 0;
        let changed = &mut self.changed;
        self.peers.retain(|peer, entries| {
            let before = entries.len();
            entries.retain(|entry| entry.expires > now);
            if entries.len() < before || entries.is_empty() {
                purged += before - entries.len();
                changed.insert(*peer);
            }
            !entries.is_empty()
        });
        purged
    }

    /// Writes the changes to the store, in one batch, unsynced. After an error they are kept for the next time.
    ///
    /// # Errors
    ///
    /// [`Error::Kv`].
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for peer in &self.changed {
            match self.peers.get(peer) {
                Some(entries) if !entries.is_empty() => batch.put(Space::Addresses, peer.to_bytes(), encode(entries)),
                Some(_) | None => batch.delete(Space::Addresses, peer.to_bytes()),
            }
        }
        self.store.shared().write(&batch, false)?;
        self.changed.clear();
        Ok(())
    }
}

/// Binary address, source, expiry in seconds since 1970.
type Stored = (ByteBuf, u8, u64);

fn encode(entries: &[Entry]) -> Vec<u8> {
    let stored = |entry: &Entry| -> Stored {
        let expires = entry.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (ByteBuf::from(entry.address.to_vec()), entry.source as u8, expires.as_secs())
    };
    cbor::to_vec(&entries.iter().map(stored).collect::<Vec<_>>())
}

fn decode(value: &[u8]) -> Option<Vec<Entry>> {
    let stored: Vec<Stored> = cbor::from_slice(value, ADDRESSES_PER_PEER * (ADDRESS_BYTES + 32)).ok()?;
    let entry = |(address, source, expires): Stored| {
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires))?;
        let source = *Source::ALL.get(usize::from(source))?;
        Some(Entry { address: Multiaddr::try_from(address.into_vec()).ok()?, source, expires })
    };
    Some(stored.into_iter().filter_map(entry).collect())
}

#[cfg(test)]
mod tests;

//! Where peers of threads are: the address book, and dialling from it when a thread has no peer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde_bytes::ByteBuf;
use spool_net::{self as net, Command};
use spool_proto::{Address, LogId, Multiaddr, PeerId, ThreadId, address::Target};
use spool_store::{AddressBook, Store, addresses::Source};
use tokio::sync::Notify;

use super::{keyring::Keyring, limits::ADDRESS_BOOK_INTERVAL, standings::Standings};

/// Keeps the address book and dials from it.
pub(super) struct AddressKeeper {
    book: Mutex<AddressBook>,
    store: Store,
    keyring: Arc<Keyring>,
    network: net::Handle,
    standings: Arc<Standings>,
    /// The node's own addresses may have changed.
    pub(super) own: Notify,
}

impl AddressKeeper {
    pub(super) fn new(
        store: Store,
        keyring: Arc<Keyring>,
        network: net::Handle,
        standings: Arc<Standings>,
    ) -> Result<Self, spool_store::Error> {
        let book = Mutex::new(AddressBook::load(&store, SystemTime::now())?);
        Ok(Self { book, store, keyring, network, standings, own: Notify::new() })
    }

    pub(super) fn own_changed(&self) {
        self.own.notify_one();
    }

    /// A peer says, or the local network shows, where it is.
    pub(super) fn discovered(&self, peer: PeerId, addresses: &[Multiaddr], via: net::Via) {
        let source = match via {
            net::Via::Mdns => Source::Mdns,
            net::Via::Identify => Source::Identify,
        };
        let now = SystemTime::now();
        for address in addresses {
            self.book().add(peer, address.clone(), source, now);
        }
    }

    /// A writer announced where it can be reached.
    pub(super) fn announced(&self, thread: &ThreadId, log: &LogId, addresses: &[ByteBuf]) {
        tracing::debug!(thread = thread.short(), log = log.short(), addresses = addresses.len(), "announced");
        self.add(addresses, Source::Announced);
    }

    /// Notes addresses that end in the peer's id; others lead nowhere and are dropped.
    pub(super) fn add(&self, addresses: &[ByteBuf], source: Source) {
        let now = SystemTime::now();
        for (peer, address) in addresses.iter().filter_map(|bytes| parse(bytes)) {
            self.book().add(peer, address, source, now);
        }
    }

    /// Dials all known addresses of a thread's peers at once: those of its ticket, those that its writers announced, and where whoever shared it was last seen.
    pub(super) fn find(self: &Arc<Self>, thread: ThreadId) {
        let keeper = self.clone();
        tokio::task::spawn_blocking(move || keeper.dial(&thread));
    }

    fn dial(&self, thread: &ThreadId) {
        let Some(keys) = self.keyring.get(thread) else { return };
        let mut known: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        let logs = self.store.log_states(thread).unwrap_or_default();
        let announced = logs.iter().flat_map(|(_, state)| &state.addresses);
        for (peer, address) in keys.state.addresses.iter().chain(announced).filter_map(|bytes| parse(bytes)) {
            known.entry(peer).or_default().push(address);
        }
        for peer in self.standings.peers(thread) {
            known.entry(peer).or_default();
        }
        let now = SystemTime::now();
        let me = self.network.local_peer();
        for (peer, mut addresses) in known.into_iter().filter(|(peer, _)| *peer != me) {
            addresses.extend(self.book().addresses(&peer, now).into_iter().map(|entry| entry.address));
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() {
                continue;
            }
            // The network has its own bound on dials; what finds no room is tried at the next search.
            let _ = self.network.try_command(Command::Dial { peer: Some(peer), addresses });
        }
    }

    /// Addresses of a peer that have not expired.
    pub(super) fn of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.book().addresses(peer, SystemTime::now()).into_iter().map(|entry| entry.address).collect()
    }

    /// Peers with addresses that have not expired.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.book().peers(SystemTime::now()).copied().collect()
    }

    /// Purges and writes the book now and then, until the node ends.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(ADDRESS_BOOK_INTERVAL.max(Duration::from_secs(1)));
        loop {
            interval.tick().await;
            let keeper = self.clone();
            // Joined, so that two never run at once; a panic in it would show in the log.
            if tokio::task::spawn_blocking(move || keeper.flush()).await.is_err() {
                return;
            }
        }
    }

    /// Writes the book to the store.
    pub(super) fn flush(&self) {
        let mut book = self.book();
        book.purge(SystemTime::now());
        if let Err(error) = book.flush() {
            tracing::warn!(error = crate::chain(&error), "the address book could not be written");
        }
    }

    fn book(&self) -> MutexGuard<'_, AddressBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer at the end of an address, and the address.
fn parse(bytes: &[u8]) -> Option<(PeerId, Multiaddr)> {
    let address = Multiaddr::try_from(bytes.to_vec()).ok()?;
    let peer = Address { base: address.clone(), target: Target::None }.peer()?;
    Some((peer, address))
}

//! How the node does: counters, peers, addresses, sizes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use spool_proto::{Address, Multiaddr, PeerId, ThreadId, sync::Misbehaviour, sync::Write};
use spool_store::addresses::Source;
use tokio::sync::{Notify, Semaphore};

use super::{
    Node,
    call::Call,
    health::Disk,
    metrics::{Calls, Counted, Misdeeds},
};
use crate::model::{Addresses, Direction, EpochInfo, Error, NodeInfo, PeerInfo, Stat};

/// Counts since the start.
pub(super) struct Counters {
    accepted: AtomicU64,
    rejected: AtomicU64,
    pub(super) appended: AtomicU64,
    pub(super) blocks: Notify,
    pub(super) calls: Calls,
    pub(super) misdeeds: Misdeeds,
    pub(super) counted: Counted,
    pub(super) disk: Disk,
    /// One backup at a time: each reads the whole store.
    pub(super) backup: Arc<Semaphore>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::default(),
            rejected: AtomicU64::default(),
            appended: AtomicU64::default(),
            blocks: Notify::default(),
            calls: Calls::default(),
            misdeeds: Misdeeds::default(),
            counted: Counted::default(),
            disk: Disk::default(),
            backup: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Counters {
    pub(super) fn count_writes(&self, writes: &[Write]) {
        let records = writes.iter().filter(|write| matches!(write, Write::Record { .. })).count();
        self.accepted.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Records that were persisted, own and others'.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    pub(super) fn count_misbehaviour(&self, what: Misbehaviour) {
        self.misdeeds.count(what);
        if matches!(what, Misbehaviour::InvalidRecord | Misbehaviour::BrokenChain | Misbehaviour::UnadmittedLog) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn blocks_arrived(&self, thread: &ThreadId) {
        tracing::trace!(thread = thread.short(), "blocks");
        self.blocks.notify_waiters();
    }
}

impl Node {
    /// Who this node is.
    pub fn info(&self) -> NodeInfo {
        NodeInfo {
            peer: self.network().local_peer(),
            identity: self.keyring().identity().public(),
            device: self.keyring().device(),
            version: env!("CARGO_PKG_VERSION"),
            uptime: self.started().elapsed(),
        }
    }

    /// Connected peers, those that are blocked, and those whose addresses are known.
    ///
    /// # Errors
    ///
    /// [`Error::Stopping`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Error> {
        let network = self.network().status().await.map_err(|_| Error::Stopping)?;
        let threads: BTreeMap<PeerId, usize> =
            self.inspect(|engine| engine.peers().map(|(peer, threads)| (*peer, threads)).collect()).await?;
        let mut peers: BTreeMap<PeerId, PeerInfo> = BTreeMap::new();
        for peer in network.peers {
            let info = PeerInfo {
                peer: peer.peer,
                connections: peer.addresses.into_iter().map(|address| (address, Direction::Outbound)).collect(),
                addresses: self.address_keeper().of(&peer.peer),
                agent: Some(peer.agent).filter(|agent| !agent.is_empty()),
                rtt: peer.round_trip,
                threads: threads.get(&peer.peer).copied().unwrap_or(0) as u32,
                score: -peer.points,
                blocked_for: None,
                last_seen: Some(std::time::SystemTime::now()),
            };
            peers.insert(peer.peer, info);
        }
        let absent = |peer: PeerId| PeerInfo {
            peer,
            connections: Vec::new(),
            addresses: self.address_keeper().of(&peer),
            agent: None,
            rtt: None,
            threads: 0,
            score: 0.0,
            blocked_for: None,
            last_seen: None,
        };
        for blocked in network.blocked {
            // It may be connected for a moment still.
            let peer = peers.entry(blocked.peer).or_insert_with(|| absent(blocked.peer));
            peer.score = -blocked.points;
            peer.blocked_for = Some(blocked.remaining);
        }
        for peer in self.address_keeper().peers() {
            peers.entry(peer).or_insert_with(|| absent(peer));
        }
        Ok(peers.into_values().collect())
    }

    /// Notes an address and connects with whoever is there.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if nobody answers there, or somebody else than the address names.
    pub async fn connect(&self, address: &Address) -> Result<PeerId, Error> {
        let peer = self.network().dial(address.base.clone()).await;
        let peer = peer.map_err(|error| Error::Invalid(format!("{}: {}", address.base, crate::chain(&error))))?;
        let known = ending(address.base.clone(), peer).to_vec();
        self.address_keeper().add(&[known.into()], Source::Ticket);
        Ok(peer)
    }

    /// Where this node can be reached.
    ///
    /// # Errors
    ///
    /// [`Error::Stopping`].
    pub async fn addresses(&self) -> Result<Addresses, Error> {
        let status = self.network().status().await.map_err(|_| Error::Stopping)?;
        let source = [&self.config().announce, &status.external, &status.listening];
        let best = source.into_iter().find(|addresses| !addresses.is_empty()).cloned().unwrap_or_default();
        let me = status_peer(self);
        let announced = for_others(best).into_iter().map(|address| ending(address, me)).collect();
        Ok(Addresses { listen: status.listening, external: status.external, announced })
    }

    /// The epochs of a thread's keys that are held, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub async fn keys(&self, thread: &ThreadId) -> Result<Vec<EpochInfo>, Error> {
        let keys = self.thread_keys(thread)?;
        let current = keys.state.keys.current().map(spool_proto::keys::Epoch::key_id);
        let epochs = keys.state.keys.epochs().iter().enumerate().map(|(index, epoch)| EpochInfo {
            index: index as u32,
            key_id: epoch.key_id(),
            read: epoch.can_read(),
            admission: epoch.admission().is_some(),
            current: Some(epoch.key_id()) == current,
        });
        Ok(epochs.collect())
    }

    /// Sizes and counts.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    pub async fn stat(&self) -> Result<Stat, Error> {
        let network = self.network().status().await.map_err(|_| Error::Stopping)?;
        let counters = self.counters();
        let mut stat = Stat {
            peers: network.peers.len() as u64,
            bytes_in: network.bytes_received,
            bytes_out: network.bytes_sent,
            appended: counters.appended.load(Ordering::Relaxed),
            rejected: counters.rejected.load(Ordering::Relaxed),
            read_only: self.store().is_poisoned(),
            ..Stat::default()
        };
        stat.accepted = counters.accepted.load(Ordering::Relaxed).saturating_sub(stat.appended);
        let node = self.clone();
        self.blocking(move || {
            let store = node.store();
            let sizes = store.statistics().map_err(crate::node::threads::storage)?;
            stat.disk_bytes = sizes.kv.spaces.iter().map(|space| space.disk_bytes).sum();
            for keys in node.keyring().others() {
                let thread = store.thread_statistics(&keys.thread).map_err(crate::node::threads::storage)?;
                stat.threads += 1;
                stat.logs += thread.logs;
                stat.records += thread.records;
                stat.inert += thread.inert;
                stat.blocks += thread.blocks;
                stat.block_bytes += thread.block_bytes;
                stat.missing_blocks += thread.wanted;
            }
            Ok(stat)
        })
        .await
    }

    /// Looks at the engine's memory.
    pub(super) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut spool_proto::sync::Engine) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, seen) = tokio::sync::oneshot::channel();
        let call = Call::Inspect(Box::new(move |engine| {
            // The asker may have gone.
            let _ = answer.send(look(engine));
        }));
        self.call(call).await?;
        seen.await.map_err(|_| Error::Stopping)
    }
}

fn status_peer(node: &Node) -> PeerId {
    node.network().local_peer()
}

/// The address with `/p2p/<peer>` at its end.
pub(super) fn ending(address: Multiaddr, peer: PeerId) -> Multiaddr {
    address.with_p2p(peer).unwrap_or_else(|address| address)
}

/// Those of a node's addresses that are worth telling: on another machine, loopback addresses lead to that machine itself. Where there are no others, whoever is told is on this one.
fn for_others(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.retain(|address| !is_unspecified(address));
    if addresses.iter().any(is_public_enough) {
        addresses.retain(is_public_enough);
    }
    addresses
}

/// `0.0.0.0` or `::`, which lead nowhere.
fn is_unspecified(address: &Multiaddr) -> bool {
    let text = address.to_string();
    text.starts_with("/ip4/0.0.0.0/") || text.starts_with("/ip6/::/")
}

/// Whether others than this machine can use an address.
pub(super) fn is_public_enough(address: &Multiaddr) -> bool {
    let text = address.to_string();
    !is_unspecified(address) && !text.starts_with("/ip4/127.") && !text.starts_with("/ip6/::1/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_alone_are_told_where_there_are_no_others() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Multiaddr>>();
        let local = ["/ip4/127.0.0.1/tcp/4006", "/ip6/::1/tcp/4006"];
        assert_eq!(for_others(addresses(&local)), addresses(&local));
        let mixed = addresses(&[
            "/ip4/0.0.0.0/tcp/4006",
            local[0],
            "/ip4/192.0.2.7/tcp/4006",
            local[1],
            "/dns4/example.org/tcp/4006",
        ]);
        assert_eq!(for_others(mixed), addresses(&["/ip4/192.0.2.7/tcp/4006", "/dns4/example.org/tcp/4006"]));
    }
}

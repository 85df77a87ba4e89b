//! What peers have said to have of each thread, and when: so that it can be told how many followers hold a record, also when they are away, and so that a node
//! that starts knows whom to look for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::ControlFlow,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use spool_proto::{
    LogId, PeerId, ThreadId, cbor,
    sync::{PeerStatus, ThreadStatus},
    wire::Role,
};
use spool_store::{Error, Store, view};
use tokio::sync::watch;

use super::{
    Node,
    follow::limits::{REMEMBERED_PEERS, STANDING_BYTES, STANDINGS, STANDINGS_INTERVAL},
    threads::storage,
};

/// The number of the view in which they are kept, beside those of the database.
const VIEW: u8 = 3;
const VERSION: u64 = 2;

/// One peer in one thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// How far it has each log on its disk.
    pub(super) heads: BTreeMap<LogId, u64>,
    /// When that was last heard.
    pub(super) last_contact: Option<SystemTime>,
    /// It follows, by its own account or because it was asked to.
    pub(super) follows: bool,
    /// Days after which it drops bodies, by its own account; 0 for never.
    pub(super) bodies_days: u32,
}

/// `[version, [[log, counter], …], last contact, days, follows]`.
#[derive(Serialize, Deserialize)]
struct Stored(u64, Vec<(LogId, u64)>, u64, u32, bool);

/// Those of all threads: in memory, and now and then on disk.
pub(super) struct Standings {
    store: Store,
    table: Mutex<Table>,
    /// Counts changes, for those who wait for one.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Table {
    threads: HashMap<ThreadId, BTreeMap<PeerId, Standing>>,
    unwritten: HashSet<(ThreadId, PeerId)>,
}

impl Standings {
    pub(super) fn load(store: &Store, threads: impl Iterator<Item = ThreadId>) -> Result<Self, Error> {
        let mut table = Table::default();
        for thread in threads {
            let Some(view) = store.view(&thread, VIEW)? else { continue };
            let peers = table.threads.entry(thread).or_default();
            view.reader().scan(&[], &[], &mut |key, value| {
                // What does not decode is heard again.
                if let (Ok(peer), Some(standing)) = (PeerId::from_bytes(key), decode(value)) {
                    peers.insert(peer, standing);
                }
                ControlFlow::Continue(())
            })?;
        }
        table.threads.retain(|_, peers| !peers.is_empty());
        Ok(Self { store: store.clone(), table: Mutex::new(table), changed: watch::Sender::new(0) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A peer has said how far it has some logs.
    pub(super) fn acknowledged(&self, thread: &ThreadId, peer: PeerId, heads: &[(LogId, u64)]) {
        self.table().update(thread, peer, |standing| standing.heads.extend(heads.iter().copied()));
        self.changed.send_modify(|count| *count += 1);
    }

    /// A peer shares a thread. Of those that do not follow it a few are enough to find the others by.
    pub(super) fn met(&self, thread: &ThreadId, peer: PeerId, role: Role) {
        let mut table = self.table();
        let known = table.threads.get(thread);
        let enough = known.is_some_and(|known| !known.contains_key(&peer) && known.len() >= REMEMBERED_PEERS);
        if role == Role::Follower || !enough {
            table.update(thread, peer, |standing| standing.follows = role == Role::Follower);
        }
    }

    /// Peers that share a thread, or did when they were last heard of.
    pub(super) fn peers(&self, thread: &ThreadId) -> Vec<PeerId> {
        self.table().threads.get(thread).map(|peers| peers.keys().copied().collect()).unwrap_or_default()
    }

    /// Takes over what the engine knows of connected peers. `heads` are those of this node, for peers that agree with it.
    pub(super) fn observe(&self, thread: &ThreadId, peers: &[PeerStatus], heads: &[(LogId, u64)]) {
        let mut table = self.table();
        for peer in peers {
            let all = if peer.agrees { heads } else { &[] };
            table.update(thread, peer.peer, |standing| {
                for (log, counter) in peer.acknowledged.iter().chain(all) {
                    let known = standing.heads.entry(*log).or_default();
                    *known = (*known).max(*counter);
                }
                standing.follows = peer.role == Role::Follower;
                standing.bodies_days = peer.terms.bodies_days.map_or(0, std::num::NonZeroU32::get);
            });
        }
        drop(table);
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn of(&self, thread: &ThreadId) -> BTreeMap<PeerId, Standing> {
        self.table().threads.get(thread).cloned().unwrap_or_default()
    }

    /// Forgets a thread; what is on disk goes with it.
    pub(super) fn forget(&self, thread: &ThreadId) {
        let mut table = self.table();
        table.threads.remove(thread);
        table.unwritten.retain(|(unwritten, _)| unwritten != thread);
    }

    /// Forgets a peer that does not follow a thread any more.
    pub(super) fn forget_peer(&self, thread: &ThreadId, peer: &PeerId) -> Result<(), Error> {
        let mut table = self.table();
        table.unwritten.remove(&(thread.clone(), *peer));
        if let Some(peers) = table.threads.get_mut(thread) {
            peers.remove(peer);
        }
        drop(table);
        let mut batch = view::Batch::default();
        batch.delete(peer.to_bytes());
        match self.store.view(thread, VIEW)? {
            Some(view) => view.write(batch),
            None => Ok(()),
        }
    }

    /// Writes what has changed. What a crash takes of it is heard again.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let mut table = self.table();
        let mut batches: HashMap<ThreadId, view::Batch> = HashMap::new();
        for (thread, peer) in std::mem::take(&mut table.unwritten) {
            let batch = batches.entry(thread.clone()).or_default();
            match table.threads.get(&thread).and_then(|peers| peers.get(&peer)) {
                Some(standing) => batch.put(peer.to_bytes(), encode(standing)),
                None => batch.delete(peer.to_bytes()),
            }
        }
        drop(table);
        for (thread, batch) in batches {
            if let Some(view) = self.store.view(&thread, VIEW)? {
                view.write(batch)?;
            }
        }
        Ok(())
    }

    /// To wait for a change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Table {
    /// Changes what is known of a peer. Beyond the bound whoever was heard of longest ago makes room, followers last.
    fn update(&mut self, thread: &ThreadId, peer: PeerId, change: impl FnOnce(&mut Standing)) {
        let peers = self.threads.entry(thread.clone()).or_default();
        if !peers.contains_key(&peer) && peers.len() >= STANDINGS {
            let oldest = peers.iter().min_by_key(|(_, standing)| (standing.follows, standing.last_contact));
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                peers.remove(&oldest);
                self.unwritten.insert((thread.clone(), oldest));
            }
        }
        let standing = peers.entry(peer).or_default();
        let before = standing.clone();
        change(standing);
        // A contact alone is not worth a write every few seconds.
        let minute = Duration::from_secs(60);
        let now = SystemTime::now();
        let old = before.last_contact.is_none_or(|last| now.duration_since(last).is_ok_and(|since| since > minute));
        if old || *standing != before {
            self.unwritten.insert((thread.clone(), peer));
        }
        standing.last_contact = Some(now);
    }
}

fn encode(standing: &Standing) -> Vec<u8> {
    let heads = standing.heads.iter().map(|(log, counter)| (*log, *counter)).collect();
    let since = standing.last_contact.and_then(|last| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    cbor::to_vec(&Stored(VERSION, heads, since.as_millis() as u64, standing.bodies_days, standing.follows))
}

fn decode(bytes: &[u8]) -> Option<Standing> {
    let Stored(version, heads, millis, bodies_days, follows) = cbor::from_slice(bytes, STANDING_BYTES).ok()?;
    let last_contact = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    (version == VERSION).then(|| Standing { heads: heads.into_iter().collect(), last_contact, follows, bodies_days })
}

impl Node {
    /// Takes over what the engine knows of the peers of a thread, and tells it.
    pub(super) async fn observe(&self, thread: &ThreadId) -> Result<Option<ThreadStatus>, super::Error> {
        let id = thread.clone();
        let Some(mut status) = self.inspect(move |engine| engine.status(&id)).await? else { return Ok(None) };
        status.peers.retain(|peer| self.guests().find(&peer.peer).is_none());
        let heads = match &status.logs {
            Some(logs) => logs.iter().map(|log| (log.log, log.head.map_or(0, |head| head.counter))).collect::<Vec<_>>(),
            // Nothing of it is under way: what is on disk is what the engine compares.
            None => {
                let (node, id) = (self.clone(), thread.clone());
                let states = self.blocking(move || node.store().log_states(&id).map_err(storage)).await?;
                states.into_iter().map(|(log, state)| (log, state.active_counter())).collect()
            }
        };
        self.standings().observe(thread, &status.peers, &heads);
        Ok(Some(status))
    }

    /// Notes now and then what followers have, and writes it. Runs until the node ends.
    pub(super) async fn keep_standings(self) {
        let mut interval = tokio::time::interval(STANDINGS_INTERVAL);
        loop {
            interval.tick().await;
            let threads: BTreeSet<_> = self.followers().threads().into_iter().collect();
            for thread in threads {
                match self.observe(&thread).await {
                    Ok(_) => {}
                    Err(super::Error::Stopping) => return,
                    Err(error) => tracing::warn!(error = crate::chain(&error), "the standing of followers"),
                }
            }
            let node = self.clone();
            if let Err(error) = self.blocking(move || node.standings().flush().map_err(storage)).await {
                tracing::warn!(error = crate::chain(&error), "what peers have could not be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use spool_proto::{id::Variant, sync::ThreadState};
    use spool_store::kv::Memory;

    use super::*;

    fn peer(seed: u8) -> PeerId {
        spool_proto::envelope::peer_id(&ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    fn log() -> LogId {
        LogId::from(&ed25519_dalek::SigningKey::from_bytes(&[99; 32]))
    }

    /// A store in which a thread is, as the committer would have written it.
    fn store(thread: &ThreadId) -> Store {
        use spool_proto::{
            ThreadKeys,
            sync::{BatchId, Durability, Write},
        };
        use spool_store::{
            Committer,
            commit::{Commit, Options},
        };
        let store = Store::with_kv(std::sync::Arc::new(Memory::default())).unwrap();
        let committer = Committer::spawn(&store, Options::default(), |_| {}).unwrap();
        let keys = ThreadKeys::generate([1; 64]);
        let state = ThreadState { keys, name: None, joined_millis: 0, addresses: Vec::new() };
        let write = Write::Thread { thread: thread.clone(), state: std::sync::Arc::new(state) };
        let commit = Commit { batch: BatchId(1), durability: Durability::Sync, writes: vec![write] };
        assert!(committer.handle().try_submit(commit).is_ok());
        committer.shutdown();
        store
    }

    fn status(peer: PeerId, agrees: bool, acknowledged: &[(LogId, u64)]) -> PeerStatus {
        PeerStatus {
            peer,
            role: Role::Follower,
            heads: Vec::new(),
            terms: spool_proto::wire::Terms::default(),
            acknowledged: acknowledged.to_vec(),
            agrees,
            trouble: None,
        }
    }

    #[test]
    fn what_peers_have_survives_a_restart() {
        let thread = ThreadId::new(Variant::Raw, [1; 32]);
        let store = store(&thread);
        let load = || Standings::load(&store, std::iter::once(thread.clone())).unwrap();
        let standings = load();
        standings.observe(&thread, &[status(peer(1), false, &[(log(), 3)]), status(peer(2), true, &[])], &[(log(), 7)]);
        standings.met(&thread, peer(3), Role::Writer);
        standings.acknowledged(&thread, peer(3), &[(log(), 9)]);
        standings.flush().unwrap();
        let after = load();
        let of = |seed| after.of(&thread).get(&peer(seed)).and_then(|standing| standing.heads.get(&log()).copied());
        assert_eq!((of(1), of(2), of(3)), (Some(3), Some(7), Some(9)));
        let follows = |seed| after.of(&thread)[&peer(seed)].follows;
        assert_eq!((follows(1), follows(3)), (true, false));
        // It says that it has less: its disk went back in time.
        standings.acknowledged(&thread, peer(2), &[(log(), 5)]);
        assert_eq!(standings.of(&thread)[&peer(2)].heads[&log()], 5);
        standings.forget_peer(&thread, &peer(1)).unwrap();
        assert_eq!(load().peers(&thread).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([peer(2), peer(3)]));
    }

    #[test]
    fn the_table_is_bounded_and_followers_stay_longest() {
        let thread = ThreadId::new(Variant::Raw, [1; 32]);
        let standings = Standings::load(&store(&thread), std::iter::empty()).unwrap();
        standings.observe(&thread, &[status(peer(1), false, &[(log(), 3)])], &[]);
        for seed in 2..=200 {
            standings.acknowledged(&thread, peer(seed), &[(log(), 1)]);
        }
        let known = standings.of(&thread);
        assert_eq!(known.len(), STANDINGS);
        assert!(known.contains_key(&peer(1)) && known.contains_key(&peer(200)));
        // What had to make room goes from the disk, too.
        standings.flush().unwrap();
        standings.acknowledged(&thread, peer(201), &[(log(), 1)]);
        standings.flush().unwrap();
        let loaded = Standings::load(&standings.store, std::iter::once(thread.clone())).unwrap();
        assert_eq!(loaded.peers(&thread), standings.peers(&thread));
    }

    #[test]
    fn of_those_that_do_not_follow_a_few_are_remembered() {
        let thread = ThreadId::new(Variant::Raw, [1; 32]);
        let standings = Standings::load(&store(&thread), std::iter::empty()).unwrap();
        for seed in 1..=50 {
            standings.met(&thread, peer(seed), Role::Reader);
        }
        standings.met(&thread, peer(51), Role::Follower);
        let known = standings.peers(&thread);
        assert_eq!((known.len(), known.contains(&peer(51))), (REMEMBERED_PEERS + 1, true));
    }
}

//! For whom this node follows which thread, and how much of it that uses.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use spool_proto::{
    IdentityKey, PeerId, ThreadId, cbor,
    sync::{Following, Write},
    wire::{Declined, Terms},
};
use spool_store::{Error, Store};
use tokio::sync::Notify;

use super::limits::INVITERS;
use crate::config::Config;

/// Begins the names of the settings that hold agreements.
const SETTINGS: &str = "following/";
const VERSION: u64 = 1;
/// Bytes of one as it is stored.
const MAX_STORED_BYTES: usize = 16 * 1024;

/// What was agreed about one thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::node) struct Agreement {
    /// Who asked, and from which node; the first one's quota it uses. Nobody, where the owner of this node joined it and set a retention.
    pub(in crate::node) inviters: Vec<(IdentityKey, PeerId)>,
    /// When it was first agreed, milliseconds since 1970.
    pub(in crate::node) since_millis: u64,
    /// Days after which bodies are dropped; 0 for never.
    pub(in crate::node) bodies_days: u32,
    /// Bytes of records and blocks.
    pub(in crate::node) used_bytes: u64,
}

/// `[version, [[identity, peer], …], since, days, bytes]`.
#[derive(Serialize, Deserialize)]
struct Stored(u64, Vec<(IdentityKey, ByteBuf)>, u64, u32, u64);

impl Agreement {
    /// Whose quota it uses.
    pub(in crate::node) fn account(&self) -> Option<IdentityKey> {
        self.inviters.first().map(|(identity, _)| *identity)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let inviters = self.inviters.iter().map(|(identity, peer)| (*identity, ByteBuf::from(peer.to_bytes())));
        cbor::to_vec(&Stored(VERSION, inviters.collect(), self.since_millis, self.bodies_days, self.used_bytes))
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Stored(version, inviters, since_millis, bodies_days, used_bytes) =
            cbor::from_slice(bytes, MAX_STORED_BYTES).ok()?;
        let inviters = inviters.into_iter().map(|(identity, peer)| Some((identity, PeerId::from_bytes(&peer).ok()?)));
        let inviters = inviters.collect::<Option<Vec<_>>>().filter(|_| version == VERSION)?;
        Some(Self { inviters, since_millis, bodies_days, used_bytes })
    }
}

/// All agreements of a node.
pub(in crate::node) struct Agreements {
    store: Store,
    max_threads: u64,
    max_bytes: u64,
    records_per_second: u32,
    table: Mutex<Table>,
    /// Some identity has come to the end of its bytes, or has room again.
    pub(in crate::node) changed: Notify,
}

#[derive(Default)]
struct Table {
    threads: HashMap<ThreadId, Agreement>,
    used: HashMap<IdentityKey, u64>,
    /// Whose bytes are used up, as the engine was last told.
    full: HashSet<IdentityKey>,
    unwritten: HashSet<ThreadId>,
}

impl Table {
    fn used(&self, identity: &IdentityKey) -> u64 {
        self.used.get(identity).copied().unwrap_or(0)
    }

    fn insert(&mut self, thread: ThreadId, agreement: Agreement) {
        self.remove(&thread);
        if let Some(account) = agreement.account() {
            *self.used.entry(account).or_default() += agreement.used_bytes;
        }
        self.threads.insert(thread, agreement);
    }

    fn remove(&mut self, thread: &ThreadId) {
        self.unwritten.remove(thread);
        let Some(agreement) = self.threads.remove(thread) else { return };
        let Some(account) = agreement.account() else { return };
        let used = self.used.entry(account).or_default();
        *used = used.saturating_sub(agreement.used_bytes);
        if !self.threads.values().any(|other| other.account() == Some(account)) {
            self.used.remove(&account);
            self.full.remove(&account);
        }
    }
}

impl Agreements {
    /// Reads them; those whose threads are not here any more are removed.
    pub(in crate::node) fn load(
        store: &Store,
        config: &Config,
        is_here: impl Fn(&ThreadId) -> bool,
    ) -> Result<Self, Error> {
        let mut table = Table::default();
        for (name, bytes) in store.settings(SETTINGS)? {
            let thread = name.parse::<ThreadId>().ok().filter(&is_here);
            match thread.zip(Agreement::from_bytes(&bytes)) {
                Some((thread, agreement)) => table.insert(thread, agreement),
                None => store.set_setting(&format!("{SETTINGS}{name}"), None)?,
            }
        }
        let agreements = Self {
            store: store.clone(),
            max_threads: config.follow_max_threads.into(),
            max_bytes: u64::from(config.follow_max_mib) * 1024 * 1024,
            records_per_second: config.follow_max_records_per_second,
            table: Mutex::new(table),
            changed: Notify::new(),
        };
        agreements.take_changed();
        Ok(agreements)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::node) fn get(&self, thread: &ThreadId) -> Option<Agreement> {
        self.table().threads.get(thread).cloned()
    }

    pub(in crate::node) fn all(&self) -> Vec<(ThreadId, Agreement)> {
        self.table().threads.iter().map(|(thread, agreement)| (thread.clone(), agreement.clone())).collect()
    }

    /// Keeps one; it is on disk when this returns.
    pub(in crate::node) fn put(&self, thread: &ThreadId, agreement: Agreement) -> Result<(), Error> {
        self.store.set_setting(&setting(thread), Some(&agreement.to_bytes()))?;
        self.table().insert(thread.clone(), agreement);
        Ok(())
    }

    /// Forgets one.
    pub(in crate::node) fn remove(&self, thread: &ThreadId) -> Result<(), Error> {
        if self.table().threads.contains_key(thread) {
            self.store.set_setting(&setting(thread), None)?;
            self.table().remove(thread);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Adds whoever invites to those for whom a thread is followed.
    pub(in crate::node) fn invite(&self, thread: &ThreadId, by: (IdentityKey, PeerId), days: u32) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since_millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut agreement =
            self.get(thread).unwrap_or(Agreement { since_millis, bodies_days: days, ..Agreement::default() });
        if !agreement.inviters.contains(&by) {
            // The newest nodes of an identity are those that can be told.
            if agreement.inviters.len() >= INVITERS {
                agreement.inviters.remove(1);
            }
            agreement.inviters.push(by);
            self.put(thread, agreement)?;
        }
        Ok(())
    }

    /// Whether one thread more fits into the quota of an identity.
    pub(in crate::node) fn admit(&self, identity: &IdentityKey) -> Result<(), Declined> {
        let table = self.table();
        let threads = table.threads.values().filter(|agreement| agreement.account() == Some(*identity)).count();
        if threads as u64 >= self.max_threads {
            return Err(Declined::TooManyThreads);
        }
        if table.used(identity) >= self.max_bytes {
            return Err(Declined::TooManyBytes);
        }
        Ok(())
    }

    /// What the engine has to know of a thread.
    pub(in crate::node) fn following(&self, thread: &ThreadId) -> Option<Following> {
        let table = self.table();
        let agreement = table.threads.get(thread)?;
        Some(self.terms(&table, agreement))
    }

    fn terms(&self, table: &Table, agreement: &Agreement) -> Following {
        let account = agreement.account();
        let is_full = account.is_some_and(|account| table.full.contains(&account));
        let number = |account: IdentityKey| account.as_bytes().first_chunk().copied().map_or(0, u64::from_be_bytes);
        Following {
            terms: Terms { bodies_days: agreement.bodies_days.try_into().ok(), is_full },
            account: account.map_or(0, number),
            records_per_second: account.map(|_| self.records_per_second),
        }
    }

    /// Counts what is being written.
    pub(in crate::node) fn count(&self, writes: &[Write]) {
        let mut table = self.table();
        if table.threads.is_empty() {
            return;
        }
        for write in writes {
            let (thread, bytes) = match write {
                Write::Record { record } | Write::Inert { record } => (record.thread(), record.sealed().bytes.len()),
                Write::Block { thread, bytes, .. } => (thread, bytes.len()),
                Write::Thread { .. } | Write::RemoveThread { .. } | Write::Log { .. } | Write::DropBlocks { .. } => {
                    continue;
                }
            };
            self.add(&mut table, thread, bytes as u64);
        }
    }

    /// Blocks of a thread were dropped.
    pub(in crate::node) fn free(&self, thread: &ThreadId, bytes: u64) {
        let mut table = self.table();
        let Some(agreement) = table.threads.get_mut(thread) else { return };
        agreement.used_bytes = agreement.used_bytes.saturating_sub(bytes);
        let account = agreement.account();
        table.unwritten.insert(thread.clone());
        if let Some(used) = account.and_then(|account| table.used.get_mut(&account)) {
            *used = used.saturating_sub(bytes);
            self.changed.notify_one();
        }
    }

    fn add(&self, table: &mut Table, thread: &ThreadId, bytes: u64) {
        let Some(agreement) = table.threads.get_mut(thread) else { return };
        agreement.used_bytes = agreement.used_bytes.saturating_add(bytes);
        let account = agreement.account();
        table.unwritten.insert(thread.clone());
        let Some(account) = account else { return };
        let used = table.used.entry(account).or_default();
        *used = used.saturating_add(bytes);
        if *used >= self.max_bytes && !table.full.contains(&account) {
            self.changed.notify_one();
        }
    }

    /// Threads that may be taken from again, or not any more, with what the engine has to know of them now.
    pub(in crate::node) fn take_changed(&self) -> Vec<(ThreadId, Following)> {
        let mut table = self.table();
        let used = table.used.iter().filter(|(_, used)| **used >= self.max_bytes);
        let full: HashSet<_> = used.map(|(identity, _)| *identity).collect();
        let before = std::mem::replace(&mut table.full, full);
        let differs = |identity: &IdentityKey| before.contains(identity) != table.full.contains(identity);
        let changed = table.threads.iter().filter(|(_, agreement)| agreement.account().as_ref().is_some_and(differs));
        changed.map(|(thread, agreement)| (thread.clone(), self.terms(&table, agreement))).collect()
    }

    /// Writes how much is used. What a crash takes of it is a few seconds' worth.
    pub(in crate::node) fn flush(&self) -> Result<(), Error> {
        let unwritten = std::mem::take(&mut self.table().unwritten);
        for thread in unwritten {
            let Some(agreement) = self.get(&thread) else { continue };
            self.store.set_setting(&setting(&thread), Some(&agreement.to_bytes()))?;
        }
        Ok(())
    }

    /// Bytes that each identity uses here, of how many.
    pub(in crate::node) fn used(&self, identity: &IdentityKey) -> (u64, u64) {
        (self.table().used(identity), self.max_bytes)
    }
}

fn setting(thread: &ThreadId) -> String {
    format!("{SETTINGS}{thread}")
}

#[cfg(test)]
mod tests {
    use spool_proto::{Identity, id::Variant};
    use spool_store::kv::Memory;

    use super::*;

    fn store() -> Store {
        Store::with_kv(std::sync::Arc::new(Memory::default())).unwrap()
    }

    fn thread(seed: u8) -> ThreadId {
        ThreadId::new(Variant::Raw, [seed; 32])
    }

    fn inviter(seed: u8) -> (IdentityKey, PeerId) {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        (Identity::from_seed([seed; 32]).public(), spool_proto::envelope::peer_id(&key))
    }

    fn config() -> Config {
        Config { follow_max_threads: 2, follow_max_mib: 1, ..Config::default() }
    }

    fn block(thread: &ThreadId, bytes: usize) -> Write {
        let bytes = bytes::Bytes::from(vec![0; bytes]);
        Write::Block { thread: thread.clone(), cid: spool_proto::block::cid(&bytes), bytes, links: Vec::new() }
    }

    #[test]
    fn quotas_are_each_identitys_own_and_survive_a_restart() {
        let (store, one, two) = (store(), inviter(1), inviter(2));
        let agreements = Agreements::load(&store, &config(), |_| true).unwrap();
        for seed in [1, 2] {
            assert_eq!(agreements.admit(&one.0), Ok(()));
            agreements.invite(&thread(seed), one, 30).unwrap();
        }
        assert_eq!(agreements.admit(&one.0), Err(Declined::TooManyThreads));
        assert_eq!(agreements.admit(&two.0), Ok(()));
        agreements.invite(&thread(3), two, 0).unwrap();
        agreements.count(&[block(&thread(3), 1 << 20), block(&thread(1), 1000), block(&thread(9), 1 << 30)]);
        assert_eq!(agreements.admit(&two.0), Err(Declined::TooManyBytes));
        let changed = agreements.take_changed();
        assert_eq!(
            changed.iter().map(|(thread, now)| (thread.clone(), now.terms.is_full)).collect::<Vec<_>>(),
            [(thread(3), true)]
        );
        agreements.flush().unwrap();

        let after = Agreements::load(&store, &config(), |here| *here != thread(2)).unwrap();
        assert_eq!((after.used(&one.0).0, after.used(&two.0).0), (1000, 1 << 20));
        assert!(after.following(&thread(3)).unwrap().terms.is_full);
        let following = after.following(&thread(1)).unwrap();
        assert_eq!(following.terms, Terms { bodies_days: 30.try_into().ok(), is_full: false });
        // One thread has gone, and so there is room for another one.
        assert_eq!((after.get(&thread(2)), after.admit(&one.0)), (None, Ok(())));
        assert_eq!(store.settings(SETTINGS).unwrap().len(), 2);
        // And with more room nothing is full.
        let larger = Agreements::load(&store, &Config { follow_max_mib: 2, ..config() }, |_| true).unwrap();
        assert!(!larger.following(&thread(3)).unwrap().terms.is_full);
    }

    #[test]
    fn nodes_that_invite_again_and_again_do_not_grow_without_end() {
        let (store, first) = (store(), inviter(1));
        let agreements = Agreements::load(&store, &config(), |_| true).unwrap();
        agreements.invite(&thread(1), first, 0).unwrap();
        for seed in 0..=255 {
            agreements.invite(&thread(1), (first.0, inviter(seed).1), 0).unwrap();
        }
        let agreement = agreements.get(&thread(1)).unwrap();
        assert_eq!((agreement.inviters.len(), agreement.inviters[0]), (INVITERS, first));
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_dropped() {
        let store = store();
        store.set_setting("following/nonsense", Some(b"x")).unwrap();
        store.set_setting(&setting(&thread(1)), Some(b"x")).unwrap();
        assert!(Agreements::load(&store, &config(), |_| true).unwrap().all().is_empty());
        assert!(store.settings(SETTINGS).unwrap().is_empty());
    }
}

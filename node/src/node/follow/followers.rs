//! Who was asked to follow which of this node's threads.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde_bytes::ByteBuf;
use spool_proto::{Multiaddr, PeerId, ThreadId, cbor};
use spool_store::{Error, Store};

use super::limits::FOLLOWERS;

/// Begins the names of the settings that hold followers.
const SETTINGS: &str = "followers/";
const VERSION: u64 = 1;
/// Bytes of a thread's followers as they are stored.
const MAX_STORED_BYTES: usize = spool_store::limits::SETTING_VALUE_BYTES;

/// One follower of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::node) struct Follower {
    pub(in crate::node) peer: PeerId,
    /// Where it says that it can be reached.
    pub(in crate::node) addresses: Vec<Multiaddr>,
    /// Days after which it drops bodies, as it said when it accepted; 0 for never.
    pub(in crate::node) bodies_days: u32,
    /// When it accepted, milliseconds since 1970.
    pub(in crate::node) since_millis: u64,
    /// When it left, if it did.
    pub(in crate::node) gone_millis: Option<u64>,
}

impl Follower {
    /// One that another device of the owner's has asked.
    pub(in crate::node) fn known(peer: PeerId, addresses: Vec<Multiaddr>) -> Self {
        Self { peer, addresses, bodies_days: 0, since_millis: millis(SystemTime::now()), gone_millis: None }
    }
}

/// `[peer, [address, …], days, since, gone]`.
type Stored = (ByteBuf, Vec<ByteBuf>, u32, u64, Option<u64>);

/// The followers of all threads.
pub(in crate::node) struct Followers {
    store: Store,
    table: Mutex<HashMap<ThreadId, Vec<Follower>>>,
}

impl Followers {
    pub(in crate::node) fn load(store: &Store, is_here: impl Fn(&ThreadId) -> bool) -> Result<Self, Error> {
        let mut table = HashMap::new();
        for (name, bytes) in store.settings(SETTINGS)? {
            let thread = name.parse::<ThreadId>().ok().filter(&is_here);
            match thread.zip(decode(&bytes)) {
                Some((thread, followers)) => _ = table.insert(thread, followers),
                None => store.set_setting(&format!("{SETTINGS}{name}"), None)?,
            }
        }
        Ok(Self { store: store.clone(), table: Mutex::new(table) })
    }

    fn table(&self) -> MutexGuard<'_, HashMap<ThreadId, Vec<Follower>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of a thread, with those that have left.
    pub(in crate::node) fn of(&self, thread: &ThreadId) -> Vec<Follower> {
        self.table().get(thread).cloned().unwrap_or_default()
    }

    /// Threads that have followers.
    pub(in crate::node) fn threads(&self) -> Vec<ThreadId> {
        self.table().keys().cloned().collect()
    }

    /// Adds one, or replaces what was known of it; it is on disk when this returns.
    pub(in crate::node) fn put(&self, thread: &ThreadId, follower: Follower) -> Result<(), Error> {
        let mut followers = self.of(thread);
        followers.retain(|known| known.peer != follower.peer);
        followers.push(follower);
        // Those that have left are shown for a while.
        while followers.len() > 2 * FOLLOWERS
            && let Some(oldest) = followers.iter().position(|known| known.gone_millis.is_some())
        {
            followers.remove(oldest);
        }
        self.write(thread, followers)
    }

    /// Notes that one has left. Returns whether it was one.
    pub(in crate::node) fn set_gone(&self, thread: &ThreadId, peer: &PeerId) -> Result<bool, Error> {
        let mut followers = self.of(thread);
        let Some(follower) = followers.iter_mut().find(|known| known.peer == *peer) else { return Ok(false) };
        follower.gone_millis.get_or_insert(millis(SystemTime::now()));
        self.write(thread, followers)?;
        Ok(true)
    }

    /// Forgets one. Returns what was known of it.
    pub(in crate::node) fn remove(&self, thread: &ThreadId, peer: &PeerId) -> Result<Option<Follower>, Error> {
        let (gone, rest): (Vec<_>, Vec<_>) = self.of(thread).into_iter().partition(|known| known.peer == *peer);
        if !gone.is_empty() {
            self.write(thread, rest)?;
        }
        Ok(gone.into_iter().next())
    }

    /// Forgets all of a thread.
    pub(in crate::node) fn forget(&self, thread: &ThreadId) -> Result<(), Error> {
        if self.table().contains_key(thread) {
            self.write(thread, Vec::new())?;
        }
        Ok(())
    }

    fn write(&self, thread: &ThreadId, followers: Vec<Follower>) -> Result<(), Error> {
        let bytes = (!followers.is_empty()).then(|| encode(&followers));
        self.store.set_setting(&format!("{SETTINGS}{thread}"), bytes.as_deref())?;
        match bytes {
            Some(_) => self.table().insert(thread.clone(), followers),
            None => self.table().remove(thread),
        };
        Ok(())
    }
}

pub(in crate::node) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn encode(followers: &[Follower]) -> Vec<u8> {
    let stored = followers.iter().map(|follower| -> Stored {
        let addresses = follower.addresses.iter().map(|address| ByteBuf::from(address.to_vec())).collect();
        let peer = ByteBuf::from(follower.peer.to_bytes());
        (peer, addresses, follower.bodies_days, follower.since_millis, follower.gone_millis)
    });
    cbor::to_vec(&(VERSION, stored.collect::<Vec<_>>()))
}

fn decode(bytes: &[u8]) -> Option<Vec<Follower>> {
    let (version, stored): (u64, Vec<Stored>) = cbor::from_slice(bytes, MAX_STORED_BYTES).ok()?;
    let follower = |(peer, addresses, bodies_days, since_millis, gone_millis): Stored| {
        let addresses = addresses.into_iter().map(|bytes| Multiaddr::try_from(bytes.into_vec()).ok());
        let addresses = addresses.collect::<Option<_>>()?;
        let peer = PeerId::from_bytes(&peer).ok()?;
        Some(Follower { peer, addresses, bodies_days, since_millis, gone_millis })
    };
    stored.into_iter().map(follower).collect::<Option<Vec<_>>>().filter(|_| version == VERSION)
}

//! What this node has to tell others about following and could not yet: that it withdraws an invitation, or has left.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde_bytes::ByteBuf;
use spool_proto::{Multiaddr, PeerId, ThreadId, cbor, invitation::Act};
use spool_store::{Error, Store};
use tokio::sync::Notify;

use super::{
    followers::millis,
    limits::{NOTICE_ADDRESS_BYTES, NOTICE_ADDRESSES, NOTICE_AGE, NOTICES},
};

const SETTING: &str = "notices";
const VERSION: u64 = 1;

/// Something to tell a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::node) struct Notice {
    pub(in crate::node) peer: PeerId,
    /// Where it may be: what else was known may be gone with the thread.
    pub(in crate::node) addresses: Vec<Multiaddr>,
    pub(in crate::node) thread: ThreadId,
    /// An invitation is withdrawn; else this node has left.
    pub(in crate::node) withdraws: bool,
    pub(in crate::node) since_millis: u64,
}

/// `[peer, [address, …], thread, withdraws, since]`.
type Stored = (ByteBuf, Vec<ByteBuf>, ThreadId, bool, u64);

impl Notice {
    pub(in crate::node) fn act(&self) -> Act {
        if self.withdraws { Act::Withdraw(self.thread.clone()) } else { Act::Leave(self.thread.clone()) }
    }
}

/// All that is to be told, oldest first.
pub(in crate::node) struct Notices {
    store: Store,
    table: Mutex<Vec<Notice>>,
    /// There is a new one.
    pub(in crate::node) new: Notify,
}

impl Notices {
    pub(in crate::node) fn load(store: &Store) -> Result<Self, Error> {
        let table = store.setting(SETTING)?.and_then(|bytes| decode(&bytes)).unwrap_or_default();
        Ok(Self { store: store.clone(), table: Mutex::new(table), new: Notify::new() })
    }

    fn table(&self) -> MutexGuard<'_, Vec<Notice>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::node) fn all(&self) -> Vec<Notice> {
        self.table().clone()
    }

    /// Adds one in place of what there was for the same peer about the same thread; where there are too many, the oldest is not told any more.
    pub(in crate::node) fn put(&self, mut notice: Notice) -> Result<(), Error> {
        notice.addresses.retain(|address| address.len() <= NOTICE_ADDRESS_BYTES);
        notice.addresses.truncate(NOTICE_ADDRESSES);
        self.change(|notices| {
            notices.retain(|known| (known.peer, &known.thread) != (notice.peer, &notice.thread));
            notices.push(notice);
            let surplus = notices.len().saturating_sub(NOTICES);
            notices.drain(..surplus);
        })
    }

    /// Forgets what was to be told to a peer about a thread.
    pub(in crate::node) fn remove(&self, peer: &PeerId, thread: &ThreadId) -> Result<(), Error> {
        if self.all().iter().any(|known| (&known.peer, &known.thread) == (peer, thread)) {
            self.change(|notices| notices.retain(|known| (&known.peer, &known.thread) != (peer, thread)))?;
        }
        Ok(())
    }

    /// Forgets what nobody will hear any more.
    pub(in crate::node) fn purge(&self) -> Result<(), Error> {
        let oldest = millis(SystemTime::now() - NOTICE_AGE);
        if self.all().iter().any(|notice| notice.since_millis < oldest) {
            self.change(|notices| notices.retain(|notice| notice.since_millis >= oldest))?;
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Notice>)) -> Result<(), Error> {
        let mut table = self.table();
        let mut changed = table.clone();
        change(&mut changed);
        self.store.set_setting(SETTING, (!changed.is_empty()).then(|| encode(&changed)).as_deref())?;
        *table = changed;
        Ok(())
    }
}

fn encode(notices: &[Notice]) -> Vec<u8> {
    let stored = notices.iter().map(|notice| -> Stored {
        let addresses = notice.addresses.iter().map(|address| ByteBuf::from(address.to_vec())).collect();
        let peer = ByteBuf::from(notice.peer.to_bytes());
        (peer, addresses, notice.thread.clone(), notice.withdraws, notice.since_millis)
    });
    cbor::to_vec(&(VERSION, stored.collect::<Vec<_>>()))
}

fn decode(bytes: &[u8]) -> Option<Vec<Notice>> {
    let limit = spool_store::limits::SETTING_VALUE_BYTES;
    let (version, stored): (u64, Vec<Stored>) = cbor::from_slice(bytes, limit).ok()?;
    let notice = |(peer, addresses, thread, withdraws, since_millis): Stored| {
        let addresses = addresses.into_iter().map(|bytes| Multiaddr::try_from(bytes.into_vec()).ok());
        let addresses = addresses.collect::<Option<_>>()?;
        Some(Notice { peer: PeerId::from_bytes(&peer).ok()?, addresses, thread, withdraws, since_millis })
    };
    stored.into_iter().map(notice).collect::<Option<Vec<_>>>().filter(|_| version == VERSION)
}

#[cfg(test)]
mod tests {
    use spool_proto::id::Variant;
    use spool_store::kv::Memory;

    use super::*;

    fn notice(seed: u16, withdraws: bool) -> Notice {
        let bytes: Vec<u8> = seed.to_be_bytes().repeat(16);
        let key = ed25519_dalek::SigningKey::from_bytes(bytes.first_chunk().unwrap());
        let long: Multiaddr = format!("/dns4/{}/tcp/1", "a".repeat(60)).parse().unwrap();
        Notice {
            peer: spool_proto::envelope::peer_id(&key),
            addresses: vec![long; 3],
            thread: ThreadId::new(Variant::Raw, [7; 32]),
            withdraws,
            since_millis: millis(SystemTime::now()),
        }
    }

    #[test]
    fn they_survive_a_restart_and_are_bounded() {
        let store = Store::with_kv(std::sync::Arc::new(Memory::default())).unwrap();
        let notices = Notices::load(&store).unwrap();
        for seed in 0..u16::try_from(NOTICES).unwrap() + 3 {
            notices.put(notice(seed, true)).unwrap();
        }
        // The last word counts.
        notices.put(notice(5, false)).unwrap();
        let all = Notices::load(&store).unwrap().all();
        assert_eq!((all.len(), all[0].peer), (NOTICES, notice(3, true).peer));
        assert_eq!(all.last().map(|last| (last.peer, last.withdraws)), Some((notice(5, true).peer, false)));
        assert!(all.iter().all(|notice| notice.addresses.len() == NOTICE_ADDRESSES));
        notices.remove(&notice(5, true).peer, &notice(5, true).thread).unwrap();
        notices.put(Notice { since_millis: 0, ..notice(6, true) }).unwrap();
        notices.purge().unwrap();
        let all = Notices::load(&store).unwrap().all();
        assert!(all.iter().all(|left| left.peer != notice(5, true).peer && left.peer != notice(6, true).peer));
    }
}

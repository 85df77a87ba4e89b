use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use libp2p::kad::{
    ProviderRecord, RecordKey,
    store::{MemoryStore, RecordStore},
};

use super::usable;
use crate::limits::{MAX_STORED_KEYS, PROVIDER_TTL};

/// Which announcements of others this node keeps: of keys that have the form of ours, so many, and so long.
///
/// The store itself counts our own keys and those of others together, and forgets an expired one only when asked for it.
#[derive(Default)]
pub(super) struct Keeper {
    /// When the newest announcement of a key expires.
    until: HashMap<RecordKey, Instant>,
    /// In the order of their arrival, which is that of their expiry.
    order: VecDeque<(Instant, RecordKey)>,
}

impl Keeper {
    pub(super) fn add(&mut self, store: &mut MemoryStore, mut record: ProviderRecord, now: Instant) {
        let key = record.key.clone();
        let known = self.until.contains_key(&key);
        if key.as_ref().len() != 32 || (!known && self.until.len() >= MAX_STORED_KEYS) {
            return;
        }
        // So much later that a peer which repeats itself does not fill the queue.
        let until = now + PROVIDER_TTL;
        let recent = self.until.get(&key).is_some_and(|old| until.saturating_duration_since(*old) < PROVIDER_TTL / 8);
        record.addresses = usable(record.provider, record.addresses.first().cloned().as_ref(), record.addresses);
        record.expires = Some(until);
        if store.add_provider(record).is_err() || recent {
            return;
        }
        self.until.insert(key.clone(), until);
        self.order.push_back((until, key));
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, store: &mut MemoryStore, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            let Some((until, key)) = self.order.pop_front() else { return };
            if self.until.get(&key) != Some(&until) {
                continue;
            }
            self.until.remove(&key);
            let expired: Vec<_> = store.providers(&key).into_iter().filter(|record| record.is_expired(now)).collect();
            for record in expired {
                store.remove_provider(&key, &record.provider);
            }
        }
    }
}

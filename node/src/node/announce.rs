//! Announces in this node's logs where it can be reached, when that has changed.

use std::time::Duration;

use spool_proto::{
    Address, Multiaddr, ThreadId,
    event::Kind,
    limits::MAX_ADDRESSES,
    record::Control,
    sync::{self, Append, RequestId},
};
use tokio::sync::oneshot;

use super::{
    Node, call::Call, follow::limits::OWN_ADDRESSES, keyring::Keys, limits::ANNOUNCE_DELAY, status::is_public_enough,
};

/// How often it is checked even without a hint.
const INTERVAL: Duration = Duration::from_secs(600);

impl Node {
    /// Runs until the node ends.
    pub(super) async fn announce_addresses(self) {
        loop {
            // Whichever comes first; both mean "look".
            let _ = tokio::time::timeout(INTERVAL, self.address_keeper().own.notified()).await;
            // Addresses come one by one at the start: wait until they have settled.
            tokio::time::sleep(ANNOUNCE_DELAY).await;
            let Ok(addresses) = self.addresses().await else { return };
            let public: Vec<Multiaddr> = addresses.announced.into_iter().filter(is_public_enough).collect();
            for keys in self.keyring().all() {
                self.announce_in(&keys, &public).await;
            }
        }
    }

    /// Announces a thread's followers, after there are others than before.
    pub(super) async fn announce_followers(&self, thread: &ThreadId) {
        let (Ok(keys), Ok(addresses)) = (self.thread_keys(thread), self.addresses().await) else { return };
        let public: Vec<Multiaddr> = addresses.announced.into_iter().filter(is_public_enough).collect();
        self.announce_in(&keys, &public).await;
    }

    /// Appends an announcement to this node's log in a thread if it has one with records in it and other addresses, or followers.
    async fn announce_in(&self, keys: &Keys, public: &[Multiaddr]) {
        let Some(own) = &keys.own else { return };
        let (node, thread, log) = (self.clone(), keys.thread.clone(), *own.log());
        let state = self.blocking(move || node.store().log_state(&thread, &log).map_err(super::threads::storage));
        let Ok(state) = state.await else { return };
        let state = state.unwrap_or_default();
        let followers = self.follower_addresses(&keys.thread);
        if state.head.is_none() && followers.is_empty() {
            return;
        }
        let me = self.info().peer;
        let own_part: Vec<_> = match public {
            // Nobody can reach this node, which may be so for a moment only: what was told stays.
            [] => state.addresses().filter(|address| Address::from(address.clone()).peer() == Some(me)).collect(),
            _ => public.to_vec(),
        };
        let most = if followers.is_empty() { MAX_ADDRESSES } else { OWN_ADDRESSES };
        let addresses: Vec<_> = own_part.into_iter().take(most).chain(followers).take(MAX_ADDRESSES).collect();
        if state.addresses().eq(addresses.iter().cloned()) {
            return;
        }
        let append = Append {
            request: RequestId::default(),
            thread: keys.thread.clone(),
            log: Some(log),
            kind: Kind::Control,
            body: None,
            control: Some(Control::Addresses(addresses)),
            durability: sync::Durability::Sync,
        };
        let Ok(permit) = self.body_room().acquire_many_owned(1_024).await else { return };
        let (answer, done) = oneshot::channel();
        if self.call(Call::Append { append: Box::new(append), permit, answer }).await.is_err() {
            return;
        }
        if let Ok(Err(error)) = done.await {
            tracing::warn!(thread = keys.thread.short(), %error, "addresses could not be announced");
        }
    }
}

//! The owner's home thread: a database in which all devices of an identity keep what one that lost everything needs. Id and key follow from the recovery phrase, so
//! the phrase and a peer that follows the thread are enough.
//!
//! `entries` says what is in it, `recover` reads it on a new device.

mod entries;
mod recover;

use std::time::SystemTime;

use spool_db::Database;
use spool_proto::{DeviceId, Multiaddr, PeerId, ThreadId};
use tokio::sync::{Mutex, Notify};

use self::entries::Entry;
use super::{
    Node,
    limits::{HOME_INTERVAL, HOME_RETRY, HOME_WRITES},
};
use crate::model::{DefinitionChange, DocumentChange, DocumentWrite, Error, HomeInfo};

/// Says that there may be something to keep.
#[derive(Default)]
pub(super) struct Home {
    changed: Notify,
    /// What is kept is looked up and written by one at a time: a thread that is removed meanwhile would be kept again.
    writing: Mutex<()>,
}

impl Home {
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }
}

impl Node {
    /// Keeps the home thread until the node ends.
    pub(super) async fn keep_home(self) {
        loop {
            let wait = match self.write_home().await {
                Ok(()) => HOME_INTERVAL,
                Err(Error::Stopping) => return,
                Err(error) => {
                    tracing::warn!(error = crate::chain(&error), "the home thread could not be written");
                    HOME_RETRY
                }
            };
            tokio::select! {
                () = self.home().changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Writes what the home thread lacks: this device, and the threads that it can read.
    async fn write_home(&self) -> Result<(), Error> {
        let _alone = self.home().writing.lock().await;
        let kept: Vec<_> = self.keyring().others().filter(|keys| keys.state.keys.can_read()).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let home = self.open_home().await?;
        // What other devices wrote, and this one before it was restarted, is not written again.
        self.caught_up(&home).await?;
        let (database, device, peer) = (self.database(&home).await?, self.keyring().device(), self.info().peer);
        let (name, now) = (self.config().name.clone(), SystemTime::now());
        let writes = self.blocking(move || {
            let mut writes = entries::device(&database, &device, &peer, name, now)?;
            for keys in kept {
                match entries::thread(&database, &keys, &device) {
                    Ok(more) => writes.extend(more),
                    Err(Error::Invalid(why)) => tracing::warn!(thread = keys.thread.short(), why, "not kept at home"),
                    Err(error) => return Err(error),
                }
            }
            Ok(writes)
        });
        let writes = writes.await?;
        self.write_at_home(&home, writes).await
    }

    /// The home thread, which is made where it is not here.
    pub(super) async fn open_home(&self) -> Result<ThreadId, Error> {
        let (home, keys) = self.keyring().identity().home();
        if self.keyring().get(&home).is_none() {
            self.keep(&home, keys, Some("home".to_owned()), Vec::new()).await?;
        }
        Ok(home)
    }

    /// Writes to the home thread what this device has done; nothing where there is none. What fails is told in the log: it does not undo what was done.
    async fn note_at_home(
        &self,
        writes: impl FnOnce(&Database, &DeviceId) -> Result<Vec<DocumentWrite>, Error> + Send + 'static,
    ) {
        let home = self.keyring().home();
        if !self.config().home || self.keyring().get(home).is_none() {
            return;
        }
        let written = async {
            let _alone = self.home().writing.lock().await;
            let (database, device) = (self.database(home).await?, self.keyring().device());
            let writes = self.blocking(move || writes(&database, &device)).await?;
            self.write_at_home(home, writes).await
        };
        if let Err(error) = written.await {
            tracing::warn!(error = crate::chain(&error), "the home thread could not be written");
        }
    }

    async fn write_at_home(&self, home: &ThreadId, writes: Vec<DocumentWrite>) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        let defined: Vec<_> = self.collections(home).await?.into_iter().map(|info| info.definition.name).collect();
        for collection in entries::COLLECTIONS {
            if !defined.iter().any(|name| name == collection) {
                self.define(home, collection, DefinitionChange::default()).await?;
            }
        }
        for writes in writes.chunks(HOME_WRITES) {
            self.commit(home, writes.to_vec()).await?;
        }
        Ok(())
    }

    /// This device does not keep a thread any more.
    pub(super) async fn leave_at_home(&self, thread: &ThreadId) {
        let thread = thread.clone();
        self.note_at_home(move |database, device| entries::leave(database, thread.to_string(), device)).await;
    }

    /// A peer follows a thread of the owner's.
    pub(super) async fn follower_at_home(&self, peer: PeerId, addresses: Vec<Multiaddr>, thread: &ThreadId) {
        let thread = thread.clone();
        self.note_at_home(move |database, _| entries::follower(database, &peer, &addresses, &thread)).await;
    }

    /// And it does not any more.
    pub(super) async fn unfollow_at_home(&self, peer: PeerId, thread: &ThreadId) {
        let thread = thread.clone();
        self.note_at_home(move |database, _| entries::unfollow(database, &peer, &thread)).await;
    }

    /// What the home thread has, as far as it is here.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    pub async fn home_info(&self) -> Result<HomeInfo, Error> {
        let home = self.keyring().home().clone();
        let mut info = HomeInfo { thread: home.clone(), devices: Vec::new(), threads: Vec::new() };
        if self.keyring().get(&home).is_none() {
            return Ok(info);
        }
        let (devices, threads) = self.home_entries(&home).await?;
        let this = self.keyring().device().to_string();
        info.devices = devices.into_iter().map(|device| device.shown(&this)).collect();
        info.devices.sort_by(|a, b| (a.since, &a.device).cmp(&(b.since, &b.device)));
        info.threads =
            threads.into_iter().map(|entry| entry.shown(self.keyring().get(entry.thread()).is_some())).collect();
        Ok(info)
    }

    async fn home_entries(&self, home: &ThreadId) -> Result<(Vec<entries::Device>, Vec<Entry>), Error> {
        let database = self.database(home).await?;
        self.blocking(move || Ok((entries::devices(&database)?, entries::threads(&database)?))).await
    }
}

fn write(collection: &str, id: String, change: DocumentChange) -> DocumentWrite {
    DocumentWrite { collection: collection.to_owned(), id: Some(id), if_version: None, change }
}

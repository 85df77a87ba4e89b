//! The handle to a running node, and what all of its parts share.

use std::{sync::Arc, time::Instant};

use spool_proto::{DeviceId, ThreadId};
use spool_store::{Store, commit};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::{
    addresses::AddressKeeper,
    call::{Call, News},
    database::Databases,
    follow::{Agreements, Followers, Notices},
    guests::Guests,
    home::Home,
    keyring::{Keyring, Keys},
    limits::STOP_PATIENCE,
    standings::Standings,
    status::Counters,
};
use crate::{config::Config, model::Error, repo};

/// A running node. Cheap to clone; the node runs until [`Node::stop`].
#[derive(Clone)]
pub struct Node(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) keyring: Arc<Keyring>,
    pub(super) store: Store,
    pub(super) network: spool_net::Handle,
    pub(super) addresses: Arc<AddressKeeper>,
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) committer: commit::Handle,
    pub(super) news: broadcast::Sender<News>,
    pub(super) counters: Arc<Counters>,
    pub(super) agreements: Arc<Agreements>,
    pub(super) followers: Arc<Followers>,
    pub(super) notices: Arc<Notices>,
    pub(super) standings: Arc<Standings>,
    pub(super) guests: Guests,
    pub(super) databases: Databases,
    pub(super) home: Home,
    pub(super) config: Config,
    pub(super) repo: Option<Arc<repo::Locked>>,
    pub(super) body_room: Arc<Semaphore>,
    pub(super) ended: watch::Receiver<End>,
    pub(super) started: Instant,
}

/// Whether the node still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It does.
    Running,
    /// It was stopped.
    Stopped,
    /// It ended by itself.
    Failed(String),
}

impl Node {
    /// Ends the node: takes nothing more, commits what is queued, closes. Returns when done; several callers may wait.
    pub async fn stop(&self) {
        let (ended, done) = oneshot::channel();
        if self.0.calls.send(Call::Stop(ended)).await.is_ok() {
            // Closed without an answer means that it has ended, too.
            let _ = tokio::time::timeout(STOP_PATIENCE, done).await;
        }
        let mut end = self.0.ended.clone();
        // An error means that whoever would tell has gone: it has ended.
        let _ = tokio::time::timeout(STOP_PATIENCE, end.wait_for(|end| *end != End::Running)).await;
    }

    /// Resolves when the node has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] if it ended by itself.
    pub async fn stopped(&self) -> Result<(), Error> {
        let mut ended = self.0.ended.clone();
        let end = match ended.wait_for(|end| *end != End::Running).await {
            Ok(end) => end.clone(),
            Err(_) => End::Failed("its task panicked".to_owned()),
        };
        match end {
            End::Failed(why) => Err(Error::Internal { context: "run", source: why.into() }),
            End::Running | End::Stopped => Ok(()),
        }
    }

    /// Whether it does not run any more.
    pub(super) fn is_ended(&self) -> bool {
        *self.0.ended.borrow() != End::Running
    }

    /// Waits until it does not run any more, however it ended.
    pub(super) async fn ended(&self) {
        // An error means that whoever would tell has gone: it has ended.
        let _ = self.0.ended.clone().wait_for(|end| *end != End::Running).await;
    }

    /// Takes a new device id: from now on this node writes new logs, and never extends an old one.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the id could not be written.
    pub async fn new_device(&self) -> Result<DeviceId, Error> {
        let device = match self.0.repo.clone() {
            Some(repo) => {
                let renew = move || repo.renew_device().map_err(|error| Error::Storage(Box::new(error)));
                self.blocking(renew).await?
            }
            None => DeviceId::new(rand::random()),
        };
        self.keyring().set_device(device);
        self.call(Call::NewDevice).await?;
        self.home().changed();
        // Its new logs announce who follows.
        self.address_keeper().own.notify_one();
        Ok(device)
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.0.keyring
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn network(&self) -> &spool_net::Handle {
        &self.0.network
    }

    pub(super) fn address_keeper(&self) -> &Arc<AddressKeeper> {
        &self.0.addresses
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    pub(super) fn committer(&self) -> &commit::Handle {
        &self.0.committer
    }

    pub(super) fn calls(&self) -> &mpsc::Sender<Call> {
        &self.0.calls
    }

    pub(super) fn repo(&self) -> Option<&Arc<repo::Locked>> {
        self.0.repo.as_ref()
    }

    pub(super) fn agreements(&self) -> &Arc<Agreements> {
        &self.0.agreements
    }

    pub(super) fn followers(&self) -> &Arc<Followers> {
        &self.0.followers
    }

    pub(super) fn standings(&self) -> &Arc<Standings> {
        &self.0.standings
    }

    pub(super) fn notices(&self) -> &Arc<Notices> {
        &self.0.notices
    }

    pub(super) fn guests(&self) -> &Guests {
        &self.0.guests
    }

    pub(super) fn databases(&self) -> &Databases {
        &self.0.databases
    }

    pub(super) fn home(&self) -> &Home {
        &self.0.home
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(super) fn started(&self) -> Instant {
        self.0.started
    }

    pub(super) fn news(&self) -> broadcast::Receiver<News> {
        self.0.news.subscribe()
    }

    pub(super) fn body_room(&self) -> Arc<Semaphore> {
        self.0.body_room.clone()
    }

    pub(super) fn thread_keys(&self, thread: &ThreadId) -> Result<Arc<Keys>, Error> {
        self.keyring().get(thread).ok_or_else(|| Error::ThreadNotFound(thread.clone()))
    }

    /// Gives a call to the engine; waits while its queue is full.
    pub(super) async fn call(&self, call: Call) -> Result<(), Error> {
        self.0.calls.send(call).await.map_err(|_| Error::Stopping)
    }

    /// Runs something that blocks.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let panicked = |error: tokio::task::JoinError| Error::Internal { context: "read", source: Box::new(error) };
        tokio::task::spawn_blocking(act).await.map_err(panicked)?
    }
}
